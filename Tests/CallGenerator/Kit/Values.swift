// Part of every generated target module: what all its functions take, say and count.

import Glibc
import Synchronization

/// An object that is counted while it lives, and numbered in the order in which objects are made: two runs of the same call make
/// the same objects, so that the same numbers mean the same identities.
public class Token: P, CP, Q {
    public private(set) var id: Int
    private let serial: Int
    private static let count = Atomic<Int>(0)

    public static var living: Int { count.load(ordering: .sequentiallyConsistent) }

    public init(_ id: Int) {
        self.id = id
        serial = CallLog.current.number()
        Self.count.add(1, ordering: .sequentiallyConsistent)
    }

    deinit {
        // Whoever uses it after its end tells.
        id = -666
        Self.count.subtract(1, ordering: .sequentiallyConsistent)
    }

    public var text: String { "t\(id)#\(serial)" }
}

public final class SubToken: Token {
    public override var text: String { "sub-" + super.text }
}

public struct Failure: Error, P {
    public let token: Token
    public let code: Int
    public init(_ code: Int) { (token, self.code) = (Token(code), code) }
    public var text: String { "failure \(code) \(token.text)" }
}

public enum SmallFailure: Error, P {
    case one
    case two(Int)
    public var text: String {
        switch self {
        case .one: "one"
        case .two(let n): "two \(n)"
        }
    }
}

// MARK: Protocols

public protocol P { var text: String { get } }
public protocol Q { var text: String { get } }
public protocol CP: AnyObject { var text: String { get } }
public protocol Holder<Item> {
    associatedtype Item
    var item: Item { get }
    var text: String { get }
}

/// One word that is no object.
public struct Word: P, Q, Holder {
    public var item: Int
    public init(_ n: Int) { item = n }
    public var text: String { "word \(item)" }
}

/// Too large for an existential to hold in itself.
public struct Wide: P, Q, Holder {
    public var item: Int
    public var token: Token
    public var a, b, c: Int
    public init(_ n: Int) { (item, token, a, b, c) = (n, Token(n), n &+ 1, n &+ 2, n &+ 3) }
    public var text: String { "wide \(item) \(a) \(b) \(c) \(token.text)" }
}

// MARK: Generic types

public struct Box<T> {
    public var value: T
    public init(_ value: T) { self.value = value }
}

public struct Pair<A, B> {
    public var first: A
    public var second: B
    public init(_ first: A, _ second: B) { (self.first, self.second) = (first, second) }
}

public struct Outer<A> {
    public struct Inner<B> {
        public var outer: A
        public var inner: B
        public init(_ outer: A, _ inner: B) { (self.outer, self.inner) = (outer, inner) }
    }
}

public enum Either<A, B> {
    case first(A)
    case second(B)
    case neither
}

public final class Cell<T> {
    public var value: T
    public let token: Token
    public init(_ value: T, _ n: Int) { (self.value, token) = (value, Token(n)) }
}

public struct Nothing {
    public init() {}
}

/// Whose methods its executor runs.
public actor Vault {
    nonisolated public let token: Token
    public init(_ n: Int) { token = Token(n) }
    nonisolated public var text: String { "vault of \(token.text)" }
}

/// A global actor that is not the main one.
@globalActor public actor Racer { public static let shared = Racer() }

// MARK: What a call says

/// Everything that is seen during a call, in order. Of a task and its children, or of the whole process.
public final class CallLog: @unchecked Sendable {
    @TaskLocal public static var current = CallLog()

    fileprivate var lines: [String] = []
    /// Objects that only weak and unowned references are made to.
    fileprivate var kept: [Token] = []
    /// Whether throwing functions throw.
    fileprivate var failing = false
    private var serials = 0

    public init() {}

    /// Numbers the objects of a call from 0.
    fileprivate func number() -> Int {
        serials += 1
        return serials - 1
    }

    fileprivate func begin(failing: Bool) {
        (lines, kept, serials) = ([], [], 0)
        self.failing = failing
    }
}

/// Starts to listen.
@inline(never) public func begin(_ k: Int) { CallLog.current.begin(failing: k & 1 != 0) }

@inline(never) public func note(_ text: String) { CallLog.current.lines.append(text) }

public var failing: Bool { CallLog.current.failing }

/// All that was said.
@inline(never) public func finish() -> String {
    let text = CallLog.current.lines.joined(separator: "; ")
    CallLog.current.begin(failing: false)
    return text
}

@inline(never) public func kept(_ n: Int) -> Token {
    let token = Token(n)
    CallLog.current.kept.append(token)
    return token
}

/// Gives up the thread, in one of several ways, and says whether the task is cancelled.
@inline(never) public func suspend(_ n: Int) async {
    switch choose(n, 4) {
    case 0: await Task.yield()
    case 1:
        await withCheckedContinuation { continuation in
            Task.detached { continuation.resume() }
        }
    case 2:
        async let child: Void = note("child")
        await child
    default:
        await withTaskGroup(of: Int.self) { group in
            for number in 0..<3 { group.addTask { number } }
            for await _ in group {}
        }
    }
    if Task.isCancelled { note("cancelled") }
}

/// Bits that look like chance, the same for the same number. Steele, Lea, Flood: SplitMix64.
@inline(never) public func mix(_ n: Int) -> UInt64 {
    var value = UInt64(bitPattern: Int64(n)) &* 0x9e37_79b9_7f4a_7c15
    value = (value ^ (value >> 30)) &* 0xbf58_476d_1ce4_e5b9
    value = (value ^ (value >> 27)) &* 0x94d0_49bb_1331_11eb
    return value ^ (value >> 31)
}

@inline(never) public func choose(_ n: Int, _ count: Int) -> Int { Int(mix(n) % UInt64(count)) }

@inline(never) public func makeString(_ n: Int) -> String {
    switch choose(n, 4) {
    case 0: ""
    case 1: "s\(n)"
    case 2: "a string that is long enough for the heap, \(n)"
    default: "é\(n)…"
    }
}

/// A number without rounding in any of the formats.
@inline(never) public func makeDouble(_ n: Int) -> Double { Double(Int8(truncatingIfNeeded: mix(n))) / 4 }

@inline(never) public func join(_ parts: String...) -> String { "(" + parts.joined(separator: ",") + ")" }

@inline(never) public func makeAny(_ n: Int) -> Any {
    switch choose(n, 6) {
    case 0: n
    case 1: Token(n)
    case 2: Wide(n)
    case 3: makeString(n)
    case 4: (n, Token(n))
    default: Word(n)
    }
}

@inline(never) public func describe(_ any: Any) -> String {
    switch any {
    case let value as any P: value.text
    case let value as (Int, Token): "pair \(value.0) \(value.1.text)"
    default: "\(any)"
    }
}

@inline(never) public func makeError(_ n: Int) -> any Error {
    switch choose(n, 3) {
    case 0: Failure(n)
    case 1: SmallFailure.two(n)
    default: SmallFailure.one
    }
}
