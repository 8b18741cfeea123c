import CLinux
import CPatch
import Glibc
import Memory

/// A thread in the target that works for the patcher: it calls what it is asked to call, on a stack of its own, so that no
/// thread of the program is held while a library loads.
///
/// It detaches itself, is named `hotpatch`, blocks all signals (but glibc's own), and leaves when it is told to or has been
/// asked nothing for about two seconds, as when the patcher has died. Use an agent on one thread at a time.
public final class Agent {
    let process: RemoteProcess
    let memory: ProcMemory
    let area: AgentArea
    let place: StubPlace
    let borrowedThread: Int32
    /// Nil where no thread of the process is the one that the area names: then the stub stays.
    let thread: KnownTask?
    let phase: (AgentPhase) -> Void
    private let lock: PatcherLock
    private let holds: HoldBudget
    private var sequence: UInt32 = 0
    private(set) var isUsable = true

    /// Nanoseconds for which the borrowed thread was stopped.
    public let borrowedNanoseconds: UInt64

    /// System calls that the search for a thread has made fail with EINTR, where nothing can be mended (arm64).
    public let interruptedCalls: Int

    init(
        process: RemoteProcess, memory: ProcMemory, area: AgentArea, place: StubPlace, borrowedThread: Int32,
        thread: KnownTask?, borrowedNanoseconds: UInt64, interruptedCalls: Int, lock: PatcherLock,
        holds: HoldBudget, phase: @escaping (AgentPhase) -> Void
    ) {
        self.process = process
        self.memory = memory
        self.area = area
        self.place = place
        self.borrowedThread = borrowedThread
        self.thread = thread
        self.borrowedNanoseconds = borrowedNanoseconds
        self.interruptedCalls = interruptedCalls
        self.lock = lock
        self.holds = holds
        self.phase = phase
    }

    deinit { try? finish() }

    /// Calls a function of the target with up to six integers or pointers.
    ///
    /// - Parameter deadline: by which it must have returned. A call that has not is not taken back: the agent is useless then.
    /// - Returns: what it left in the result register. `errno` is in `lastErrno`.
    @discardableResult
    public func call(
        _ function: Address, _ a0: UInt64 = 0, _ a1: UInt64 = 0, _ a2: UInt64 = 0, _ a3: UInt64 = 0, _ a4: UInt64 = 0,
        _ a5: UInt64 = 0, deadline: Deadline
    ) throws(AgentError) -> UInt64 {
        // Small numbers are commands of the protocol, and no function lies in the first page (mmap_min_addr).
        guard function.rawValue >= 4096 else { throw .invalidSymbols }
        return try command(
            function.rawValue, [a0, a1, a2, a3, a4, a5, 0], what: "the function at \(function)", deadline: deadline)
    }

    /// Makes a system call in the target. `number` and arguments are those of its architecture.
    ///
    /// - Throws: `AgentError.systemCallFailed` with the errno.
    @discardableResult
    public func systemCall(
        _ name: String, _ number: Int, _ arguments: UInt64..., deadline: Deadline
    ) throws(AgentError) -> UInt64 {
        var words = [UInt64(bitPattern: Int64(number))] + arguments.prefix(6)
        words += [UInt64](repeating: 0, count: 7 - words.count)
        let result = try command(UInt64(HP_COMMAND_SYSCALL), words, what: name, deadline: deadline)
        let signed = Int64(bitPattern: result)
        if signed < 0, signed >= -4095 { throw .systemCallFailed(pid: process.pid, name: name, code: Int32(-signed)) }
        return result
    }

    /// errno of the agent's thread after the last `call`.
    public private(set) var lastErrno: Int32 = 0

    func command(_ function: UInt64, _ arguments: [UInt64], what: String, deadline: Deadline) throws(AgentError)
        -> UInt64
    {
        guard isUsable else { throw .left(pid: process.pid) }
        try send(function, arguments)
        phase(.commandGiven)
        var backoff = Backoff(first: 20, longest: 500)
        while try read(HP_AREA_DONE, UInt32.self) != sequence {
            if try hasLeft() { throw .left(pid: process.pid) }
            if deadline.hasPassed {
                isUsable = false
                throw .callTimedOut(pid: process.pid, what: what)
            }
            backoff.sleep()
        }
        lastErrno = try read(HP_AREA_ERRNO, Int32.self)
        return try read(HP_AREA_RESULT, UInt64.self)
    }

