import CHotpatchLinux
import CPatchAgent
import CPatchCore
import CPatchMachine
import Glibc
import HotpatchMemory
import HotpatchPlan
import HotpatchProcFS

/// The attached threads of one process. Everything here runs on a `TracerThread`.
///
/// The protocol, as measured:
/// 0. SEIZE and INTERRUPT the threads in uninterruptible sleep, as the parent in vfork is, and wait for them while all others run.
/// 1. SEIZE every thread while all run, rescanning until nothing is new.
/// 2. INTERRUPT all, then wait for each thread id by itself.
/// 3. Rescan until a scan that began after all known threads had stopped finds none.
/// 4. Read the registers; mend what the stop itself has done to system calls, or count it where nothing can be mended.
/// 5. (the caller's work)
/// 6. DETACH, with the signal that a thread was about to receive.
final class Tracees {
    struct Tracee {
        var tid: Int32
        var isInterrupted = false
        var isStopped = false
        /// To be delivered on resume: the stop came between the kernel's choosing the signal and its delivery.
        var signal: Int32 = 0
        var registers = hp_registers()
    }

    enum Failure: Error {
        case refused(RemoteRefusal)
        case late(tid: Int32)
    }

    private let process: RemoteProcess
    let pid: Int32
    /// While threads are held, their memory is read by this alone.
    let memory: ProcMemory
    private let tasks: TaskList
    private(set) var tracees: [Tracee] = []
    private var known: Set<Int32> = []
    private(set) var mendedCalls = 0
    /// Calls that the stop has made fail, and that cannot be mended.
    private(set) var interruptedCalls = 0
    /// The bits of a code address that may hold a signature.
    private(set) var signatureBits: UInt64 = 0
    /// Threads that appeared while the stop was under way.
    private(set) var lateThreads = 0
    /// 0 where none was held.
    private(set) var firstInterrupt: UInt64 = 0
    private(set) var lastDetach: UInt64 = 0
    /// Between these.
    var heldNanoseconds: UInt64 { firstInterrupt == 0 ? 0 : max(lastDetach, firstInterrupt) - firstInterrupt }
    /// How many were held.
    private(set) var heldThreads = 0
    /// Which signals have a handler, for threads whose signal is at hand.
    private lazy var handledSignals = readHandledSignals()

    init(_ process: RemoteProcess) throws(RemoteRefusal) {
        self.process = process
        pid = process.pid
        do { tasks = try TaskList(pid: pid) } catch { throw .vanished(pid: pid) }
        let path = process.livingDirectory + "/mem"
        do { memory = try ProcMemory(path: path, writable: false) } catch {
            if error.code == ENOENT || error.code == ESRCH { throw .vanished(pid: pid) }
            throw .procUnreadable(pid: pid, path: path, code: error.code)
        }
    }

    // MARK: 0–4

    /// Steps 0 to 4. `longest` bounds, in nanoseconds, how long threads are held while others are waited for.
    func stopAll(deadline: Deadline, longest: UInt64?) throws(Failure) {
        try stopSleepers(deadline: deadline, longest: longest)
        // Attached threads wait for us with every signal that reaches them, so that is bounded too.
        var limit = bound(deadline, longest, from: firstInterrupt == 0 ? Deadline.now : firstInterrupt)
        while try seizeNew() > 0 { try check(limit) }
        if tracees.isEmpty { throw .refused(.vanished(pid: pid)) }
        if firstInterrupt == 0 {
            firstInterrupt = Deadline.now
            limit = bound(deadline, longest, from: firstInterrupt)
        }
        var first = tracees.firstIndex { !$0.isStopped } ?? tracees.count
        for index in first..<tracees.count { interrupt(index) }
        while true {
            for index in first..<tracees.count { try wait(index, until: limit) }
            first = tracees.count
            if try seizeNew() == 0 { break }
            lateThreads += tracees.count - first
            for index in first..<tracees.count { interrupt(index) }
        }
        tracees.removeAll { !$0.isStopped }
        heldThreads = tracees.count
        if let first = tracees.first { signatureBits = hp_signature_bits(first.tid) }
        if tracees.isEmpty { throw .refused(.vanished(pid: pid)) }
    }

