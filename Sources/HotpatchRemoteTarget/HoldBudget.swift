import Glibc
import HotpatchMemory

/// How long one operation may hold the threads of its target, and how often; and what it has held.
///
/// Every stop of an operation counts, whatever it is for. A hold that has lasted as long as it may is given up, whoever has not
/// stopped by then, and tried again: after a pause of nine times what it has lasted, so that the target runs for nine tenths of
/// the time, and each pause half as long again as the one before. So a wait that every stop makes begin anew meets some
/// twenty stops in ten seconds, and comes to its end when its time is over (`hp_mend`) or, where that is not known, as soon as it is
/// shorter than a pause.
///
/// For one thread at a time.
package final class HoldBudget {
    /// What was held so far.
    package struct Report: Hashable, Sendable {
        /// Stops of all threads.
        package var stops = 0
        /// The most threads that one of them held.
        package var threads = 0
        /// Nanoseconds from the first interruption to the last release: of the longest of these stops, and of all together.
        package var longest: UInt64 = 0
        package var total: UInt64 = 0
        /// The same of stops of one thread, to borrow it.
        package var singleStops = 0
        package var singleTotal: UInt64 = 0
        /// System calls that were entered again.
        package var mendedCalls = 0
        /// System calls that the stops have made fail, where nothing can be mended (arm64).
        package var interruptedCalls = 0
    }

    private static let millisecond: UInt64 = 1_000_000
    /// The first hold that is given up is one that a user hardly feels; the last, what a loaded machine needs for a thousand threads.
    package static let firstHold = 50 * millisecond
    private static let lastHold = 400 * millisecond
    /// How long all stops together may hold threads.
    private static let limit = 2000 * millisecond
    /// The part of its time for which a target runs, to that for which it is held.
    private static let rest: UInt64 = 9

    package private(set) var report = Report()
    /// Nanoseconds for which the next stop may hold threads before it has done its work.
    package private(set) var allowance: UInt64
    private let maximumPause: UInt64?
    private var longestHold: UInt64 { maximumPause ?? Self.lastHold }
    private var pause = millisecond
    private var lastHeld: UInt64 = 0

    /// - Parameter maximumPause: what no hold exceeds.
    package init(maximumPause: Duration? = nil) {
        self.maximumPause = maximumPause.map { UInt64($0.nanoseconds) }
        allowance = min(self.maximumPause ?? .max, Self.firstHold)
    }

    convenience init(_ options: TargetOptions) { self.init(maximumPause: options.maximumPause) }

    /// For stops of one thread: so many milliseconds, or fewer where no hold may last so long.
    func bound(milliseconds: UInt64) -> UInt64 { min(milliseconds * Self.millisecond, maximumPause ?? .max) }

    /// A stop has ended.
    func record(_ pause: PauseReport, ofOne: Bool) {
        if ofOne {
            report.singleStops += 1
            report.singleTotal &+= pause.nanoseconds
        } else {
            report.stops += 1
            report.threads = max(report.threads, pause.threads)
            report.longest = max(report.longest, pause.nanoseconds)
            report.total &+= pause.nanoseconds
            lastHeld = pause.nanoseconds
        }
        report.mendedCalls += pause.mendedCalls
        report.interruptedCalls += pause.interruptedCalls
    }

    /// The hold was too short.
    func grow() { allowance = min(allowance.multipliedSaturating(by: 2), longestHold) }

    /// Lets the threads run before the next stop.
    /// - Returns: whether there is to be another: before the deadline, and within the budget. The last one comes right before the
    ///   deadline.
    func rest(until deadline: Deadline) -> Bool {
        let length = max(pause, lastHeld.multipliedSaturating(by: Self.rest))
        pause = pause.addingSaturating(pause / 2)
        let left = deadline.remainingNanoseconds
        let untilLast = left - min(left, allowance)
        guard report.total < max(Self.limit, longestHold), untilLast >= length / 4 else { return false }
        Deadline.sleep(nanoseconds: min(length, untilLast))
        return true
    }

    /// Stops the process and does something with it, as often as it takes: until the threads can all be held for it.
    ///
    /// - Parameter body: to be tried again where it throws a `CommitError` that is retryable.
    /// - Throws: what the last try has thrown.
    func hold<T>(
        _ process: RemoteProcess, deadline: Deadline, _ body: (borrowing StoppedProcess) throws -> T
    ) throws -> T {
        while true {
            let failure: any Error
            do {
                let stopped = try StoppedProcess(process, deadline: deadline, holds: self)
                let result = Result { try body(stopped) }
                _ = stopped.resume()
                return try result.get()
            } catch let error as CommitError where error.isRetryable {
                // Whoever was inside an entry may be gone the next time.
                if case .pauseExceeded = error { grow() }
                failure = error
            } catch let error as RemoteRefusal {
                if case .deadline = error { grow() } else if !error.isByPatcher { throw error }
                failure = error
            }
            guard rest(until: deadline) else { throw failure }
        }
    }
}
