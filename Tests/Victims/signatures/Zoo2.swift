// More of Zoo.swift's: what reads like something else, locals, generics.
import Distributed

public func useLocal(_ a: Int) -> Int {
    struct Local {
        var x: Int
        @inline(never) func go(_ b: Int) -> Int { x &* b }
        @inline(never) static func mk() -> Local { Local(x: 1) }
        @inline(never) init(x: Int) { self.x = x }
        var p: Int { @inline(never) get { x } }
    }
    @inline(never) func gen<T>(_ t: T) -> T { t }
    class LC { func m() -> Int { 1 } }
    return Local(x: a).go(3) + Local.mk().p + gen(1) + LC().m()
}
infix operator <*>
public func <*> <A: Equatable>(a: A, b: A) -> Bool { a == b }
public func ... (a: String, b: Int) -> Int { 1 }
public struct V {
    public var handler: (Int) -> Int = { $0 }
    public var optionalHandler: ((Int, String) throws -> Void)?
    public var tuple: (Int, String) = (1, "")
    public var `subscript`: (Int) -> Int { { $0 } }
    public var getter: Int = 1
    public var opaque: some Equatable { 1 }
    public static func ..< (a: V, b: V) -> Int { 1 }
    public static func generic<T>(_ a: T) {}
    public subscript<T>(a: T, b: Int) -> Int where T: Equatable {
        get { 1 }
        set {}
    }
    public subscript() -> Int { 1 }
    public var acc: Int {
        @storageRestrictions(initializes: st) init { st = newValue }
        get { st }
        set { st = newValue }
    }
    var st: Int
    public func selfish() -> Self? { self }
    public func arr(_ a: [Self]) -> [Self] { a }
    public var any: any Equatable { 1 }
    public func getter(_ a: Int) -> Int { 1 }
    public func `init`(_ a: Int) -> Int { 1 }
    public func `subscript`(_ a: Int) -> Int { 1 }
    public var `init`: Int { 1 }
}
public class K {
    public func me() -> Self { self }
    public func maybe() -> Self? { self }
    public init() {}
    public func takes(_ a: [K]) {}
    public class func cm() -> Self? { nil }
    deinit {}
    public func `deinit`() {}
}
public protocol Pr {
    func req(_ a: Int) -> Int
    static func sreq() -> Int
    init(x: Int)
    var p: Int { get set }
    subscript(i: Int) -> Int { get }
}
extension Pr {
    public func req(_ a: Int) -> Int { a }
    public mutating func mut() {}
    public func ret() -> Self { self }
    public var q: Int {
        get { 1 }
        set {}
    }
    public func gen<T>(_ a: T) -> T { a }
    public subscript(j j: Int) -> Int {
        get { 1 }
        set {}
    }
    public init(y: Int) { self.init(x: y) }
}
public protocol PC: AnyObject {}
extension PC { public func cls(_ a: Int) -> Int { a } }
public protocol Assoc { associatedtype E }
extension Assoc { public func e(_ a: E) -> E { a } }
extension Assoc where E == Int { public func eInt(_ a: E) -> E { a } }
public indirect enum Tree {
    case leaf(Int)
    case node(Tree, Tree)
    public func depth(of t: Tree) -> Int { 1 }
}
public distributed actor DA {
    public typealias ActorSystem = LocalTestingDistributedActorSystem
    public distributed func hello(_ a: Int) async throws -> String { "" }
    distributed func sync2(_ a: Int) -> Int { a }
}
extension Int {
    public struct Nest {
        public struct Deep {
            public func f(_ a: Int) -> Int { a }
            public static func s(_ a: Int) -> Int { a }
        }
        private enum Pv {
            case a
            @inline(never) func f() -> Int { 1 }
        }
        public func u() -> Int { Pv.a.f() }
    }
}
extension V {
    public enum Inner {
        case a
        public func f(_ v: V, _ i: Inner) -> Inner { i }
    }
}
public enum Namespace {
    public static func f(_ a: Int) -> Int { a }
    public static var v: Int {
        get { 1 }
        set {}
    }
    public static func mk(_ a: inout [V]) throws -> V? { nil }
    public static func asy(_ a: Int) async -> Int { 1 }
    public class Deep {
        public enum E {
            case x
            public init?(s: String) { return nil }
            public func g(_ f: (Namespace.Deep) -> E) -> (E, E)? { nil }
        }
    }
}
public func kp() -> (KeyPath<V, Int>, WritableKeyPath<V, Int>) { (\V.acc, \V.acc) }
public func optFn(_ a: (() -> Void)?, _ b: ((Int) -> Void)? = nil, c: [() -> Int], d: [String: (Int) -> Void]) -> (
    () -> Void
)?? { nil }
public func higher(_ a: @escaping (@escaping (Int) -> Void) -> Void) -> ((Int) -> (Int) -> Int) {
    { a in { b in a + b } }
}
public func fnThrows(_ a: @escaping (Int) async throws -> (Int, String?)) {}
public func noncopyableExistential(_ a: borrowing any ~Copyable) {}
public func suppressed<T: ~Copyable>(_ a: borrowing T) {}
public func actorAny(_ a: any Actor, _ b: any DistributedActor) {}
public func dict(_ a: [String: [Int?]]?, _ b: [[String]: Set<[Int]>]) -> [AnyHashable: Any]? { nil }
public func result(_ a: Result<Int, any Error>) -> Result<[String], Never> { fatalError() }
public func metaOfTuple(_ a: (Int, Int).Type, _ b: [Int].Type, _ c: Int?.Type, _ d: ((Int) -> Int).Type) {}
public func nestedOpt(_ a: Int???) {}
public func voidParam(_ a: Void, _ b: ()) {}
public func neverParam(_ a: Never) {}
public func inoutTuple(_ a: inout (Int, String)) {}
public func inoutOptional(_ a: inout Int?, _ b: inout any Equatable) {}
public func constrainedAny(_ a: any Collection<Int>, _ b: any Sequence<[String]> & Sendable) -> any IteratorProtocol<
    Int?
> { fatalError() }
public func anyMeta(_ a: any Any.Type, _ b: any (Equatable & Sendable).Type) {}
public func sendableDict(_ a: [String: any Sendable], _ b: @Sendable ([any Sendable]) -> any Sendable) {}
public func throwsOf(_ a: () throws(Never) -> Void) {}
extension Optional where Wrapped: Collection { public var isNilOrEmpty: Bool { true } }
extension Result { public func succeeded() -> Bool { true } }
extension Collection { public func third() -> Element? { nil } }
extension Sequence where Element == Int { public func plus() -> Int { 0 } }
extension Dictionary where Key == String { public func lookup(_ a: String) -> Value? { nil } }
@available(*, unavailable) public func unavailable() {}
@inlinable public func inlinable(_ a: Int) -> Int { a }
@_transparent public func transparentF(_ a: Int) -> Int { a }
public let topLevel: Int = { 5 }()
public struct Lz {
    public static let shared = Lz()
    public static var mutableShared = [1]
    public lazy var z = { 1 }()
    public init() {}
}
public struct Bo {
    public init(_ a: borrowing String, b: __shared String, c: consuming String) {}
    public var x: String {
        get { "" }
        set(v) {}
    }
}
@MainActor public final class IsoDeinit { isolated deinit { print("x") } }
