import HotpatchELF

/// The arguments and the result in the text of a Swift function, in words that can be compared with another spelling of them:
/// `[String]?` is `Swift.Optional<Swift.Array<Swift.String>>`, and a module may be left out.
struct SpelledName {
    private let words: [String]
    /// How many of the words are the arguments, without effects and result; all where there are none.
    private let argumentCount: Int

    /// - Parameter text: what stands behind the path of a function: `(of: Swift.String) -> Swift.Int`, ` : Swift.Int`.
    init(_ text: String) {
        var reader = Reader(text)
        var words: [String] = []
        reader.sequence(&words)
        words = Self.withoutUnlabelled(words)
        self.words = words
        var depth = 0
        argumentCount =
            words.firstIndex { word in
                if word == "(" { depth += 1 }
                if word == ")" { depth -= 1 }
                return word == ")" && depth == 0
            }.map { $0 + 1 } ?? words.count
    }

    /// Whether what someone wrote means this; the effects and the result may be left out of it.
    func answers(to query: SpelledName) -> Bool {
        guard query.words.count == words.count || query.words.count == argumentCount else { return false }
        return zip(words, query.words).allSatisfy { word, asked in
            word == asked || word.hasSuffix("." + asked) && !word.dropLast(asked.utf8.count + 1).contains(".")
                || Module.othersSpelt(asked).contains(word)
        }
    }

    /// `_: Swift.Int` is `Swift.Int`: demanglers write the `_:` only where another argument has a label.
    private static func withoutUnlabelled(_ words: [String]) -> [String] {
        var result: [String] = []
        for (index, word) in words.enumerated() {
            if word == ":", result.last == "_", index + 1 < words.count, ![")", ",", "_"].contains(words[index + 1]) {
                result.removeLast()
            } else {
                result.append(word)
            }
        }
        return result
    }

    static func isIdentifier(_ byte: UInt8) -> Bool { byte != UInt8(ascii: ".") && Reader.isWord(byte) }

    private struct Reader {
        private let text: [UInt8]
        private var position = 0
        private var depth = 0

        init(_ text: String) { self.text = Array(text.utf8) }

        /// Up to a closing bracket that is not its own.
        mutating func sequence(_ words: inout [String]) {
            while let word = next() {
                if [")", "]", ">"].contains(word) {
                    position -= 1
                    return
                }
                type(word, &words)
            }
        }

        /// One word, or what stands in its brackets with them; `?` behind it makes it an Optional.
        private mutating func type(_ word: String, _ words: inout [String]) {
            // Each level of nesting takes stack.
            depth += 1
            defer { depth -= 1 }
            let start = words.count
            switch word {
            case _ where depth > 128: return
            case "any", "@escaping": return
            case "consuming": words.append("__owned")
            case "borrowing": words.append("__shared")
            case "Void", "Swift.Void": words += ["(", ")"]
            case "[":
                var inner: [String] = []
                sequence(&inner)
                _ = next()
                var nesting = 0
                let colon = inner.firstIndex { word in
                    if ["(", "<"].contains(word) { nesting += 1 }
                    if [")", ">"].contains(word) { nesting -= 1 }
                    return word == ":" && nesting == 0
                }
                if let colon { inner[colon] = "," }
                words += [colon == nil ? "Swift.Array" : "Swift.Dictionary", "<"] + inner + [">"]
            case "(", "<":
                words.append(word)
                sequence(&words)
                if let closing = next() { words.append(closing) }
            default:
                words.append(word)
                if peek == UInt8(ascii: "<"), let bracket = next() { type(bracket, &words) }
            }
            while peek == UInt8(ascii: "?") {
                position += 1
                var inner = Array(words[start...])
                // Parentheses around a single type, which a `?` needs behind a function.
                if inner.first == "(", inner.contains("->"), inner.last == ")" {
                    inner = Array(inner[1..<(inner.count - 1)])
                }
                words.replaceSubrange(start..., with: ["Swift.Optional", "<"] + inner + [">"])
            }
        }

        private var peek: UInt8? { position < text.count ? text[position] : nil }

        private mutating func next() -> String? {
            while peek == UInt8(ascii: " ") { position += 1 }
            guard let first = peek else { return nil }
            let start = position
            position += 1
            if first == UInt8(ascii: "-"), peek == UInt8(ascii: ">") {
                position += 1
            } else if Self.isWord(first) {
                while let byte = peek, Self.isWord(byte) { position += 1 }
            }
            return String(decoding: text[start..<position], as: UTF8.self)
        }

