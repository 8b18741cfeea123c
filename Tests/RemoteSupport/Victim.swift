import CPatchAgent
import CPatchCore
import Glibc
import HotpatchMemory
import HotpatchProcFS
import HotpatchSymbols
import HotpatchTestSupport

@testable import HotpatchRemoteTarget

/// The memory a victim shares with the test: `struct shared` of Tests/Victims/remote/victim.c.
public struct Shared: @unchecked Sendable {
    let words: UnsafeMutablePointer<Int>
    public var errors: Int { words[0] }
    public var interrupted: Int { words[1] }
    public var value: Int { words[2] }
    public var inHandler: Int { words[3] }
    public var loaded: Int { words[4] }
    public var births: Int { words[5] }
    public func stop() { words[6] = 1 }
    public func rounds(_ thread: Int) -> Int { words[7 + thread] }
    /// The longest time that a heart has stood still, in microseconds.
    public var gap: Int { words[143] }
    public func forgetGap() { words[143] = 0 }
    public var message: String {
        String(cString: UnsafeRawPointer(words + 127).assumingMemoryBound(to: CChar.self))
    }
}

/// A running Tests/Victims/remote/victim.c; killed when it goes out of scope.
public final class Victim {
    public let pid: Int32
    public let shared: Shared
    public let threads: Int
    /// alpha, beta, spin, at_page_end, a page that nobody can write; on arm64 pad and pad_copy.
    private let places: [Address]
    /// For all agents that are started in it: on an emulated machine, reading them takes longer than all else.
    private let known = KnownImages()

    /// - Parameters:
    ///   - threads: a letter each, as in victim.c.
    ///   - main: what the main thread does.
    ///   - wrapper: a program that starts it, and its arguments.
    ///   - isolated: it lives in a pid namespace of its own, and sees the /proc of ours.
    public init(
        program: String, threads: String, main: String, wrapper: [String] = [], isolated: Bool = false
    ) throws {
        self.threads = threads.utf8.count
        let file = "/tmp/victim-\(getpid())-\(UInt32.random(in: 0...UInt32.max))"
        let output = try makePipe()
        defer { close(output.read) }
        let command = wrapper + [program, file, threads, main]
        pid =
            try isolated
            ? Calls.inNewProcessNamespace { try spawn(command, output: output.write) }
            : spawn(command, output: output.write)
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
        // A busy machine may not have run all of them yet.
        var late = try tasks.filter { !isUnderWay($0) }
        for _ in 0..<200 where !late.isEmpty {
            usleep(5000)
            late.removeAll(where: isUnderWay)
        }
        for (index, letter) in threads.utf8.enumerated() where letter == UInt8(ascii: "h") {
            try awaitProcessorTime(of: index + 1)
        }
    }

    /// Waits until a thread that spins does so: it has used the processor.
    private func awaitProcessorTime(of thread: Int) throws {
        try self.await {
            (try? tasks.dropFirst(thread).first).map { (state(of: $0)?.ticks ?? 0) >= 2 } ?? false
        }
    }

    /// Whether a thread waits, has ended, or has used the processor.
    private func isUnderWay(_ tid: Int32) -> Bool {
        guard let (letter, ticks) = state(of: tid) else { return true }
        return letter != "R" || ticks > 0
    }

    /// The letter of a thread's state, and the time it has used the processor, in ticks: behind the name, fields 3, 14 and 15
    /// (proc_pid_stat(5)).
    private func state(of tid: Int32) -> (letter: Substring, ticks: Int)? {
        guard let text = try? ProcText.readString("/proc/\(pid)/task/\(tid)/stat"), let end = text.lastIndex(of: ")")
        else { return nil }
        let fields = text[end...].split(separator: " ").dropFirst()
        guard let letter = fields.first else { return nil }
        return (letter, fields.dropFirst(11).prefix(2).compactMap { Int($0) }.reduce(0, +))
    }

    deinit {
        shared.stop()
        usleep(30_000)
        kill(pid, SIGKILL)
        reap(pid)
        munmap(UnsafeMutableRawPointer(shared.words), 4096)
    }

    public var alpha: Address { places[0] }
    public var beta: Address { places[1] }
    public var spin: Address { places[2] }
    public var atPageEnd: Address { places[3] }
    public var sealed: Address { places[4] }
    public var pad: Address { places[5] }
    public var padCopy: Address { places[6] }

    /// Its exit is not collected.
    public var isAlive: Bool {
        var info = siginfo_t()
        return waitid(P_PID, id_t(pid), &info, WEXITED | WNOHANG | WNOWAIT) == 0 && info.si_signo == 0
            && kill(pid, 0) == 0
    }

