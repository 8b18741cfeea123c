import CLinux
import Glibc

/// The attached threads of one process. Everything here runs on a `TracerThread`.
///
/// The protocol, as measured:
/// 1. SEIZE every thread while all run, rescanning until nothing is new.
/// 2. INTERRUPT all, then wait for each thread id by itself.
/// 3. Rescan until a scan that began after all known threads had stopped finds none.
/// 4. Read the registers; mend what the stop itself has done to system calls.
/// 5. (the caller's work)
/// 6. DETACH, with the signal that a thread was about to receive.
final class Tracees {
    struct Tracee {
        var tid: Int32
        var isStopped = false
        /// To be delivered on resume: the stop came between the kernel's choosing the signal and its delivery.
        var signal: Int32 = 0
        var registers = linux_registers()
    }

    enum Failure: Error {
        case refused(RemoteRefusal)
        case late(tid: Int32)
    }

    let pid: Int32
    private let tasks: TaskList
    private(set) var tracees: [Tracee] = []
    private var known: Set<Int32> = []
    private(set) var mendedCalls = 0
    /// Threads that appeared while the stop was under way.
    private(set) var lateThreads = 0
    private(set) var firstInterrupt: UInt64 = 0
    private(set) var lastDetach: UInt64 = 0

    init(pid: Int32) throws(RemoteRefusal) {
        self.pid = pid
        do { tasks = try TaskList(pid: pid) } catch { throw .vanished(pid: pid) }
    }

    // MARK: 1–4

    /// Steps 1 to 4. `longest` bounds, in nanoseconds, how long threads are held while others are waited for.
    func stopAll(deadline: Deadline, longest: UInt64?) throws(Failure) {
        while try seizeNew() > 0 { try check(deadline) }
        if tracees.isEmpty { throw .refused(.vanished(pid: pid)) }
        firstInterrupt = Deadline.now
        var limit = deadline
        if let longest { limit = min(limit, Deadline(nanoseconds: firstInterrupt &+ longest)) }
        for tracee in tracees { _ = linux_ptrace_interrupt(tracee.tid) }
        var first = 0
        while true {
            for index in first..<tracees.count { try wait(index, until: limit) }
            first = tracees.count
            if try seizeNew() == 0 { break }
            lateThreads += tracees.count - first
            for index in first..<tracees.count { _ = linux_ptrace_interrupt(tracees[index].tid) }
        }
        for index in tracees.indices { readRegisters(index) }
        tracees.removeAll { !$0.isStopped }
        if tracees.isEmpty { throw .refused(.vanished(pid: pid)) }
    }

    /// Stops one thread only.
    func stopOne(_ tid: Int32, deadline: Deadline) throws(Failure) {
        guard try seize(tid) else { throw .refused(.vanished(pid: tid)) }
        firstInterrupt = Deadline.now
        _ = linux_ptrace_interrupt(tid)
        try wait(0, until: deadline)
        readRegisters(0)
        guard tracees[0].isStopped else { throw .refused(.vanished(pid: tid)) }
    }

    private func check(_ deadline: Deadline) throws(Failure) {
        if deadline.hasPassed { throw .late(tid: tracees.first { !$0.isStopped }?.tid ?? pid) }
    }

    /// - Returns: how many threads were attached that were not before.
    private func seizeNew() throws(Failure) -> Int {
        var count = 0
        for tid in tasks.scan() where !known.contains(tid) {
            if try seize(tid) { count += 1 }
        }
        return count
    }

    /// - Returns: false where the thread has ended, or is a zombie leader.
    private func seize(_ tid: Int32) throws(Failure) -> Bool {
        if linux_ptrace_seize(tid) == 0 {
            known.insert(tid)
            tracees.append(Tracee(tid: tid))
            return true
        }
        let code = errno
        if code == ESRCH { return false }
        guard let stat = TaskGlance(pid: pid, tid: tid).stat, stat.state != "Z", stat.state != "X" else { return false }
        let status = (try? ProcText.readString("/proc/\(pid)/task/\(tid)/status")).map { ProcStatus(parsing: $0) }
        if let tracer = status?.number("TracerPid"), tracer != 0 {
            let name = try? ProcText.readString("/proc/\(tracer)/comm")
            throw .refused(
                .alreadyTraced(
                    pid: pid, tracer: Int32(clamping: tracer), tracerName: ProcText.trimmed(name ?? "a tracer")))
        }
        throw .refused(RemoteProcess.refusal(pid: pid, path: "thread \(tid)", code: code, status: status))
    }

