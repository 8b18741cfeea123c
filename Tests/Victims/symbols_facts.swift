// What a symbol leaves out and DWARF tells.
public struct Cart {
    var items: [String] = []
    public init() {}
    @inline(never) public func count(of item: String) -> Int { items.filter { $0 == item }.count }
    @inline(never) public func nothing() -> Int { 3 }
    @inline(never) public func shadowed() -> Int {
        var `self` = self
        self.items.append("x")
        return self.items.count
    }
    @inline(never) public mutating func add(_ item: String) { items.append(item) }
    @inline(never) public mutating func addLater(_ item: String) async throws {
        await Task.yield()
        items.append(item)
    }
    @inline(never) public consuming func drain() -> [String] { items }
    @inline(never) public static func make(_ item: String) throws -> Cart {
        if item.isEmpty { throw Empty() }
        return Cart()
    }
    public var total: Int { @inline(never) get { items.count } }
    public var checked: Int {
        @inline(never) get throws {
            if items.isEmpty { throw Empty() }
            return items.count
        }
    }
    public var first: String? {
        @inline(never) get { items.first }
        @inline(never) set { items = [newValue ?? ""] }
    }
    public var counted: Int {
        @inline(never) mutating get {
            items.append("")
            return items.count
        }
        @inline(never) nonmutating set { if newValue == items.count { print(newValue) } }
    }
    @inline(never) public subscript(index: Int) -> String {
        get { items[index] }
        set { items[index] = newValue }
    }
}
public struct Empty: Error {}
public struct Small {
    public var number: Int
    public init(number: Int) { self.number = number }
    @inline(never) public func doubled() -> Int { number &* 2 }
    @inline(never) public mutating func double() { number = number &* 2 }
}
public enum Payment {
    case cash(Int)
    case free
    @inline(never) public func fee(_ rate: Int) -> Int { if case .cash(let sum) = self { sum / rate } else { 0 } }
    @inline(never) public mutating func waive() { self = .free }
}
public class Shop {
    var open = true
    public init() {}
    @inline(never) public func close() throws -> Bool {
        if !open { throw Empty() }
        open = false
        return open
    }
}
@inline(never) private func hidden(_ number: Int) -> Int { number &* 7 }
@inline(never) public func price(of item: String) -> Int { hidden(item.count) }
