// Async functions: they suspend, so that they go on another thread's stack than they began.

public func attempt<T>(_ body: () async throws -> T) async -> String {
    do { return "\(try await body());" } catch { return "\(error);" }
}

@inline(never) @_optimize(none) public func plusLater(_ a: Int) async -> Int {
    await Task.yield()
    return a + 1
}
@inline(never) public func callPlusLater() async -> String { "\(await plusLater(4))" }

/// Never suspends.
@inline(never) @_optimize(none) public func atOnce(_ a: Int8, _ b: Bool) async -> Bool { b == (a > 0) }
@inline(never) public func callAtOnce() async -> String { "\(await atOnce(1, true)) \(await atOnce(1, false))" }

@inline(never) @_optimize(none) public func describeLater(
    _ a: String, _ b: Double, _ c: Bool
) async throws -> (String, Int) {
    await Task.yield()
    if b < 0 { throw Failure(Int(b)) }
    return ("\(a) \(b) \(c)", a.count)
}
@inline(never) public func callDescribeLater() async -> String {
    await attempt { try await describeLater("long enough for the heap, surely", 2.5, true) }
        + attempt { try await describeLater("", -4, false) }
}

@inline(never) @_optimize(none) public func largeLater(_ a: Large, _ b: inout Int) async -> Large {
    await Task.yield()
    b += a.e
    return Large(b)
}
@inline(never) public func callLargeLater() async -> String {
    var n = 5
    let large = await largeLater(Large(9), &n)
    return "\(large) \(n)"
}

@inline(never) @_optimize(none) public func anyLater(_ a: Any, _ b: Item) async throws -> Any {
    await Task.yield()
    if b.price == 0 { throw Failure(b.token.id) }
    return [a, b] as [Any]
}
@inline(never) public func callAnyLater() async -> String {
    await attempt { try await anyLater(Token(1), Item(2, 3)) } + attempt { try await anyLater(1, Item(2, 0)) }
}

@inline(never) @_optimize(none) public func numbersLater(_ a: Float, _ b: Point, _ c: SIMD4<Float>) async -> (
    Point, Float
) {
    await Task.yield()
    return (Point(b.y, Double(c.w)), a)
}
@inline(never) public func callNumbersLater() async -> String { "\(await numbersLater(1, Point(2, 3), [4, 5, 6, 7]))" }

@inline(never) @_optimize(none) public func closuresLater(
    _ f: (Int) async throws -> String, _ g: (Int) -> Int
) async throws -> String { try await f(g(3)) }
@inline(never) public func callClosuresLater() async -> String {
    let token = Token(6)
    return await attempt {
        try await closuresLater(
            { n in
                await Task.yield()
                return "\(n) \(token)"
            }, { $0 * token.id })
    } + attempt { try await closuresLater({ throw Failure($0) }, { $0 }) }
}

@inline(never) @_optimize(none) public func makeLater(_ a: Token) async -> @Sendable (Item) async throws -> Token {
    { item in
        await Task.yield()
        if item.price < 0 { throw Failure(1) }
        return item.price > 0 ? a : item.token
    }
}
@inline(never) public func callMakeLater() async -> String {
    let f = await makeLater(Token(1))
    return await attempt { try await f(Item(2, 3)) } + attempt { try await f(Item(2, -3)) }
        + attempt { try await f(Item(2, 0)) }
}

/// More words than registers: what is left over is on the stack, which the function takes off it.
@inline(never) @_optimize(none) public func wordsLater(
    _ a: String, _ b: String, _ c: String, _ d: Int8, _ e: String, _ f: Bool, _ g: Token, _ h: Int16
) async throws -> String {
    await Task.yield()
    if d < 0 { throw Failure(Int(h)) }
    return "\(a) \(b) \(c) \(d) \(e) \(f) \(g) \(h)"
}
@inline(never) public func callWordsLater() async -> String {
    await attempt { try await wordsLater("long enough for the heap, surely", "b", "c", 4, "e", true, Token(7), 8) }
        + attempt { try await wordsLater("", "", "", -1, "also long enough for the heap", false, Token(2), -3) }
}

