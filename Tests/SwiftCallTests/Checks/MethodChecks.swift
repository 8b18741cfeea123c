import HotpatchCalls
import Hotpatch
import HotpatchSwiftCall

private let method = CallShape(self: .borrowed)
private let opened = CallShape(self: .opened)
private let mutating = CallShape(self: .inout)
private let setter = CallShape(self: .inout, ownsParameters: true)
private let initialiser = CallShape(self: .metatype, ownsParameters: true)

public let methodChecks: [CallCheck] = [
    check(
        "HotpatchCalls.Account.close", CallShape(self: .consuming), callClose, as: ((Account, Token) -> Item).self,
        { "\($0(Account(3), Token(4)))" }, replacement: { Item($1.id, $0.token.id * 10) }),
    check(
        "HotpatchCalls.Account.deposit", method, callDeposit, as: ((Account, Int, String) throws -> Int).self,
        { f in attempt { try f(Account(1), 5, "six") } + attempt { try f(Account(2), -1, "") } },
        replacement: { account, amount, note in
            if amount > 0 { throw Failure(account.balance + note.count) }
            return amount
        }),
    check(
        "HotpatchCalls.Account.make", CallShape(self: .metatype), callMake, as: ((Account.Type, Int) -> Account).self,
        { $0(Account.self, 3).summary },
        replacement: { type, id in type == Account.self ? Account(id * 10) : Account(0) }),
    check(
        "HotpatchCalls.Account.summary.getter", method, callMake, as: ((Account) -> String).self,
        { $0(Account.make(3)) },
        replacement: { "replaced \($0.balance)" }),
    check(
        "HotpatchCalls.Account.owner.setter", CallShape(self: .borrowed, ownsParameters: true), callOwner,
        as: ((Account, Item) -> Void).self,
        { f in
            let account = Account(1)
            f(account, Item(2, 30))
            return "\(account.owner) \(account.balance)"
        },
        replacement: { $0.balance = $1.token.id * 1000 }),
    check(
        "HotpatchCalls.Counter.init(_:from:)", initialiser, callInit, as: ((Counter.Type, Token, Int) -> Counter).self,
        { "\($0(Counter.self, Token(1), 2))" },
        replacement: { _, token, value in
            Counter(unpatched: Token(value), token.id)
        }),
    check(
        "HotpatchCalls.Counter.distance", method, callDistance, as: ((Counter, Int, Double) -> Double).self,
        { "\($0(Counter(Token(1), from: 2), 12, 0.5))" }, replacement: { Double($0.value * $1) / $2 }),
    check(
        "HotpatchCalls.Counter.increment", mutating, callIncrement, as: ((inout Counter, Int) -> Counter).self,
        { f in
            var counter = Counter(Token(1), from: 2)
            let old = f(&counter, 3)
            return "\(old) \(counter)"
        },
        replacement: { counter, step in
            counter = Counter(Token(step), from: counter.value * step)
            return counter
        }),
    check(
        "HotpatchCalls.Counter.finish", CallShape(self: .consuming), callFinish, as: ((Counter, String) -> Item).self,
        { "\($0(Counter(Token(1), from: 2), "abc"))" }, replacement: { Item($1.count, $0.value + $0.token.id) }),
    check(
        "HotpatchCalls.Counter.sum", CallShape(self: .metatype), callSum,
        as: ((Counter.Type, Counter, Counter) -> Int).self,
        { "\($0(Counter.self, Counter(Token(1), from: 2), Counter(Token(3), from: 4)))" },
        replacement: { $1.token.id * $2.token.id * 100 }),
    check(
        "HotpatchCalls.Counter.+", CallShape(self: .metatype), callPlus,
        as: ((Counter.Type, Counter, Counter) -> Counter).self,
        { "\($0(Counter.self, Counter(Token(1), from: 2), Counter(Token(3), from: 4)))" },
        replacement: { Counter($1.token, from: $2.value * 10) }),
    check(
        "HotpatchCalls.Counter.label.getter", method, callLabel, as: ((Counter) -> String).self,
        { f in
            var counter = Counter(Token(1), from: 2)
            counter.label = "four, and long enough for the heap"
            return "\(counter) \(f(counter))"
        },
        replacement: { "replaced \($0)" }),
    check(
        "HotpatchCalls.Counter.label.setter", setter, callLabel, as: ((inout Counter, String) -> Void).self,
        { f in
            var counter = Counter(Token(1), from: 2)
            f(&counter, "four, and long enough for the heap")
            return "\(counter) \(counter.label)"
        },
        replacement: { $0.value = -$1.count }),
    check(
        "HotpatchCalls.Counter.subscript.setter", setter, callSubscript,
        as: ((inout Counter, Token, Int, String) -> Void).self,
        { f in
            var counter = Counter(Token(1), from: 2)
            f(&counter, Token(4), 3, "note")
            return "\(counter) \(counter[7, ""]) \(counter[8, "abc"])"
        },
        replacement: { counter, token, index, note in counter = Counter(token, from: index * 10 + note.count) }),
    check(
        "HotpatchCalls.Counter.checked.getter", method, callChecked, as: ((Counter) throws -> Int).self,
        { f in attempt { try f(Counter(Token(1), from: 2)) } + attempt { try f(Counter(Token(1), from: -2)) } },
        replacement: { counter in
            if counter.value > 0 { throw Failure(7) }
            return 8
        }),
    CallCheck(description: "a closure that does not throw in place of a getter that does") {
        try balanced {
            let adapter = try Adapter(((Counter) -> Int).self, shape: method)
            let code = try adapter.replacement { $0.value * 3 }
            let patch = try Patch.replace(symbol: "HotpatchCalls.Counter.checked.getter", with: code)
            defer { try? patch.revert() }
            try equal(callChecked(), "6;-6;", "replaced")
        }
    },
    check(
        "HotpatchCalls.Counter.subscript.getter", method, callSubscript, as: ((Counter, Int, String) -> Token).self,
        { f in
            var counter = Counter(Token(1), from: 2)
            counter[3, "note"] = Token(4)
            return "\(counter) \(f(counter, 7, "")) \(f(counter, 8, "abc"))"
        },
        replacement: { Token($0.token.id * $1 + $2.count) }),
    check(
        "HotpatchCalls.Large.total", method, callTotal, as: ((Large, Int) -> Int).self, { "\($0(Large(1), 100))" },
        replacement: { $0.e * $1 }),
    check(
        "HotpatchCalls.Large.shift", mutating, callShift, as: ((inout Large, Item) -> Void).self,
        { f in
            var large = Large(1)
            f(&large, Item(2, 3))
            return "\(large)"
        },
        replacement: { $0 = Large($1.token.id) }),
    check(
        "HotpatchCalls.Observer.seen", method, callSeen, as: ((Observer, Int) -> String).self,
        { $0(Observer(nil, 1), 2) },
        replacement: { "\($0) \($1)" }),
    check(
        "HotpatchCalls.Shape.scaled", method, callScaled, as: ((Shape, Double) -> Shape).self,
        { f in "\(f(.circle(2), 3)) \(f(.named("a", Token(1)), 0))" },
        replacement: { shape, by in
            if case .named(let name, _) = shape { .named(name, Token(Int(by))) } else { .nothing }
        }),
    check(
        "HotpatchCalls.Point.moved", method, callMoved, as: ((Point, Double, String) -> Point).self,
        { "\($0(Point(1, 2), 3, "four"))" }, replacement: { Point($0.y * $1, Double($2.count)) }),
    check(
        "HotpatchCalls.Named.greet", opened, callGreet,
        as: ((any Named, String, Int) throws -> String).self,
        { f in
            attempt { try f(Item(1, 2), "good day", 3) } + attempt { try f(Large(4), "", 5) }
                + attempt { try f(Item(6, 7), "hello", -8) }
        },
        replacement: { named, greeting, times in
            if times == 5 { throw Failure(greeting.count) }
            return named.name + greeting
        }),
    check(
        "HotpatchCalls.Named.pass", opened, callPass,
        as: ((any Named, Int, Int, Int, Int, Int, Int, Int, Int) -> Item).self,
        { "\($0(Large(9), 1, 2, 3, 4, 5, 6, 7, 8))" },
        replacement: { named, a, b, c, d, e, f, g, h in Item(a - b - c - d - e - f - g - h, -named.name.count) }),
    check(
        "HotpatchCalls.Named.initial.getter", opened, callInitial, as: ((any Named) -> Character).self,
        { "\($0(Item(1, 2)))\($0(Large(4)))" }, replacement: { $0.name.last ?? "!" }),
    check(
        "HotpatchCalls.Kept.greet", opened, callKept, as: ((any Kept, String) -> String).self,
        { $0(Keeper(3), "good day") + $0(Keeper(4), "hello") },
        replacement: { kept, greeting in kept.name + greeting }),
    check(
        "HotpatchCalls.Kept.note.setter", CallShape(self: .opened, ownsParameters: true), callNote,
        as: ((any Kept, String) -> Void).self,
        { f in
            unpatchedNotes = []
            f(Keeper(3), "a note")
            return Keeper(4).note + unpatchedNotes.joined()
        },
        replacement: { kept, note in unpatchedNotes.append("replaced \(note) \(kept.name)") }),
]
