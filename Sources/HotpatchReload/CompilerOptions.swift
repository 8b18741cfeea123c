/// Options of clang and gcc.
enum CompilerOptions {
    /// A command without what it writes: neither object nor list of dependencies.
    static func withoutOutputs(_ arguments: [String]) -> [String] {
        let withArgument: Set = [
            "-o", "-MF", "-MT", "-MQ", "-MJ", "-index-store-path", "--serialize-diagnostics", "-dependency-file",
        ]
        let alone: Set = ["-MD", "-MMD", "-MP", "-M", "-MM", "-MG"]
        var kept: [String] = []
        var skipsNext = false
        for word in arguments {
            if skipsNext {
                skipsNext = false
            } else if withArgument.contains(word) {
                skipsNext = true
            } else if !alone.contains(word), !(word.hasPrefix("-o") && word.hasSuffix(".o") || word.hasPrefix("-MF")) {
                kept.append(word)
            }
        }
        return kept
    }

    /// Where headers are looked for that are the user's: `-I` and `-iquote`.
    static func headerFolders(_ arguments: [String]) -> [String] {
        var folders: [String] = []
        for (index, word) in arguments.enumerated() {
            for option in ["-I", "-iquote"] where word.hasPrefix(option) {
                if word.utf8.count > option.utf8.count {
                    folders.append(String(word.dropFirst(option.count)))
                } else if index + 1 < arguments.count {
                    folders.append(arguments[index + 1])
                }
            }
        }
        return folders
    }
}
