/// What the compiler's driver would run for a module.
struct ModuleJobs: Sendable {
    /// For each source its frontend command, without what it writes. The program first. Of many sources it has not the names, but a list
    /// that is gone.
    private var commands: [String: [String]] = [:]
    /// The command that makes the module's interface (`.swiftmodule`), likewise.
    private var emitModule: [String]?
    /// All of the module, in the order in which the driver got them.
    private let sources: [String]

    /// Options that say where a frontend writes; each has one argument.
    private static let outputs: Set = [
        "-o", "-output-file-map", "-emit-dependencies-path", "-emit-reference-dependencies-path",
        "-serialize-diagnostics-path",
        "-emit-module-path", "-emit-module-doc-path", "-emit-module-source-info-path", "-emit-objc-header-path",
        "-emit-clang-header-path", "-emit-abi-descriptor-path", "-emit-const-values-path",
        "-emit-loaded-module-trace-path", "-emit-module-dependencies-path", "-index-store-path",
        "-index-unit-output-path", "-supplementary-output-file-map", "-emit-module-interface-path",
        "-emit-private-module-interface-path", "-emit-package-module-interface-path", "-emit-tbd-path",
        "-emit-module-semantic-info-path", "-emit-api-descriptor-path", "-save-optimization-record-path",
    ]
    /// Options of the driver that would change what it prints, or let it write.
    private static let dropped: Set = [
        "-v", "-incremental", "-parseable-output", "-enable-batch-mode", "-serialize-diagnostics", "-emit-dependencies",
        "-use-frontend-parseable-output", "-save-temps", "-driver-time-compilation", "-driver-show-incremental",
        "-emit-objc-header", "-index-ignore-system-modules", "-driver-print-jobs",
        "-experimental-emit-module-separately-wmo", "-emit-abi-descriptor",
    ]

    /// Asks the driver.
    /// - Throws: `BuildError`.
    init(asking module: BuildModule, for sources: [String]) throws(BuildError) {
        var arguments: [String] = []
        var skipsNext = false
        for word in module.driver {
            if skipsNext {
                skipsNext = false
            } else if Self.outputs.contains(word) {
                skipsNext = true
            } else if !Self.dropped.contains(word) {
                arguments.append(word)
            }
        }
        arguments += ["-emit-module", "-emit-module-path", "/dev/null", "-c"] + sources
        // Lists of files are temporary, and gone with the driver. But without them it would print the names of all for each: 190 MB for
        // 2,000 files.
        arguments += ["-disable-batch-mode", "-driver-filelist-threshold=128", "-driver-print-jobs"]
        let program = CompilerProcess.Program(arguments, in: module.workingDirectory)
        let result = try CompilerProcess().run(program, seconds: 120, outputOnly: true)
        guard result.status == 0 else {
            // What is wrong stands where it was not read from.
            let again = try CompilerProcess().run(program, seconds: 120)
            throw .noJobs(module: module.name, printed: "It says: \(again.text.prefix(2000))")
        }
        self.sources = sources
        read(result.text)
        guard sources.allSatisfy({ commands[$0] != nil }) else {
            throw .noJobs(
                module: module.name, printed: "It has no command for \(sources.first { commands[$0] == nil }!)")
        }
    }

    /// What `-driver-print-jobs` prints: a command a line.
    init(printed text: String, sources: [String] = []) {
        self.sources = sources
        read(text)
    }

    /// How a source is compiled; nil where the driver has not said.
    func command(for source: String) -> [String]? { commands[source].map { named($0, primary: source) } }

    /// How the module's interface is made.
    var interfaceCommand: [String]? { emitModule.map { named($0, primary: nil) } }

    /// With the sources in the place of a list of them. A command line has room for thousands of names.
    private func named(_ words: [String], primary: String?) -> [String] {
        guard words.contains("-filelist") else { return words }
        var named: [String] = []
        var next = words.startIndex
        while next < words.endIndex {
            switch words[next] {
            case "-filelist": named += sources.flatMap { $0 == primary ? ["-primary-file", $0] : [$0] }
            // It stands among the others.
            case "-primary-file": break
            default:
                named.append(words[next])
                next += 1
                continue
            }
            next += 2
        }
        return named
    }

    private mutating func read(_ text: String) {
        for line in text.split(separator: "\n") {
            guard let words = CompilerWords.split(line), words.contains("-frontend") else { continue }
            var kept: [String] = []
            var skipsNext = false
            for word in words {
                if skipsNext {
                    skipsNext = false
                } else if Self.outputs.contains(word) {
                    skipsNext = true
                } else {
                    kept.append(word)
                }
            }
            if let primary = words.firstIndex(of: "-primary-file"), primary + 1 < words.count, words.contains("-c") {
                commands[words[primary + 1]] = kept
            } else if words.contains("-emit-module") {
                emitModule = kept
            }
        }
    }
}
