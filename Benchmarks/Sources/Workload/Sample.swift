import Glibc

/// Figures of one kind, one for each round, in any unit.
public struct Sample: Sendable {
    public private(set) var values: [Double] = []

    public init(_ values: [Double] = []) { self.values = values }

    public mutating func add(_ value: Double) { values.append(value) }

    /// Nearest rank; NaN without values.
    public func percentile(_ percent: Double) -> Double {
        guard !values.isEmpty else { return .nan }
        let rank = Int((percent / 100 * Double(values.count)).rounded(.up)) - 1
        return values.sorted()[min(max(rank, 0), values.count - 1)]
    }

    public var median: Double {
        guard !values.isEmpty else { return .nan }
        let sorted = values.sorted()
        let middle = sorted.count / 2
        return sorted.count % 2 == 1 ? sorted[middle] : (sorted[middle - 1] + sorted[middle]) / 2
    }

    /// Each figure over the one of the same round.
    public static func / (left: Sample, right: Sample) -> Sample {
        Sample(zip(left.values, right.values).map { $0 / $1 })
    }

    /// Each figure less the one of the same round.
    public static func - (left: Sample, right: Sample) -> Sample {
        Sample(zip(left.values, right.values).map { $0 - $1 })
    }

    public static func / (left: Sample, right: Double) -> Sample { Sample(left.values.map { $0 / right }) }
}

/// Nanoseconds of the monotonic clock.
public func now() -> UInt64 {
    var time = timespec()
    clock_gettime(CLOCK_MONOTONIC, &time)
    return UInt64(time.tv_sec) &* 1_000_000_000 &+ UInt64(time.tv_nsec)
}

/// Nanoseconds that `body` takes.
public func nanoseconds(_ body: () throws -> Void) rethrows -> Double {
    let start = now()
    try body()
    return Double(now() - start)
}
