import CLinux
import CPatch
import Glibc
import Memory

/// A process all of whose threads are stopped. It cannot be copied or forgotten: the threads go on when it is resumed, or
/// when it goes out of scope, whatever happened in between; and the kernel resumes them if this process dies.
///
/// Use it on one thread, and do nothing slow while it lives.
public struct StoppedProcess: ~Copyable {
    let session: StopSession

    /// Stops every thread.
    ///
    /// - Parameters:
    ///   - deadline: by which all must have stopped.
    ///   - maximumPause: nanoseconds for which threads may be held before the first write; nil for as long as it takes.
    /// - Throws: `RemoteRefusal`; everything is released then, and the error names the thread that did not stop.
    public init(
        _ process: RemoteProcess, deadline: Deadline, maximumPause: UInt64? = nil
    ) throws(RemoteRefusal) {
        session = try Self.stop(process, deadline: deadline, maximumPause: maximumPause)
    }

    deinit { session.release() }

    private static func stop(
        _ process: RemoteProcess, deadline: Deadline, maximumPause: UInt64?
    ) throws(RemoteRefusal) -> StopSession {
        guard process.isAlive else { throw .vanished(pid: process.pid) }
        let session = try StopSession(pid: process.pid, maximumPause: maximumPause)
        try session.stopAll(deadline: deadline)
        return session
    }

    /// Lets all threads go on, each with the signal it was about to receive.
    public consuming func resume() -> PauseReport { session.release() }

    public var threadCount: Int { session.tracees.tracees.count }

    /// Threads held, with the PC of each.
    public var threads: [(tid: Int32, pc: Address, sp: Address)] {
        session.tracees.tracees.map { tracee in
            var registers = tracee.registers
            return (
                tracee.tid, Address(hp_registers_pc(&registers)), Address(hp_registers_sp(&registers))
            )
        }
    }

    /// Nanoseconds since the first thread was interrupted.
    public var pausedNanoseconds: UInt64 { Deadline.now &- session.tracees.firstInterrupt }
}

/// What a stop cost.
public struct PauseReport: Hashable, Sendable {
    public var threads: Int
    /// Nanoseconds from the first interruption to the last release.
    public var nanoseconds: UInt64
    /// System calls that the stop would have made fail with EINTR and that were entered again; their timeouts began anew.
    public var mendedCalls: Int
    /// System calls that the stop has made fail with EINTR, where nothing can be mended (arm64).
    public var interruptedCalls: Int
    /// Threads born while the stop was under way.
    public var lateThreads: Int
    /// The patcher held real-time priority.
    public var wasBoosted: Bool
}

/// A stop with its tracing thread: what `StoppedProcess` owns.
final class StopSession {
    let tracees: Tracees
    let tracer: TracerThread
    let maximumPause: UInt64?
    private var boost: SchedulingBoost
    private var report: PauseReport?

    init(pid: Int32, maximumPause: UInt64?) throws(RemoteRefusal) {
        tracees = try Tracees(pid: pid)
        self.maximumPause = maximumPause
        boost = SchedulingBoost()  // inherited by the tracing thread
        do { tracer = try TracerThread() } catch {
            boost.restore()
            throw .procUnreadable(pid: pid, path: "a new thread of the patcher", code: error.code)
        }
    }

    func stopAll(deadline: Deadline) throws(RemoteRefusal) {
        try stop { tracees throws(Tracees.Failure) in
            try tracees.stopAll(deadline: deadline, longest: self.maximumPause)
        }
    }

    /// Stops one thread and does something with it, on the tracing thread.
    func stopOne(_ tid: Int32, deadline: Deadline, then body: (Tracees) -> Void) throws(RemoteRefusal) {
        try stop { tracees throws(Tracees.Failure) in
            try tracees.stopOne(tid, deadline: deadline)
            body(tracees)
        }
    }

    private func stop(_ body: (Tracees) throws(Tracees.Failure) -> Void) throws(RemoteRefusal) {
        let refusal: RemoteRefusal? = tracer.run {
            do throws(Tracees.Failure) {
                try body(tracees)
                return nil
            } catch {
                switch error {
                case .refused(let refusal):
                    tracees.detachAll()
                    return refusal
                case .late(let tid):
                    // Looked up after the others run again: a look takes longer than a stop.
                    tracees.detachAll()
                    return .deadline(pid: tracees.pid, RemoteRefusal.BlockingThread(pid: tracees.pid, tid: tid))
                }
            }
        }
        if let refusal {
            release()
            throw refusal
        }
    }

    /// Idempotent: the report is of the first call.
    @discardableResult
    func release() -> PauseReport {
        if let report { return report }
        let threads = tracees.tracees.count
        tracer.run { tracees.detachAll() }
        tracer.end()
        let report = PauseReport(
            threads: threads, nanoseconds: tracees.lastDetach &- tracees.firstInterrupt,
            mendedCalls: tracees.mendedCalls, interruptedCalls: tracees.interruptedCalls,
            lateThreads: tracees.lateThreads, wasBoosted: boost.isActive)
        boost.restore()
        self.report = report
        return report
    }

    deinit { release() }
}
