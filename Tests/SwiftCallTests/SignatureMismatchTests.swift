import HotpatchExpectations
import Testing

@testable import HotpatchSwiftCall

/// What is said about a closure of the wrong type, word for word.
@Suite struct SignatureMismatchTests {
    @Test(arguments: [
        (
            "$s4Shop5price2ofSiSS_tF", "(Swift.String) -> Swift.Int32", "-",
            """
            the closure's type is not that of Shop.price(of: String) -> Int:
              function  (String) -> Int
              closure   (String) -> Int32
                                    ^^^^^
              result: Int, the closure has Int32
            """
        ),
        (
            "$s3Zoo3addyS2i_SitF", "(Swift.Int, Swift.Int32) throws -> Swift.Int", "-",
            """
            the closure's type is not that of Zoo.add(Int, Int) -> Int:
              function  (Int, Int) -> Int
              closure   (Int, Int32) throws -> Int
                              ^^^^^
              parameter 2: Int, the closure has Int32
              effects: neither async nor throws, the closure has throws
            """
        ),
        (
            "$s3Zoo4CartV3addyyAA4ItemVF", "(Zoo.Cart, Zoo.Item) -> ()", "mutated",
            """
            the closure's type is not that of Zoo.Cart.add(Item) -> Void:
              function  (inout Cart, Item) -> Void
              closure   (Cart, Item) -> Void
                         ^^^^
              self: inout Cart, the closure has Cart
            """
        ),
        (
            "$s3Zoo4CartV5count2ofSiSS_tF", "(Swift.String) -> Swift.Int", "borrowed",
            """
            the closure's type is not that of Zoo.Cart.count(of: String) -> Int:
              function  (Cart, String) -> Int
              closure   (String) -> Int
                         ^^^^^^
              the function has 2 parameters, the first being Cart; the closure has 1
              self: Cart, the closure has String
            """
        ),
        // Alike but for the module.
        (
            "$s3Zoo4CartV9takesSelfyA2CF", "(Mall.Cart, Mall.Cart) -> Mall.Cart", "borrowed",
            """
            the closure's type is not that of Zoo.Cart.takesSelf(Zoo.Cart) -> Zoo.Cart:
              function  (Zoo.Cart, Zoo.Cart) -> Zoo.Cart
              closure   (Mall.Cart, Mall.Cart) -> Mall.Cart
                         ^^^^^^^^^
              self: Zoo.Cart, the closure has Mall.Cart
              parameter 1: Zoo.Cart, the closure has Mall.Cart
              result: Zoo.Cart, the closure has Mall.Cart
            """
        ),
        (
            "$s3Zoo4CartV4make2ofAcA4ItemV_tFZ", "(Zoo.Item, Swift.Int) -> Zoo.Cart", "concrete",
            """
            the closure's type is not that of static Zoo.Cart.make(of: Item) -> Cart:
              function  (Cart.Type, Item) -> Cart
              closure   (Item, Int) -> Cart
                         ^^^^
              Self: Cart.Type, the closure has Item
              parameter 1: Item, the closure has Int
            """
        ),
    ])
    func says(_ symbol: String, _ closure: String, _ facts: String, _ expected: String) throws {
        let error = try #require(signatureError { try SignatureTests.match(symbol, closure, facts) })
        expect(error.description, equals: expected)
    }

    @Test(arguments: [
        ("@convention(c) (Swift.Int32) -> Swift.Int32", "it is a C function"),
        ("@isolated(any) (Swift.Int, Swift.Int) -> Swift.Int", "isolated(any) changes how it is called"),
        ("nonisolated(nonsending) (Swift.Int) async -> Swift.Int", "takes an actor that no closure's type shows"),
        ("(Swift.Int, Swift.Int) throws(Zoo.ShopError) -> Swift.Int", "it throws a typed error"),
        ("(Zoo.(unknown context at $56476c9f05dc).P) -> Swift.Int", "private to a file"),
        ("Swift.Int", "it is not a function type"), ("", "it is not a function type"),
        ("(Swift.Int, Swift.Int) -> Swift.Int and more", "it is not a function type"),
    ])
    func refusesTypes(_ closure: String, _ words: String) {
        let error = signatureError { try SignatureTests.match("$s3Zoo3addyS2i_SitF", closure) }
        expect(error?.description.contains(words), equals: true, "\(String(describing: error))")
    }