    public func process() throws -> RemoteProcess {
        try RemoteProcess.examine(pid: pid, deadline: .after(milliseconds: 10_000))
    }

    /// The ids of its threads, the main one's first.
    public var tasks: [Int32] { get throws { try TaskList(pid: pid).scan() } }

    /// Who traces its threads; 0 for nobody.
    public func tracers() throws -> Set<Int> {
        Set(
            try tasks.compactMap { tid in
                (try? ProcText.readString("/proc/\(pid)/task/\(tid)/status")).flatMap {
                    ProcStatus(parsing: $0).number("TracerPid")
                }
            })
    }

    /// Whether nobody traces it any more within ten seconds. A tracing thread lets go when the kernel has ended it, which is a moment
    /// after it was joined.
    public func isLetGo() throws -> Bool {
        for _ in 0..<1000 {
            if try tracers().isSubset(of: [0]) { return true }
            usleep(10_000)
        }
        return false
    }

    /// Whether all threads that count rounds, or those named, do so within thirty seconds.
    public func makesProgress(counting: Set<Int>? = nil) -> Bool {
        let watched = counting ?? Set(threads > 0 ? 1...threads : 0...0)
        let before = (0...119).map { shared.rounds($0) }
        for _ in 0..<3000 {
            if watched.allSatisfy({ shared.rounds($0) > before[$0] }) { return isAlive }
            usleep(10_000)
        }
        return false
    }

    /// libc's functions are as far from its base there as they are here: the same file.
    public func libc(_ name: String) throws -> Address {
        guard let here = dlsym(nil, name) else { throw TestFailure("no \(name)") }
        return Address(UnsafeRawPointer(here)) + (try libcBase(pid) - libcBase(getpid()))
    }

    private func libcBase(_ pid: Int32) throws -> Address {
        let maps = try ProcessMap(pid: pid)
        // By its code: the file may be mapped once more, to be read (ElfImage).
        let code = maps.regions.first { $0.path.contains("/libc.so.6") && $0.permissions.contains(.execute) }
        guard let code else { throw TestFailure("no libc in \(pid)") }
        return code.range.lowerBound - Int(code.fileOffset)
    }

    package func symbols(_ process: RemoteProcess, _ memory: ProcMemory) throws -> AgentSymbols {
        var symbols = AgentSymbols(
            pthreadCreate: try libc("pthread_create"), pthreadDetach: try libc("pthread_detach"),
            errnoLocation: try libc("__errno_location"),
            index: try SymbolIndex(map: ProcessMap(pid: pid), memory: memory, root: "/proc/\(pid)/root"))
        symbols.known = known
        return symbols
    }

    /// The numbers of its descriptors, as text.
    public func descriptors() throws -> [String] {
        guard let directory = opendir("/proc/\(pid)/fd") else { throw TestFailure("the victim has ended") }
        defer { closedir(directory) }
        var names: [String] = []
        while let entry = readdir(directory) {
            names.append(
                withUnsafePointer(to: &entry.pointee.d_name) {
                    String(cString: UnsafeRawPointer($0).assumingMemoryBound(to: CChar.self))
                })
        }
        return names.sorted()
    }

    /// Limits its address space to so many bytes more than it has, or to nothing (RLIMIT_AS, setrlimit(2)).
    public func limitMemory(toMore room: Int?) throws {
        let prlimit = Calls.function(
            "prlimit", as: (@convention(c) (Int32, Int32, UnsafePointer<rlimit>, UnsafeRawPointer?) -> Int32).self)
        let pages = try ProcText.readString("/proc/\(pid)/statm").split(separator: " ").first.flatMap { Int($0) }
        var limit = rlimit(rlim_cur: .max, rlim_max: .max)
        if let room { limit.rlim_cur = rlim_t((pages ?? 0) * sysconf(Int32(_SC_PAGESIZE)) + room) }
        guard prlimit(pid, 9, &limit, nil) == 0 else { throw TestFailure("prlimit: \(errno)") }
    }

    /// Waits for something that it does soon.
    public func await(_ line: Int = #line, _ isThere: () -> Bool) throws {
        for _ in 0..<2000 {
            if isThere() { return }
            usleep(5000)
        }
        throw TestFailure("line \(line): what was waited for has not happened within ten seconds")
    }

    /// Where a stub stands in its code.
    public func stubs() throws -> [Address] {
        let process = try process()
        let memory = try process.memory()
        return try ExecutableSlack.find(in: process, memory: memory).map(\.lowerBound).filter {
            try memory.value(UInt64.self, at: $0) == AgentStub.magic
        }
    }

