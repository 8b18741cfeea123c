import Glibc
import HotpatchRemoteSupport
import Synchronization
import HotpatchTestSupport
import Testing

@testable import HotpatchRemoteTarget

/// All suites of this module, one after the other: they measure pauses and count threads on a small machine.
@Suite(.serialized) struct RemoteTargetTests {}

/// A directory for what the tests compile, made once, and removed when the test process ends.
enum Workshop {
    static var directory: String { get throws { try made.get().path } }
    private static let made = Result { try TemporaryDirectory("remote", untilExit: true) }

    static let sources: String = {
        let parts = #filePath.split(separator: "/").dropLast(2)
        return "/" + parts.joined(separator: "/") + "/Victims/remote"
    }()

    static var victim: String { get throws { try compiled.get() } }
    private static let compiled = Result { try compile("victim", ["-rdynamic", "-pthread", "-mavx2", "-g"]) }

    /// A file of its own for each: the same one would not be loaded again.
    static func library(_ name: String, as file: String) throws -> String {
        let built = try libraries.withLock { libraries in
            if let path = libraries[name] { return path }
            let path = try compile(name, ["-shared", "-fPIC"], as: "\(name)-built.so")
            libraries[name] = path
            return path
        }
        let copy = try directory + "/" + file
        try runTool("cp", built, copy)
        return copy
    }
    /// What was compiled already, by name.
    private static let libraries = Mutex<[String: String]>([:])

    private static func compile(_ name: String, _ options: [String], as file: String? = nil) throws -> String {
        let output = try directory + "/" + (file ?? name)
        try runTool(["cc", "-O1", "-o", output, "\(sources)/\(name).c"] + options)
        return output
    }
}

extension Victim {
    convenience init(
        _ threads: String = "", main: String = "k", wrapper: [String] = [], isolated: Bool = false
    ) throws {
        try self.init(
            program: Workshop.victim, threads: threads, main: main, wrapper: wrapper, isolated: isolated)
    }

    /// Waits until a thread is in its signal handler.
    func awaitHandler() throws {
        for _ in 0..<5000 where shared.inHandler == 0 { usleep(1000) }
        guard shared.inHandler != 0 else { throw TestFailure("no thread came to its handler within 5 s") }
    }
}
