/// What is wrong with the form of an error's words, which is `what. why. try this.`; empty where nothing is.
public func faults(ofMessage text: String) -> [String] {
    var faults: [String] = []
    if !text.hasSuffix(".") { faults.append("does not end with a full stop") }
    // Lines of a list are indented.
    let words = text.split(whereSeparator: { " \n".contains($0) }).map(String.init)
    let text = text.split(separator: "\n").map { $0.drop(while: { $0 == " " }) }.joined(separator: "\n")
    for sign in ["..", ". .", "  ", ": :", "::", ";.", ":."] where text.contains(sign) { faults.append("'\(sign)'") }
    // A sentence that also stands behind a colon. Names of functions and files begin as they begin.
    let beginnings: Set = ["it", "its", "the", "this", "that", "there", "no", "run", "try", "continue", "see"]
    for (word, next) in zip(words, words.dropFirst()) where word.hasSuffix(".") && beginnings.contains(next) {
        faults.append("'\(next)' begins a sentence")
    }
    // "cannot patch f: cannot patch, because of …"
    var denials: Set<String> = []
    for (word, next) in zip(words, words.dropFirst()) where word.lowercased() == "cannot" && next != "be" {
        let denial = "cannot " + next.filter(\.isLetter)
        if !denials.insert(denial).inserted { faults.append("says '\(denial)' twice") }
    }
    var sentences: Set<String> = []
    for sentence in text.split(separator: ".").map({ $0.filter { !$0.isWhitespace } }) where sentence.count > 8 {
        if !sentences.insert(sentence).inserted { faults.append("says '\(sentence)' twice") }
    }
    return faults
}
