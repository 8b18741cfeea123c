import CHotpatchLinux
import CPatchAgent
import Glibc
import HotpatchMemory
import HotpatchProcFS

/// A thread in the target that works for the patcher: it calls what it is asked to call, on a stack of its own, so that no
/// thread of the program is held while a library loads.
///
/// It detaches itself, is named `hotpatch`, blocks all signals (but glibc's own), and leaves when it is told to or has been
/// asked nothing for about two seconds, as when the patcher has died. Use an agent on one thread at a time.
package final class Agent {
    let process: RemoteProcess
    let memory: ProcMemory
    let area: AgentArea
    let place: StubPlace
    let borrowed: BorrowedThread
    /// Nil where no thread of the process is the one that the area names: then the stub stays.
    let thread: KnownTask?
    let phase: (AgentPhase) -> Void
    private let holds: HoldBudget
    private var sequence: UInt32 = 0
    private(set) var isUsable = true

    /// Nanoseconds for which the borrowed thread was stopped.
    package let borrowedNanoseconds: UInt64

    /// System calls that the search for a thread has made fail with EINTR, where nothing can be mended (arm64).
    package let interruptedCalls: Int

    init(
        process: RemoteProcess, memory: ProcMemory, area: AgentArea, place: StubPlace, borrowed: BorrowedThread,
        thread: KnownTask?, borrowedNanoseconds: UInt64, interruptedCalls: Int,
        holds: HoldBudget, phase: @escaping (AgentPhase) -> Void
    ) {
        self.process = process
        self.memory = memory
        self.area = area
        self.place = place
        self.borrowed = borrowed
        self.thread = thread
        self.borrowedNanoseconds = borrowedNanoseconds
        self.interruptedCalls = interruptedCalls
        self.holds = holds
        self.phase = phase
    }

    deinit { try? finish() }

    /// Calls a function of the target with up to six integers or pointers.
    ///
    /// - Parameter deadline: by which it must have returned. A call that has not is not taken back: the agent is useless then.
    /// - Returns: what it left in the result register. `errno` is in `lastErrno`.
    @discardableResult
    package func call(
        _ function: Address, _ a0: UInt64 = 0, _ a1: UInt64 = 0, _ a2: UInt64 = 0, _ a3: UInt64 = 0, _ a4: UInt64 = 0,
        _ a5: UInt64 = 0, deadline: Deadline
    ) throws(AgentError) -> UInt64 {
        try call(function, [a0, a1, a2, a3, a4, a5], deadline: deadline)
    }

    /// - Parameter arguments: six at most.
    func call(_ function: Address, _ arguments: [UInt64], deadline: Deadline) throws(AgentError) -> UInt64 {
        // Small numbers are commands of the protocol, and no function lies in the first page (mmap_min_addr).
        guard function.rawValue >= 4096 else { throw .invalidSymbols }
        return try command(
            function.rawValue, arguments, what: "the function at \(function)", deadline: deadline)
    }

    /// Makes a system call in the target. `number` and arguments are those of its architecture.
    ///
    /// - Parameter kept: descriptors that the call opens: the agent closes them if the patcher dies before it has.
    /// It has a second to be answered, also where the time ends meanwhile: none of those asked for waits for anybody, and what nobody
    /// waits for would leave open whether it was done.
    ///
    /// - Throws: `AgentError.systemCallFailed` with the errno.
    @discardableResult
    func systemCall(
        _ name: String, _ number: Int, _ arguments: UInt64..., keeping kept: KeptDescriptors? = nil, deadline: Deadline
    ) throws(AgentError) -> UInt64 {
        let words = [UInt64(bitPattern: Int64(number))] + arguments.prefix(6)
        let result = try command(
            UInt64(HP_COMMAND_SYSCALL), words, keeping: kept, what: name,
            deadline: max(deadline, .after(milliseconds: 1000)))
        let signed = Int64(bitPattern: result)
        if signed < 0, signed >= -4095 { throw .systemCallFailed(pid: process.pid, name: name, code: Int32(-signed)) }
        return result
    }

    /// errno of the agent's thread after the last `call`.
    package private(set) var lastErrno: Int32 = 0

    func command(
        _ function: UInt64, _ arguments: [UInt64], keeping kept: KeptDescriptors? = nil, what: String,
        deadline: Deadline
    ) throws(AgentError) -> UInt64 {
        guard isUsable else { throw .left(pid: process.pid) }
        try send(function, arguments, keeping: kept)
        phase(.commandGiven)
        var backoff = Backoff(first: 20, longest: 500)
        var looks = 0
        while try !isDone() {
            // It says so last: what is not done by then never will be.
            if try hasLeft() {
                if try isDone() { break }
                throw .left(pid: process.pid)
            }
            // Whether it is there costs a few files: asked when it has been at work for a while.
            looks += 1
            if looks % 100 == 0, let thread, !thread.isThere, try !isDone(), try !hasLeft() {
                isUsable = false
                throw .threadEnded(pid: process.pid, what: what)
            }
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
    private func send(
        _ function: UInt64, _ arguments: [UInt64], keeping kept: KeptDescriptors? = nil
    ) throws(AgentError) {
        if try hasLeft() { throw .left(pid: process.pid) }
        sequence &+= 1
        var words = [function] + arguments
        words += [UInt64](repeating: 0, count: 8 - words.count)
        if let kept {
            let from = kept.source ?? area.field(HP_AREA_RESULT)
            words += [from.rawValue, descriptor(kept.first).rawValue, UInt64(kept.count)]
        } else {
            words += [0, 0, 0]
        }
        try write(words.withUnsafeBytes { Array($0) }, at: area.field(HP_AREA_FUNCTION))
        try write(withUnsafeBytes(of: sequence) { Array($0) }, at: area.field(HP_AREA_SEQUENCE))
    }

    /// Where the agent notes a descriptor that it has to close.
    private func descriptor(_ index: Int) -> Address { area.field(HP_AREA_DESCRIPTORS) + index * 4 }

    /// Closes descriptors of the target that the agent has noted.
    func closeKept(_ kept: KeptDescriptors, deadline: Deadline) throws(AgentError) {
        _ = try command(
            UInt64(HP_COMMAND_CLOSE), [descriptor(kept.first).rawValue, UInt64(kept.count)], what: "close",
            deadline: deadline)
    }

    private func isDone() throws(AgentError) -> Bool { try read(HP_AREA_DONE, UInt32.self) == sequence }

    /// Whether it has left: it is useless then.
    func hasLeft() throws(AgentError) -> Bool {
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
    package func scratch(_ bytes: [UInt8], offset: Int = 0) throws(AgentError) -> Address {
        guard offset >= 0, bytes.count <= AgentArea.scratchSize - offset else {
            throw .tooLong(what: "the argument", count: bytes.count, limit: AgentArea.scratchSize - offset)
        }
        try write(bytes, at: area.scratch + offset)
        return area.scratch + offset
    }

    /// Puts a string, with its terminating zero, where the target can see it.
    package func scratch(_ text: String, offset: Int = 0) throws(AgentError) -> Address {
        try scratch(Array(text.utf8) + [0], offset: offset)
    }

    /// Sends the agent away, and removes its stub from the target's code where no thread can still come back to it.
    /// Idempotent; the last reference does it too.
    package func finish() throws(AgentError) {
        guard isUsable else { return }
        isUsable = false
        var hasLeft = borrowed.hasLeft()
        // It may wait for a processor.
        for _ in 0..<10 where !hasLeft {
            usleep(2000)
            hasLeft = borrowed.hasLeft()
        }
        try send(UInt64(HP_COMMAND_EXIT), [hasLeft ? 1 : 0])
        phase(.finishing)
        guard let thread else { return }
        let deadline = Deadline.after(milliseconds: 2000)
        var backoff = Backoff(first: 20, longest: 1000)
        while thread.isThere {
            if deadline.hasPassed { throw .callTimedOut(pid: process.pid, what: "leaving") }
            backoff.sleep()
        }
        // Where it cannot be told the stub stays, and the area: the next patcher looks again.
        if hasLeft { place.vacate(process, memory, area: area) }
    }
}

/// Descriptors that a system call opens in the target, and that the agent notes in the same step: whenever the patcher dies, it knows
/// what to close.
struct KeptDescriptors {
    /// Where the call leaves them; nil where it returns one.
    var source: Address?
    /// Where among the agent's own they are noted.
    var first: Int
    var count = 1

    static func pair(at source: Address?) -> Self { Self(source: source, first: 0, count: 2) }
    static func received(at source: Address?) -> Self { Self(source: source, first: 2) }
    static let made = Self(first: 3)
}

/// Where the work of an agent stands: what the tests kill the patcher at.
package enum AgentPhase: Int, CaseIterable, Sendable {
    case prepared = 1
    case stopped, vetted, written, redirected, released, serving, commandGiven, finishing
}
