import CHotpatchLinux
import CPatchMachine
import Glibc
import HotpatchMemory

/// A process all of whose threads are stopped. It cannot be copied or forgotten: the threads go on when it is resumed, or
/// when it goes out of scope, whatever happened in between; and the kernel resumes them if this process dies.
///
/// Use it on one thread, and do nothing slow while it lives.
package struct StoppedProcess: ~Copyable {
    let session: StopSession

    /// Stops every thread.
    ///
    /// - Parameters:
    ///   - deadline: by which all must have stopped.
    ///   - maximumPause: nanoseconds for which threads may be held before the first write; nil for as long as it takes.
    /// - Throws: `RemoteRefusal`; everything is released then, and the error names the thread that did not stop.
    package init(
        _ process: RemoteProcess, deadline: Deadline, maximumPause: UInt64? = nil
    ) throws(RemoteRefusal) {
        session = try Self.stop(process, deadline: deadline, maximumPause: maximumPause, holds: nil)
    }

    /// The same within the budget of an operation.
    init(_ process: RemoteProcess, deadline: Deadline, holds: HoldBudget) throws(RemoteRefusal) {
        session = try Self.stop(process, deadline: deadline, maximumPause: holds.allowance, holds: holds)
    }

    deinit { session.release() }

    private static func stop(
        _ process: RemoteProcess, deadline: Deadline, maximumPause: UInt64?, holds: HoldBudget?
    ) throws(RemoteRefusal) -> StopSession {
        let session = try StopSession(process, maximumPause: maximumPause, holds: holds)
        try session.stopAll(deadline: deadline)
        return session
    }

    /// Lets all threads go on, each with the signal it was about to receive.
    package consuming func resume() -> PauseReport { session.release() }

    package var threadCount: Int { session.tracees.tracees.count }

    /// Threads held, with the PC of each.
    package var threads: [(tid: Int32, pc: Address, sp: Address)] {
        session.tracees.tracees.map { tracee in
            var registers = tracee.registers
            return (
                tracee.tid, Address(hp_registers_pc(&registers)), Address(hp_registers_sp(&registers))
            )
        }
    }

    /// Nanoseconds since the first thread was interrupted.
    package var pausedNanoseconds: UInt64 { Deadline.now &- session.tracees.firstInterrupt }
}

/// What a stop cost.
package struct PauseReport: Hashable, Sendable {
    package var threads: Int
    /// Nanoseconds from the first interruption to the last release.
    package var nanoseconds: UInt64
    /// System calls that the stop would have made fail with EINTR and that were entered again, or whose
    /// timeouts had passed meanwhile.
    package var mendedCalls: Int
    /// System calls that the stop has made fail with EINTR, where nothing can be mended (arm64).
    package var interruptedCalls: Int
    /// Threads born while the stop was under way.
    package var lateThreads: Int
    /// The patcher held real-time priority.
    package var wasBoosted: Bool
}

/// A stop with its tracing thread: what `StoppedProcess` owns.
final class StopSession {
    let tracees: Tracees
    let tracer: TracerThread
    let maximumPause: UInt64?
    private let process: RemoteProcess
    private let holds: HoldBudget?
    private var boost: SchedulingBoost
    private var report: PauseReport?
    private var isOfOne = false

    /// - Parameters:
    ///   - maximumPause: nanoseconds; nil for as long as it takes.
    ///   - holds: told what was held.
    init(_ process: RemoteProcess, maximumPause: UInt64?, holds: HoldBudget?) throws(RemoteRefusal) {
        self.process = process
        self.maximumPause = maximumPause
        self.holds = holds
        tracees = try Tracees(process)
        boost = SchedulingBoost()  // inherited by the tracing thread
        do { tracer = try TracerThread() } catch {
            boost.restore()
            throw .procUnreadable(pid: process.pid, path: "a new thread of the patcher", code: error.code)
        }
    }

    func stopAll(deadline: Deadline) throws(RemoteRefusal) {
        try stop { tracees throws(Tracees.Failure) in
            try tracees.stopAll(deadline: deadline, longest: self.maximumPause)
        }
    }

    /// Stops one thread and does something with it, on the tracing thread.
    func stopOne(_ tid: Int32, deadline: Deadline, then body: (Tracees) -> Void) throws(RemoteRefusal) {
        isOfOne = true
        try stop { tracees throws(Tracees.Failure) in
            try tracees.stopOne(tid, deadline: deadline)
            body(tracees)
        }
    }

    private func stop(_ body: (Tracees) throws(Tracees.Failure) -> Void) throws(RemoteRefusal) {
        let pid = process.pid
        guard process.isAlive else { throw .vanished(pid: pid) }
        let failure: Tracees.Failure? = tracer.run {
            do throws(Tracees.Failure) {
                try body(tracees)
                return nil
            } catch {
                tracees.detachAll()
                return error
            }
        }
        guard let failure else { return }
        release()
        switch failure {
        case .refused(let refusal): throw refusal
        // Looked up after the others run again: a look takes longer than a stop.
        case .late(let tid): throw .deadline(pid: pid, RemoteRefusal.BlockingThread(pid: pid, tid: tid))
        }
    }

    /// How long threads have been held, in nanoseconds; nil where that is not too long.
    var excess: UInt64? {
        guard let maximumPause else { return nil }
        let held = Deadline.now &- tracees.firstInterrupt
        return held > maximumPause ? held : nil
    }

    /// Idempotent: the report is of the first call.
    @discardableResult
    func release() -> PauseReport {
        if let report { return report }
        tracer.run { tracees.detachAll() }
        tracer.end()
        let report = PauseReport(
            threads: tracees.heldThreads, nanoseconds: tracees.heldNanoseconds,
            mendedCalls: tracees.mendedCalls, interruptedCalls: tracees.interruptedCalls,
            lateThreads: tracees.lateThreads, wasBoosted: boost.isActive)
        boost.restore()
        self.report = report
        if tracees.firstInterrupt != 0 { holds?.record(report, ofOne: isOfOne) }
        return report
    }

    deinit { release() }
}
