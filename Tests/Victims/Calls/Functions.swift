// Functions to be replaced, and natural callers of each: the same module calls them as the compiler chose.
// Not optimised, so that what is called is what the symbol names. Each uses all it is given: where a function ignores an argument,
// LLVM lets the optimised callers of its module pass anything (DeadArgumentElimination), and a replacement would see that.

import Synchronization

@inline(never) @_optimize(none) public func add(_ a: Int, _ b: Int) -> Int { a + b }
@inline(never) public func callAdd() -> String { "\(add(40, 2))" }

/// Its readable name has the attribute in the middle.
@Sendable @inline(never) @_optimize(none) public func sendableAdd(_ a: Int, to b: Int) -> Int { a + b }

@inline(never) @_optimize(none) public func nothing() { Note.set("called") }
@inline(never) public func callNothing() -> String {
    nothing()
    return Note.text
}

/// What a function without a result leaves behind.
public enum Note {
    private static let last = Mutex("")
    public static var text: String { last.withLock { $0 } }
    public static func set(_ text: String) { last.withLock { $0 = text } }
}

@inline(never) @_optimize(none) public func describe(
    _ name: String, _ count: Int, _ weight: Double, _ isNew: Bool
) throws -> Int {
    if count < 0 { throw Failure(count) }
    return name.count + count + Int(weight) + (isNew ? 1000 : 0)
}
@inline(never) public func callDescribe() -> String {
    attempt { try describe("a name that is long enough for the heap", 3, 2.5, true) }
        + attempt { try describe("short", -4, 0, false) }
}

/// What a function returned, or what it threw.
public func attempt<T>(_ body: () throws -> T) -> String {
    do { return "\(try body());" } catch { return "\(error);" }
}

@inline(never) @_optimize(none) public func small(_ a: Int8, _ b: Int16, _ c: Bool, _ d: Int32, _ e: UInt8) -> Int16 {
    Int16(a) + b + (c ? 100 : 0) + Int16(d) + Int16(e)
}
@inline(never) public func callSmall() -> String {
    "\(small(-1, -2, true, -3, 255)) \(small(1, 2, false, 3, 4))"
}

@inline(never) @_optimize(none) public func isEven(_ a: Int8) -> Bool { a % 2 == 0 }
@inline(never) public func callIsEven() -> String { "\(isEven(2)) \(isEven(3))" }

@inline(never) @_optimize(none) public func floats(_ a: Float, _ b: Double, _ c: Int, _ d: Float) -> Double {
    Double(a) + b * 10 + Double(c) * 100 + Double(d) * 1000
}
@inline(never) public func callFloats() -> String { "\(floats(1, 2, 3, 4))" }

/// More of each than there are registers.
@inline(never) @_optimize(none) public func many(
    _ a: Int, _ b: Double, _ c: String, _ d: Bool, _ e: Double, _ f: Int32, _ g: Double, _ h: String, _ i: Double,
    _ j: Bool, _ k: Double, _ l: Item, _ m: Double, _ n: Double, _ o: Double, _ p: Double, _ q: Int8, _ r: Colour
) -> String { "\(a) \(b) \(c) \(d) \(e) \(f) \(g) \(h) \(i) \(j) \(k) \(l) \(m) \(n) \(o) \(p) \(q) \(r)" }
@inline(never) public func callMany() -> String {
    many(
        1, 2, "three", true, 5, 6, 7, "eight, which lies on the heap", 9, false, 11, Item(12, 13), 14, 15, 16, 17, -18,
        Colour(19))
}

@inline(never) @_optimize(none) public func mixed(_ a: Mixed, _ b: Colour) -> Mixed {
    var a = a
    a.e += UInt16(b.blue)
    return a
}
@inline(never) public func callMixed() -> String { "\(mixed(Mixed(7), Colour(200))) \(mixed(Mixed(8), Colour(1)))" }

@inline(never) @_optimize(none) public func colour(_ a: Colour) -> Colour { Colour(a.blue) }
@inline(never) public func callColour() -> String { "\(colour(Colour(10)))" }