        static func isWord(_ byte: UInt8) -> Bool {
            byte >= 0x80 || byte == UInt8(ascii: "_") || byte == UInt8(ascii: ".") || byte == UInt8(ascii: "@")
                || byte == UInt8(ascii: "$") || (0x30...0x39).contains(byte) || (0x41...0x5A).contains(byte)
                || (0x61...0x7A).contains(byte)
        }
    }
}

/// Modules whose declarations another one re-exports.
enum Module {
    private static let reexported = [
        "Foundation": ["FoundationEssentials", "FoundationInternationalization"],
        "Swift": ["_Concurrency", "_StringProcessing"],
    ]

    /// A name that begins with a module, as those that the module re-exports spell it.
    static func othersSpelt(_ name: String) -> [String] {
        guard let dot = name.firstIndex(of: "."), let others = reexported[String(name[..<dot])] else { return [] }
        return others.map { $0 + name[dot...] }
    }

    static func isSame(_ module: Substring, as asked: Substring) -> Bool {
        module == asked || reexported[String(asked)]?.contains(String(module)) == true
    }
}

/// What someone wrote for a Swift function, without what may stand before its path.
struct WrittenName {
    let isStatic: Bool
    /// The module of `(extension in Shop):Swift.String.shout()`.
    let extensionModule: Substring?
    let rest: String

    init(_ text: String) {
        var rest = text[...]
        isStatic = rest.hasPrefix("static ")
        if isStatic { rest = rest.dropFirst(7) }
        let prefix = "(extension in "
        if rest.hasPrefix(prefix), let end = rest.firstIndex(of: ")"), rest[end...].hasPrefix("):") {
            extensionModule = rest[..<end].dropFirst(prefix.count)
            rest = rest[end...].dropFirst(2)
        } else {
            extensionModule = nil
        }
        self.rest = String(rest)
    }
}

extension SymbolIndex {
    /// Functions whose text is written in another way than demanglers write it, as source does: without the module, or with one that
    /// re-exports it; with `[Int]` and `Int?`; without `static` or with it, and likewise with what extensions begin with.
    func writtenMatches(_ name: String, _ allowed: [Bool]?) -> [Definition] {
        let written = WrittenName(name)
        let path = written.rest
        let exact = { self.demangledMatches($0, allowed, all: false) }
        var found = path == name ? [] : exact(path)
        if found.isEmpty { found = spelledMatches(path, exact) }
        if found.isEmpty {
            for other in Module.othersSpelt(path) {
                let named = exact(other)
                found += named.isEmpty ? spelledMatches(other, exact) : named
            }
        }
        // A plain word is the name of a C function: no Swift function is meant by it.
        if found.isEmpty, path.contains(where: { $0 == "." || $0 == "(" }) {
            let anyModule = { self.moduleLessMatches($0, allowed) }
            found = anyModule(path)
            if found.isEmpty { found = spelledMatches(path, anyModule) }
        }
        return narrowed(found, by: written)
    }

    /// Without what is not in the extension, or not static, that the name says.
    func narrowed(_ found: [Definition], by written: WrittenName) -> [Definition] {
        guard written.isStatic || written.extensionModule != nil else { return found }
        let texts = found.map { WrittenName(Demangling.demangle(self.name(of: $0)) ?? "") }
        let isStatic = written.isStatic && texts.contains(where: \.isStatic)
        return zip(found, texts).filter { _, text in
            if isStatic, !text.isStatic { return false }
            guard let asked = written.extensionModule else { return true }
            return text.extensionModule.map { Module.isSame($0, as: asked) } ?? false
        }.map(\.0)
    }

    /// Functions whose arguments and result are what someone wrote behind their path.
    private func spelledMatches(_ name: String, _ lookUp: (String) -> [Definition]) -> [Definition] {
        var keys = NameKeys()
        func rest(_ text: String) -> (bare: String, SpelledName)? {
            text.withBytes { bytes in
                keys.path(of: bytes).map { path in
                    (path.bare, SpelledName(String(decoding: bytes[path.end...], as: UTF8.self)))
                }
            }
        }
        guard name.utf8.contains(where: { $0 == UInt8(ascii: "(") || $0 == UInt8(ascii: ":") }),
            let (bare, query) = rest(name)
        else { return [] }
        return lookUp(bare).filter { definition in
            guard let text = Demangling.demangle(self.name(of: definition)), let candidate = rest(text) else {
                return false
            }
            return candidate.1.answers(to: query)
        }
    }
}
