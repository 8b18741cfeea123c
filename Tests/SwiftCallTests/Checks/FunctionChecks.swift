import HotpatchCalls
import HotpatchSwiftCall

typealias Mini = (Int8, Int16, Bool, Int32, UInt8) -> Int16
typealias Many = (
    Int, Double, String, Bool, Double, Int32, Double, String, Double, Bool, Double, Item, Double, Double, Double,
    Double,
    Int8, Colour
) -> String
typealias Vectors = (SIMD4<Float>, SIMD8<Float>, SIMD2<Float>, SIMD2<Double>) -> SIMD8<Float>
typealias Optionals = (Int?, Double?, String?, Token?, Bool?, Item?) -> Double?
typealias Tuples = ((Int8, Int), (String, (Bool, Double), Token), ()) -> (Int8, (Int8, Int32), Token, Double)
typealias TypesInTuples = ((Int.Type, Int), (Bool, Item.Type, Token.Type, String), (Weekday.Type, Any.Type)) -> String
typealias Inouts = (inout Int, inout String, inout Large, inout Any) -> Void
typealias Consumes = (consuming Item, __owned Any, consuming Large) -> Item
typealias Borrows = (borrowing Item, __shared Any, borrowing Large) -> Item
typealias Metatypes = (Int.Type, Token.Type, any Any.Type, any Named.Type) -> Any.Type

