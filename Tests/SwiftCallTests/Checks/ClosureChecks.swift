import HotpatchCalls
import HotpatchSwiftCall

typealias Compose = (@escaping (Item) throws -> Item, Int) -> (Item, Bool) throws -> Item
typealias OptionalClosure = (((String) -> String)?, (@Sendable () -> Void)?) -> ((String) -> String)?
typealias TupleOfClosures = ((first: (Double) -> Double, second: String)) -> (String, (Int) -> String)
typealias Nested = (((Int8) -> Bool) -> String, () -> (Bool) -> Token) -> String
typealias Stored = ([(Int) -> Int], Handler, Result<() -> Token, Failure>) -> Handler
typealias Owned = (__owned @escaping (Int) -> Token) -> () -> Token
typealias LargeClosure = ((Large, Any, inout Int, Double, Bool, String, String, String) throws -> (Large, Any)) throws
    -> String

public let closureChecks: [CallCheck] = [
    check(
        "HotpatchCalls.apply", callApply, as: (((Int) -> Int, Int) -> Int).self,
        { f in
            let token = Token(3)
            return "\(f({ $0 * token.id }, 4))"
        },
        replacement: { f, x in f(f(x)) * 10 }),
    check(
        "HotpatchCalls.compose", callCompose, as: Compose.self,
        { make in
            let f = make(
                { item in
                    if item.price > 10 { throw Failure(item.price) } else { Item(item.token.id, item.price * 2) }
                }, 1)
            return attempt { try f(Item(1, 2), true) } + attempt { try f(Item(1, 6), true) }
                + attempt { try f(Item(1, 3), false) }
        },
        replacement: { f, n in
            let token = Token(n)
            return { item, isTwice in
                isTwice ? try f(Item(token.id, 100)) : try f(Item(item.token.id, item.price + 2))
            }
        }),
    check(
        "HotpatchCalls.optionalClosure", callOptionalClosure, as: OptionalClosure.self,
        { make in
            let token = Token(1)
            let f = make({ "\($0) \(token)" }, { _ = token.id })
            return "\(f?("a") ?? "nil") \(make(nil, nil) == nil)"
        },
        replacement: { f, g in
            g?()
            if let f { return { f(f($0)) } } else { return { $0 } }
        }),
    check(
        "HotpatchCalls.tupleOfClosures", callTupleOfClosures, as: TupleOfClosures.self,
        { f in
            let token = Token(5)
            let result = f((first: { $0 * Double(token.id) }, second: "second"))
            return "\(result.0) \(result.1(3))"
        },
        replacement: { pair in
            let first = pair.first
            return (pair.second + "!", { "\(first(Double($0)))" })
        }),
    check(
        "HotpatchCalls.nested", callNested, as: Nested.self,
        { f in
            let token = Token(6)
            return f({ g in "\(g(3)) \(g(4)) \(token)" }, { { $0 ? token : Token(7) } })
        },
        replacement: { f, h in "\(h()(false)) " + f { $0 == 3 } }),
    check(
        "HotpatchCalls.stored", callStored, as: Stored.self,
        { f in
            let token = Token(6)
            return "\(f([{ $0 + 1 }, { $0 * token.id }], Handler { $0 + token.id }, .success { token }).handle(5))"
        },
        replacement: { a, b, c in
            let value = a.last?(b.handle(1)) ?? 0
            return Handler { b.handle($0) * value }
        }),
    check(
        "HotpatchCalls.owned", callOwned, as: Owned.self,
        { f in
            let token = Token(6)
            return "\(f { Token($0 + token.id) }())"
        },
        replacement: { f in { f(100) } }),
    check(
        "HotpatchCalls.largeClosure", callLargeClosure, as: LargeClosure.self,
        { f in
            let token = Token(1)
            func body(_ fails: Bool) throws -> String {
                try f { a, b, c, d, e, f, g, h in
                    if fails { throw Failure(token.id) }
                    c += token.id
                    return (a, "\(b) \(c) \(d) \(e) \(f) \(g) \(h)")
                }
            }
            return attempt { try body(false) } + attempt { try body(true) }
        },
        replacement: { f in
            var n = 100
            let result = try f(Large(7), "any", &n, 0.25, false, "x", "y", "z")
            return "\(n) \(result)"
        }),
]