    /// The arguments first, then the number that makes them count: the agent sees the writes in this order. Each is a system call
    /// that takes and drops a reference to the page, which orders it before the next on weakly ordered memory too
    /// (Documentation/atomic_t.txt).
    private func send(_ function: UInt64, _ arguments: [UInt64]) throws(AgentError) {
        if try hasLeft() { throw .left(pid: process.pid) }
        sequence &+= 1
        try write(([function] + arguments).withUnsafeBytes { Array($0) }, at: area.field(HP_AREA_FUNCTION))
        try write(withUnsafeBytes(of: sequence) { Array($0) }, at: area.field(HP_AREA_SEQUENCE))
    }

    private func hasLeft() throws(AgentError) -> Bool {
        let left = try read(HP_AREA_AGENT_STATE, UInt32.self) == HP_AGENT_LEFT.rawValue
        if left { isUsable = false }
        return left
    }

    private func read<T: BitwiseCopyable>(_ field: Int32, _ type: T.Type) throws(AgentError) -> T {
        do { return try memory.value(type, at: area.field(field)) } catch { throw .memory(error) }
    }

    func write(_ bytes: [UInt8], at address: Address) throws(AgentError) {
        do { try memory.write(bytes, at: address) } catch { throw .memory(error) }
    }

    /// Puts bytes where the target can see them: 64 KiB of memory that every use of the scratch shares.
    ///
    /// - Returns: their address in the target.
    public func scratch(_ bytes: [UInt8], offset: Int = 0) throws(AgentError) -> Address {
        guard offset >= 0, bytes.count <= AgentArea.scratchSize - offset else {
            throw .tooLong(what: "the argument", count: bytes.count, limit: AgentArea.scratchSize - offset)
        }
        try write(bytes, at: area.scratch + offset)
        return area.scratch + offset
    }

    /// Puts a string, with its terminating zero, where the target can see it.
    public func scratch(_ text: String, offset: Int = 0) throws(AgentError) -> Address {
        try scratch(Array(text.utf8) + [0], offset: offset)
    }

    /// Descriptors of the target that the agent closes if the patcher dies before it has.
    func setCleanup(_ descriptors: [Int32]) throws(AgentError) {
        let padded = descriptors + [Int32](repeating: 0, count: max(0, 3 - descriptors.count))
        try write(padded.prefix(3).withUnsafeBytes { Array($0) }, at: area.field(HP_AREA_CLEANUP))
    }

    /// Sends the agent away, and removes its stub from the target's code where no thread can still come back to it.
    /// Idempotent; the last reference does it too.
    public func finish() throws(AgentError) {
        guard isUsable else { return lock.release() }
        isUsable = false
        defer { lock.release() }
        try send(UInt64(HP_COMMAND_EXIT), [UInt64](repeating: 0, count: 7))
        phase(.finishing)
        guard let thread else { return }
        let deadline = Deadline.after(milliseconds: 2000)
        var backoff = Backoff(first: 20, longest: 1000)
        while thread.isThere {
            if deadline.hasPassed { throw .callTimedOut(pid: process.pid, what: "leaving") }
            backoff.sleep()
        }
        removeStub()
    }

