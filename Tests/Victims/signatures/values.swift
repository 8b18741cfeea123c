// Function values as a generic function gets them: SwiftCallTests compiles it at -Onone and -O.
public struct Cart {
    var items = 1
    public init(items: Int) { self.items = items }
    @inline(never) public func count(_ more: Int) -> Int { items &+ more }
    @inline(never) public static func make(_ items: Int) -> Cart { Cart(items: items) }
    @inline(never) public static func + (left: Cart, right: Cart) -> Cart { left }
}
public final class Shop {
    public init() {}
    @inline(never) public func open(_ hours: Int) -> Int { hours &* 5 }
}
@inline(never) public func nothing() { print() }
@inline(never) public func price(of item: String) -> Int { item.utf8.count }
@inline(never) public func pairs(_ items: [(Int, String)], by key: Double) throws -> [String: Int]? { nil }
@inline(never) public func change(_ number: inout Int) { number &+= 1 }
@inline(never) public func later(_ number: Int) async throws -> String { "\(number)" }
@inline(never) public func soon() async {}
@inline(never) public func applied(_ body: (Int) -> Int, _ lists: [[Int]]) -> (Int) -> Int { { $0 &+ 1 } }
@inline(never) private func hidden(_ number: Int) -> Int { number &* 3 }

public typealias Report = @convention(c) (UnsafePointer<CChar>, UInt, UInt, Bool) -> Void

@inline(never) @_semantics("optimize.sil.specialize.generic.never")
func see<F>(_ name: String, _ value: F, _ report: Report, isAsync: Bool = false) {
    withUnsafeBytes(of: value) {
        report(name, $0.load(as: UInt.self), $0.load(fromByteOffset: 8, as: UInt.self), isAsync)
    }
}

/// Reports the name of the function, or "" where nothing tells it.
@_cdecl("function_values")
public func functionValues(_ report: Report) {
    see("Values.nothing() -> ()", nothing, report)
    see("Values.price(of: Swift.String) -> Swift.Int", price, report)
    see("Values.pairs(_:by:)", pairs, report)
    see("Values.change", change, report)
    see("Values.later", later, report, isAsync: true)
    see("Values.soon", soon, report, isAsync: true)
    see("Values.applied", applied, report)
    see("Values.hidden", hidden, report)
    let stored: (Int) -> Int = hidden
    see("Values.hidden", stored, report)
    see("", Cart.make, report)
    see("", Cart.count, report)
    see("", Cart.init(items:), report)
    see("", Cart(items: 3).count, report)
    see("", Shop().open, report)
    see("", { (cart: Cart, other: Cart) -> Cart in cart + other }, report)
    let number = Int.random(in: 0...3)
    see("", { (other: Int) -> Int in other &+ number }, report)
}
