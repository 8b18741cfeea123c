// Members: where self goes depends on what it is.

public final class Account {
    public let token: Token
    public var balance: Int
    public init(_ id: Int) { (token, balance) = (Token(id), id * 100) }

    @inline(never) @_optimize(none) public func deposit(_ amount: Int, _ note: String) throws -> Int {
        if amount < 0 { throw Failure(token.id) }
        balance += amount
        return balance + note.count
    }

    @inline(never) @_optimize(none) public consuming func close(_ note: Token) -> Item { Item(token.id, note.id) }

    @inline(never) @_optimize(none) public class func make(_ id: Int) -> Account { Account(id) }

    public var summary: String {
        @inline(never) @_optimize(none) get { "account \(token.id) with \(balance)" }
    }

    public var owner: Item {
        @inline(never) @_optimize(none) get { Item(token.id, balance) }
        @inline(never) @_optimize(none) set { balance = newValue.price }
    }
}
@inline(never) public func callClose() -> String { "\(Account(3).close(Token(4)))" }
@inline(never) public func callDeposit() -> String {
    attempt { try Account(1).deposit(5, "six") } + attempt { try Account(2).deposit(-1, "") }
}
@inline(never) public func callMake() -> String { Account.make(3).summary }
@inline(never) public func callOwner() -> String {
    let account = Account(1)
    account.owner = Item(2, 30)
    return "\(account.owner) \(account.balance)"
}

/// Two words: self is passed in registers, after the arguments.
public struct Counter: CustomStringConvertible {
    public var token: Token
    public var value: Int
    public var description: String { "counter \(token.id) at \(value)" }

    @inline(never) @_optimize(none) public init(_ token: Token, from value: Int) {
        self.token = token
        self.value = value
    }

    public init(unpatched token: Token, _ value: Int) {
        self.token = token
        self.value = value
    }

    @inline(never) @_optimize(none) public func distance(to value: Int, _ scale: Double) -> Double {
        Double(value - self.value) * scale
    }

    @inline(never) @_optimize(none) public mutating func increment(by step: Int) -> Counter {
        let old = self
        value += step
        return old
    }

    @inline(never) @_optimize(none) public consuming func finish(_ label: String) -> Item {
        Item(token.id, value + label.count)
    }

    @inline(never) @_optimize(none) public static func sum(_ a: Counter, _ b: Counter) -> Int { a.value + b.value }

    @inline(never) @_optimize(none) public static func + (a: Counter, b: Counter) -> Counter {
        Counter(b.token, from: a.value + b.value)
    }

    public var label: String {
        @inline(never) @_optimize(none) get { "label \(value)" }
        @inline(never) @_optimize(none) set { value = newValue.count }
    }

    public var checked: Int {
        @inline(never) @_optimize(none) get throws {
            if value < 0 { throw Failure(value) }
            return value
        }
    }

    public subscript(index: Int, note: String) -> Token {
        @inline(never) @_optimize(none) get { index == value ? token : Token(note.count) }
        @inline(never) @_optimize(none) set {
            token = newValue
            value = index + note.count
        }
    }
}
@inline(never) public func callInit() -> String { "\(Counter(Token(1), from: 2))" }
@inline(never) public func callDistance() -> String { "\(Counter(Token(1), from: 2).distance(to: 12, 0.5))" }
@inline(never) public func callIncrement() -> String {
    var counter = Counter(Token(1), from: 2)
    let old = counter.increment(by: 3)
    return "\(old) \(counter)"
}
@inline(never) public func callFinish() -> String { "\(Counter(Token(1), from: 2).finish("abc"))" }
@inline(never) public func callSum() -> String {
    "\(Counter.sum(Counter(Token(1), from: 2), Counter(Token(3), from: 4)))"
}
@inline(never) public func callPlus() -> String { "\(Counter(Token(1), from: 2) + Counter(Token(3), from: 4))" }
@inline(never) public func callLabel() -> String {
    var counter = Counter(Token(1), from: 2)
    counter.label = "four, and long enough for the heap"
    return "\(counter) \(counter.label)"
}
@inline(never) public func callChecked() -> String {
    attempt { try Counter(Token(1), from: 2).checked } + attempt { try Counter(Token(1), from: -2).checked }
}
@inline(never) public func callSubscript() -> String {
    var counter = Counter(Token(1), from: 2)
    counter[3, "note"] = Token(4)
    return "\(counter) \(counter[7, ""]) \(counter[8, "abc"])"
}