    private func bound(_ deadline: Deadline, _ longest: UInt64?, from start: UInt64) -> Deadline {
        longest.map { min(deadline, Deadline(nanoseconds: start.addingSaturating($0))) } ?? deadline
    }

    /// 0. Nobody is held until the first of them has stopped, and then no longer than others are.
    private func stopSleepers(deadline: Deadline, longest: UInt64?) throws(Failure) {
        for tid in tasks.scan() where TaskGlance.state(pid: pid, tid: tid) == UInt8(ascii: "D") {
            if try seize(tid) { interrupt(tracees.count - 1) }
        }
        var limit = deadline
        var backoff = Backoff()
        var look = Deadline.now
        while true {
            var waiting: Int32?
            let before = look
            look = Deadline.now
            for index in tracees.indices.reversed() where !tracees[index].isStopped {
                let tid = tracees[index].tid
                // A main thread that ended while it was seized stays as a zombie, and never stops.
                switch stop(of: tid) ?? (hasEnded(tid) ? .ended : nil) {
                case nil: waiting = tid
                case .ended?:
                    known.remove(tid)
                    tracees.remove(at: index)
                case let stop?:
                    note(stop, of: index)
                    readRegisters(index)
                    if firstInterrupt == 0 {
                        firstInterrupt = before
                        limit = bound(deadline, longest, from: before)
                    }
                }
            }
            guard let waiting else { return }
            if limit.hasPassed { throw .late(tid: waiting) }
            backoff.sleep()
        }
    }

    /// Stops one thread only. Where that is the main thread, the others are attached to as well, and run on: see `seizeNew`. Of very many,
    /// those whose calls a signal would end: one that is about to make such a call is among them with little probability.
    func stopOne(_ tid: Int32, deadline: Deadline) throws(Failure) {
        if tid == pid {
            let others = tasks.scan().filter { $0 != pid }
            for other in others {
                let isAtRisk = TaskGlance(pid: pid, tid: other).systemCall.map(SystemCall.failsWhenStopped) ?? false
                if isAtRisk || others.count <= Self.many { _ = try seize(other) }
            }
        }
        guard try seize(tid) else { throw .refused(.vanished(pid: tid)) }
        tracees.swapAt(0, tracees.count - 1)
        firstInterrupt = Deadline.now
        interrupt(0)
        try wait(0, until: deadline)
        heldThreads = 1
        guard tracees[0].isStopped else { throw .refused(.vanished(pid: tid)) }
        signatureBits = hp_signature_bits(tid)
    }

    private static let many = 500

    private func interrupt(_ index: Int) {
        _ = hp_ptrace_interrupt(tracees[index].tid)
        tracees[index].isInterrupted = true
    }

    private func check(_ deadline: Deadline) throws(Failure) {
        if deadline.hasPassed { throw .late(tid: tracees.first { !$0.isStopped }?.tid ?? pid) }
    }

    /// The main thread comes last. The kernel drops a signal for the process that nobody handles, but not while that thread is
    /// traced: another one, not traced yet, would take it, and its call would fail with EINTR unseen.
    /// - Returns: how many threads were attached that were not before.
    private func seizeNew() throws(Failure) -> Int {
        var count = 0
        let threads = tasks.scan()
        for tid in threads.filter({ $0 != pid }) + threads.filter({ $0 == pid }) where !known.contains(tid) {
            if try seize(tid) { count += 1 }
        }
        return count
    }