    /// The borrowed thread said that it was leaving the stub, and then may have been preempted, or be in a signal handler
    /// that returns into it. Where it cannot be told the stub stays: the next patcher looks again.
    private func removeStub() {
        let pid = process.pid
        if sleepsElsewhere() { return clear() }
        guard let session = try? StopSession(process, maximumPause: nil, holds: holds) else { return }
        do throws(RemoteRefusal) {
            try session.stopOne(borrowedThread, deadline: .after(nanoseconds: holds.bound(milliseconds: 20))) { tracees in
                if let tracee = tracees.tracees.first {
                    var registers = tracee.registers
                    var scan = StackScan(memory: memory, limit: 1 << 18, signatureBits: tracees.signatureBits)
                    let stub = place.range
                    let words = stub.lowerBound.rawValue..<stub.upperBound.rawValue
                    let isInside =
                        stub.contains(Address(hp_registers_pc(&registers)))
                        || scan.first(from: hp_registers_sp(&registers), in: words, where: { _, _ in true }) != nil
                    if !isInside { clear() }
                }
                tracees.detachAll()
            }
        } catch {
            if access("/proc/\(pid)/task/\(borrowedThread)", F_OK) != 0 { clear() }
        }
        session.release()
    }

    /// Whether the borrowed thread can be seen to have left without being stopped, which would disturb its sleep: it is blocked
    /// elsewhere, its stack leads back into the stub nowhere, and it has not run meanwhile. Nobody returns into a stub once left.
    private func sleepsElsewhere() -> Bool {
        func switches() -> [Int?] {
            let status = (try? ProcText.readString("/proc/\(process.pid)/task/\(borrowedThread)/status")) ?? ""
            let fields = ProcStatus(parsing: status)
            return [fields.number("voluntary_ctxt_switches"), fields.number("nonvoluntary_ctxt_switches")]
        }
        let before = switches()
        let glance = TaskGlance(pid: process.pid, tid: borrowedThread)
        guard glance.systemCall != nil, let pc = glance.pc, let sp = glance.sp, !place.range.contains(Address(pc)),
            !before.contains(nil)
        else { return false }
        var scan = StackScan(memory: memory, limit: 1 << 18)
        let words = place.range.lowerBound.rawValue..<place.range.upperBound.rawValue
        return scan.first(from: sp, in: words, where: { _, _ in true }) == nil && switches() == before
            && TaskGlance(pid: process.pid, tid: borrowedThread).systemCall != nil
    }

    private func clear() {
        try? memory.write(place.vacant, at: place.range.lowerBound)
    }
}

/// Where the work of an agent stands: what the tests kill the patcher at.
package enum AgentPhase: Int, CaseIterable, Sendable {
    case prepared = 1
    case stopped, vetted, written, redirected, released, serving, commandGiven, finishing
}

/// Keeps two patchers out of one process: an abstract socket (unix(7)), which the kernel removes when its owner dies.
final class PatcherLock {
    private var descriptor: Int32

    /// Waits for another patcher to finish, until the deadline.
    /// - Throws: `anotherPatcher`.
    static func take(_ process: RemoteProcess, deadline: Deadline) throws(RemoteRefusal) -> PatcherLock {
        while true {
            do throws(RemoteRefusal) { return try PatcherLock(process) } catch {
                guard case .anotherPatcher = error, !deadline.hasPassed else { throw error }
                usleep(10_000)
            }
        }
    }

    private init(_ process: RemoteProcess) throws(RemoteRefusal) {
        descriptor = socket(AF_UNIX, Int32(SOCK_DGRAM.rawValue | SOCK_CLOEXEC.rawValue), 0)
        guard descriptor >= 0 else { throw .procUnreadable(pid: process.pid, path: "a socket", code: errno) }
        var address = sockaddr_un()
        address.sun_family = sa_family_t(AF_UNIX)
        let name = Array("\0swift-hotpatch/\(process.pid)/\(process.startTime)".utf8)
        withUnsafeMutableBytes(of: &address.sun_path) { $0.copyBytes(from: name) }
        let length = socklen_t(MemoryLayout<sa_family_t>.size + name.count)
        let result = withUnsafePointer(to: &address) {
            $0.withMemoryRebound(to: sockaddr.self, capacity: 1) { bind(descriptor, $0, length) }
        }
        if result != 0 {
            let code = errno
            release()  // once: deinit runs too
            if code == EADDRINUSE { throw .anotherPatcher(pid: process.pid) }
            throw .procUnreadable(pid: process.pid, path: "the patcher's lock", code: code)
        }
    }

    func release() {
        if descriptor >= 0 { close(descriptor) }
        descriptor = -1
    }

    deinit { release() }
}