    package func startAgent(
        deadline: Int = 10_000, holds: HoldBudget = HoldBudget(), idle: UInt64 = 10_000_000_000,
        phase: @escaping (AgentPhase) -> Void = { _ in }
    ) throws -> Agent {
        let process = try process()
        let memory = try process.memory()
        return try Agent.start(
            in: process, memory: memory, symbols: try symbols(process, memory),
            deadline: .after(milliseconds: deadline), holds: holds, idle: idle, phase: phase)
    }
}

extension Victim {
    /// An agent that leaves soon: beside other work it may have left before it was asked anything.
    private func startBriefAgent() throws -> Agent {
        for idle: UInt64 in [100_000_000, 1_000_000_000] {
            do { return try startAgent(idle: idle) } catch AgentError.left {}
        }
        return try startAgent(idle: 10_000_000_000)
    }

    /// Leaves the stub of an agent that has gone behind, and a thread in it that runs in a circle there.
    /// - Parameter circle: an instruction that jumps to itself.
    public func leaveAThreadInAStub(circle: [UInt8]) throws -> Int32 {
        let process = try process()
        let memory = try process.memory()
        let agent = try startBriefAgent()
        let place = agent.place.range.lowerBound + Int(HP_STUB_ENTRY)
        while agent.thread?.isThere == true { usleep(1000) }
        try memory.write(circle, at: place)
        let session = try StopSession(process, maximumPause: nil, holds: nil)
        defer { session.release() }
        var isSent = false
        try session.stopOne(agent.borrowed.task.tid, deadline: .after(milliseconds: 20_000)) { tracees in
            isSent = tracees.setRegisters(
                0, AgentStub.entering(tracees.tracees[0].registers, stub: agent.place.range.lowerBound))
        }
        guard isSent else { throw TestFailure("the thread was not sent there") }
        return agent.borrowed.task.tid
    }

    /// A write, whose bytes stay in memory for good.
    public static func write(
        _ address: Address, from old: [UInt8]?, to new: [UInt8], kind: hp_write_kind = HP_WRITE_TEXT
    ) -> hp_write {
        func kept(_ bytes: [UInt8]) -> UnsafeMutablePointer<UInt8> {
            let memory = UnsafeMutablePointer<UInt8>.allocate(capacity: bytes.count)
            memory.initialize(from: bytes, count: bytes.count)
            return memory
        }
        var write = hp_write()
        write.address = address.rawValue
        write.bytes = UnsafePointer(kept(new))
        write.expected = kept(old ?? [UInt8](repeating: 0, count: new.count))
        write.length = UInt32(new.count)
        write.kind = UInt8(kind.rawValue)
        write.compared = old == nil ? 0 : 1
        return write
    }

    /// Commits a block of these in one stop.
    /// - Parameters:
    ///   - maximumPause: nanoseconds.
    ///   - delay: microseconds for which the threads are held before.
    ///   - memory: of the process; nil for one that is opened for this.
    @discardableResult
    package func commit(
        _ writes: [hp_write], moves: [hp_pc_move] = [], hazards: [hp_hazard] = [], copies: [hp_copy_item] = [],
        maximumPause: UInt64? = nil, delay: UInt32 = 0, memory: ProcMemory? = nil
    ) throws -> CommitReport {
        let process = try process()
        let memory = try memory ?? process.memory()
        var writes = writes
        return try writes.withUnsafeMutableBufferPointer { writes in
            try moves.withUnsafeBufferPointer { moves in
                try hazards.withUnsafeBufferPointer { hazards in
                    try copies.withUnsafeBufferPointer { copies in
                        var block = hp_commit_block(
                            copies: copies.baseAddress, copy_count: copies.count, writes: writes.baseAddress,
                            write_count: writes.count, moves: moves.baseAddress, move_count: moves.count,
                            hazards: hazards.baseAddress, hazard_count: hazards.count)
                        let stopped = try StoppedProcess(
                            process, deadline: .after(milliseconds: 20_000), maximumPause: maximumPause)
                        if delay > 0 { usleep(delay) }
                        return try stopped.commit(&block, memory: memory)
                    }
                }
            }
        }
    }