    /// - Returns: false where the thread has ended, or is a zombie leader.
    private func seize(_ tid: Int32) throws(Failure) -> Bool {
        var attempts = 3
        while hp_ptrace_seize(tid) != 0 {
            let code = errno
            if code == ESRCH { return false }
            guard let stat = TaskGlance(pid: pid, tid: tid).stat, !"ZX".contains(stat.state) else { return false }
            let status = try? ProcStatus(of: tid, in: pid)
            if let tracer = status?.number("TracerPid"), tracer != 0 {
                let name = try? ProcText.readString("/proc/\(tracer)/comm")
                throw .refused(
                    .alreadyTraced(
                        pid: pid, tracer: Int32(clamping: tracer), tracerName: ProcText.trimmed(name ?? "a tracer")))
            }
            // A tracer that is gone by the time one looks for it was another patcher.
            if code != EPERM || attempts == 0 {
                throw .refused(RemoteProcess.refusal(pid: pid, path: "thread \(tid)", code: code, status: status))
            }
            attempts -= 1
        }
        known.insert(tid)
        tracees.append(Tracee(tid: tid))
        return true
    }

    /// Waits for a thread to stop; an end is none.
    private func wait(_ index: Int, until deadline: Deadline) throws(Failure) {
        note(try nextStop(of: tracees[index].tid, until: deadline), of: index)
        readRegisters(index)
    }

    private func note(_ stop: Stop, of index: Int) {
        tracees[index].isStopped = stop != .ended
        if case .signal(let signal) = stop { tracees[index].signal = signal }
    }

    private enum Stop: Equatable {
        /// Ours, or a group stop: nothing is to be delivered.
        case event
        case systemCall
        /// A signal is on its way.
        case signal(Int32)
        case ended
    }

    /// Waits for one thread id: waiting for any child would make the kernel walk all of them each time.
    private func nextStop(of tid: Int32, until deadline: Deadline) throws(Failure) -> Stop {
        var backoff = Backoff()
        var turns = 0
        while true {
            if let stop = stop(of: tid) {
                if stop == .ended { known.remove(tid) }
                return stop
            }
            // A main thread that ended while it was seized stays as a zombie, and never stops.
            turns += 1
            if turns % 32 == 0, hasEnded(tid) {
                known.remove(tid)
                return .ended
            }
            if deadline.hasPassed { throw .late(tid: tid) }
            backoff.sleep()
        }
    }

    /// What has become of a thread by now; nil where it has not stopped yet.
    private func stop(of tid: Int32) -> Stop? {
        var status: Int32 = 0
        let result = hp_ptrace_wait(tid, &status)
        if result == tid, hp_status_stopped(status) != 0 {
            if hp_status_stop_event(status) != 0 { return .event }
            let signal = hp_status_stop_signal(status)
            return signal == SIGTRAP | Int32(HP_STOP_AT_CALL) ? .systemCall : .signal(signal)
        }
        // The kernel tells of the main thread's end last, and how the process ended (ptrace(2), "Death under ptrace").
        if result == tid, tid == pid { process.statusAtEnd.withLock { $0 = status } }
        // Ended, or exec in another thread has taken its id away. The id may be used again.
        return result == tid || (result < 0 && errno != EINTR) ? .ended : nil
    }

    private func hasEnded(_ tid: Int32) -> Bool {
        let state = TaskGlance.state(pid: pid, tid: tid)
        return state == nil || state == UInt8(ascii: "Z") || state == UInt8(ascii: "X")
    }

    private func readRegisters(_ index: Int) {
        guard tracees[index].isStopped else { return }
        if hp_ptrace_get_registers(tracees[index].tid, &tracees[index].registers) != 0 {
            tracees[index].isStopped = false  // killed meanwhile: SIGKILL ends any stop
            known.remove(tracees[index].tid)
            return
        }
        mend(index)
    }