    /// What the symbol leaves out must be known.
    @Test func needsFacts() {
        func reason(
            _ symbol: String, _ facts: FunctionFacts, _ closure: String = "() -> ()"
        ) -> SymbolRefusal.Reason? {
            let error = signatureError { try SwiftSignature(mangled: symbol).match(closure: closure, facts) }
            guard case .refused(let refusal)? = error else { return nil }
            return refusal.reason
        }
        let method = "$s3Zoo4CartV5count2ofSiSS_tF"
        expect(reason(method, FunctionFacts()), equals: .unknownMutating)
        expect(reason("$s3Zoo5NamedPAAE5greetySSSiF", FunctionFacts()), equals: .unknownMutating)
        expect(
            reason("$s3Zoo5NamedPAAE5greetySSSiF", FunctionFacts(selfUse: .mutated)),
            equals: .genericContext("extension of the protocol Zoo.Named"))
        expect(reason("$s3Zoo4CartV5totalSivg", FunctionFacts(selfUse: .borrowed)), equals: .unknownAsync)
        let getter = "$s3Zoo4CartV5totalSivg"
        expect(reason(getter, FunctionFacts(selfUse: .borrowed, isAsync: true)), equals: .unknownThrows)
        expect(
            reason(getter, FunctionFacts(selfUse: .borrowed, isAsync: false), "() throws -> ()"), equals: .unknownThrows
        )
        expect(reason(getter, FunctionFacts(selfUse: .borrowed, isAsync: false)), equals: nil)
        let initialiser = "$s3Zoo5StoreC4nameACSS_tcfC"
        expect(reason(initialiser, FunctionFacts()), equals: .allocatingInitialiser(isKnownOptimised: false))
        expect(
            reason(initialiser, FunctionFacts(isOptimised: true)),
            equals: .allocatingInitialiser(isKnownOptimised: true))
        let free = "$s3Zoo3addyS2i_SitF"
        expect(reason(free, FunctionFacts(isFileLocal: true)), equals: .privateCode(isKnownOptimised: false))
        expect(
            reason(free, FunctionFacts(isOptimised: true, isFileLocal: true)),
            equals: .privateCode(isKnownOptimised: true))
        expect(reason(free, FunctionFacts(isOptimised: false, isFileLocal: true)), equals: nil)
    }

    /// A reason that no symbol of the tables brings about, and no missing fact, is not known to work.
    @Test func everyReasonHasARow() throws {
        let tables = Set(SignatureTests.table("refused.txt").map { $0.rest[0] })
        // needsFacts() and otherNames(_:).
        let elsewhere: Set = [
            "allocatingInitialiser", "notSwift", "privateCode", "unknownAsync", "unknownMutating", "unknownThrows",
        ]
        let reasons = try SourceText.cases(of: "SymbolRefusal")
        #expect(reasons.count >= 28)
        expect(reasons, equals: tables.union(elsewhere))
    }

    /// The way out stands in each, for those that depend on facts too.
    @Test func factsThatAreMissingNameTheWayOut() {
        for (reason, words) in [
            (SymbolRefusal.Reason.unknownMutating, "selfUse:"), (.unknownThrows, "build with -g"),
            (.unknownAsync, "Build with -g"), (.privateCode(isKnownOptimised: true), "@inline(never)"),
            (.privateCode(isKnownOptimised: false), "Build with -g"),
            (.allocatingInitialiser(isKnownOptimised: true), "factory function"),
            (.allocatingInitialiser(isKnownOptimised: false), "Build with -g"), (.notSwift, "withSymbol:"),
        ] {
            let text = SymbolRefusal(reason: reason, function: "f").description
            #expect(text.contains(words) && text.hasPrefix("f cannot be replaced by a closure: "), "\(text)")
            // It may be there, and not be read.
            expect(text.lowercased().contains("build with -g"), equals: text.contains("libdw1"), "\(text)")
        }
    }

    /// A generic type's member reads as any other: the closure's own type tells.
    @Test func genericContexts() throws {
        for (symbol, closure) in [
            ("$s3Zoo3BoxV11inExtensionyS2iF", "(Zoo.Box<Swift.Int>, Swift.Int) -> Swift.Int"),
            ("$s3Zoo3BoxV2InV2goSiyF", "(Zoo.Box<Swift.Int>.In) -> Swift.Int"),
            // An extension that says what one parameter of two is.
            ("$sSD3ZooSSRszrlE8keyCountSiyF", "(Swift.Dictionary<Swift.String, Swift.Int>) -> Swift.Int"),
        ] {
            let error = signatureError { try SignatureTests.match(symbol, closure, "borrowed") }
            guard case .refused(let refusal)? = error, case .genericContext = refusal.reason else {
                Issue.record("\(String(describing: error))")
                continue
            }
        }
    }

