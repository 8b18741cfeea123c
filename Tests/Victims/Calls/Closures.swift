// Closures change their convention on their way, in both directions.

@inline(never) @_optimize(none) public func apply(_ f: (Int) -> Int, _ x: Int) -> Int { f(x) + 1 }
@inline(never) public func callApply() -> String {
    let token = Token(3)
    return "\(apply({ $0 * token.id }, 4))"
}

@inline(never) @_optimize(none) public func compose(
    _ f: @escaping (Item) throws -> Item, _ n: Int
) -> (Item, Bool) throws -> Item {
    { item, isTwice in
        let once = try f(item)
        return isTwice ? try f(Item(once.token.id, once.price + n)) : once
    }
}
@inline(never) public func callCompose() -> String {
    let f = compose(
        { item in if item.price > 10 { throw Failure(item.price) } else { Item(item.token.id, item.price * 2) } }, 1)
    return attempt { try f(Item(1, 2), true) } + attempt { try f(Item(1, 6), true) }
        + attempt { try f(Item(1, 3), false) }
}

@inline(never) @_optimize(none) public func optionalClosure(
    _ f: ((String) -> String)?, _ g: (@Sendable () -> Void)?
) -> ((String) -> String)? {
    g?()
    guard let f else { return nil }
    return { f($0) + "!" }
}
@inline(never) public func callOptionalClosure() -> String {
    let token = Token(1)
    let f = optionalClosure({ "\($0) \(token)" }, { _ = token.id })
    return "\(f?("a") ?? "nil") \(optionalClosure(nil, nil) == nil)"
}

@inline(never) @_optimize(none) public func tupleOfClosures(
    _ pair: (first: (Double) -> Double, second: String)
) -> (String, (Int) -> String) {
    let value = pair.first(2)
    return (pair.second, { "\($0) \(value)" })
}
@inline(never) public func callTupleOfClosures() -> String {
    let token = Token(5)
    let result = tupleOfClosures((first: { $0 * Double(token.id) }, second: "second"))
    return "\(result.0) \(result.1(3))"
}

/// A closure that takes a closure, and one that returns one.
@inline(never) @_optimize(none) public func nested(
    _ f: (_ g: (Int8) -> Bool) -> String, _ h: () -> (Bool) -> Token
) -> String { f { $0 > 3 } + " \(h()(true))" }
@inline(never) public func callNested() -> String {
    let token = Token(6)
    return nested({ g in "\(g(3)) \(g(4)) \(token)" }, { { $0 ? token : Token(7) } })
}

/// Inside other types closures keep their convention.
public struct Handler {
    public var handle: (Int) -> Int
    public init(_ handle: @escaping (Int) -> Int) { self.handle = handle }
}
@inline(never) @_optimize(none) public func stored(_ a: [(Int) -> Int], _ b: Handler, _ c: Result<() -> Token, Failure>)
    -> Handler
{
    let value = a.reduce(1) { $1($0) }
    let token = try? c.get()()
    return Handler { b.handle($0 + value) + (token?.id ?? 0) }
}
@inline(never) public func callStored() -> String {
    let token = Token(6)
    return "\(stored([{ $0 + 1 }, { $0 * token.id }], Handler { $0 + token.id }, .success { token }).handle(5))"
}

@inline(never) @_optimize(none) public func owned(_ f: __owned @escaping (Int) -> Token) -> () -> Token { { f(1) } }
@inline(never) public func callOwned() -> String {
    let token = Token(6)
    return "\(owned { Token($0 + token.id) }())"
}

/// A closure whose arguments and results are large, address-only, and of many registers.
@inline(never) @_optimize(none) public func largeClosure(
    _ f: (Large, Any, inout Int, Double, Bool, String, String, String) throws -> (Large, Any)
) rethrows -> String {
    var n = 1
    let result = try f(Large(2), Item(3, 4), &n, 5.5, true, "six", "seven", "eight")
    return "\(result) \(n)"
}
@inline(never) public func callLargeClosure() -> String {
    let token = Token(1)
    func body(_ fails: Bool) throws -> String {
        try largeClosure { a, b, c, d, e, f, g, h in
            if fails { throw Failure(token.id) }
            c += token.id
            return (a, "\(b) \(c) \(d) \(e) \(f) \(g) \(h)")
        }
    }
    return attempt { try body(false) } + attempt { try body(true) }
}
