import Glibc
import Memory
import TestSupport

@testable import RemoteTarget

/// The memory a victim shares with the test: `struct shared` of Tests/Victims/remote/victim.c.
struct Shared: @unchecked Sendable {
    let words: UnsafeMutablePointer<Int>
    var errors: Int { words[0] }
    var interrupted: Int { words[1] }
    var value: Int { words[2] }
    var inHandler: Int { words[3] }
    var loaded: Int { words[4] }
    var births: Int { words[5] }
    func stop() { words[6] = 1 }
    func rounds(_ thread: Int) -> Int { words[7 + thread] }
    var message: String { String(cString: UnsafeRawPointer(words + 127).assumingMemoryBound(to: CChar.self)) }
}

/// A running victim; killed when it goes out of scope.
final class Victim {
    static let directory = getenv("HOTPATCH_VICTIMS").map { String(cString: $0) } ?? products

    let pid: Int32
    let shared: Shared
    let threads: Int
    /// alpha, beta, spin, at_page_end, a page that nobody can write, pad, pad_copy.
    let places: [Address]
    private lazy var distance = try? libcBase(pid) - libcBase(getpid())

    /// - Parameters:
    ///   - threads: a letter each, as in victim.c.
    ///   - main: what the main thread does.
    init(_ threads: String = "", main: String = "k") throws {
        self.threads = threads.utf8.count
        let file = "/tmp/victim-\(getpid())-\(UInt32.random(in: 0...UInt32.max))"
        let output = try makePipe()
        defer { close(output.read) }
        pid = try spawn([Self.directory + "/victim", file, threads, main], output: output.write)
        close(output.write)
        var text: [UInt8] = []
        var byte: UInt8 = 0
        while read(output.read, &byte, 1) == 1, byte != 10 { text.append(byte) }
        places = String(decoding: text, as: UTF8.self).split(separator: " ").compactMap {
            UInt64($0.dropFirst(2), radix: 16).map { Address($0) }
        }
        let descriptor = open(file, O_RDWR | O_CLOEXEC)
        guard places.count >= 5, descriptor >= 0,
            let memory = mmap(nil, 4096, PROT_READ | PROT_WRITE, MAP_SHARED, descriptor, 0), memory != MAP_FAILED
        else {
            kill(pid, SIGKILL)
            throw TestFailure("the victim did not start")
        }
        close(descriptor)
        unlink(file)
        shared = Shared(words: memory.bindMemory(to: Int.self, capacity: 512))
        usleep(50_000)
    }

    deinit {
        shared.stop()
        usleep(30_000)
        kill(pid, SIGKILL)
        reap(pid)
        munmap(UnsafeMutableRawPointer(shared.words), 4096)
    }

    var alpha: Address { places[0] }
    var beta: Address { places[1] }
    var spin: Address { places[2] }
    var atPageEnd: Address { places[3] }
    var sealed: Address { places[4] }
    var pad: Address { places[5] }
    var padCopy: Address { places[6] }

    var isAlive: Bool {
        var status: Int32 = 0
        return waitpid(pid, &status, WNOHANG) == 0
    }

    /// The ids of its threads, the main one's first.
    var tasks: [Int32] { get throws { try TaskList(pid: pid).scan() } }

    func process() throws -> RemoteProcess { try RemoteProcess.examine(pid: pid) }

    /// Every thread that counts rounds must do so within some seconds, and none may have found anything wrong.
    func mustGoOn(counting: Set<Int>? = nil, after what: String = "", line: Int = #line) throws {
        let watched = counting ?? Set(threads > 0 ? 1...threads : 0...0)
        let before = (0...119).map { shared.rounds($0) }
        for _ in 0..<500 {
            if watched.allSatisfy({ shared.rounds($0) > before[$0] }) { break }
            usleep(10_000)
        }
        try expect(isAlive, "the victim has ended \(what)", line: line)
        for thread in watched {
            try expect(shared.rounds(thread) > before[thread], "thread \(thread) stands still \(what)", line: line)
        }
        try mustBeUnharmed(after: what, line: line)
    }

    /// No thread has found anything wrong, and nobody traces one.
    func mustBeUnharmed(after what: String = "", line: Int = #line) throws {
        try expect(isAlive, "the victim has ended \(what)", line: line)
        try expect(shared.errors == 0, "\(shared.message) \(what)", line: line)
        for tid in try tasks {
            guard let status = try? ProcText.readString("/proc/\(pid)/task/\(tid)/status") else { continue }
            let tracer = ProcStatus(parsing: status).number("TracerPid")
            try expect(tracer == 0, "thread \(tid) is traced by \(tracer ?? -1) \(what)", line: line)
        }
    }

    /// libc's functions are as far from its base there as they are here: the same file.
    func libc(_ name: String) throws -> Address {
        guard let here = dlsym(nil, name), let distance else { throw TestFailure("no \(name)") }
        return Address(UnsafeRawPointer(here)) + distance
    }

    private func libcBase(_ pid: Int32) throws -> Address {
        let maps = Mappings(parsing: try ProcText.readString("/proc/\(pid)/maps"))
        let code = maps.regions.first { $0.path.contains("/libc.so.6") && $0.permissions.contains(.execute) }
        guard let code else { throw TestFailure("no libc in \(pid)") }
        return code.range.lowerBound - Int(code.fileOffset)
    }

    func startAgent(
        deadline: Int = 10_000, idle: UInt64 = 2_000_000_000, phase: @escaping (AgentPhase) -> Void = { _ in }
    ) throws -> Agent {
        let process = try process()
        let memory = try process.memory()
        let symbols = AgentSymbols(
            pthreadCreate: try libc("pthread_create"), pthreadDetach: try libc("pthread_detach"),
            errnoLocation: try libc("__errno_location"), slack: try ExecutableSlack.find(in: process, memory: memory))
        return try Agent.start(
            in: process, memory: memory, symbols: symbols, deadline: .after(milliseconds: deadline), idle: idle,
            phase: phase)
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

/// Calls that Swift does not import, found by name.
enum Calls {
    static func tgkill(_ pid: Int32, _ tid: Int32, _ signal: Int32) {
        typealias Function = @convention(c) (Int32, Int32, Int32) -> Int32
        _ = unsafeBitCast(dlsym(nil, "tgkill")!, to: Function.self)(pid, tid, signal)
    }

    static func fork() -> Int32 {
        typealias Function = @convention(c) () -> Int32
        return unsafeBitCast(dlsym(nil, "fork")!, to: Function.self)()
    }
}