public let functionChecks: [CallCheck] = [
    check("HotpatchCalls.add", callAdd, as: ((Int, Int) -> Int).self, { "\($0(40, 2))" }, replacement: { $0 * $1 }),
    check(
        "HotpatchCalls.describe", callDescribe, as: ((String, Int, Double, Bool) throws -> Int).self,
        { f in
            attempt { try f("a name that is long enough for the heap", 3, 2.5, true) }
                + attempt { try f("short", -4, 0, false) }
        },
        replacement: { name, count, weight, isNew in
            if !isNew { throw Failure(77) }
            return name.count * count + Int(weight * 10)
        }),
    check(
        "HotpatchCalls.small", callSmall, as: Mini.self, { "\($0(-1, -2, true, -3, 255)) \($0(1, 2, false, 3, 4))" },
        replacement: { a, b, c, d, e in (c ? 1 : -1) * (Int16(a) * b + Int16(d) - Int16(e)) }),
    check(
        "HotpatchCalls.isEven", callIsEven, as: ((Int8) -> Bool).self, { "\($0(2)) \($0(3))" },
        replacement: { $0 % 2 != 0 }),
    check(
        "HotpatchCalls.floats", callFloats, as: ((Float, Double, Int, Float) -> Double).self, { "\($0(1, 2, 3, 4))" },
        replacement: { a, b, c, d in Double(a) * 1000 + b * 100 + Double(c) * 10 + Double(d) }),
    check(
        "HotpatchCalls.many", callMany, as: Many.self,
        {
            $0(
                1, 2, "three", true, 5, 6, 7, "eight, which lies on the heap", 9, false, 11, Item(12, 13), 14, 15, 16,
                17,
                -18, Colour(19))
        },
        replacement: { a, b, c, d, e, f, g, h, i, j, k, l, m, n, o, p, q, r in
            "\(r) \(q) \(p) \(o) \(n) \(m) \(l) \(k) \(j) \(i) \(h) \(g) \(f) \(e) \(d) \(c) \(b) \(a)"
        }),
    check(
        "HotpatchCalls.mixed", callMixed, as: ((Mixed, Colour) -> Mixed).self,
        { "\($0(Mixed(7), Colour(200))) \($0(Mixed(8), Colour(1)))" },
        replacement: { a, b in
            var a = a
            a.c += 1
            a.b.toggle()
            a.a = Int8(b.red & 0x7f)
            return a
        }),
    check(
        "HotpatchCalls.colour", callColour, as: ((Colour) -> Colour).self, { "\($0(Colour(10)))" },
        replacement: { Colour($0.green + 100) }),
    check(
        "HotpatchCalls.points", callPoints, as: ((Point, Point, Float) -> (Point, Float)).self,
        { "\($0(Point(1, 2), Point(3, 4), 5))" }, replacement: { a, b, c in (Point(a.y, b.x), c * 2) }),
    check(
        "HotpatchCalls.vectors", callVectors, as: Vectors.self,
        { "\($0([1, 2, 3, 4], [1, 2, 3, 4, 5, 6, 7, 8], [2, 3], [10, 20]))" },
        replacement: { a, b, c, d in SIMD8(lowHalf: a * c.y, highHalf: b.lowHalf) + Float(d.y) }),
    check(
        "HotpatchCalls.item", callItem, as: ((Item, Token) -> Item).self, { "\($0(Item(1, 2), Token(3)))" },
        replacement: { a, b in Item(a.token.id * 100, b.id) }),
    check(
        "HotpatchCalls.large", callLarge, as: ((Large, Int) -> Large).self, { "\($0(Large(1), 2))" },
        replacement: { a, b in Large(a.d * 100 + b) }),
    check(
        "HotpatchCalls.observer", callObserver, as: ((Observer) -> Observer).self,
        { f in
            let token = Token(5)
            return withExtendedLifetime(token) { "\(f(Observer(token, 1)))" }
        },
        replacement: { Observer(nil, $0.count + ($0.token?.id ?? 0)) }),
    check(
        "HotpatchCalls.shape", callShape, as: ((Shape, Shape?) -> Shape).self,
        { f in
            "\(f(.circle(2), nil)) \(f(.nothing, .named("n", Token(1)))) \(f(.named("long enough for the heap?", Token(2)), nil))"
        },
        replacement: { a, b in
            if case .named(let name, let token) = b ?? a { .named(name + "!", token) } else { .nothing }
        }),
    check(
        "HotpatchCalls.weekday", callWeekday, as: ((Weekday, Weekday?) -> Weekday?).self,
        { "\($0(.sunday, .monday) as Any) \($0(.sunday, nil) as Any)" }, replacement: { $1 == nil ? $0 : nil }),
    check(
        "HotpatchCalls.tree", callTree, as: ((Tree) -> Tree).self, { "\($0(.leaf(Token(1))))" },
        replacement: { .node(.leaf(Token(8)), $0) }),
    check(
        "HotpatchCalls.optionals", callOptionals, as: Optionals.self,
        { "\($0(1, 2.5, "abc", Token(4), true, Item(5, 6)) as Any) \($0(nil, nil, nil, nil, nil, nil) as Any)" },
        replacement: { a, b, c, d, e, f in
            if let f { Double(f.price + (d?.id ?? 0)) - (b ?? 0) } else { c == nil && e == nil && a == nil ? -1 : nil }
        }),
    check(
        "HotpatchCalls.anything", callAnything, as: ((Any, any Named, any Kept, any Error) -> Any).self,
        { "\($0(Item(1, 2), Large(3), Keeper(4), Failure(5)))" },
        replacement: { a, b, c, d in (d, c.name, b.name, a) }),
    check(
        "HotpatchCalls.existentials", callExistentials, as: ((any Named) -> (any Named, Int, any Kept)).self,
        { f in
            let result = f(Item(1, 2))
            return "\(result.0.name) \(result.1) \(result.2.name)"
        },
        replacement: { (Large($0.name.count), 8, Keeper(9)) }),
    check(
        "HotpatchCalls.metatypes", callMetatypes, as: Metatypes.self,
        { f in
            "\(f(Int.self, Token.self, Int.self, Item.self)) \(f(Int.self, Token.self, String.self, Item.self))"
        },
        replacement: { a, b, c, d in c == a ? b as Any.Type : d }),
    check(
        "HotpatchCalls.typesInTuples", callTypesInTuples, as: TypesInTuples.self,
        { "\($0((Int.self, 1), (true, Item.self, Token.self, "two"), (Weekday.self, Int.self)))" },
        replacement: { a, b, c in "replaced \(a.0) \(a.1) \(b.0) \(b.1) \(b.2) \(b.3) \(c.0) \(c.1)" }),
    check(
        "HotpatchCalls.tuples", callTuples, as: Tuples.self, { "\($0((1, 2), ("three", (true, 4), Token(5)), ()))" },
        replacement: { a, b, _ in (Int8(b.0.count), (a.0, Int32(b.2.id)), Token(6), b.1.0 ? Double(a.1) : 0) }),
    check(
        "HotpatchCalls.largeTuple", callLargeTuple, as: (((Large, Int8), (Int, Any)) -> (Large, Int8, Any)).self,
        { "\($0((Large(1), 2), (3, Item(4, 5))))" },
        replacement: { a, b in (Large(b.0), a.1 * 10, [b.1, a.0] as [Any]) }),
    check(
        "HotpatchCalls.inouts", callInouts, as: Inouts.self,
        { f in
            var (a, b, c, d) = (1, "two", Large(3), "four" as Any)
            f(&a, &b, &c, &d)
            return "\(a) \(b) \(c) \(d)"
        },
        replacement: { a, b, c, d in
            a *= 10
            b = "\(d)"
            d = c
            c = Large(a)
        }),
    // The function takes over what a closure of this type may only look at.
    check(
        "HotpatchCalls.consumes", CallShape(ownedParameters: 0b111), callConsumes, as: Borrows.self,
        { "\($0(Item(1, 2), Item(3, 4), Large(5)))" }, replacement: { a, b, c in Item(c.e, a.price * 10) }),
    check(
        "HotpatchCalls.consumes", callConsumes, as: Consumes.self, { "\($0(Item(1, 2), Item(3, 4), Large(5)))" },
        replacement: { a, b, c in Item(a.token.id + c.token.id, "\(b)".count) }),
    check(
        "HotpatchCalls.resilient", callResilient,
        as: ((TaskPriority, FloatingPointRoundingRule, Int) -> TaskPriority).self,
        { "\($0(.high, .up, 2)) \($0(.high, .down, 1))" },
        replacement: { a, b, c in b == .up && c == 2 ? .background : a }),
    check(
        "HotpatchCalls.collections", callCollections, as: (([Item], [String: Token], Set<Int>) -> [Item]).self,
        { "\($0([Item(1, 2)], ["a": Token(3)], [4, 5]))" },
        replacement: { a, b, c in a + [Item(b.count, c.max() ?? 0)] }),
    check(
        "HotpatchCalls.nothing", callNothing, as: (() -> Void).self,
        {
            $0()
            return Note.text
        }, replacement: { Note.set("replaced") }),
]