@inline(never) @_optimize(none) public func points(_ a: Point, _ b: Point, _ c: Float) -> (Point, Float) {
    (Point(a.x + b.x, a.y + b.y), c)
}
@inline(never) public func callPoints() -> String { "\(points(Point(1, 2), Point(3, 4), 5))" }

@inline(never) @_optimize(none) public func vectors(
    _ a: SIMD4<Float>, _ b: SIMD8<Float>, _ c: SIMD2<Float>, _ d: SIMD2<Double>
) -> SIMD8<Float> { b + Float(d.x) + SIMD8(lowHalf: a, highHalf: a) * c.x }
@inline(never) public func callVectors() -> String {
    "\(vectors([1, 2, 3, 4], [1, 2, 3, 4, 5, 6, 7, 8], [2, 3], [10, 20]))"
}

@inline(never) @_optimize(none) public func item(_ a: Item, _ b: Token) -> Item {
    Item(a.token.id * 10 + b.id, a.price)
}
@inline(never) public func callItem() -> String { "\(item(Item(1, 2), Token(3)))" }

@inline(never) @_optimize(none) public func large(_ a: Large, _ b: Int) -> Large { Large(a.e + b) }
@inline(never) public func callLarge() -> String { "\(large(Large(1), 2))" }

@inline(never) @_optimize(none) public func observer(_ a: Observer) -> Observer { Observer(a.token, a.count + 1) }
@inline(never) public func callObserver() -> String {
    let token = Token(5)
    return withExtendedLifetime(token) { "\(observer(Observer(token, 1)))" }
}

@inline(never) @_optimize(none) public func shape(_ a: Shape, _ b: Shape?) -> Shape {
    if case .circle(let radius) = a { return .circle(radius * 2) }
    return b ?? a
}
@inline(never) public func callShape() -> String {
    "\(shape(.circle(2), nil)) \(shape(.nothing, .named("n", Token(1)))) \(shape(.named("long enough for the heap?", Token(2)), nil))"
}

@inline(never) @_optimize(none) public func weekday(_ a: Weekday, _ b: Weekday?) -> Weekday? { b == nil ? nil : a }
@inline(never) public func callWeekday() -> String {
    "\(weekday(.sunday, .monday) as Any) \(weekday(.sunday, nil) as Any)"
}

@inline(never) @_optimize(none) public func tree(_ a: Tree) -> Tree { .node(a, .leaf(Token(9))) }
@inline(never) public func callTree() -> String { "\(tree(.leaf(Token(1))))" }

@inline(never) @_optimize(none) public func optionals(
    _ a: Int?, _ b: Double?, _ c: String?, _ d: Token?, _ e: Bool?, _ f: Item?
) -> Double? { (b ?? 0) + Double(a ?? 0) + Double(c?.count ?? 0) + Double(d?.id ?? 0) + (e == true ? 0.5 : 0) }
@inline(never) public func callOptionals() -> String {
    "\(optionals(1, 2.5, "abc", Token(4), true, Item(5, 6)) as Any) \(optionals(nil, nil, nil, nil, nil, nil) as Any)"
}

@inline(never) @_optimize(none) public func anything(_ a: Any, _ b: any Named, _ c: any Kept, _ d: any Error) -> Any {
    "\(a) \(b.name) \(c.name) \(d)"
}
@inline(never) public func callAnything() -> String {
    "\(anything(Item(1, 2), Large(3), Keeper(4), Failure(5)))"
}

@inline(never) @_optimize(none) public func existentials(_ a: any Named) -> (any Named, Int, any Kept) {
    (a, 7, Keeper(8))
}
@inline(never) public func callExistentials() -> String {
    let result = existentials(Item(1, 2))
    return "\(result.0.name) \(result.1) \(result.2.name)"
}

@inline(never) @_optimize(none) public func metatypes(
    _ a: Int.Type, _ b: Token.Type, _ c: any Any.Type, _ d: any Named.Type
) -> Any.Type { c == Int.self ? d : c }
@inline(never) public func callMetatypes() -> String {
    "\(metatypes(Int.self, Token.self, Int.self, Item.self)) \(metatypes(Int.self, Token.self, String.self, Item.self))"
}

