// One of each sort of function that a symbol can name; SwiftCallTests compiles it and reads its symbols.
import Glibc

public enum ShopError: Error {
    case empty
    case broken(Int)
}
public struct Item {
    public var name: String
    public var price: Int
    public init(name: String, price: Int) {
        self.name = name
        self.price = price
    }
}
public protocol Priced {
    var price: Int { get }
    func discount(by percent: Int) -> Int
    associatedtype Unit
}
public protocol Named { var name: String { get } }
public protocol Loud: AnyObject { func shout() }
// free
public func noArguments() {}
public func price(of item: String) -> Int { item.count }
public func add(_ a: Int, _ b: Int) -> Int { a + b }
public func mixed(_ a: Int, b: Double, c d: Bool) -> (Int, Double) { (a, b) }
public func optional(_ a: Int?, b: String??) -> [Int]? { nil }
public func collections(_ a: [Int], _ b: [String: [Int]], _ c: Set<Int>) -> [[Int]] { [] }
public func tuples(_ a: (Int, String), _ b: (x: Int, y: Int)) -> (name: String, age: Int) { ("", 0) }
public func nestedTuple(_ a: (Int, (String, Bool))) -> ((Int, Int), Int) { ((0, 0), 0) }
public func throwing(_ a: Int) throws -> Int {
    if a == 0 { throw ShopError.empty }
    return a
}
public func asyncThrowing(_ a: Int) async throws -> Int { a }
public func justAsync() async {}
public func typedThrows(_ a: Int) throws(ShopError) -> Int { a }
public func neverThrows(_ a: Int) throws(Never) -> Int { a }
public func anyThrows(_ a: Int) throws(any Error) -> Int { a }
public func inouts(_ a: inout Int, b: inout [String]) { a += 1 }
public func consume(_ a: consuming String) -> Int { a.count }
public func borrow(_ a: borrowing String) -> Int { 1 }
public func owned(_ a: __owned String) -> Int { a.count }
public func shared(_ a: __shared String) -> Int { a.count }
public func sends(_ a: sending Item) -> Int { 1 }
public func sendsBack() -> sending Item { Item(name: "", price: 0) }
public func variadic(_ a: Int..., b: String...) -> Int { a.count }
public func variadicTuple(_ a: (Int, Int)...) -> Int { a.count }
public func variadicClosures(_ a: (() -> Void)...) -> Int { a.count }
public func defaulted(_ a: Int = 42, b: String = "x") -> Int { a }
public func closure(_ f: (Int) -> Int) -> Int { f(1) }
public func escaping(_ f: @escaping (Int) -> Int) -> () -> Int { { f(1) } }
public func sendable(_ f: @Sendable (Int) -> Int) -> Int { f(1) }
public func escapingSendable(_ f: @escaping @Sendable (Int) -> Int) -> @Sendable () -> Int { { f(1) } }
public func auto(_ f: @autoclosure () -> Int) -> Int { f() }
public func autoEscaping(_ f: @autoclosure @escaping () -> Int) -> () -> Int { f }
public func optionalClosure(_ f: ((Int) -> Int)?) -> ((Int) -> Int)? { f }
public func throwingClosure(_ f: (Int) throws -> Int) throws -> Int { try f(1) }
public func rethrowing(_ f: (Int) throws -> Int) rethrows -> Int { try f(1) }
public func asyncClosure(_ f: (Int) async throws -> Int) async rethrows -> Int { try await f(1) }
public func mainClosure(_ f: @MainActor (Int) -> Int) {}
public func mainSendableClosure(_ f: @escaping @MainActor @Sendable (Int) -> Int) {}
public func isolatedAny(_ f: @escaping @isolated(any) () -> Int) {}
public func cClosure(_ f: @convention(c) (Int32) -> Int32) -> Int32 { f(1) }
public func typedThrowsClosure(_ f: (Int) throws(ShopError) -> Int) {}
public func closureOfClosure(_ f: ((Int) -> Int) -> (Int) -> Int) -> ((Int) -> Int, Int) { ({ $0 }, 1) }
public func inoutClosure(_ f: (inout Int, __owned String) -> Void) {}
public func sendingClosure(_ f: (sending Item) -> sending Item) {}
public func inoutOfClosure(_ f: inout (Int) -> Int) {}
public func variadicClosure(_ f: (Int...) -> Int) {}
public func tupleClosure(_ f: ((Int, Int)) -> Int) {}
public func nonsendingClosure(_ f: nonisolated(nonsending) (Int) async -> Int) async {}
nonisolated(nonsending) public func nonsendingFree() async -> Int { 1 }
@concurrent public func concurrentFree() async -> Int { 1 }
public func existential(_ a: any Named) -> any Named & Loud { fatalError() }
public func anyAll(_ a: Any, _ b: AnyObject, _ c: any Error) -> Any { a }
public func sendableExistential(_ a: any Named & Sendable, _ b: any Sendable) -> any Error & Sendable {
    ShopError.empty
}
public func classExistential(_ a: Store & Named) -> Store & Loud & Named { fatalError() }
public func metatypes(_ a: Int.Type, _ b: Store.Type, _ c: any Named.Type) -> Item.Type { Item.self }
public func protocolMeta(_ a: (any Named).Type, _ b: Any.Type, _ c: AnyObject.Type, _ d: (any Named & Loud).Type)
    -> Any.Type
{ Int.self }
public protocol Parametrised<Element> { associatedtype Element }
public func constrained(_ a: any Parametrised<Int>) -> (any Parametrised<String>)? { nil }
public func pointers(
    _ a: UnsafePointer<Int>, _ b: UnsafeMutablePointer<Int8>?, _ c: UnsafeRawPointer, _ d: OpaquePointer
) -> UnsafeMutableRawBufferPointer { fatalError() }
public func cTypes(_ a: timespec, _ b: UnsafeMutablePointer<stat>, _ c: Int32, _ d: UnsafeMutablePointer<FILE>) -> pid_t
{ 0 }
public func simd(_ a: SIMD4<Float>) -> SIMD2<Double> { [1, 2] }
public func ranges(_ a: Range<Int>, _ b: ClosedRange<String>, _ c: Substring) -> ArraySlice<Int> { [] }
public func characters(_ a: Character, _ b: Unicode.Scalar, _ c: UInt8) -> Float { 1 }
public func never() -> Never { fatalError() }
public func generic<T>(_ a: T) -> T { a }
public func genericWhere<T: Named, U>(_ a: T, b: U) -> [U] where U: Hashable, U: Sendable { [] }
public func packed<each T>(_ a: repeat each T) -> (repeat each T) { (repeat each a) }
public func some(_ a: some Named) -> Int { 1 }
public func opaque() -> some Named { N() }
public func opaqueArray() -> [some Named] { [N()] }
public func noncopy(_ a: consuming Handle) -> Int { 1 }
public struct Handle: ~Copyable {
    public var x: Int
    deinit {}
    public consuming func close() -> Int { x }
    public borrowing func look() -> Int { x }
    public mutating func change() { x = 1 }
}
public struct N: Named { public var name: String { "n" } }
@MainActor public func onMain(_ a: Int) -> Int { a }
@MainActor public func onMainAsync(_ a: Int) async -> Int { a }
@globalActor public actor Custom { public static let shared = Custom() }
@Custom public func onCustom(_ a: Int) -> Int { a }
public func isolatedParameter(_ a: isolated Store2, x: Int) -> Int { x }
public func isolatedAnyActor(_ a: isolated (any Actor)?, x: Int) -> Int { x }
public func callIsolation(a: isolated (any Actor)? = #isolation) async -> Int { 1 }
public func `default`(`in` x: Int, `self` y: Int) -> Int { x }
public func `a name with spaces`(`some label` x: Int) -> Int { x }
public func `1st`() -> Int { 1 }
public func ünïcode(größe: Int) -> Int { größe }
@inline(never) func internalFunction(_ a: Int) -> Int { a &* 3 }
@inline(never) private func privateFunction(_ a: Int) -> Int { a &* 5 }
@inline(never) private func filePrivate(of a: Int) throws -> Int { a &* 7 }
private struct PrivateType {
    var a: Int
    @inline(never) func go(_ b: Int) -> Int { a &* b }
    @inline(never) static func make() -> PrivateType { PrivateType(a: 1) }
}
public func usePrivate(_ a: Int) throws -> Int {
    privateFunction(a) + (try filePrivate(of: a)) + internalFunction(a) + PrivateType(a: a).go(a) + PrivateType.make().a
}
@inline(never) private func takesPrivate(_ a: PrivateType) -> PrivateType { a }
public func usePrivate2() -> Int { takesPrivate(PrivateType(a: 1)).a }
public func local(_ a: Int) -> Int {
    @inline(never) func inner(x: Int) -> Int { x &* a }
    let c = { (x: Int) in x + a }
    return inner(x: 2) + c(1)
}
infix operator <+> : AdditionPrecedence
prefix operator √
postfix operator ❗
public func <+> (a: Item, b: Item) -> Item { a }
public prefix func √ (a: Double) -> Double { a }
public postfix func ❗ (a: Int) -> Int { a }
public func == (a: Item, b: Int) -> Bool { true }
// struct
public struct Cart {
    public var items: [Item] = []
    public private(set) var secret = 0
    public var total: Int { items.count }
    public var first: Item? {
        get { items.first }
        set { if let n = newValue { items = [n] } }
    }
    public var nonmut: Int {
        get { 1 }
        nonmutating set { print(newValue) }
    }
    public lazy var lazyOne: [Int] = [1, 2, 3]
    public var observed: Int = 0 {
        willSet { print(newValue) }
        didSet { print(oldValue) }
    }
    @Clamped public var volume: Int = 3
    public var throwingGetter: Int { get throws { 1 } }
    public var asyncGetter: Int { get async throws { 1 } }
    public static var count = 0
    public static var computed: Int {
        get { 1 }
        set { print(newValue) }
    }
    public static let constant = "x"
    public init() {}
    public init(items: [Item]) { self.items = items }
    public init?(maybe: Int) { return nil }
    public init(throwing a: Int) throws {}
    public init(waiting a: String) async {}
    public init<T>(generic: T) {}
    public func count(of name: String) -> Int { items.count }
    public mutating func add(_ item: Item) { items.append(item) }
    public consuming func drain() -> [Item] { items }
    public __consuming func drain2() -> [Item] { items }
    public borrowing func peek() -> Int { items.count }
    public func asyncMethod(_ a: Int) async throws -> String { "" }
    public mutating func asyncMutating(_ a: Int) async throws -> String { "" }
    public static func make(of item: Item) -> Cart { Cart(items: [item]) }
    public static func < (a: Cart, b: Cart) -> Bool { true }
    public static prefix func - (a: Cart) -> Cart { a }
    public static func += (a: inout Cart, b: Item) { a.add(b) }
    public subscript(index: Int) -> Item {
        get { items[index] }
        set { items[index] = newValue }
    }
    public subscript(named name: String, default d: Item) -> Item { items[0] }
    public subscript(pair: (Int, Int)) -> Int { get throws { 1 } }
    public static subscript(x: Int) -> String {
        get { "" }
        set {}
    }
    public subscript<T>(g: T) -> T { g }
    public func generic<T>(_ a: T) -> T { a }
    public func returnsSelf() -> Self { self }
    public func takesSelf(_ a: Self) -> Self { a }
    public func callAsFunction(_ a: Int) -> Int { a }
    public struct Line {
        public var a: Int
        public func show(_ b: Int) -> String { "" }
        public enum Mode: Int {
            case on, off
            public var flag: Bool { self == .on }
            public mutating func toggle() { self = .off }
        }
    }
}
@propertyWrapper public struct Clamped {
    public var wrappedValue: Int { didSet { wrappedValue = min(wrappedValue, 5) } }
    public init(wrappedValue: Int) { self.wrappedValue = wrappedValue }
    public var projectedValue: Clamped { self }
}
@dynamicMemberLookup public struct Dyn { public subscript(dynamicMember name: String) -> Int { 1 } }
public enum Payment {
    case cash(Int)
    case card(number: String, code: Int)
    case free
    public init(amount: Int) { self = .cash(amount) }
    public func fee(rate: Double) -> Double { rate }
    public mutating func waive() { self = .free }
    public static func parse(_ s: String) throws -> Payment { .free }
    public var isFree: Bool { true }
}
public class Store {
    public var stock: [String: Int] = [:]
    public final var finalStock = 1
    public var computed: Int {
        get { 1 }
        set {}
    }
    public lazy var lazyOne = [1]
    public weak var other: Store?
    public unowned var owner: Store?
    public init() {}
    public init(name: String) {}
    public required init(req: Int) {}
    public convenience init(conv: Int) { self.init() }
    public init?(maybe: Int) {}
    public init(throwing: Int) throws {}
    public init(asyncInit: Int) async {}
    public func buy(_ item: String, count: Int) throws -> Int { count }
    public final func finalMethod(_ a: Int) -> Int { a }
    public class func classMethod(_ a: Int) -> Int { a }
    public static func staticMethod(_ a: Int) -> Int { a }
    public func returnsSelf() -> Self { self }
    public static func makeSelf() -> Self { fatalError() }
    public subscript(x: Int, y y: Int) -> Int {
        get { x }
        set {}
    }
    public class var classVar: Int {
        get { 1 }
        set {}
    }
    @MainActor public func mainMethod(_ a: Int) -> Int { a }
    public func asyncMethod(_ a: Int) async throws -> Int { a }
    public func takesClosure(_ f: @escaping (Store) -> Void) { f(self) }
    deinit { print("x") }
    public class Inner {
        public init(a: Int) {}
        public func go() -> Int { 1 }
    }
}
public final class Branch: Store {
    public override func buy(_ item: String, count: Int) throws -> Int { 2 }
    public override var computed: Int {
        get { 2 }
        set {}
    }
}
public actor Store2 {
    public var balance = 0
    public init() {}
    public init(start: Int) async { balance = start }
    public func deposit(_ a: Int) -> Int {
        balance += a
        return balance
    }
    public func transfer(to other: Store2, amount: Int) async throws -> Int { await other.deposit(amount) }
    public nonisolated func describe(_ a: Int) -> String { "" }
    public static func open() -> Store2 { Store2() }
    public var doubled: Int { balance * 2 }
    public subscript(i: Int) -> Int { i }
}
@MainActor public final class View {
    public var title = ""
    public init() {}
    public func render(_ w: Int) -> String { title }
    nonisolated public func id() -> Int { 1 }
}
public struct Box<T> {
    public var value: T
    public init(value: T) { self.value = value }
    public func get() -> T { value }
    public static func make(_ a: T) -> Box { Box(value: a) }
    public struct In { public func go() -> Int { 1 } }
}
public class GBox<T> {
    public var v: T
    public init(v: T) { self.v = v }
    public func get(_ a: Int) -> T { v }
}
extension Box where T == Int { public func sum() -> Int { value } }
extension Dictionary where Key == String { public func keyCount() -> Int { count } }
extension Sequence where Self == [Int] { public func same() -> Int { 1 } }
public enum Either<A, B> { case a(A), b(B) }
extension Either where A == Int, B: Equatable { public func half() -> Int { 1 } }
extension Either where A == B { public func alike() -> Int { 1 } }
extension Either where A == [B], B == Int { public func both(_ x: A) -> B { 1 } }
extension Box { public func inExtension(_ a: Int) -> Int { a } }
public func takesBox(_ a: Box<Int>, _ b: Box<Box<String>>.In, _ c: GBox<[Int?]>) -> Box<(Int, String)> { fatalError() }
extension Named {
    public func constrained(_ a: inout any Collection<Int>) -> any Sequence<[String]> { [] }
    public func greet(_ a: Int) -> String { name }
    public var length: Int { name.count }
    public static func kind(_ a: Int) -> String { "" }
}
extension Named where Self: Loud { public func both() -> Int { 1 } }
extension Priced { public func half() -> Int { price } }
extension Array where Element == Int { public func total() -> Int { reduce(0, +) } }
extension Array { public func second() -> Element? { nil } }
extension String {
    public func shout(_ a: Int) -> String { self }
    public var vowels: Int { 1 }
    public static func make(_ a: Int) -> String { "" }
    public init(item: Item) { self = "" }
    public mutating func chop() {}
    public subscript(x: Int) -> Int { 1 }
    public struct Nested { public func hi(_ a: Int) -> Int { a } }
}
extension Int: Named { public var name: String { "i" } }
extension Int {
    public func times(_ f: () -> Void) {}
    public init(weird: String) { self = 1 }
}
extension Unicode.Scalar { public func odd() -> Bool { false } }
extension timespec { public func seconds() -> Int { 1 } }
extension Optional where Wrapped == Int { public func orZero() -> Int { 1 } }
extension Cart: CustomStringConvertible { public var description: String { "" } }
extension Payment: Equatable { public static func == (a: Payment, b: Payment) -> Bool { true } }
extension Item: Hashable, Codable, Comparable { public static func < (a: Item, b: Item) -> Bool { true } }
public func prices(of items: Item...) async throws -> [String: (Int, Item?)] { [:] }
public func keypaths(_ a: KeyPath<Item, Int>, _ b: WritableKeyPath<Cart, [Item]>) -> AnyKeyPath { a }
public func taskLike(_ a: Task<Int, any Error>, _ b: TaskPriority) -> AsyncStream<Int> { fatalError() }
public func durations(_ a: Duration, _ b: ContinuousClock.Instant) -> Mirror.DisplayStyle { .struct }
public func unmanagedRef(_ a: Unmanaged<Store>, _ b: ObjectIdentifier) -> ManagedBuffer<Int, Int> { fatalError() }
public var globalVar = 3
public var globalComputed: Int {
    get { 1 }
    set {}
}
public let globalLet = Item(name: "x", price: 1)
public func large(_ a: (Int, Int, Int, Int, Int, Int), b: Float80, c: Int128, d: UInt128) -> (Int, Int, Int, Int, Int) {
    (0, 0, 0, 0, 0)
}
public func inlineArray(_ a: InlineArray<4, Int>) -> InlineArray<2, String> { fatalError() }
public func span(_ a: Span<Int>) -> Int { 1 }
public typealias Handler = (Int, String) -> Void
public func aliased(_ h: @escaping Handler) -> Handler? { h }
public func implicitly(_ a: Int!) -> String! { nil }
public struct Mod {
    public var raw: Int {
        _read { yield stored }
        _modify { yield &stored }
    }
    var stored = 1
}
@available(*, deprecated) @_silgen_name("plain_c_name") public func silgen(_ a: Int) -> Int { a }
@_cdecl("c_entry") public func cdecl(_ a: Int32) -> Int32 { a }
public struct Cell {
    public enum `Type` { case a, b }
    var x: Int
    private init(hidden: Int) { x = hidden }
    public static func make() -> Cell { Cell(hidden: 1) }
    public func kind(_ type: `Type`) -> Int { x }
    public func meta(_ type: Cell.Type, _ other: `Type`) -> Int { x }
    public func metatype(_ type: Int.Type) -> Int { x }
    public func abbreviated(_ type: CellType, _ other: `Type`) -> Int { x }
    public struct TypeDescriptor {}
}
public struct CellType {}
public struct ProtocolDescriptor {}
public struct Packed<each T> { public init() {} }
public func descriptors(_ a: Cell.TypeDescriptor, _ b: Cell.Type, _ c: ProtocolDescriptor) -> Any.Type { Int.self }
public func packs(_ a: Packed<Int, String>, _ b: Packed<>) -> Packed<[Packed<Int>]> { Packed() }

@Sendable public func sendable(_ a: Int, _ b: String) throws -> Int { a }
extension SerialExecutor { public func executorName() -> String { "\(self)" } }
extension TaskPriority { public func priorityName(_ a: Int) -> String { "\(self)" } }
extension ObjectIdentifier { public func identifierName() -> String { "\(self)" } }
