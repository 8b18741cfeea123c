import Hotpatch
import HotpatchCalls
import HotpatchExpectations
import HotpatchTestSupport
import Testing

/// Swift functions replaced by closures, by the names that users write.
@Suite(.serialized) struct ClosureTests {
    private let turn: PatchingTurn

    init() async { turn = await PatchingTurn() }

    @Test func theFirstExample() throws {
        let patch = try Patch.replace(
            symbol: "HotpatchCalls.describe",
            with: { (name: String, _: Int, _: Double, _: Bool) throws -> Int in name.count })
        defer { try? patch.revert() }
        try expect(describe("four", 1, 2, true), equals: 4)
        let original = try patch.original(as: ((String, Int, Double, Bool) throws -> Int).self)
        try expect(original("four", 1, 2, true), equals: 1007)
        let same = try Patch.original(
            symbol: "HotpatchCalls.describe", as: ((String, Int, Double, Bool) throws -> Int).self)
        try expect(same("four", 1, 2, true), equals: 1007)
        #expect(throws: Failure.self) { try original("four", -1, 2, true) }
        try patch.revert()
        try expect(describe("four", 1, 2, true), equals: 1007)
    }

    @Test func aMutatingMethod() throws {
        let patch = try Patch.replace(
            symbol: "HotpatchCalls.Counter.increment(by:)",
            with: { (counter: inout Counter, step: Int) -> Counter in
                counter.value -= step
                return counter
            })
        defer { try? patch.revert() }
        var counter = Counter(unpatched: Token(1), 10)
        expect(counter.increment(by: 3).value, equals: 7)
        expect(counter.value, equals: 7)
        let original = try patch.original(as: ((inout Counter, Int) -> Counter).self)
        _ = original(&counter, 3)
        expect(counter.value, equals: 10)
    }

    @Test func aMethodOfAClass() throws {
        let account = Account(7)
        let patch = try Patch.replace(
            symbol: "HotpatchCalls.Account.deposit",
            with: { (account: Account, amount: Int, note: String) throws -> Int in
                account.balance -= amount
                return account.balance
            })
        defer { try? patch.revert() }
        try expect(account.deposit(100, "note"), equals: 600)
    }

    /// DWARF tells that the method ends its object's life.
    @Test func aConsumingMethodOfAClass() throws {
        let before = Token.living
        for _ in 0..<3 {
            let patch = try Patch.replace(
                symbol: "HotpatchCalls.Account.close",
                wrapping: { (original: @escaping (Account, Token) -> Item) in
                    { Item(original($0, $1).token.id, $0.balance) }
                })
            defer { try? patch.revert() }
            expect(callClose(), equals: "item 3 at 300")
        }
        // What a patch keeps, its closure, has no token.
        expect(Token.living, equals: before)
    }