    /// The stop makes epoll_wait and its like return EINTR, although no signal handler runs: also where the thread stops for a
    /// signal that has none, as SIGCHLD, which nobody but its tracer would ever have heard of. Mended at once, where that is
    /// possible, so that even a patcher that is killed in the next moment leaves no EINTR behind: the kernel enters such a call
    /// again, or where a handler does run makes it fail after all. The timeout begins anew, unless it has passed since the call was
    /// first mended: then the call returns as after it.
    private func mend(_ index: Int) {
        let timeout = timeout(of: &tracees[index].registers)
        if hp_mend(&tracees[index].registers, timeout, false) {
            if hp_ptrace_set_registers(tracees[index].tid, &tracees[index].registers) == 0 { mendedCalls += 1 }
        } else if hasFailedCall(index) {
            interruptedCalls += 1
        }
    }

    /// For how many milliseconds a call waits that a stop may have ended; 0 for ever, or where that is not known here, as of a socket.
    private func timeout(of registers: inout hp_registers) -> UInt64 {
        let timeout = hp_call_timeout(&registers)
        switch timeout.kind {
        case HP_TIMEOUT_MILLISECONDS: return timeout.value
        case HP_TIMEOUT_TIMESPEC:
            var time: [Int64] = [0, 0]
            let count = time.withUnsafeMutableBytes { memory.prefix(at: Address(timeout.value), into: $0) }
            return count == 16 ? hp_timespec_ms(time) : 0
        default: return 0
        }
    }

    /// Whether the stop has made the thread's call fail, and nothing has run since.
    func hasFailedCall(_ index: Int) -> Bool {
        var registers = tracees[index].registers
        return hp_registers_failed(&registers) && !isHandled(tracees[index].signal)
            && isBehindSystemCall(hp_registers_pc(&registers))
    }

    private func isHandled(_ signal: Int32) -> Bool {
        signal != 0 && (signal > 64 || handledSignals >> UInt64(signal - 1) & 1 == 1)
    }

    /// SigCgt of /proc/PID/status; all signals where it cannot be read.
    private func readHandledSignals() -> UInt64 {
        (try? ProcStatus(ofProcess: pid))?.mask("SigCgt") ?? .max
    }

    private func isSystemCall(at address: UInt64) -> Bool {
        hp_is_system_call(Architecture.current.core, instruction(at: address))
    }

    private func isBehindSystemCall(_ pc: UInt64) -> Bool {
        isSystemCall(at: pc &- UInt64(hp_system_call_length(Architecture.current.core)))
    }

    /// Four bytes of code; 0, which is no instruction of use here, where they cannot be read.
    private func instruction(at address: UInt64) -> UInt32 {
        var word: UInt32 = 0
        let count = withUnsafeMutableBytes(of: &word) { memory.prefix(at: Address(address), into: $0) }
        return count == 4 ? word : 0
    }

    // MARK: 4, of one thread

    enum CallState: Equatable {
        case known(hp_call_state)
        /// It has not come to rest in a call.
        case unsafe(String)
    }

    /// How a stopped thread stands to a system call. Where its registers do not say whether it is in one, it is let run into the
    /// call and stopped again there:
    ///
    /// 1. It is stopped at an instruction that makes a call: it has not made it, or is to make it again.
    /// 2. It runs until it enters the call: the number is certain.
    /// 3. It is interrupted before it goes on, so that no instruction of the program can run. If its PC is still there, it is in
    ///    that very call, and the kernel is about to enter it again.
    func callState(_ index: Int, deadline: Deadline) throws(Failure) -> CallState {
        var registers = tracees[index].registers
        let tid = tracees[index].tid
        let pc = hp_registers_pc(&registers)
        let state = hp_registers_call(&registers, isSystemCall(at: pc), isBehindSystemCall(pc))
        guard state == HP_CALL_UNCERTAIN else { return .known(state) }
        // 2.
        guard hp_ptrace_system_call(tid) == 0 else { return .unsafe("it ended") }
        guard try restStops(index, until: deadline) == .systemCall,
            hp_ptrace_get_registers(tid, &registers) == 0
        else { return .unsafe("interrupted on its way into a system call") }
        let number = hp_registers_call_number(&registers)
        if SystemCall.failsWhenStopped(number) || SystemCall.startsProcess(number) {
            return .unsafe("about to call \(SystemCall.name(number))")
        }
        // 3.
        interrupt(index)
        guard hp_ptrace_continue(tid, 0) == 0 else { return .unsafe("it ended") }
        guard try restStops(index, until: deadline) == .event else {
            return .unsafe("interrupted in " + SystemCall.name(number))
        }
        guard hp_ptrace_get_registers(tid, &tracees[index].registers) == 0 else { return .unsafe("it ended") }
        registers = tracees[index].registers
        let isThere = hp_registers_pc(&registers) == pc && hp_registers_call_number(&registers) == number
        return isThere ? .known(HP_CALL_RESTARTS) : .unsafe("leaving " + SystemCall.name(number))
    }

