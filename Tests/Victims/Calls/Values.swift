// What the functions here take and return. The fields are chosen for what they become in registers.

import Synchronization

/// An object that is counted while it lives.
public final class Token: Sendable {
    public let id: Int
    private static let count = Atomic<Int>(0)

    public static var living: Int { count.load(ordering: .sequentiallyConsistent) }

    public init(_ id: Int) {
        self.id = id
        Self.count.add(1, ordering: .sequentiallyConsistent)
    }

    deinit { Self.count.subtract(1, ordering: .sequentiallyConsistent) }
}

extension Token: CustomStringConvertible {
    public var description: String { "token \(id)" }
}

public struct Failure: Error, CustomStringConvertible {
    public let token: Token
    public init(_ id: Int) { token = Token(id) }
    public var description: String { "failure \(token.id)" }
}

/// Two words, one of them counted.
public struct Item: CustomStringConvertible {
    public var token: Token
    public var price: Int
    public init(_ id: Int, _ price: Int) { (token, self.price) = (Token(id), price) }
    public var description: String { "item \(token.id) at \(price)" }
}

/// Too large for registers.
public struct Large: CustomStringConvertible {
    public var token: Token
    public var a, b, c, d, e: Int
    public init(_ id: Int) { (token, a, b, c, d, e) = (Token(id), id, id + 1, id + 2, id + 3, id + 4) }
    public var description: String { "large \(token.id) \(a) \(b) \(c) \(d) \(e)" }
}

/// Small integers that share a word, and numbers that do not.
public struct Mixed: CustomStringConvertible {
    public var a: Int8
    public var b: Bool
    public var c: Float
    public var d: Double
    public var e: UInt16
    public init(_ n: Int) { (a, b, c, d, e) = (Int8(n), n % 2 == 0, Float(n) / 2, Double(n) / 4, UInt16(n)) }
    public var description: String { "mixed \(a) \(b) \(c) \(d) \(e)" }
}

/// Three bytes.
public struct Colour: CustomStringConvertible {
    public var red, green, blue: UInt8
    public init(_ n: UInt8) { (red, green, blue) = (n, n + 1, n + 2) }
    public var description: String { "colour \(red) \(green) \(blue)" }
}

public struct Point: CustomStringConvertible {
    public var x, y: Double
    public init(_ x: Double, _ y: Double) { (self.x, self.y) = (x, y) }
    public var description: String { "(\(x), \(y))" }
}

/// Can only be moved by its own type.
public struct Observer: CustomStringConvertible {
    public weak var token: Token?
    public var count: Int
    public init(_ token: Token?, _ count: Int) { (self.token, self.count) = (token, count) }
    public var description: String { "observer of \(token.map { "\($0)" } ?? "nothing") \(count)" }
}

public enum Shape: CustomStringConvertible {
    case circle(Double)
    case named(String, Token)
    case nothing
    public var description: String {
        switch self {
        case .circle(let radius): "circle \(radius)"
        case .named(let name, let token): "\(name) \(token)"
        case .nothing: "nothing"
        }
    }
}

public enum Weekday: Int, CustomStringConvertible {
    case monday, tuesday, sunday
    public var description: String { "day \(rawValue)" }
}

public indirect enum Tree: CustomStringConvertible {
    case leaf(Token)
    case node(Tree, Tree)
    public var description: String {
        switch self {
        case .leaf(let token): "\(token)"
        case .node(let left, let right): "[\(left), \(right)]"
        }
    }
}

public protocol Named { var name: String { get } }
public protocol Kept: AnyObject { var name: String { get } }

extension Item: Named { public var name: String { "\(self)" } }
extension Large: Named { public var name: String { "\(self)" } }

public final class Keeper: Kept {
    public let token: Token
    public init(_ id: Int) { token = Token(id) }
    public var name: String { "keeper of \(token)" }
}

/// Passed by address: that its property is an `Item` is no part of the convention.
public struct Opaque {
    public let named: some Named = Item(1, 2)
    public let number: Int
    public init(_ number: Int) { self.number = number }
}

/// A property that is not stored changes nothing.
public struct Transparent {
    public var named: some Named { Item(number, number) }
    public var number: Int
    public init(_ number: Int) { self.number = number }
}

public struct Around<Value> {
    public var opaque: Opaque
    public var value: Value
    public init(_ value: Value) { (opaque, self.value) = (Opaque(7), value) }
}

public struct Unclear<Value> {
    public let names: [some Named] = [Item(1, 2)]
    public var value: Value
    public init(_ value: Value) { self.value = value }
}

public enum Payload {
    case opaque(Opaque)
    case nothing
}
