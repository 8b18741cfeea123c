import HotpatchExpectations
import HotpatchMemory
import HotpatchSymbols
import HotpatchTestSupport
import Testing

@Suite struct DebugFactsTests {
    let workshop: Workshop

    init() throws { workshop = try Workshop() }

    private func index(_ options: [String]) throws -> SymbolIndex {
        let name = "facts\(options.joined())"
        try runTool(
            [
                "swiftc", "-parse-as-library", "-emit-library", "-module-name", "Facts", "-o",
                workshop.file("lib\(name).so"),
            ]
                + options + ["\(Workshop.victims)/symbols_facts.swift"])
        _ = try load(workshop.file("lib\(name).so"))
        return try ownIndex()
    }

    private func facts(_ name: String, _ index: SymbolIndex, _ options: [String]) throws -> DebugFacts? {
        index.debugFacts(of: try index.function(named: "Facts.\(name)", in: "libfacts\(options.joined()).so"))
    }

    @Test(arguments: [["-g", "-Onone"], ["-g", "-O"]])
    func tells(_ options: [String]) throws {
        let index = try index(options)
        let isOptimised = options.contains("-O")
        for (name, expected) in [
            ("Cart.count(of:)", DebugFacts.SelfUse.borrowed), ("Cart.nothing", .borrowed), ("Cart.shadowed", .borrowed),
            ("Cart.add", .mutated), ("Cart.addLater", .mutated), ("Cart.total.getter", .borrowed),
            ("Cart.checked.getter", .borrowed), ("Cart.first.getter", .borrowed), ("Cart.first.setter", .mutated),
            ("Cart.counted.getter", .mutated), ("Cart.counted.setter", .borrowed), ("Small.doubled", .borrowed),
            ("Small.double", .mutated), ("Payment.fee", .borrowed), ("Payment.waive", .mutated),
            ("Shop.close", .borrowed),
        ] {
            let found = try facts(name, index, options)
            // A setter that only overwrites `self` has nothing left of it that could be described.
            if isOptimised, name == "Cart.first.setter", found?.selfUse == nil { continue }
            expect(found?.selfUse, equals: expected, "\(name)")
            expect(found?.isOptimised, equals: isOptimised, "\(name)")
        }
        try expect(facts("Cart.drain", index, options)?.selfUse, equals: (isOptimised ? nil : .consumed))
        try expect(facts("Cart.init", index, options)?.selfUse, equals: nil)
        try expect(facts("Cart.make", index, options)?.selfUse, equals: nil)
        for (name, expected) in [
            ("Cart.checked.getter", true), ("Cart.total.getter", false), ("Cart.counted.getter", false),
            ("Cart.make", true), ("Cart.addLater", true), ("Shop.close", true), ("price(of:)", false),
            ("hidden", false),
        ] {
            try expect(facts(name, index, options)?.throwsError, equals: expected, "\(name)")
        }
    }

    @Test(arguments: [["-O"], ["-Onone"], ["-O", "-gline-tables-only"]])
    func saysNothingWithoutDwarf(_ options: [String]) throws {
        let index = try index(options)
        for name in ["Cart.count(of:)", "Cart.checked.getter", "price(of:)"] {
            let found = try facts(name, index, options)
            expect(found?.selfUse, equals: nil, "\(name)")
            expect(found?.throwsError, equals: nil, "\(name)")
            if !options.contains("-gline-tables-only") { #expect(found == nil) }
        }
    }

    /// C has neither.
    @Test func otherLanguages() throws {
        _ = try load(try workshop.library("libother.so", ["symbols_scopes.c"], ["-g"]))
        let index = try ownIndex()
        for function in index.functions(matching: "*", in: "libother.so") {
            expect(index.debugFacts(of: function)?.isOptimised, equals: nil)
            expect(index.debugFacts(of: function)?.selfUse, equals: nil)
        }
        expect(index.debugFacts(of: try index.function(named: "malloc", in: "libc")), equals: nil)
    }
}
