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
