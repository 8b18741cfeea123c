import Synchronization

// Async functions, each with one of the same type that needs a larger context than callers of the first allocate: it suspends, and
// knows then what it knew before.

@inline(never) @_optimize(none) public func shorterLater(_ a: Int) async -> Int { a + 1 }
@inline(never) @_optimize(none) public func longerLater(_ a: Int) async -> Int {
    let token = Token(a)
    await Task.yield()
    let sum = a + token.id
    await Task.yield()
    return a * 100 + sum
}
@inline(never) @_optimize(none) public func longestLater(_ a: Int) async -> Int {
    let known = [await longerLater(a), await longerLater(a + 1), await longerLater(a + 2)]
    let (token, large) = (Token(a), Large(a))
    try? await Task.sleep(nanoseconds: 1000)
    return known.reduce(token.id + large.e, +)
}
@inline(never) public func callShorterLater() async -> String { "\(await shorterLater(4))" }
@inline(never) public func callLongerLater() async -> String { "\(await longerLater(4))" }
@inline(never) public func callLongestLater() async -> String { "\(await longestLater(4))" }

@inline(never) @_optimize(none) public func never(_ a: Int) -> Int { a - 1 }
@inline(never) public func callNever() -> String { "\(never(4))" }

/// More of each kind than there are registers.
@inline(never) @_optimize(none) public func shorterMany(
    _ a: Int, _ b: Double, _ c: Int8, _ d: Float, _ e: String, _ f: SIMD4<Float>, _ g: Int, _ h: Int, _ i: Double,
    _ j: Double,
    _ k: Double, _ l: Double, _ m: Double, _ n: Double, _ o: Int, _ p: Int16, _ q: Int, _ r: Token
) async throws -> (Int, Double, String) { (a, b, e) }
@inline(never) @_optimize(none) public func longerMany(
    _ a: Int, _ b: Double, _ c: Int8, _ d: Float, _ e: String, _ f: SIMD4<Float>, _ g: Int, _ h: Int, _ i: Double,
    _ j: Double,
    _ k: Double, _ l: Double, _ m: Double, _ n: Double, _ o: Int, _ p: Int16, _ q: Int, _ r: Token
) async throws -> (Int, Double, String) {
    let token = Token(Int(c))
    await Task.yield()
    let numbers = [b, Double(d), Double(f.x), Double(f.w), i, j, k, l, m, n]
    try await Task.sleep(nanoseconds: 1000)
    if g < 0 { throw Failure(g) }
    return (a + g + h * 10 + o * 100 + Int(p) + q + token.id + r.id, numbers.reduce(0, +), e + "\(numbers)")
}
@inline(never) public func callShorterMany() async -> String {
    await attempt {
        try await shorterMany(
            1, 2.5, -3, 4.5, "five, and more than fits inline", [6, 7, 8, 9], 10, 11, 12.5, 13.5, 14.5, 15.5, 16.5,
            17.5, 18,
            19, 20, Token(21))
    }
        + attempt {
            try await shorterMany(
                1, 2, 3, 4, "", [5, 6, 7, 8], -9, 10, 11, 12, 13, 14, 15, 16, 17, 18, 19, Token(20))
        }
}
@inline(never) public func callLongerMany() async -> String {
    await attempt {
        try await longerMany(
            1, 2.5, -3, 4.5, "five, and more than fits inline", [6, 7, 8, 9], 10, 11, 12.5, 13.5, 14.5, 15.5, 16.5,
            17.5, 18,
            19, 20, Token(21))
    }
        + attempt {
            try await longerMany(
                1, 2, 3, 4, "", [5, 6, 7, 8], -9, 10, 11, 12, 13, 14, 15, 16, 17, 18, 19, Token(20))
        }
}

/// Four registers of each kind are a result; more are indirect.
@inline(never) @_optimize(none) public func shorterResult(_ a: Double) async -> (Int, Double, Int, Float) {
    (1, a, 2, 3)
}
@inline(never) @_optimize(none) public func longerResult(_ a: Double) async -> (Int, Double, Int, Float) {
    let before = [a, a * 2]
    await Task.yield()
    return (10, before[0] + before[1], 20, Float(before[1]))
}
@inline(never) public func callShorterResult() async -> String { "\(await shorterResult(1.5))" }
@inline(never) public func callLongerResult() async -> String { "\(await longerResult(1.5))" }