/// Too large for registers: self is a pointer.
extension Large {
    @inline(never) @_optimize(none) public func total(_ extra: Int) -> Int { a + b + c + d + e + extra }
    @inline(never) @_optimize(none) public mutating func shift(_ by: Item) { a += by.price }
}
@inline(never) public func callTotal() -> String { "\(Large(1).total(100))" }
@inline(never) public func callShift() -> String {
    var large = Large(1)
    large.shift(Item(2, 3))
    return "\(large)"
}

extension Observer {
    @inline(never) @_optimize(none) public func seen(_ n: Int) -> String { "\(count + n) \(token == nil)" }
}
@inline(never) public func callSeen() -> String { Observer(nil, 1).seen(2) }

extension Shape {
    @inline(never) @_optimize(none) public func scaled(_ by: Double) -> Shape {
        if case .circle(let radius) = self { .circle(radius * by) } else { self }
    }
}
@inline(never) public func callScaled() -> String {
    "\(Shape.circle(2).scaled(3)) \(Shape.named("a", Token(1)).scaled(0))"
}

/// A float and a vector as self.
extension Point {
    @inline(never) @_optimize(none) public func moved(_ by: Double, _ name: String) -> Point {
        Point(x + by, y + Double(name.count))
    }
}
@inline(never) public func callMoved() -> String { "\(Point(1, 2).moved(3, "four"))" }

// Methods of protocols: the function takes the type of self and its witness table.
extension Named {
    @inline(never) @_optimize(none) public func greet(_ greeting: String, _ times: Int) throws -> String {
        if times < 0 { throw Failure(times) }
        return "\(greeting) \(name) \(times) times"
    }
    @inline(never) @_optimize(none) public mutating func rename(_ id: Int) -> String { "\(name) \(id)" }
    @inline(never) @_optimize(none) public func pass(
        _ a: Int, _ b: Int, _ c: Int, _ d: Int, _ e: Int, _ f: Int, _ g: Int, _ h: Int
    ) -> Item { Item(a + b + c + d + e + f + g + h, name.count) }
    public var initial: Character { @inline(never) @_optimize(none) get { name.first ?? "?" } }
}
extension Kept {
    @inline(never) @_optimize(none) public func greet(_ greeting: String) -> String { "\(greeting) \(name)" }
    public var note: String {
        @inline(never) @_optimize(none) get { "\(name) is kept" }
        @inline(never) @_optimize(none) set { unpatchedNotes.append("\(newValue) for \(name)") }
    }
}
nonisolated(unsafe) public var unpatchedNotes: [String] = []

@inline(never) public func callGreet() -> String {
    attempt { try Item(1, 2).greet("good day", 3) } + attempt { try Large(4).greet("", 5) }
        + attempt { try Item(6, 7).greet("hello", -8) }
}
@inline(never) public func callPass() -> String { "\(Large(9).pass(1, 2, 3, 4, 5, 6, 7, 8))" }
@inline(never) public func callInitial() -> String { "\(Item(1, 2).initial)\(Large(4).initial)" }
@inline(never) public func callKept() -> String { Keeper(3).greet("good day") + Keeper(4).greet("hello") }
@inline(never) public func callNote() -> String {
    unpatchedNotes = []
    Keeper(3).note = "a note"
    return Keeper(4).note + unpatchedNotes.joined()
}
