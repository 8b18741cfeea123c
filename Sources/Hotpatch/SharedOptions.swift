import HotpatchLocalTarget
import HotpatchMemory
import Synchronization

/// Options that any thread may read and set, also in a child that was forked meanwhile: no lock.
final class SharedOptions: Sendable {
    // Times are in nanoseconds.
    private let timeout: Atomic<Int>
    private let readingTimeout: Atomic<Int>
    private let longestPause: Atomic<Int>
    private let writer: Atomic<UInt32>
    private let parking: Atomic<UInt32>
    private let pageSize: Atomic<Int>

    init(_ value: LocalTarget.Options = .init()) {
        timeout = Atomic(value.timeout.nanoseconds)
        readingTimeout = Atomic(value.readingTimeout.nanoseconds)
        longestPause = Atomic(value.longestPause.nanoseconds)
        writer = Atomic(value.writer.rawValue)
        parking = Atomic(value.parking.rawValue)
        pageSize = Atomic(value.pageSize)
    }

    var value: LocalTarget.Options {
        get {
            var value = LocalTarget.Options(
                timeout: .nanoseconds(timeout.load(ordering: .relaxed)),
                longestPause: .nanoseconds(longestPause.load(ordering: .relaxed)),
                readingTimeout: .nanoseconds(readingTimeout.load(ordering: .relaxed)))
            value.writer = .init(rawValue: writer.load(ordering: .relaxed)) ?? .automatic
            value.parking = .init(rawValue: parking.load(ordering: .relaxed)) ?? .automatic
            value.pageSize = pageSize.load(ordering: .relaxed)
            return value
        }
        set {
            timeout.store(newValue.timeout.nanoseconds, ordering: .relaxed)
            readingTimeout.store(newValue.readingTimeout.nanoseconds, ordering: .relaxed)
            longestPause.store(newValue.longestPause.nanoseconds, ordering: .relaxed)
            writer.store(newValue.writer.rawValue, ordering: .relaxed)
            parking.store(newValue.parking.rawValue, ordering: .relaxed)
            pageSize.store(newValue.pageSize, ordering: .relaxed)
        }
    }
}
