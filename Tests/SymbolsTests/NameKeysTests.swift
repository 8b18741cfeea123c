import HotpatchExpectations
import Testing

@testable import HotpatchSymbols

/// Keys as they are looked up, from exact to bare; the full text is left out.
@Suite struct NameKeysTests {
    private func keys(_ text: String, _ language: Demangler.Language) -> [String] {
        var keys = NameKeys()
        var result: [String] = []
        text.withBytes { bytes in
            keys.forEachKey(of: bytes, language) { level, key in
                if level != .full { result.append(String(decoding: key, as: UTF8.self)) }
            }
        }
        return result
    }

    @Test(arguments: [
        (
            "Shop.price(of: Swift.String) -> Swift.Int",
            ["Shop.price(of: Swift.String)", "Shop.price(of:)", "Shop.price"]
        ),
        ("Shop.run() -> ()", ["Shop.run()", "Shop.run()", "Shop.run"]),
        (
            "Shop.add(Swift.Int, Swift.Int) -> Swift.Int",
            ["Shop.add(Swift.Int, Swift.Int)", "Shop.add(_:_:)", "Shop.add"]
        ),
        (
            "Shop.fetch(_: Swift.String, retry: Swift.Int) async throws -> [Swift.UInt8]",
            ["Shop.fetch(_: Swift.String, retry: Swift.Int)", "Shop.fetch(_:retry:)", "Shop.fetch"]
        ),
        (
            "Shop.map(by: (Swift.Int, Swift.Int) -> Swift.Int, on: [a: b]) -> ()",
            ["Shop.map(by: (Swift.Int, Swift.Int) -> Swift.Int, on: [a: b])", "Shop.map(by:on:)", "Shop.map"]
        ),
        (
            "Shop.first<A where A: Swift.Hashable>(of: [A]) -> A",
            [
                "Shop.first<A where A: Swift.Hashable>(of: [A])", "Shop.first(of: [A])", "Shop.first(of:)",
                "Shop.first",
            ]
        ),
        (
            "static Shop.Cart.make(of: Swift.Int) -> Shop.Cart",
            [
                "static Shop.Cart.make(of: Swift.Int)", "Shop.Cart.make(of: Swift.Int)", "Shop.Cart.make(of:)",
                "Shop.Cart.make",
            ]
        ),
        (
            "static Shop.Cart.< infix(Shop.Cart, Shop.Cart) -> Swift.Bool",
            [
                "static Shop.Cart.< infix(Shop.Cart, Shop.Cart)", "Shop.Cart.<(Shop.Cart, Shop.Cart)",
                "Shop.Cart.<(_:_:)",
                "Shop.Cart.<",
            ]
        ),
        (
            "static Shop.Cart.__derived_struct_equals(Shop.Cart, Shop.Cart) -> Swift.Bool",
            [
                "static Shop.Cart.__derived_struct_equals(Shop.Cart, Shop.Cart)",
                "Shop.Cart.__derived_struct_equals(Shop.Cart, Shop.Cart)",
                "Shop.Cart.__derived_struct_equals(_:_:)", "Shop.Cart.__derived_struct_equals", "Shop.Cart.==",
            ]
        ),
        (
            "static Shop.Cart.+ infix@Sendable (Shop.Cart, Shop.Cart) -> Shop.Cart",
            [
                "static Shop.Cart.+ infix@Sendable (Shop.Cart, Shop.Cart)", "Shop.Cart.+(Shop.Cart, Shop.Cart)",
                "Shop.Cart.+(_:_:)", "Shop.Cart.+",
            ]
        ),
        (
            "Shop.price@Sendable (of: Swift.String) -> Swift.Int",
            [
                "Shop.price@Sendable (of: Swift.String)", "Shop.price(of: Swift.String)", "Shop.price(of:)",
                "Shop.price",
            ]
        ),
        (
            "Shop.(helper in _0123456789ABCDEF0123456789ABCDEF)(x: Swift.Int) -> ()",
            [
                "Shop.(helper in _0123456789ABCDEF0123456789ABCDEF)(x: Swift.Int)", "Shop.helper(x: Swift.Int)",
                "Shop.helper(x:)", "Shop.helper",
            ]
        ),
        (
            "(extension in Shop):Swift.String.shout() -> Swift.String",
            [
                "(extension in Shop):Swift.String.shout()", "Swift.String.shout()", "Swift.String.shout()",
                "Swift.String.shout",
            ]
        ),
        (
            "Shop.Cart.total.getter : Swift.Int",
            ["Shop.Cart.total.getter", "Shop.Cart.total.getter", "Shop.Cart.total"]
        ),
        (
            "static Shop.Cart.count.setter : Swift.Int",
            ["static Shop.Cart.count.setter", "Shop.Cart.count.setter", "Shop.Cart.count"]
        ),
        ("Shop.Cart.total.modify : Swift.Int", ["Shop.Cart.total.modify", "Shop.Cart.total.modify"]),
        (
            "Shop.Cart.subscript.getter : (Swift.Int, named: Swift.String) -> Shop.Item",
            [
                "Shop.Cart.subscript.getter", "Shop.Cart.subscript.getter", "Shop.Cart.subscript",
                "Shop.Cart.subscript.getter : (Swift.Int, named: Swift.String)", "Shop.Cart.subscript(_:named:)",
                "Shop.Cart.subscript(_:named:).getter",
            ]
        ),
        (
            "Shop.... infix(Shop.Cart, Shop.Cart) -> Swift.Bool",
            [
                "Shop.... infix(Shop.Cart, Shop.Cart)", "Shop....(Shop.Cart, Shop.Cart)", "Shop....(_:_:)", "Shop....",
            ]
        ),
        ("Shop.Cart.deinit", ["Shop.Cart.deinit"]),
        (
            "static (extension in Shop):Shop.Box< where A == Swift.Int>.sum(Swift.Int) -> Swift.Int",
            [
                "static (extension in Shop):Shop.Box< where A == Swift.Int>.sum(Swift.Int)", "Shop.Box.sum(Swift.Int)",
                "Shop.Box.sum(_:)", "Shop.Box.sum",
            ]
        ),
        ("merged Shop.price(of: Swift.String) -> Swift.Int", []),
        ("closure #1 (Swift.Int) -> () in Shop.run() -> ()", []),
        ("protocol witness for Shop.P.f() -> () in conformance Shop.S : Shop.P in Shop", []),
        ("default argument 0 of Shop.price(of: Swift.String) -> Swift.Int", []),
        ("outlined copy of Shop.Cart", []),
        ("type metadata accessor for Shop.Cart", []),
        ("generic specialization <Swift.Int> of Shop.first<A>(of: [A]) -> A", []),
        ("(1) suspend resume partial function for Shop.fetch() async -> ()", []),
        ("Shop.run() -> () with unmangled suffix \".cold\"", []),
        ("inner #1 (x: Swift.Int) -> () in Shop.run() -> ()", []),
        ("Shop.broken(of: Swift.String", []), ("Shop.broken<A", []), ("(", []), ("Shop.(x", []), (" ", []),
    ])
    func swiftNames(_ text: String, _ expected: [String]) { expect(keys(text, .swift), equals: expected) }

