import HotpatchExpectations
import HotpatchTestSupport
import Testing

@testable import HotpatchSymbols

/// Names of Rust, as rustc 1.9x writes them and as RFC 2603 does.
@Suite struct RustNamesTests {
    @Test(
        arguments: [
            ("_RNvCs1234_7mycrate3foo", "mycrate::foo"), ("_RNvNtCs1234_7mycrate6module3foo", "mycrate::module::foo"),
            ("_RNvMCs1_7mycrateNtB2_4Cart5total", "<mycrate::Cart>::total"),
            ("_RNvXCs1_7mycrateNtB2_4CartNtB2_6Priced5total", "<mycrate::Cart as mycrate::Priced>::total"),
            ("_RINvCs1_7mycrate5firsthE", "mycrate::first::<u8>"),
            ("_RINvCs1_7mycrate5firstNtB2_4CartE", "mycrate::first::<mycrate::Cart>"),
            ("_RNCNvCs1_7mycrate3foo0B3_", "mycrate::foo::{closure#0}"),
            ("_RNCNvCs1_7mycrate3foos_0B3_", "mycrate::foo::{closure#1}"),
            ("_RINvCs1_7mycrate3fooRShE", "mycrate::foo::<&[u8]>"),
            ("_RINvCs1_7mycrate3fooQAhj3_E", "mycrate::foo::<&mut [u8; 3]>"),
            (
                "_RINvCs1_7mycrate3fooTlmEFG_RL0_hEuDNtB2_6PricedEL_E",
                "mycrate::foo::<(i32, u32), for<'a> fn(&'a u8), dyn mycrate::Priced>"
            ),
            (
                "_RINvCs1_7mycrate3fooFUKCPhOcEbE",
                "mycrate::foo::<unsafe extern \"C\" fn(*const u8, *mut char) -> bool>"
            ),
            ("_RINvCs1_7mycrate3fooKj2a_Kb1_Kln5_KpE", "mycrate::foo::<42, true, -5, _>"),
            ("_RINvCs1_7mycrate3fooTEThEzE", "mycrate::foo::<(), (u8,), !>"),
            ("_RNvCs1_7mycrateu8mycra_ea", "mycrate::punycode{mycra_ea}"),
            ("_RNvCs1_7mycrate3foo.llvm.123", "mycrate::foo [clone .llvm.123]"),
            ("_RNvC6_123foo3bar", "123foo::bar"), ("_RNSC7mycrate3foo", "mycrate::{shim:foo#0}"),
            ("_ZN7mycrate6module3foo17h0123456789abcdefE", "mycrate::module::foo"),
            (
                "_ZN50_$LT$mycrate..Cart$u20$as$u20$core..fmt..Debug$GT$3fmt17h0123456789abcdefE",
                "<mycrate::Cart as core::fmt::Debug>::fmt"
            ),
            ("_ZN7mycrate3foo17h0123456789abcdefE.llvm.99", "mycrate::foo [clone .llvm.99]"),
            // C++: no hash.
            ("_ZN4shop5priceEi", "shop::price(int)"), ("_ZN7mycrate3foo17h0123456789abcdeE", nil),
            ("_Rb_tree", nil), ("_R", nil), ("_RNv", nil), ("_RC", nil), ("_RNvC99_x", nil), ("_RB_", nil),
            ("_RNvB_3foo", nil),
            ("_RINvC1a1bE", "a::b::<>"), ("_RNvC1a1b?", nil), ("_RNvC1a99999999999999999999b", nil), ("_RIC1aKj", nil),
            ("_RIC1aBzzzzzzzzzzzzzz_E", nil), ("_RIC1aRL5_hE", nil),
        ] as [(String, String?)])
    func demangles(_ mangled: String, _ expected: String?) { expect(Demangling.demangle(mangled), equals: expected) }

    /// A file can write anything: it ends, in bounds.
    @Test func anything() {
        var random = SeededGenerator(seed: 7)
        let parts = [
            "C1a", "Nv", "I", "E", "B_", "B0_", "T", "R", "S", "A", "K", "j1_", "F", "D", "G_", "L_", "p", "M", "X",
            "Y", "s_", "u", "3foo", "h", "_", "\u{ff}",
        ]
        for _ in 0..<20_000 {
            let count = Int.random(in: 1...30, using: &random)
            let name = "_RN" + (0..<count).map { _ in parts.randomElement(using: &random)! }.joined()
            _ = Demangling.demangle(name)
        }
        // Each level refers twice to the one before.
        var name = "_RIC1aTC1bC1bE"
        for _ in 0..<60 { name += "TB3_B3_E" }
        _ = Demangling.demangle(name + "E")
        expect(Demangling.demangle("_R" + String(repeating: "I", count: 16_000)), equals: nil)
        expect(Demangling.demangle("_RNvC1a" + String(repeating: "R", count: 16_000)), equals: nil)
    }

    @Test func areFound() throws {
        let workshop = try Workshop()
        try workshop.library("librust.so", ["symbols_rust.c"])
        _ = try load(workshop.file("librust.so"))
        let index = try ownIndex()
        for (name, symbol) in [
            ("crate::module::foo", "_RNvNtCs1234_5crate6module3foo"),
            ("crate::old", "_ZN5crate3old17h0123456789abcdefE"),
            ("crate::Cart::total", "_RNvXCs1_5crateNtB2_4CartNtB2_6Priced5total"),
            ("<crate::Cart as crate::Priced>::total", "_RNvXCs1_5crateNtB2_4CartNtB2_6Priced5total"),
        ] {
            try expect(index.function(named: name, in: "librust.so").name, equals: symbol)
        }
        expect(index.functions(matching: "crate::*", in: "librust.so").count, equals: 2)
        let error = symbolError { try index.function(named: "crate::module::fooo", in: "librust.so") }
        guard case .notFound(_, _, let nearest, _)? = error else {
            Issue.record("\(String(describing: error))")
            return
        }
        expect(nearest, equals: ["crate::module::foo"])
    }
}
