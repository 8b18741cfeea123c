import Glibc
import HotpatchMemory

/// A moment by which something must have happened, on the monotonic clock (clock_gettime(2), CLOCK_MONOTONIC).
package struct Deadline: Hashable, Comparable, Sendable {
    /// Nanoseconds of the monotonic clock.
    package var nanoseconds: UInt64

    package init(nanoseconds: UInt64) { self.nanoseconds = nanoseconds }

    /// So many milliseconds from now; a negative number is now.
    package static func after(milliseconds: Int) -> Deadline {
        .after(nanoseconds: UInt64(clamping: milliseconds).multipliedSaturating(by: 1_000_000))
    }

    /// So long from now.
    package static func after(_ duration: Duration) -> Deadline { .after(nanoseconds: UInt64(duration.nanoseconds)) }

    static func after(nanoseconds: UInt64) -> Deadline { Deadline(nanoseconds: now.addingSaturating(nanoseconds)) }

    /// The present, in nanoseconds of the monotonic clock.
    package static var now: UInt64 {
        var time = timespec()
        clock_gettime(CLOCK_MONOTONIC, &time)
        return UInt64(time.tv_sec) &* 1_000_000_000 &+ UInt64(time.tv_nsec)
    }

    package var hasPassed: Bool { Self.now >= nanoseconds }

    /// What is left; 0 once it has passed.
    var remainingNanoseconds: UInt64 {
        let now = Self.now
        return now >= nanoseconds ? 0 : nanoseconds &- now
    }

    /// Sleeps for so long, or until a signal handler has run.
    static func sleep(nanoseconds: UInt64) {
        var time = timespec(
            tv_sec: Int(clamping: nanoseconds / 1_000_000_000), tv_nsec: Int(nanoseconds % 1_000_000_000))
        nanosleep(&time, nil)
    }

    package static func < (left: Self, right: Self) -> Bool { left.nanoseconds < right.nanoseconds }
}

extension UInt64 {
    /// Counters of waits that grow end at the largest number, and not the process.
    func addingSaturating(_ other: UInt64) -> UInt64 {
        let (sum, overflow) = addingReportingOverflow(other)
        return overflow ? .max : sum
    }

    func multipliedSaturating(by other: UInt64) -> UInt64 {
        let (product, overflow) = multipliedReportingOverflow(by: other)
        return overflow ? .max : product
    }
}

/// Sleeps that grow, for what the kernel offers no wait with a timeout for.
struct Backoff {
    private var microseconds: Int
    private let longest: Int

    init(first: Int = 10, longest: Int = 1000) {
        microseconds = first
        self.longest = longest
    }

    mutating func sleep() {
        Deadline.sleep(nanoseconds: UInt64(clamping: microseconds) &* 1000)
        microseconds = min(microseconds * 2, longest)
    }
}
