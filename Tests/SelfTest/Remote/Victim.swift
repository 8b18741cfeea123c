import Glibc
import HotpatchRemoteSupport
import HotpatchTestSupport

@testable import HotpatchRemoteTarget

extension Victim {
    static let directory = getenv("HOTPATCH_VICTIMS").map { String(cString: $0) } ?? products

    convenience init(_ threads: String = "", main: String = "k", isolated: Bool = false) throws {
        try self.init(program: Self.directory + "/victim", threads: threads, main: main, isolated: isolated)
    }

    /// Every thread that counts rounds must do so within some seconds, and none may have found anything wrong.
    func mustGoOn(counting: Set<Int>? = nil, after what: String = "", line: Int = #line) throws {
        try expect(
            makesProgress(counting: counting), "a thread stands still, or the victim has ended \(what)", line: line)
        try mustBeUnharmed(after: what, line: line)
    }

    /// No thread has found anything wrong, and nobody traces one.
    func mustBeUnharmed(after what: String = "", line: Int = #line) throws {
        try expect(isAlive, "the victim has ended \(what)", line: line)
        try expect(shared.errors == 0, "\(shared.message) \(what)", line: line)
        try expect(try isLetGo(), "a thread is still traced \(what)", line: line)
    }

    /// Loads a library of the victims' directory, or a copy of it.
    func load(_ path: String, with agent: Agent) throws -> RemoteLibrary {
        let descriptor = open(path, O_RDONLY | O_CLOEXEC)
        guard descriptor >= 0 else { throw TestFailure("cannot open \(path)") }
        defer { close(descriptor) }
        return try agent.load(
            libraryDescriptor: descriptor, dlopen: libc("dlopen"), dlerror: libc("dlerror"),
            deadline: .after(milliseconds: 10_000))
    }

    /// A copy of a library under another name: the loader takes two of one name for the same.
    static func copy(_ library: String, as name: String) throws -> String {
        let path = "/tmp/\(name)-\(getpid()).so"
        try runTool(["cp", directory + "/" + library, path])
        return path
    }
}