/// Nothing is passed for the metatype of a struct or an enum.
@inline(never) @_optimize(none) public func typesInTuples(
    _ a: (Int.Type, Int), _ b: (Bool, Item.Type, Token.Type, String), _ c: (Weekday.Type, Any.Type)
) -> String { "\(a.0) \(a.1) \(b.0) \(b.1) \(b.2) \(b.3) \(c.0) \(c.1)" }
@inline(never) public func callTypesInTuples() -> String {
    typesInTuples((Int.self, 1), (true, Item.self, Token.self, "two"), (Weekday.self, Int.self))
}

@inline(never) @_optimize(none) public func tuples(
    _ a: (Int8, Int), _ b: (String, (Bool, Double), Token), _ c: ()
) -> (Int8, (Int8, Int32), Token, Double) { (a.0, (1, Int32(a.1)), b.2, b.1.1) }
@inline(never) public func callTuples() -> String {
    "\(tuples((1, 2), ("three", (true, 4), Token(5)), ()))"
}

@inline(never) @_optimize(none) public func largeTuple(_ a: (Large, Int8), _ b: (Int, Any)) -> (Large, Int8, Any) {
    (a.0, a.1 + 1, b.1)
}
@inline(never) public func callLargeTuple() -> String { "\(largeTuple((Large(1), 2), (3, Item(4, 5))))" }

@inline(never) @_optimize(none) public func inouts(_ a: inout Int, _ b: inout String, _ c: inout Large, _ d: inout Any)
{
    a += 1
    b += "!"
    c = Large(a)
    d = Item(a, a)
}
@inline(never) public func callInouts() -> String {
    var (a, b, c, d) = (1, "two", Large(3), "four" as Any)
    inouts(&a, &b, &c, &d)
    return "\(a) \(b) \(c) \(d)"
}

@inline(never) @_optimize(none) public func consumes(_ a: consuming Item, _ b: __owned Any, _ c: consuming Large)
    -> Item
{
    Item(c.a, a.price)
}
@inline(never) public func callConsumes() -> String { "\(consumes(Item(1, 2), Item(3, 4), Large(5)))" }

@inline(never) @_optimize(none) public func resilient(
    _ a: TaskPriority, _ b: FloatingPointRoundingRule, _ c: Int
) -> TaskPriority { c > 1 ? a : .low }
@inline(never) public func callResilient() -> String { "\(resilient(.high, .up, 2)) \(resilient(.high, .down, 1))" }

@inline(never) @_optimize(none) public func collections(_ a: [Item], _ b: [String: Token], _ c: Set<Int>) -> [Item] {
    a + b.map { Item($0.value.id, c.count) }
}
@inline(never) public func callCollections() -> String { "\(collections([Item(1, 2)], ["a": Token(3)], [4, 5]))" }

// Opaque properties
@inline(never) @_optimize(none) public func opaque(_ a: Opaque) -> Int { a.number }
@inline(never) @_optimize(none) public func opaqueResult(_ a: Int) -> Opaque { Opaque(a) }
@inline(never) @_optimize(none) public func opaqueInside(_ a: Around<Int>) -> Int { a.opaque.number + a.value }
@inline(never) @_optimize(none) public func opaqueMaybe(_ a: Opaque?) -> Int { a?.number ?? 0 }
@inline(never) @_optimize(none) public func opaquePayload(_ a: Payload) -> Int {
    if case .opaque(let a) = a { a.number } else { 0 }
}
@inline(never) @_optimize(none) public func opaqueOfClosure(_ a: (Opaque) -> Int) -> Int { a(Opaque(5)) }
@inline(never) @_optimize(none) public func opaqueInGeneric(_ a: Unclear<Int>) -> Int { a.value }
@inline(never) @_optimize(none) public func opaqueInout(_ a: inout Opaque) -> Int { a.number }
@inline(never) @_optimize(none) public func opaqueArray(_ a: [Opaque]) -> Int { a.count }
@inline(never) @_optimize(none) public func transparent(_ a: Transparent) -> Int { a.number }
