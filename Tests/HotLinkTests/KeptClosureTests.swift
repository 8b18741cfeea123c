import HotpatchExpectations
import Testing

@testable import HotpatchHotLink

@Suite struct KeptClosureTests {
    @Test(arguments: [
        ("Shop.makeRoutes(Shop.Cart) -> Swift.Array<Shop.Route>", "makeRoutes"),
        ("static Shop.Main.main() -> ()", "static Main.main"),
        ("Shop.(Shelf in _1A2B).fill(with: (Swift.Int) -> Swift.Int) -> ()", "Shelf.fill"),
        ("Shop.first<A where A: Swift.Equatable>(of: A) -> A", "first"),
        ("Shop.Cart.total.getter : Swift.Int", "Cart.total.getter"),
        ("(extension in Shop):Swift.Collection.every(Swift.Int) -> Swift.Array<A.Element>", "Collection.every"),
        ("static (extension in Shop):Swift.Int.make() -> Swift.Int", "static Int.make"),
        ("(extension in ", "(extension in "),
        (
            "variable initialization expression of Shop.rules : Swift.Array<Shop.Rule>",
            "variable initialization expression of rules"
        ),
        ("main", "main"), ("", ""), ("(", "("), (".", "."), ("a.", "a."),
    ])
    func functions(_ text: String, _ short: String) { expect(KeptClosure.short(text), equals: short) }

    @Test func whatHasChanged() {
        func capture(_ name: String) -> Fingerprint.Capture { .init(name: name, type: "Si", isByReference: false) }
        var kept = KeptClosure(
            name: "closure #2 (Swift.Int) -> (Shelf in _1A) in closure #1 () -> () in Shop.makeRoutes(Shop.Cart) -> ()",
            before: [capture("")], after: [capture(""), capture("cart"), capture("clock")])
        let end = "kept as it was where it is stored, until makeRoutes runs again"
        expect("\(kept)", equals: "closure #2 in closure #1 in makeRoutes now captures cart, clock: \(end)")
        (kept.before, kept.after) = (kept.after, kept.before)
        expect("\(kept)", equals: "closure #2 in closure #1 in makeRoutes no longer captures cart, clock: \(end)")
        kept.after = nil
        expect("\(kept)", equals: "closure #2 in closure #1 in makeRoutes is gone: \(end)")
        kept.name = "closure"
        expect("\(kept)", equals: "closure is gone: kept as it was where it is stored, until what makes it runs again")
    }
}
