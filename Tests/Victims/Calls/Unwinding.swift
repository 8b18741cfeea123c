// Functions that call back, for checks that look at the stack from inside. They take a C function, which knows nothing of Swift.

public typealias Probe = @convention(c) (Int32) -> Int32

/// Keeps a word, a vector and an object across its call.
@inline(never) @_optimize(none) public func probed(_ probe: Probe, _ x: Int32, _ weight: Double, _ item: Item) -> Int32
{
    let result = probe(x)
    return result &+ Int32(weight) &+ Int32(item.price)
}
@inline(never) @_optimize(none) public func callProbed(_ probe: Probe, _ x: Int32) -> Int32 {
    let item = Item(1, 0)
    let result = probed(probe, x, 0, item)
    return result &- Int32(item.price)
}

/// Calls the closure it is given, which is converted.
@inline(never) @_optimize(none) public func probedClosure(_ f: (Int32) throws -> Int32, _ x: Int32) rethrows -> Int32 {
    try f(x)
}
@inline(never) @_optimize(none) public func callProbedClosure(_ probe: Probe, _ x: Int32) -> Int32 {
    let token = Token(0)
    return probedClosure({ probe($0) &+ Int32(token.id) }, x)
}

/// Throws for numbers below 0.
@inline(never) @_optimize(none) public func probedError(_ probe: Probe, _ x: Int32, _ item: Item) throws -> Item {
    if probe(x) < 0 { throw Failure(Int(x)) }
    return item
}
@inline(never) @_optimize(none) public func callProbedError(_ probe: Probe, _ x: Int32) -> Int32 {
    do { return Int32(try probedError(probe, x, Item(1, 7)).price) } catch { return -1 }
}

/// More arguments than registers, and a result in memory.
@inline(never) @_optimize(none) public func probedLarge(
    _ probe: Probe, _ a: String, _ b: String, _ c: String, _ d: Double, _ x: Int32, _ e: Large
) -> Large { Large(e.a + Int(probe(x))) }
@inline(never) @_optimize(none) public func callProbedLarge(_ probe: Probe, _ x: Int32) -> Int32 {
    Int32(probedLarge(probe, "a", "b", "c", 1, x, Large(1)).a)
}

/// Never suspends: all of it happens in one job of its thread.
@inline(never) @_optimize(none) public func probedLater(_ probe: Probe, _ x: Int32, _ item: Item) async throws -> Int32
{
    let result = probe(x)
    if result < 0 { throw Failure(Int(result)) }
    return result &+ Int32(item.price)
}
@inline(never) @_optimize(none) public func callProbedLater(_ probe: Probe, _ x: Int32) async -> Int32 {
    do { return try await probedLater(probe, x, Item(1, 0)) } catch { return -1 }
}

public typealias Four = (Int, Int, Int, Int)
public typealias Twelve = (Four, Four, Four)

/// So many words on the stack that they lie where an adapter's frame was. As a closure it takes none there.
@inline(never) @_optimize(none) public func probedLaterLarge(
    _ probe: Probe, _ a: Twelve, _ b: Twelve, _ c: Twelve, _ x: Int32
) async -> Int32 {
    probe(x) &+ Int32(a.0.0 &+ a.1.1 &+ a.2.2 &+ b.0.3 &+ b.1.2 &+ b.2.1 &+ c.0.0 &+ c.1.1 &+ c.2.3)
}