    @Test(arguments: [
        ("shop::price(int)", ["shop::price"]),
        ("shop::Cart::total() const", ["shop::Cart::total()", "shop::Cart::total"]),
        ("int shop::largest<int>(int, int)", ["shop::largest<int>(int, int)", "shop::largest<int>"]),
        ("shop::(anonymous namespace)::helper(int)", ["shop::(anonymous namespace)::helper"]),
        ("shop::Cart::operator()(int)", ["shop::Cart::operator()"]),
        (
            "shop::Cart::operator==(shop::Cart const&) const",
            ["shop::Cart::operator==(shop::Cart const&)", "shop::Cart::operator=="]
        ),
        ("shop::operator<<(std::ostream&, shop::Cart)", ["shop::operator<<"]),
        ("shop::Cart::operator bool() const", ["shop::Cart::operator bool()", "shop::Cart::operator bool"]),
        ("operator new(unsigned long)", ["operator new"]),
        ("shop::operators(int)", ["shop::operators"]),
        ("virtual thunk to shop::Cart::add(int)", []),
        ("shop::price(int) [clone .constprop.0]", []),
        ("shop::price(int)::{lambda(int)#1}::operator()(int) const", []),
        ("vtable for shop::Cart", []), ("shop::broken(int", []), ("operator", []), ("<", []),
    ])
    func cxxNames(_ text: String, _ expected: [String]) { expect(keys(text, .cxx), equals: expected) }