    /// Waits for a thread that has been resumed. One that is late is not stopped, and not to be detached from.
    private func restStops(_ index: Int, until deadline: Deadline) throws(Failure) -> Stop {
        tracees[index].isStopped = false
        let stop = try nextStop(of: tracees[index].tid, until: deadline)
        note(stop, of: index)
        return stop
    }

    // MARK: 5

    /// Sets the registers of a stopped thread; false where it has been killed.
    func setRegisters(_ index: Int, _ registers: hp_registers) -> Bool {
        var registers = registers
        guard hp_ptrace_set_registers(tracees[index].tid, &registers) == 0 else { return false }
        tracees[index].registers = registers
        return true
    }

    // MARK: 6

    /// Resumes and lets go of every thread: of the main one first, see `seizeNew`; then of those that stopped and then, while these run,
    /// of whoever is late. The call of a thread that was interrupted, or that a signal has woken which nobody handles, has failed, and
    /// only its tracer can mend that.
    ///
    /// The end of the tracing thread releases the rest. Where that is the main thread, it comes at once: as long as it is traced, the
    /// others are woken.
    func detachAll() {
        if tracees.isEmpty { return }
        heldThreads = max(heldThreads, tracees.lazy.filter(\.isStopped).count)
        var isMainLeft = false
        if let main = tracees.firstIndex(where: { $0.tid == pid }) {
            if !tracees[main].isStopped, !tracees[main].isInterrupted { interrupt(main) }
            detach(main)
            detachLate([main], milliseconds: 50)
            isMainLeft = tracees[main].tid != 0
        }
        for index in tracees.indices { detach(index) }
        lastDetach = Deadline.now
        if !isMainLeft { detachLate(tracees.indices, milliseconds: 100) }
        tracees = []
        known = []
    }

    private func detach(_ index: Int) {
        guard tracees[index].isStopped, tracees[index].tid != 0 else { return }
        _ = hp_ptrace_detach(tracees[index].tid, tracees[index].signal)
        tracees[index].tid = 0
    }

    private func detachLate(_ indices: some Sequence<Int>, milliseconds: Int) {
        let limit = Deadline.after(milliseconds: milliseconds)
        repeat {
            var isAwaited = false
            for index in indices where tracees[index].tid != 0 && isLate(index) { isAwaited = true }
            if !isAwaited { return }
            Deadline.sleep(nanoseconds: 200_000)
        } while !limit.hasPassed
    }

    /// Whether a thread that had not stopped is on its way to, or may be.
    private func isLate(_ index: Int) -> Bool {
        let tid = tracees[index].tid
        if let stop = stop(of: tid) {
            note(stop, of: index)
            readRegisters(index)
            detach(index)
            tracees[index].tid = 0
            return false
        }
        switch TaskGlance.state(pid: pid, tid: tid) {
        case nil, UInt8(ascii: "Z"), UInt8(ascii: "X"):
            tracees[index].tid = 0
            return false
        case UInt8(ascii: "D"): return false
        // One that sleeps, and was not interrupted, no signal has woken.
        case UInt8(ascii: "S") where !tracees[index].isInterrupted: return false
        default: break
        }
        if !tracees[index].isInterrupted { interrupt(index) }
        return true
    }
}
