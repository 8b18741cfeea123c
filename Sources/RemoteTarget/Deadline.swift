import Glibc

/// A moment by which something must have happened, on the monotonic clock (clock_gettime(2), CLOCK_MONOTONIC).
public struct Deadline: Hashable, Comparable, Sendable {
    /// Nanoseconds of the monotonic clock.
    public var nanoseconds: UInt64

    public init(nanoseconds: UInt64) { self.nanoseconds = nanoseconds }

    /// So many milliseconds from now; a negative number is now.
    public static func after(milliseconds: Int) -> Deadline {
        Deadline(
            nanoseconds: now &+ UInt64(clamping: milliseconds).multipliedReportingOverflow(by: 1_000_000).partialValue)
    }

    /// The present, in nanoseconds of the monotonic clock.
    public static var now: UInt64 {
        var time = timespec()
        clock_gettime(CLOCK_MONOTONIC, &time)
        return UInt64(time.tv_sec) &* 1_000_000_000 &+ UInt64(time.tv_nsec)
    }

    public var hasPassed: Bool { Self.now >= nanoseconds }

    /// What is left, in milliseconds; 0 once it has passed.
    public var remainingMilliseconds: Int {
        let now = Self.now
        return now >= nanoseconds ? 0 : Int(clamping: (nanoseconds &- now) / 1_000_000)
    }

    public static func < (left: Self, right: Self) -> Bool { left.nanoseconds < right.nanoseconds }
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
        var time = timespec(tv_sec: 0, tv_nsec: microseconds * 1000)
        nanosleep(&time, nil)
        microseconds = min(microseconds * 2, longest)
    }
}
