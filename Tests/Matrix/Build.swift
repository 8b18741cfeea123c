import Glibc
import HotpatchTestSupport

/// A program of a file that asks, and of files that are compiled again and again: one, or several.
struct Build {
    private let directory: String
    /// Those that are edited, and how each is compiled.
    private let files: [String]
    private let commands: [[String]]
    /// What the program was linked from.
    let objects: [String]
    let program: String

    /// Stands between the texts of the files that are edited.
    static let mark = "\n// The next file\n"

    init(_ language: Subject.Language, _ source: String, main: String, in directory: String) throws {
        let ending =
            switch language {
            case .swift: "swift"
            case .c: "c"
            case .cxx: "cpp"
            }
        self.directory = directory
        let texts = source.parts(around: Self.mark)
        let names = texts.indices.map { $0 == 0 ? "Subject" : "Subject\($0 + 1)" }
        files = names.map { "\($0).\(ending)" }
        let mainFile = "\(directory)/main.\(ending)"
        try main.write(toFile: mainFile)
        let base = "\(directory)/base"
        try Self.write(texts, to: files, in: base)
        objects = names.map { "\(base)/\($0).o" }
        program = "\(directory)/program"
        switch language {
        case .swift:
            // As SwiftPM compiles a target in debug mode.
            let driver =
                ["swiftc", "-c", "-g", "-Onone", "-enable-testing", "-swift-version", "6", "-module-name", "Subject"]
                + files + [mainFile]
            let jobs = try Self.run(in: base, driver + ["-driver-print-jobs"])
            commands = try files.map { file in
                guard let job = jobs.split(separator: "\n").first(where: { $0.contains("-primary-file \(file) ") })
                else { throw TestFailure("the driver has no job for \(file): \(jobs)") }
                return job.split(separator: " ").map(String.init)
            }
            try Self.run(in: base, driver)
            try runTool(["swiftc", "-o", program] + objects + ["\(base)/main.o"])
        case .c, .cxx:
            let compiler = [language == .c ? "gcc" : "g++", "-g", "-O0", "-falign-functions=16"]
            commands = zip(files, names).map { compiler + ["-c", $0, "-o", "\($1).o"] }
            for command in commands { try Self.run(in: base, command) }
            try runTool(compiler + ["-o", program, mainFile] + objects)
        }
    }

    /// - Parameter name: that no other edit has.
    /// - Returns: the objects' paths.
    func compile(_ text: String, as name: String) throws -> [String] {
        let folder = "\(directory)/\(name)"
        // Private names are made from the file's.
        try Self.write(text.parts(around: Self.mark), to: files, in: folder)
        for command in commands { try Self.run(in: folder, command) }
        return objects.map { "\(folder)/\($0.split(separator: "/").last!)" }
    }

    private static func write(_ texts: [String], to files: [String], in folder: String) throws {
        guard mkdir(folder, 0o755) == 0 else { throw TestFailure("cannot make \(folder)") }
        for (text, file) in zip(texts, files) { try text.write(toFile: "\(folder)/\(file)") }
    }

    @discardableResult
    private static func run(in directory: String, _ command: [String]) throws -> String {
        let result = try HotpatchTestSupport.run(["env", "-C", directory] + command)
        guard result.status == 0 else { throw TestFailure("\(command.joined(separator: " ")): \(result)") }
        return result.output
    }
}

/// Runs `swift-hotpatch`, which lies beside this program.
func hotpatch(_ arguments: String...) throws -> RunResult { try run([products + "/swift-hotpatch"] + arguments) }

/// Applies objects, each to its baseline, at once.
func apply(_ objects: [String], base: [String], _ pid: Int32) throws -> RunResult {
    try run(
        [products + "/swift-hotpatch", "apply"] + objects + base.flatMap { ["--base", $0] } + ["--pid", "\(pid)"])
}

extension String {
    func write(toFile path: String) throws {
        guard let file = fopen(path, "w") else { throw TestFailure("cannot write \(path)") }
        defer { fclose(file) }
        guard fputs(self, file) >= 0 else { throw TestFailure("cannot write \(path)") }
    }
}