    @Test(arguments: [
        ("shop::cart::total", ["shop::cart::total"]), ("<shop::Cart>::total", ["shop::Cart::total"]),
        ("<shop::Cart as shop::Priced>::total::<u8>", ["shop::Cart::total"]),
        ("<[shop::Cart; 3] as core::iter::Sum<u8>>::sum", ["[shop::Cart; 3]::sum"]),
        ("<alloc::vec::Vec<u8>>::push", ["alloc::vec::Vec<u8>::push"]),
        ("<for<'a> fn(&'a u8) -> u8 as shop::Priced>::total", ["for<'a> fn(&'a u8) -> u8::total"]),
        ("shop::total::{closure#0}", []), ("shop::total [clone .cold]", []), ("<shop", []), ("shop::<u8", []),
    ])
    func rustNames(_ text: String, _ expected: [String]) { expect(keys(text, .rust), equals: expected) }

    @Test(arguments: [
        ("$s4Shop5price2ofSiSS_tF", "Shop.price(of: Swift.String) -> Swift.Int"),
        ("_ZN4shop5priceEi", "shop::price(int)"),
        ("$sSayxGSqsAAMc", Optional<String>.none), ("_Z", .none), ("malloc", .none), ("", .none), ("$s", .none),
    ])
    func demangles(_ mangled: String, _ expected: String?) {
        if mangled == "$sSayxGSqsAAMc" {
            // Not a name a compiler wrote: any answer will do, but no crash.
            _ = Demangling.demangle(mangled)
        } else {
            expect(Demangling.demangle(mangled), equals: expected)
        }
    }

    /// Longer than the first buffer, and longer than any name that is looked at.
    @Test func demanglesLongNames() {
        let parameters = String(repeating: "Si_", count: 1) + String(repeating: "Si", count: 800)
        let long = Demangling.demangle("$s4Shop5priceyy\(parameters)tF")
        #expect((long?.utf8.count ?? 0) > 8000)
        expect(long?.hasSuffix("Swift.Int) -> ()"), equals: true)
        expect(Demangling.demangle("_Z" + String(repeating: "1", count: 20_000)), equals: nil)
    }

    @Test(arguments: [
        ("price", "Shop.price(of:)", true), ("Shop.*", "Shop.price", true), ("*of:)", "Shop.price(of:)", true),
        ("Sh?p.p*e", "Shop.price", true),
        ("Swift.Int.a*", "static (extension in Shop):Swift.Int.add() -> ()", true),
        ("Swift.Int.a*", "(extension in Shop):Swift.Int.add() -> ()", true),
        ("Swift.Int.b*", "(extension in Shop):Swift.Int.add() -> ()", false), ("Swift*", "(extension in Shop", false),
        ("Shop", "Sho", false), ("?", "", false), ("*", "", true),
        ("a*b*c", "aXbYbZc", true), ("a*b*c", "aXbYbZ", false), ("*a*a*a*a*b", "aaaaaaaaaaaaaaaaaaaa", false),
    ])
    func globs(_ pattern: String, _ name: String, _ expected: Bool) {
        expect(name.withBytes { Glob(pattern).matches($0) }, equals: expected)
    }

    @Test(
        arguments: [
            ("malloc", "mallc", 1), ("malloc", "malloc", 0), ("malloc", "mlaloc", 2), ("price", "prize", 1),
            ("price", "weight", nil), ("abc", "", nil),
        ] as [(String, String, Int?)])
    func spellings(_ word: String, _ other: String, _ expected: Int?) {
        expect(other.withBytes { Spelling(Array(word.utf8)).distance(to: $0, atMost: 2) }, equals: expected)
    }

    @Test(arguments: [
        ("priceOfItem", "item_price_of", true), ("priceOfItem", "itemPriceOf", true), ("priceOf", "price_of_", true),
        ("priceOf", "priceOfItem", false), ("price", "Price", false), ("totalPrice", "totalWeight", false),
    ])
    func words(_ word: String, _ other: String, _ expected: Bool) {
        expect(other.withBytes { Spelling(Array(word.utf8)).hasSameWords(as: $0) }, equals: expected)
    }
}
