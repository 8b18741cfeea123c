import HotpatchTestSupport

/// Choices, the same ones for the same seed.
struct Dice {
    private var generator: SeededGenerator

    init(seed: UInt64, _ stream: Int = 0) {
        generator = SeededGenerator(seed: seed &* 0x1_0000_0001 &+ UInt64(stream))
        _ = generator.next()
    }

    mutating func below(_ count: Int) -> Int { Int.random(in: 0..<count, using: &generator) }
    mutating func percent(_ chance: Int) -> Bool { below(100) < chance }
    mutating func pick<T>(_ choices: [T]) -> T { choices[below(choices.count)] }

    /// One of several, as often as its weight says.
    mutating func weighted<T>(_ choices: [(Int, T)]) -> T {
        var left = below(choices.reduce(0) { $0 + $1.0 })
        for (weight, choice) in choices {
            if left < weight { return choice }
            left -= weight
        }
        return choices[0].1
    }
}
