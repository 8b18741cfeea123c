import CHotpatchLinux
import HotpatchMemory
import Synchronization

/// The time that reading a process and its files may take. Every loop over what they hold asks it now and then.
///
/// A loop that is told that the time is over ends, and what it has found is incomplete. It does not throw there, for what is read at its
/// first use everything would have to that looks at a symbol. Instead the end is remembered: every other loop ends at once, `check`
/// throws whatever was found meanwhile, and an index that was cut short is not used again.
public final class ReadingTime: Sendable {
    private static let unlimited = UInt64.max

    /// On the monotonic clock, in nanoseconds.
    private let end = Atomic<UInt64>(unlimited)
    private let milliseconds = Atomic<Int>(0)
    /// What was being read when the time was over.
    private let interrupted = Locked<String?>(nil)
    private let isCutShort = Atomic<Bool>(false)

    /// Without a limit.
    public init() {}

    /// So long from now on.
    package convenience init(_ limit: Duration) {
        self.init()
        begin(limit)
    }

    /// Lets what is read from now on take so long, all together.
    package func begin(_ limit: Duration) {
        let (sum, isLater) = linux_monotonic_time().addingReportingOverflow(UInt64(limit.nanoseconds))
        milliseconds.store(limit.milliseconds, ordering: .relaxed)
        end.store(isLater ? Self.unlimited : sum, ordering: .relaxed)
    }

    /// Lets it take as long as it does.
    package func finish() { end.store(Self.unlimited, ordering: .relaxed) }

    /// Why what was read does not count; nil where all of it was.
    package var failure: ReadError? {
        guard isCutShort.load(ordering: .acquiring), let what = interrupted.withLock({ $0 }) else { return nil }
        return .outOfTime(reading: what, milliseconds: milliseconds.load(ordering: .relaxed))
    }

    /// - Throws: `ReadError.outOfTime` where something was not read to its end.
    package func check() throws(ReadError) {
        if let failure { throw failure }
    }

    /// Whether to stop. Looks at the clock for one row of 4096, the first among them.
    /// - Parameter what: is being read, as in "the symbols of libshop.so".
    @inlinable @inline(__always)
    package func isOver(at row: Int, _ what: @autoclosure () -> String) -> Bool {
        row & 4095 == 0 && isOver(what())
    }

    /// Whether to stop, by the clock.
    @usableFromInline
    package func isOver(_ what: @autoclosure () -> String) -> Bool {
        if isCutShort.load(ordering: .relaxed) { return true }
        let end = end.load(ordering: .relaxed)
        guard end != Self.unlimited, linux_monotonic_time() >= end else { return false }
        interrupted.withLock { $0 = $0 ?? what() }
        isCutShort.store(true, ordering: .releasing)
        return true
    }
}
