import Glibc
import Synchronization
import HotpatchTestSupport
import Testing

/// All tests that run the command, one after the other: they stop processes and measure time on a small machine.
@Suite(.serialized) struct CommandTests {}

/// A directory for what the tests compile from Tests/Victims/commands, made once, and removed when the test process ends.
enum Workshop {
    static var directory: String { get throws { try made.get().path } }
    private static let made = Result { try TemporaryDirectory("commands", untilExit: true) }

    static let package: String = {
        "/" + #filePath.split(separator: "/").dropLast(3).joined(separator: "/")
    }()
    static let sources = package + "/Tests/Victims/commands"

    /// What was compiled already, by command line.
    private static let built = Mutex<[[String]: String]>([:])

    /// Compiles one source and returns the path of the result. The same request is compiled once.
    /// - Parameter name: of the result; by default one that nothing else has.
    static func build(
        _ source: String, _ options: [String] = [], with compiler: String = "gcc", library: Bool = false,
        as name: String? = nil
    ) throws -> String {
        let isSwift = source.hasSuffix(".swift")
        var arguments = [compiler, "-g", "-I", package + "/CPatch"]
        if isSwift { arguments[0] = "swiftc" } else { arguments += ["-O1", "-Wall", "-Werror"] }
        if library { arguments += isSwift ? ["-emit-library", "-parse-as-library"] : ["-shared", "-fPIC"] }
        // Options first (`-x c++` is for what follows), but what is linked last.
        arguments +=
            options.filter { !$0.hasPrefix("/") } + [sources + "/" + source] + options.filter { $0.hasPrefix("/") }
        return try built.withLock { built in
            if name == nil, let path = built[arguments] { return path }
            let stem = source.prefix { $0 != "." }
            let path = try directory + "/" + (name ?? "\(stem)-\(built.count)\(library ? ".so" : "")")
            let result = try run(arguments + ["-o", path])
            guard result.status == 0 else {
                throw TestFailure("cannot compile \(source): \(result.errors)\(result.output)")
            }
            if name == nil { built[arguments] = path }
            return path
        }
    }

    static func library(
        _ source: String, _ options: [String] = [], with compiler: String = "gcc", as name: String? = nil
    ) throws -> String {
        try build(source, options, with: compiler, library: true, as: name)
    }

    /// A C program whose functions are exported, with threads.
    static func program(_ source: String, _ options: [String] = [], with compiler: String = "gcc") throws -> String {
        try build(source, ["-rdynamic", "-pthread"] + options, with: compiler)
    }

    /// A file with these bytes.
    static func file(_ name: String, _ bytes: [UInt8]) throws -> String {
        let path = try directory + "/" + name
        let descriptor = open(path, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0o755)
        guard descriptor >= 0 else { throw TestFailure("cannot write \(path)") }
        defer { close(descriptor) }
        guard write(descriptor, bytes, bytes.count) == bytes.count else { throw TestFailure("cannot write \(path)") }
        return path
    }

    static func bytes(of path: String) throws -> [UInt8] {
        let descriptor = open(path, O_RDONLY | O_CLOEXEC)
        guard descriptor >= 0 else { throw TestFailure("cannot read \(path): \(String(cString: strerror(errno)))") }
        defer { close(descriptor) }
        var bytes: [UInt8] = []
        var buffer = [UInt8](repeating: 0, count: 1 << 16)
        while true {
            let count = read(descriptor, &buffer, buffer.count)
            guard count > 0 else { return bytes }
            bytes += buffer[..<count]
        }
    }
}