    /// Waits for one thread id: waiting for any child would make the kernel walk all of them each time.
    private func wait(_ index: Int, until deadline: Deadline) throws(Failure) {
        let tid = tracees[index].tid
        var backoff = Backoff()
        var turns = 0
        while true {
            var status: Int32 = 0
            let result = waitpid(tid, &status, Int32(LINUX_WAIT_ALL) | WNOHANG)
            if result == tid, linux_status_stopped(status) != 0 {
                tracees[index].isStopped = true
                // An event stop is ours (or a group stop): nothing is to be delivered. Else a signal is on its way.
                if linux_status_stop_event(status) == 0 { tracees[index].signal = linux_status_stop_signal(status) }
                return
            }
            if result == tid || (result < 0 && errno != EINTR) {
                // Ended, or exec in another thread has taken its id away. The id may be used again.
                known.remove(tid)
                return
            }
            // A main thread that ended while it was seized stays as a zombie, and never stops.
            turns += 1
            if turns % 32 == 0, hasEnded(tid) {
                known.remove(tid)
                return
            }
            if deadline.hasPassed { throw .late(tid: tid) }
            backoff.sleep()
        }
    }

    private func hasEnded(_ tid: Int32) -> Bool {
        guard let stat = try? ProcText.readString("/proc/\(pid)/task/\(tid)/stat") else { return true }
        // The name is in parentheses and may hold any character, so the last ')' ends it.
        let state = stat[(stat.lastIndex(of: ")") ?? stat.startIndex)...].dropFirst(2).first
        return state == "Z" || state == "X"
    }

    private func readRegisters(_ index: Int) {
        guard tracees[index].isStopped else { return }
        if linux_ptrace_get_registers(tracees[index].tid, &tracees[index].registers) != 0 {
            tracees[index].isStopped = false  // killed meanwhile: SIGKILL ends any stop
            known.remove(tracees[index].tid)
            return
        }
        mend(index)
    }

    /// The stop makes epoll_wait and its like return EINTR, which no signal handler can have caused. ERESTARTNOHAND lets the
    /// kernel enter the call again, and still becomes EINTR where a handler does run on resume (signal(7)). At once, so that
    /// even a patcher that is killed in the next moment leaves no EINTR behind. The timeout begins anew.
    private func mend(_ index: Int) {
        #if arch(x86_64)
            guard tracees[index].signal == 0 else { return }
            let call = Int64(bitPattern: UInt64(tracees[index].registers.orig_rax))
            let result = Int64(bitPattern: UInt64(tracees[index].registers.rax))
            guard call >= 0, result == -Int64(EINTR), SystemCall.mendable.contains(Int(call)) else { return }
            tracees[index].registers.rax = UInt64(bitPattern: -514)
            if linux_ptrace_set_registers(tracees[index].tid, &tracees[index].registers) == 0 { mendedCalls += 1 }
        #endif
    }

    // MARK: 5

    /// Sets the registers of a stopped thread; false where it has been killed.
    func setRegisters(_ index: Int, _ registers: linux_registers) -> Bool {
        var registers = registers
        guard linux_ptrace_set_registers(tracees[index].tid, &registers) == 0 else { return false }
        tracees[index].registers = registers
        return true
    }

    // MARK: 6

    /// Resumes and lets go of every thread that stopped. The others are released when the tracing thread ends.
    func detachAll() {
        if tracees.isEmpty { return }
        for tracee in tracees where tracee.isStopped { _ = linux_ptrace_detach(tracee.tid, tracee.signal) }
        lastDetach = Deadline.now
        tracees = []
        known = []
    }
}
