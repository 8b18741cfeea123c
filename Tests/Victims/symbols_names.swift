// Names as users write them.
public struct Item {
    public var name: String
    public init(name: String) { self.name = name }
}
public final class Counter {
    public var count = 0
    public init() {}
    public init(from start: Int) { count = start }
    @inline(never) public func increment(by step: Int) { count += step }
    @inline(never) public func increment(by step: Double) { count += Int(step) }
    @inline(never) public func reset() { count = 0 }
}
public struct Cart {
    var items: [Item] = []
    public init(items: [Item]) { self.items = items }
    public var total: Int { items.count }
    public var first: Item? {
        get { items.first }
        set { items = newValue.map { [$0] } ?? [] }
    }
    public subscript(index: Int) -> Item { items[index] }
    public subscript(named name: String) -> Item? {
        get { items.first { $0.name == name } }
        set { items = newValue.map { [$0] } ?? [] }
    }
    public static func make(of items: [Item]?) -> Cart { Cart(items: items ?? []) }
    public static func < (left: Cart, right: Cart) -> Bool { left.total < right.total }
    public static prefix func - (cart: Cart) -> Cart { cart }
    public static func - (left: Cart, right: Cart) -> Cart { left }
    public static func ..< (left: Cart, right: Cart) -> Int { left.total }
}
extension String {
    public func shout(_ times: Int) -> String { self }
}
public func price(of item: String) -> Int { item.count }
public func prices(_ items: [String: [Int]], by order: ((Int, Int) -> Bool)?) throws -> [Int]? { nil }
public func nothing(_ done: @escaping () -> Void) {}
private func helper(_ number: Int) -> Int { number &+ 1 }
public func useHelper() -> Int { helper(3) }
extension Cart {
    public func make(_ number: Int) -> Cart { self }
    public static func make(_ number: Int) -> Cart { Cart(items: []) }
}
public struct Box<Element> { public init() {} }
extension Box where Element == Int {
    @inline(never) public func sum(_ number: Int) -> Int { number &+ 1 }
}
#if UNIQUE
    public struct Unique {
        public init() {}
        public var total: Int { 7 }
        public static func make(of number: Int) -> Unique { Unique() }
        public static func < (left: Unique, right: Unique) -> Bool { false }
    }
    public func uniquePrice(of item: String) -> Int { item.count }
    public func uniquePrices(_ items: [Unique]?) {}
#endif
