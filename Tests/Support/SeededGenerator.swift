import Glibc

/// SplitMix64: the same numbers for the same seed on every machine. Steele, Lea, Flood: "Fast splittable pseudorandom number
/// generators" (OOPSLA 2014).
public struct SeededGenerator: RandomNumberGenerator {
    private var state: UInt64

    public init(seed: UInt64) { state = seed }

    public mutating func next() -> UInt64 {
        state &+= 0x9e37_79b9_7f4a_7c15
        var value = state
        value = (value ^ (value >> 30)) &* 0xbf58_476d_1ce4_e5b9
        value = (value ^ (value >> 27)) &* 0x94d0_49bb_1331_11eb
        return value ^ (value >> 31)
    }
}

/// From the environment variable SEED, or a new one; printed.
public func testSeed(_ name: String = #function) -> UInt64 {
    let seed = getenv("SEED").flatMap { UInt64(String(cString: $0)) } ?? UInt64.random(in: 0...UInt64(UInt32.max))
    print("\(name): SEED=\(seed)")
    return seed
}