@inline(never) @_optimize(none) public func shorterLarge(_ a: Large, _ b: inout Int) async -> Large { a }
@inline(never) @_optimize(none) public func longerLarge(_ a: Large, _ b: inout Int) async -> Large {
    let token = Token(b)
    await Task.yield()
    b += a.e
    await Task.yield()
    return Large(b + token.id)
}
@inline(never) public func callShorterLarge() async -> String {
    var n = 5
    let large = await shorterLarge(Large(9), &n)
    return "\(large) \(n)"
}
@inline(never) public func callLongerLarge() async -> String {
    var n = 5
    let large = await longerLarge(Large(9), &n)
    return "\(large) \(n)"
}

@inline(never) @_optimize(none) public func shorterGeneric<T: CustomStringConvertible, U>(
    _ a: T, _ b: U
) async throws -> (U, String) { (b, a.description) }
@inline(never) @_optimize(none) public func longerGeneric<T: CustomStringConvertible, U>(
    _ a: T, _ b: U
) async throws -> (U, String) {
    let known = [b]
    await Task.yield()
    let text = "\(a) later"
    await Task.yield()
    if text.hasPrefix("0") { throw Failure(0) }
    return (known[0], text)
}
@inline(never) public func callShorterGeneric() async -> String {
    await attempt { try await shorterGeneric(1, Item(2, 3)) } + attempt { try await shorterGeneric(0, 4.5) }
}
@inline(never) public func callLongerGeneric() async -> String {
    await attempt { try await longerGeneric(1, Item(2, 3)) } + attempt { try await longerGeneric(0, 4.5) }
}

public final class Sleeper: Sendable {
    let token = Token(7)

    @inline(never) @_optimize(none) public func shorter(_ a: Int) async -> Int { a + token.id }
    @inline(never) @_optimize(none) public func longer(_ a: Int) async -> Int {
        let other = Token(a)
        await Task.yield()
        return a * 100 + token.id + other.id
    }
}
@inline(never) public func callShorterMethod() async -> String { "\(await Sleeper().shorter(4))" }
@inline(never) public func callLongerMethod() async -> String { "\(await Sleeper().longer(4))" }

public struct Adder {
    var sum = 3
    var tokens = [Token(1)]

    @inline(never) @_optimize(none) public mutating func shorter(_ a: Int) async -> Int { a + sum }
    @inline(never) @_optimize(none) public mutating func longer(_ a: Int) async -> Int {
        let known = sum
        await Task.yield()
        tokens.append(Token(known))
        await Task.yield()
        sum += a
        return known * 100 + sum + tokens.count
    }
}
@inline(never) public func callShorterMutating() async -> String {
    var adder = Adder()
    return "\(await adder.shorter(4)) \(adder.sum)"
}
@inline(never) public func callLongerMutating() async -> String {
    var adder = Adder()
    return "\(await adder.longer(4)) \(adder.sum)"
}

/// How many are suspended in `heldLater`, and what they wait for.
private let held = Mutex<[CheckedContinuation<Void, Never>]>([])

@inline(never) @_optimize(none) public func heldLater(_ a: Int) async -> Int {
    let token = Token(a)
    await withCheckedContinuation { waiting in held.withLock { $0.append(waiting) } }
    return a * 1000 + token.id
}
public var heldCount: Int { held.withLock { $0.count } }
public func letGo() {
    let waiting = held.withLock { held in
        defer { held = [] }
        return held
    }
    for task in waiting { task.resume() }
}

/// A replacement that calls what it replaces.
public let originalLater = Mutex<(@Sendable (Int) async -> Int)?>(nil)
@inline(never) @_optimize(none) public func wrappingLater(_ a: Int) async -> Int {
    let (token, original) = (Token(a), originalLater.withLock { $0 })
    await Task.yield()
    let first = await original?(a) ?? -1
    return first * 1000 + (await original?(token.id + 1) ?? -1)
}