    /// Has a forked patcher commit, which dies while it lays down copies: a million of them, which take several times as long as it is
    /// given, all the bytes that stand at `beta` anyway. Whoever was inside an entry was to go on at `copy`, where nothing is.
    public func losePatcherAmongCopies(move place: Address, to copy: Address) throws {
        let process = try process()
        let memory = try process.memory()
        let bytes = try memory.bytes(at: beta, count: 4)
        let source = UnsafeMutablePointer<UInt8>.allocate(capacity: bytes.count)
        source.initialize(from: bytes, count: bytes.count)
        let copies = [hp_copy_item](
            repeating: hp_copy_item(
                address: beta.rawValue, bytes: source, length: bytes.count, kind: UInt32(HP_WRITE_TEXT.rawValue)),
            count: 1_000_000)
        let child = Calls.fork()
        if child == 0 {
            _ = try? copies.withUnsafeBufferPointer { copies in
                try withUnsafePointer(to: hp_pc_move(from: place.rawValue, to: copy.rawValue)) { move in
                    var block = hp_commit_block()
                    (block.copies, block.copy_count) = (copies.baseAddress, copies.count)
                    (block.moves, block.move_count) = (move, 1)
                    let stopped = try StoppedProcess(process, deadline: .after(milliseconds: 3000))
                    Self.die(afterProcessorTime: 100_000)
                    _ = try stopped.commit(&block, memory: memory)
                }
            }
            _exit(0)
        }
        var status: Int32 = 0
        let isReaped = waitpid(child, &status, 0) == child
        source.deallocate()
        guard isReaped, status & 0x7f == SIGPROF else {
            throw TestFailure("the patcher did not die among its copies: it ended with \(status)")
        }
    }

    /// Ends this process when it has run so many microseconds more, however busy the machine is.
    private static func die(afterProcessorTime microseconds: Int) {
        var time = itimerval(
            it_interval: timeval(),
            it_value: timeval(tv_sec: microseconds / 1_000_000, tv_usec: microseconds % 1_000_000))
        guard setitimer(__itimer_which_t(ITIMER_PROF.rawValue), &time, nil) == 0 else { abort() }
    }

    /// Has a forked patcher stop the victim again and again, until a thread stops because a signal has arrived; there it is killed.
    public func losePatcherBeforeASignal() throws {
        let process = try process()
        let child = Calls.fork()
        if child == 0 {
            let deadline = Deadline.after(milliseconds: 30_000)
            while !deadline.hasPassed {
                guard let stopped = try? StoppedProcess(process, deadline: .after(milliseconds: 3000)) else { continue }
                if stopped.session.tracees.tracees.contains(where: { $0.signal != 0 }) { raise(SIGKILL) }
                _ = stopped.resume()
                // Others want the processor too: the thread has to run between being attached to and being interrupted.
                usleep(UInt32.random(in: 0..<500))
            }
            _exit(1)
        }
        var status: Int32 = 0
        guard waitpid(child, &status, 0) == child, status & 0x7f == SIGKILL else {
            throw TestFailure("no thread was met with a signal: the patcher ended with \(status)")
        }
    }
}

/// Calls that Swift does not import, found by name.
public enum Calls {
    public static func function<T>(_ name: String, as type: T.Type) -> T { unsafeBitCast(dlsym(nil, name)!, to: type) }

    public static func tgkill(_ pid: Int32, _ tid: Int32, _ signal: Int32) {
        _ = function("tgkill", as: (@convention(c) (Int32, Int32, Int32) -> Int32).self)(pid, tid, signal)
    }

    public static func fork() -> Int32 { function("fork", as: (@convention(c) () -> Int32).self)() }

    /// What the calling thread forks or spawns in `body` begins a pid namespace of its own (pid_namespaces(7)).
    public static func inNewProcessNamespace<Outcome>(_ body: () throws -> Outcome) throws -> Outcome {
        let newPid: Int32 = 0x2000_0000  // CLONE_NEWPID (linux/sched.h)
        let own = open("/proc/thread-self/ns/pid", O_RDONLY | O_CLOEXEC)
        defer { close(own) }
        guard own >= 0, function("unshare", as: (@convention(c) (Int32) -> Int32).self)(newPid) == 0 else {
            throw TestFailure("no pid namespace can be made: \(String(cString: strerror(errno)))")
        }
        let result = Result { try body() }
        guard function("setns", as: (@convention(c) (Int32, Int32) -> Int32).self)(own, newPid) == 0 else {
            throw TestFailure("no way back from a pid namespace: \(String(cString: strerror(errno)))")
        }
        return try result.get()
    }

    public static func syscall(_ number: Int, _ a: Int = 0, _ b: Int = 0, _ c: Int = 0) -> Int {
        function("syscall", as: (@convention(c) (Int, Int, Int, Int) -> Int).self)(number, a, b, c)
    }
}
