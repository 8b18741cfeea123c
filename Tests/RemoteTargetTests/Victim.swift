import Glibc
import Memory
import TestSupport
import Testing

@testable import RemoteTarget

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

    static func library(_ name: String, as file: String) throws -> String {
        try compile(name, ["-shared", "-fPIC"], as: file)
    }

    private static func compile(_ name: String, _ options: [String], as file: String? = nil) throws -> String {
        let output = try directory + "/" + (file ?? name)
        try runTool(["cc", "-O1", "-o", output, "\(sources)/\(name).c"] + options)
        return output
    }
}

/// The memory a victim shares with the test: `struct shared` of victim.c.
struct Shared {
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
    let pid: Int32
    let shared: Shared
    let threads: Int
    let alpha, beta, spin, atPageEnd, sealed: Address
    private static nonisolated(unsafe) var count = 0

    /// - Parameters:
    ///   - threads: a letter each, as in victim.c.
    ///   - main: what the main thread does.
    init(_ threads: String = "", main: String = "k", wrapper: [String] = []) throws {
        self.threads = threads.utf8.count
        Self.count += 1
        let file = try Workshop.directory + "/shared\(Self.count)"
        var ends: [Int32] = [0, 0]
        guard pipe(&ends) == 0 else { throw TestFailure("pipe") }
        defer { close(ends[0]) }
        _ = fcntl(ends[0], F_SETFD, FD_CLOEXEC)
        let pid = try spawn(wrapper + [try Workshop.victim, file, threads, main], output: ends[1])
        close(ends[1])
        self.pid = pid
        var text: [UInt8] = []
        var byte: UInt8 = 0
        while read(ends[0], &byte, 1) == 1, byte != 10 { text.append(byte) }
        let fields = String(decoding: text, as: UTF8.self).split(separator: " ").compactMap {
            UInt64($0.dropFirst(2), radix: 16)
        }
        let descriptor = open(file, O_RDWR | O_CLOEXEC)
        guard fields.count >= 5, descriptor >= 0 else {
            kill(pid, SIGKILL)
            throw TestFailure("the victim did not start")
        }
        let memory = mmap(nil, 4096, PROT_READ | PROT_WRITE, MAP_SHARED, descriptor, 0)!
        close(descriptor)
        unlink(file)
        shared = Shared(words: memory.bindMemory(to: Int.self, capacity: 512))
        alpha = Address(fields[0])
        beta = Address(fields[1])
        spin = Address(fields[2])
        atPageEnd = Address(fields[3])
        sealed = Address(fields[4])
        usleep(20_000)
    }

    deinit {
        shared.stop()
        usleep(30_000)
        kill(pid, SIGKILL)
        var status: Int32 = 0
        waitpid(pid, &status, 0)
        munmap(UnsafeMutableRawPointer(shared.words), 4096)
    }

    var isAlive: Bool {
        var info = siginfo_t()
        return waitid(P_PID, id_t(pid), &info, WEXITED | WNOHANG | WNOWAIT) == 0 && info.si_signo == 0
            && kill(pid, 0) == 0
    }

    func process() throws -> RemoteProcess { try RemoteProcess.examine(pid: pid) }

    /// Waits until a thread is in its signal handler.
    func awaitHandler() throws {
        for _ in 0..<5000 where shared.inHandler == 0 { usleep(1000) }
        guard shared.inHandler != 0 else { throw TestFailure("no thread came to its handler within 5 s") }
    }

    /// Whether all threads that count rounds do so within two seconds.
    func makesProgress(counting: Set<Int>? = nil) -> Bool {
        let watched = counting ?? Set(threads > 0 ? 1...threads : 1...1)
        let before = (0...119).map { shared.rounds($0) }
        for _ in 0..<200 {
            if watched.allSatisfy({ shared.rounds($0) > before[$0] }) { return isAlive }
            usleep(10_000)
        }
        return false
    }

    /// The state letters of all threads, and who traces them.
    func tracers() -> Set<Int> {
        guard let tasks = try? TaskList(pid: pid) else { return [] }
        return Set(
            tasks.scan().compactMap { tid in
                (try? ProcText.readString("/proc/\(pid)/task/\(tid)/status")).flatMap {
                    ProcStatus(parsing: $0).number("TracerPid")
                }
            })
    }

    /// libc's functions are as far from its base there as they are here: the same file.
    func libc(_ name: String) throws -> Address {
        guard let here = dlsym(nil, name) else { throw TestFailure("no \(name)") }
        if distance == nil { distance = try libcBase(pid) - libcBase(getpid()) }
        return Address(UnsafeRawPointer(here)) + distance!
    }

    private var distance: Int?

    private func libcBase(_ pid: Int32) throws -> Address {
        let maps = Mappings(parsing: try ProcText.readString("/proc/\(pid)/maps"))
        // By its code: the file may be mapped once more, to be read (ElfImage).
        let code = maps.regions.first { $0.path.contains("/libc.so.6") && $0.permissions.contains(.execute) }
        guard let code else { throw TestFailure("no libc") }
        return code.range.lowerBound - Int(code.fileOffset)
    }

    func symbols(_ process: RemoteProcess, _ memory: ProcMemory) throws -> AgentSymbols {
        AgentSymbols(
            pthreadCreate: try libc("pthread_create"), pthreadDetach: try libc("pthread_detach"),
            errnoLocation: try libc("__errno_location"), slack: try ExecutableSlack.find(in: process, memory: memory))
    }

    func startAgent(
        deadline: Int = 5000, idle: UInt64 = 2_000_000_000, phase: @escaping (AgentPhase) -> Void = { _ in }
    ) throws -> Agent {
        let process = try process()
        let memory = try process.memory()
        return try Agent.start(
            in: process, memory: memory, symbols: try symbols(process, memory),
            deadline: .after(milliseconds: deadline), idle: idle,
            phase: phase)
    }
}

/// Calls that Swift does not import, found by name.
enum Calls {
    static func function<T>(_ name: String, as type: T.Type) -> T { unsafeBitCast(dlsym(nil, name)!, to: type) }

    static func tgkill(_ pid: Int32, _ tid: Int32, _ signal: Int32) {
        _ = function("tgkill", as: (@convention(c) (Int32, Int32, Int32) -> Int32).self)(pid, tid, signal)
    }

    static func fork() -> Int32 { function("fork", as: (@convention(c) () -> Int32).self)() }

    static func syscall(_ number: Int, _ a: Int = 0, _ b: Int = 0, _ c: Int = 0) -> Int {
        function("syscall", as: (@convention(c) (Int, Int, Int, Int) -> Int).self)(number, a, b, c)
    }
}