    @Test func aMethodOfAProtocolExtension() throws {
        let patch = try Patch.replace(
            symbol: "HotpatchCalls.Named.greet",
            with: { (named: any Named, greeting: String, times: Int) throws -> String in "\(times) \(named.name)" })
        defer { try? patch.revert() }
        try expect(Item(1, 2).greet("", 2), equals: "2 \(Item(1, 2).name)")
        let original = try patch.original(as: ((any Named, String, Int) throws -> String).self)
        try expect(original(Item(1, 2), "good day", 2), equals: "good day \(Item(1, 2).name) 2 times")
        let mutating = #expect(throws: PatchError.self) {
            try Patch.replace(symbol: "HotpatchCalls.Named.rename", with: { (_: any Named, _: Int) -> String in "" })
        }
        expect(mutating?.description.contains("protocol"), equals: true, "\(String(describing: mutating))")
    }

    @Test func anInitialiser() throws {
        let patch = try Patch.replace(
            symbol: "HotpatchCalls.Counter.init(_:from:)",
            with: { (type: Counter.Type, token: Token, value: Int) -> Counter in
                Counter(unpatched: token, value * 2)
            })
        defer { try? patch.revert() }
        expect(Counter(Token(1), from: 21).value, equals: 42)
    }

    @Test func anotherTypeIsRefused() throws {
        #expect {
            try Patch.replace(symbol: "HotpatchCalls.add", with: { (a: Int32, b: Int) -> Int in b })
        } throws: { error in
            guard let error = error as? PatchError, error.code == .closureType else { return false }
            return error.message.contains("function  (Int, Int) -> Int\n")
                && error.message.contains("closure   (Int32, Int) -> Int\n")
        }
        expect(add(40, 2), equals: 42)
    }

    @Test(arguments: ["HotpatchCalls.sendableAdd", "HotpatchCalls.sendableAdd(_:to:)"])
    func aSendableFunction(name: String) throws {
        let patch = try Patch.replace(symbol: name, with: { (a: Int, b: Int) -> Int in a * b })
        defer { try? patch.revert() }
        expect(sendableAdd(4, to: 5), equals: 20)
    }

    /// The demangled names are the same; the closure's context is a piece of its caller's stack in one.
    @Test func anEscapingClosureForOneThatIsNot() throws {
        typealias Escaping = (@escaping (Int) -> Int, Int) -> Int
        #expect {
            try Patch.replace(symbol: "HotpatchCalls.apply", with: { f, x in f(x) } as Escaping)
        } throws: { "\($0)".contains("Write @escaping where the function does") }
        typealias Composed = ((Item) throws -> Item, Int) -> (Item, Bool) throws -> Item
        #expect {
            try Patch.original(symbol: "HotpatchCalls.compose", as: Composed.self)
        } throws: { "\($0)".contains("Write @escaping where the function does") }
        expect(callApply(), equals: "13")
    }

    /// Wherever a struct is whose property is `some P`: metadata shows another layout than the one that callers use.
    @Test func structsWithOpaquePropertiesAreRefused() throws {
        func refuses(_ property: String, of type: String, _ replace: () throws -> Patch) {
            #expect {
                try replace().revert()
            } throws: { error in
                guard let error = error as? PatchError, error.code == .closure else { return false }
                return error.message.hasPrefix(
                    "HotpatchCalls.\(type) has a stored property of an opaque type, \(property): ")
            }
        }
        refuses("named", of: "Opaque") {
            try Patch.replace(symbol: "HotpatchCalls.opaque", with: { (_: Opaque) in 42 })
        }
        refuses("named", of: "Opaque") {
            try Patch.replace(symbol: "HotpatchCalls.opaqueResult", with: { (_: Int) in Opaque(42) })
        }
        refuses("named", of: "Opaque") {
            try Patch.replace(symbol: "HotpatchCalls.opaqueInside", with: { (_: Around<Int>) in 42 })
        }
        refuses("named", of: "Opaque") {
            try Patch.replace(symbol: "HotpatchCalls.opaqueMaybe", with: { (_: Opaque?) in 42 })
        }
        refuses("named", of: "Opaque") {
            try Patch.replace(symbol: "HotpatchCalls.opaquePayload", with: { (_: Payload) in 42 })
        }
        refuses("named", of: "Opaque") {
            try Patch.replace(symbol: "HotpatchCalls.opaqueOfClosure", with: { (_: (Opaque) -> Int) in 42 })
        }
        refuses("names", of: "Unclear") {
            try Patch.replace(symbol: "HotpatchCalls.opaqueInGeneric", with: { (_: Unclear<Int>) in 42 })
        }

        // By address whatever its layout, by the array's own, and with a property that is only computed.
        try Patch.transaction {
            try $0.replace(symbol: "HotpatchCalls.opaqueInout", with: { (a: inout Opaque) in a.number + 1 })
            try $0.replace(symbol: "HotpatchCalls.opaqueArray", with: { (a: [Opaque]) in a[0].number })
            try $0.replace(symbol: "HotpatchCalls.transparent", with: { (a: Transparent) in a.number * 2 })
        }
        defer { try? Patch.revertAll() }
        var value = Opaque(6)
        expect(opaqueInout(&value), equals: 7)
        expect(opaqueArray([value]), equals: 6)
        expect(transparent(Transparent(4)), equals: 8)
    }

    @Test func theOriginalOfAnotherTypeIsRefused() throws {
        let patch = try Patch.replace(symbol: "HotpatchCalls.add", with: { (a: Int, b: Int) -> Int in a - b })
        defer { try? patch.revert() }
        expect(add(40, 2), equals: 38)
        #expect(throws: PatchError.self) { try patch.original(as: ((Int) -> Int).self) }
    }

    @Test func aClosureMadeWithTheOriginal() throws {
        let patch = try Patch.replace(
            symbol: "HotpatchCalls.add",
            wrapping: { (original: @escaping (Int, Int) -> Int) in { a, b in original(a, b) * 10 } })
        defer { try? patch.revert() }
        expect(add(40, 2), equals: 420)
        // On top of the other.
        let second = try Patch.replace(
            symbol: "HotpatchCalls.add",
            wrapping: { (original: @escaping (Int, Int) -> Int) in { a, b in original(a, b) + 1 } })
        expect(add(40, 2), equals: 43)
        try second.revert()
        expect(add(40, 2), equals: 420)
    }

    @Test func aFunctionAsAValue() throws {
        let patch = try Patch.replace(isEven, with: { $0 == 3 })
        defer { try? patch.revert() }
        #expect(isEven(3) && !isEven(2))
        expect(patch.function.demangledName, equals: "HotpatchCalls.isEven(Swift.Int8) -> Swift.Bool")
    }

    @Test func aMethodAsAValueSaysWhyNot() {
        #expect {
            try Patch.replace(Account.deposit, with: { _ in { _, _ in 0 } })
        } throws: { error in "\(error)".contains("Pass its name") }
    }

    /// Together, in one transaction, with a C function.
    @Test func aTransaction() throws {
        let patches = try Patch.transaction {
            try $0.replace(symbol: "HotpatchCalls.add", with: { (a: Int, b: Int) -> Int in a * b })
            try $0.replace(symbol: "HotpatchCalls.isEven", with: { (a: Int8) -> Bool in a == 3 })
        }
        defer { try? patches.first?.revert() }
        expect(add(4, 5), equals: 20)
        #expect(isEven(3))
    }
}