    @Test func ownership() throws {
        func ownership(_ symbol: String, _ closure: String, _ facts: String) throws -> [SignatureMatch.Ownership] {
            try SignatureTests.match(symbol, closure, facts).ownership
        }
        try expect(ownership("$s3Zoo7consumeySiSSnF", "(Swift.String) -> Swift.Int", "-"), equals: [.owned])
        try expect(ownership("$s3Zoo6borrowySiSSF", "(__shared Swift.String) -> Swift.Int", "-"), equals: [.borrowed])
        // A function that borrows leaves nothing to consume.
        #expect(throws: SignatureError.self) {
            try ownership("$s3Zoo6borrowySiSSF", "(__owned Swift.String) -> Swift.Int", "-")
        }
        let setter = "(inout Zoo.Cart, Zoo.Item, Swift.Int) -> ()"
        try expect(
            ownership("$s3Zoo4CartVyAA4ItemVSicis", setter, "mutated accessor"), equals: [.inout, .owned, .owned])
        try expect(
            ownership("$s3Zoo4CartV5itemsACSayAA4ItemVG_tcfC", "([Zoo.Item]) -> Zoo.Cart", "concrete"), equals: [.owned]
        )
    }

    /// The same symbol, whether the function takes a hidden actor or not.
    @Test func hiddenActors() throws {
        func mayTake(_ symbol: String, _ closure: String) throws -> Bool {
            try SignatureTests.match(symbol, closure).mayTakeHiddenActor
        }
        #expect(try mayTake("$s3Zoo14concurrentFreeSiyYaF", "() async -> Swift.Int"))
        #expect(try !mayTake("$s3Zoo13callIsolation1aSiScA_pSgYi_tYaF", "(isolated Swift.Actor?) async -> Swift.Int"))
        #expect(try !mayTake("$s3Zoo3addyS2i_SitF", "(Swift.Int, Swift.Int) -> Swift.Int"))
    }

    @Test(arguments: ["malloc", "_ZN4shop5priceEi", "$s", ""])
    func otherNames(_ name: String) {
        #expect(throws: SymbolRefusal(reason: .notSwift, function: name)) { try SwiftSignature(mangled: name) }
    }

    /// With the types of this process: a struct's `Self.Type` may be left out, a generic one's may not.
    @Test func types() throws {
        let make = try SwiftSignature(mangled: "$s14SwiftCallTests10SampleCartV4makeyACSiFZ")
        try expect(make.match(type: ((Int) -> SampleCart).self, FunctionFacts()).selfParameter, equals: .leftOut)
        try expect(
            make.match(type: ((SampleCart.Type, Int) -> SampleCart).self, FunctionFacts()).selfParameter,
            equals: .metatype)
        let shout = try SwiftSignature(mangled: "$sSS14SwiftCallTestsE6sampleyS2iFZ")
        try expect(shout.match(type: ((Int) -> Int).self, FunctionFacts()).selfParameter, equals: .leftOut)
        let generic = try SwiftSignature(mangled: "$s14SwiftCallTests9SampleBoxV6sampleyS2iFZ")
        #expect(throws: SignatureError.self) { try generic.match(type: ((Int) -> Int).self, FunctionFacts()) }
        let object = try SwiftSignature(mangled: "$s14SwiftCallTests10SampleShopC4makeyACSiFZ")
        #expect(throws: SignatureError.self) { try object.match(type: ((Int) -> SampleShop).self, FunctionFacts()) }
        try expect(
            object.match(type: ((SampleShop.Type, Int) -> SampleShop).self, FunctionFacts()).selfParameter,
            equals: .metatype)
        let actor = try SwiftSignature(mangled: "$s14SwiftCallTests11SampleActorC3addyS2iF")
        try expect(actor.match(type: Isolated.self, FunctionFacts()).selfParameter, equals: .object)
        for type in [Int.self, String.self, (Int, Int).self, (@convention(c) (Int) -> Int).self] as [Any.Type] {
            #expect(throws: SignatureError.self) { try make.match(type: type, FunctionFacts()) }
        }
    }
}

struct SampleCart {}
struct SampleBox<Element> {}
class SampleShop {}
actor SampleActor {}
private typealias Isolated = (isolated SampleActor, Int) -> Int
