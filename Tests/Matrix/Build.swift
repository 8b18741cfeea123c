import Glibc
import HotpatchTestSupport

/// A program of two files, compiled and linked, of which one is compiled again and again.
struct Build {
    private let directory: String
    /// Of the file that is edited.
    private let file: String
    private let command: [String]
    /// What the program was linked from.
    let object: String
    let program: String

    init(_ language: Subject.Language, _ source: String, main: String, in directory: String) throws {
        let ending =
            switch language {
            case .swift: "swift"
            case .c: "c"
            case .cxx: "cpp"
            }
        self.directory = directory
        file = "Subject.\(ending)"
        let mainFile = "\(directory)/main.\(ending)"
        try main.write(toFile: mainFile)
        let base = "\(directory)/base"
        guard mkdir(base, 0o755) == 0 else { throw TestFailure("cannot make \(base)") }
        try source.write(toFile: "\(base)/\(file)")
        (object, program) = ("\(base)/Subject.o", "\(directory)/program")
        switch language {
        case .swift:
            // As SwiftPM compiles a target in debug mode.
            let driver = [
                "swiftc", "-c", "-g", "-Onone", "-enable-testing", "-swift-version", "6", "-module-name", "Subject",
                file,
                mainFile,
            ]
            let jobs = try Self.run(in: base, driver + ["-driver-print-jobs"])
            guard let job = jobs.split(separator: "\n").first(where: { $0.contains("-primary-file Subject.swift ") })
            else { throw TestFailure("the driver has no job for \(file): \(jobs)") }
            command = job.split(separator: " ").map(String.init)
            try Self.run(in: base, driver)
            try runTool("swiftc", "-o", program, object, "\(base)/main.o")
        case .c, .cxx:
            let compiler = [language == .c ? "gcc" : "g++", "-g", "-O0", "-falign-functions=16"]
            command = compiler + ["-c", file, "-o", "Subject.o"]
            try Self.run(in: base, command)
            try runTool(compiler + ["-o", program, mainFile, object])
        }
    }

    /// - Parameter name: that no other edit has.
    /// - Returns: the object's path.
    func compile(_ text: String, as name: String) throws -> String {
        let folder = "\(directory)/\(name)"
        guard mkdir(folder, 0o755) == 0 else { throw TestFailure("cannot make \(folder)") }
        // Private names are made from the file's.
        try text.write(toFile: "\(folder)/\(file)")
        try Self.run(in: folder, command)
        return "\(folder)/Subject.o"
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

extension String {
    func write(toFile path: String) throws {
        guard let file = fopen(path, "w") else { throw TestFailure("cannot write \(path)") }
        defer { fclose(file) }
        guard fputs(self, file) >= 0 else { throw TestFailure("cannot write \(path)") }
    }
}