/// Small ones: as a closure it takes a pointer for each, which makes as many words or more.
@inline(never) @_optimize(none) public func smallsLater(
    _ a: Float, _ b: SIMD4<Float>, _ c: Double, _ d: Float, _ e: Double, _ f: Float, _ g: Double, _ h: Float,
    _ i: SIMD4<Float>, _ j: Float, _ n: Double, _ k: (Int) async -> Int, _ l: inout Item, _ m: Any
) async -> (Float, Double) {
    l = Item(await k(Int(i.x)), l.price + 1)
    return (a + b.x + d + f + h + i.w + j, c + e + g + n + (m is Token ? 0.5 : 0.25))
}
@inline(never) public func callSmallsLater() async -> String {
    var item = Item(1, 2)
    let token = Token(5)
    let result = await smallsLater(
        1, [2, 3, 4, 5], 3, 4, 5, 6, 7, 8, [9, 10, 11, 12], 13, 14,
        { n in
            await Task.yield()
            return n + token.id
        }, &item, token)
    return "\(result) \(item)"
}

/// Each calls the next with another number of words on the stack.
@inline(never) @_optimize(none) public func deeperLater(
    _ a: Int, _ b: Int, _ c: Int, _ d: Int, _ e: Int, _ f: Int, _ g: Int, _ h: Int, _ i: Int, _ j: Int, _ k: Int,
    _ l: Int
) async -> Int {
    guard a > 0 else { return b + c + d + e + f + g + h + i + j + k + l }
    let sum = await shallowerLater(a - 1, l, k, j, i, h, g, f, e)
    return await plusLater(sum &* 3 &+ b &- d)
}
@inline(never) @_optimize(none) public func shallowerLater(
    _ a: Int, _ b: Int, _ c: Int, _ d: Int, _ e: Int, _ f: Int, _ g: Int, _ h: Int, _ i: Int
) async -> Int {
    guard a > 0 else { return b + c + d + e + f + g + h + i }
    return await deeperLater(a - 1, i, h, g, f, e, d, c, b, a, 10, 11) &* 5
}
@inline(never) public func callDeeperLater() async -> String {
    "\(await deeperLater(40, 1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11))"
}

/// Waits to be cancelled.
@inline(never) @_optimize(none) public func cancelledLater(_ a: Token) async -> String {
    do {
        try await Task.sleep(nanoseconds: 60_000_000_000)
        return "slept"
    } catch { return "\(Task.isCancelled) \(a)" }
}
@inline(never) public func callCancelledLater() async -> String { await cancelled { await cancelledLater(Token(3)) } }

public func cancelled(_ body: @escaping @Sendable () async -> String) async -> String {
    let task = Task { await body() }
    try? await Task.sleep(nanoseconds: 1_000_000)
    task.cancel()
    return await task.value
}

public actor Bank {
    private var balance = 0
    private let token = Token(1)
    public init() {}
    @inline(never) @_optimize(none) public func deposit(_ item: Item) async -> String {
        balance += item.price
        await Task.yield()
        return "\(balance) \(item) \(token)"
    }
}
@inline(never) public func callBank() async -> String { await Bank().deposit(Item(1, 2)) }

extension Counter {
    @inline(never) @_optimize(none) public mutating func incrementLater(by step: Int) async -> Counter {
        let old = self
        await Task.yield()
        value += step
        return old
    }

    @inline(never) @_optimize(none) public func distanceLater(to value: Int) async throws -> Int {
        await Task.yield()
        return value - self.value
    }
}
@inline(never) public func callIncrementLater() async -> String {
    var counter = Counter(Token(1), from: 2)
    let old = await counter.incrementLater(by: 3)
    return "\(old) \(counter)"
}
@inline(never) public func callDistanceLater() async -> String {
    await attempt { try await Counter(Token(1), from: 2).distanceLater(to: 10) }
}

/// Many tasks at once, each with objects and a suspension or two.
@inline(never) public func callCrowd() async -> String {
    await withTaskGroup(of: Int.self) { group in
        for n in 0..<1000 {
            group.addTask {
                let item = await attempt { try await anyLater(n, Item(n, n % 7)) }
                return await plusLater(n) + item.utf8.count
            }
        }
        return "\(await group.reduce(0, +))"
    }
}
