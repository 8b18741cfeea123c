import Foundation
import HotpatchExpectations
import HotpatchMemory
import HotpatchSymbols
import HotpatchTestSupport
import Testing

/// Names as users write them, against what the compiler makes of a library.
@Suite struct UserNamesTests {
    static let names = Result { try Names() }
    let index: SymbolIndex

    final class Names: Sendable {
        let index: SymbolIndex
        let workshop: Workshop

        init() throws {
            workshop = try Workshop()
            for module in ["Names", "Mall"] {
                let path = workshop.file("lib\(module).so")
                try runTool(
                    "swiftc", "-parse-as-library", module == "Names" ? "-DUNIQUE" : "-DMALL", "-emit-library",
                    "-module-name", module, "-o", path,
                    "\(Workshop.victims)/symbols_names.swift")
                _ = try load(path)
            }
            index = try ownIndex()
        }
    }

    init() throws { index = try Self.names.get().index }

    @Test(
        arguments: [
            ("Names.price", "$s5Names5price2ofSiSS_tF"), ("Names.price(of:)", "$s5Names5price2ofSiSS_tF"),
            ("Names.price(of: Swift.String)", "$s5Names5price2ofSiSS_tF"),
            ("Names.price(of: Swift.String) -> Swift.Int", "$s5Names5price2ofSiSS_tF"),
            // As in source.
            ("Names.price(of: String) -> Int", "$s5Names5price2ofSiSS_tF"),
            ("Names.price(of: String)", "$s5Names5price2ofSiSS_tF"),
            ("Names.Counter.reset", "$s5Names7CounterC5resetyyF"),
            ("Names.Counter.reset()", "$s5Names7CounterC5resetyyF"),
            ("Names.Counter.reset() -> Void", "$s5Names7CounterC5resetyyF"),
            ("Names.Counter.increment(by: Double)", "$s5Names7CounterC9increment2byySd_tF"),
            ("Names.Counter.increment(by: Swift.Int) -> ()", "$s5Names7CounterC9increment2byySi_tF"),
            ("Names.Cart.total", "$s5Names4CartV5totalSivg"), ("Names.Cart.total.getter", "$s5Names4CartV5totalSivg"),
            ("Names.Cart.total.getter : Int", "$s5Names4CartV5totalSivg"),
            ("Names.Cart.first.setter", "$s5Names4CartV5firstAA4ItemVSgvs"),
            ("Names.Cart.subscript(_:)", "$s5Names4CartVyAA4ItemVSicig"),
            ("Names.Cart.subscript(named:).getter", "$s5Names4CartV5namedAA4ItemVSgSS_tcig"),
            ("Names.Cart.subscript(named:).setter", "$s5Names4CartV5namedAA4ItemVSgSS_tcis"),
            ("Names.Cart.subscript.getter : (Swift.Int)", "$s5Names4CartVyAA4ItemVSicig"),
            ("Names.Cart.subscript.getter : (named: String) -> Item?", "$s5Names4CartV5namedAA4ItemVSgSS_tcig"),
            ("static Names.Cart.make(of:)", "$s5Names4CartV4make2ofACSayAA4ItemVGSg_tFZ"),
            ("static Names.Cart.make(of: [Names.Item]?) -> Names.Cart", "$s5Names4CartV4make2ofACSayAA4ItemVGSg_tFZ"),
            ("Names.Cart.make(of: [Item]?)", "$s5Names4CartV4make2ofACSayAA4ItemVGSg_tFZ"),
            ("Names.Cart.<", "$s5Names4CartV1loiySbAC_ACtFZ"), ("Names.Cart.<(_:_:)", "$s5Names4CartV1loiySbAC_ACtFZ"),
            ("Names.Cart.-(_:)", "$s5Names4CartV1sopyA2CFZ"), ("Names.Cart.-(_:_:)", "$s5Names4CartV1soiyA2C_ACtFZ"),
            ("static Names.Cart.- prefix(Names.Cart) -> Names.Cart", "$s5Names4CartV1sopyA2CFZ"),
            ("Names.Cart.- prefix(Cart)", "$s5Names4CartV1sopyA2CFZ"),
            ("Names.Cart...<", "$s5Names4CartV3zzloiySiAC_ACtFZ"),
            ("Names.Cart.init", "$s5Names4CartV5itemsACSayAA4ItemVG_tcfC"),
            ("Names.Cart.init(items:)", "$s5Names4CartV5itemsACSayAA4ItemVG_tcfC"),
            ("Names.Cart.init(items: [Item]) -> Cart", "$s5Names4CartV5itemsACSayAA4ItemVG_tcfC"),
            ("Names.Counter.__allocating_init(from:)", "$s5Names7CounterC4fromACSi_tcfC"),
            ("Names.Counter.init(from:)", "$s5Names7CounterC4fromACSi_tcfc"),
            (
                "Names.prices(_: [String: [Int]], by: ((Int, Int) -> Bool)?) throws -> [Int]?",
                "$s5Names6prices_2bySaySiGSgSDySSADG_SbSi_SitcSgtKF"
            ),
            (
                "Names.prices(_: [Swift.String : [Swift.Int]], by: ((Swift.Int, Swift.Int) -> Swift.Bool)?)",
                "$s5Names6prices_2bySaySiGSgSDySSADG_SbSi_SitcSgtKF"
            ),
            ("Names.nothing(@escaping () -> Void)", "$s5Names7nothingyyyycF"), ("Names.helper", nil),
            ("Names.helper(_:)", nil),
            ("(extension in Names):Swift.String.shout(Int) -> String", "$sSS5NamesE5shoutySSSiF"),
            ("(extension in Names):Swift.String.shout(Swift.Int)", "$sSS5NamesE5shoutySSSiF"),
            ("(extension in Names):Swift.String.shout(_:)", "$sSS5NamesE5shoutySSSiF"),
            ("(extension in Names):Swift.String.shout(_: Int)", "$sSS5NamesE5shoutySSSiF"),
            ("(extension in Names):Swift.String.shout", "$sSS5NamesE5shoutySSSiF"),
            ("(extension in Names):String.shout(_:)", "$sSS5NamesE5shoutySSSiF"),
            ("Names.nothing(_: @escaping () -> Void)", "$s5Names7nothingyyyycF"),
            ("static Names.Cart.make(_: Int)", "$s5Names4CartV4makeyACSiFZ"),
            ("static Names.Cart.make(_:)", "$s5Names4CartV4makeyACSiFZ"),
            ("Names.Box.sum(_:)", "$s5Names3BoxVAASiRszlE3sumyS2iF"),
            ("Names.Box.sum", "$s5Names3BoxVAASiRszlE3sumyS2iF"),
            // Without the module.
            ("uniquePrice(of:)", "$s5Names11uniquePrice2ofSiSS_tF"),
            ("uniquePrice(of: String)", "$s5Names11uniquePrice2ofSiSS_tF"),
            ("Unique.total", "$s5Names6UniqueV5totalSivg"), ("Unique.make(of:)", "$s5Names6UniqueV4make2ofACSi_tFZ"),
            ("Unique.make(of: Int) -> Unique", "$s5Names6UniqueV4make2ofACSi_tFZ"),
            ("static Unique.make", "$s5Names6UniqueV4make2ofACSi_tFZ"), ("Unique.init()", "$s5Names6UniqueVACycfC"),
            ("Unique.<", "$s5Names6UniqueV1loiySbAC_ACtFZ"),
            ("uniquePrices(_: [Unique]?)", "$s5Names12uniquePricesyySayAA6UniqueVGSgF"),
        ] as [(String, String?)])
    func resolves(_ name: String, _ symbol: String?) throws {
        let found = try index.function(named: name)
        if let symbol { expect(found.name, equals: symbol) }
        expect(found.image.name, equals: "libNames.so")
    }

    /// Where the toolchain declares a function is no business of those who call it.
    @Test(arguments: [
        ("Foundation.Date.init()", "$s20FoundationEssentials4DateVACycfC"),
        ("Date.init()", "$s20FoundationEssentials4DateVACycfC"),
        (
            "Foundation.Date.init(timeIntervalSince1970: Double)",
            "$s20FoundationEssentials4DateV21timeIntervalSince1970ACSd_tcfC"
        ),
        ("Swift.Task.sleep(nanoseconds:)", "$sScTss5NeverORszABRs_rlE5sleep11nanosecondsys6UInt64V_tYaKFZ"),
        ("Task.sleep(nanoseconds:)", "$sScTss5NeverORszABRs_rlE5sleep11nanosecondsys6UInt64V_tYaKFZ"),
        ("Int.init(bitPattern: UInt)", "$sSi10bitPatternSiSu_tcfC"),
    ])
    func ofTheToolchain(_ name: String, _ symbol: String) throws {
        try expect(index.function(named: name).name, equals: symbol)
    }

    @Test func suggestsFromAllImages() {
        guard case .notFound(_, _, let nearest, _)? = symbolError({ try index.function(named: "Names.Cart.totel") })
        else {
            Issue.record("it was found")
            return
        }
        expect(nearest, equals: ["Names.Cart.total.getter : Swift.Int"])
    }

    /// One a line, the best first.
    @Test(arguments: [
        ("Names.Cart.totel", "Names.Cart.total.getter : Swift.Int"),
        ("Names.prize(of:)", "Names.price(of: Swift.String) -> Swift.Int"),
        ("Names.price(to:)", "Names.price(of: Swift.String) -> Swift.Int"),
        ("Shop.uniquePrice(of:)", "Names.uniquePrice(of: Swift.String) -> Swift.Int"),
        ("Names.priceUnique", "Names.uniquePrice(of: Swift.String) -> Swift.Int"),
        ("Names.Counter.incremant(by: Int)", "Names.Counter.increment(by: Swift.Double) -> ()"),
    ])
    func suggests(_ name: String, _ first: String) throws {
        guard case .notFound(_, _, let nearest, _)? = symbolError({ try index.function(named: name, in: "libNames") })
        else {
            Issue.record("it was found")
            return
        }
        expect(nearest.first, equals: first)
        #expect(nearest.allSatisfy { $0.contains("Names.") }, "\(nearest)")
        let text = SymbolError.notFound(name: name, image: nil, nearest: nearest).description
        #expect(text.hasSuffix("Spelled alike:\n  " + nearest.joined(separator: "\n  ")))
    }

    /// What shares nothing but letters is no suggestion.
    @Test(arguments: ["Names.Cart.xyz", "ad", "Names.Other.got", "qqprice_zz", "static Names.q.zz(of: Swift.Int)"])
    func suggestsNothing(_ name: String) {
        guard case .notFound(_, _, let nearest, _)? = symbolError({ try index.function(named: name, in: "libNames") })
        else {
            Issue.record("it was found")
            return
        }
        expect(nearest, equals: [])
    }

    /// The error lists names, each of which finds one of those that were meant.
    @Test(arguments: [
        ("Names.Counter.increment", 2), ("Names.Counter.increment(by:)", 2), ("Names.Cart.first", 2),
        ("Names.Cart.-", 2),
        ("Names.Cart.subscript", 3), ("Names.Cart.subscript.getter", 2), ("Names.Cart.subscript(named:)", 2),
        ("Names.Counter.init", 2), ("Swift.String.shout", 2), ("Swift.String.shout(_:)", 2),
        ("Names.Cart.make(_: Int)", 2),
    ])
    func saysWhatToWriteInstead(_ name: String, _ count: Int) throws {
        let error = symbolError { try index.function(named: name) }
        guard case .ambiguous(_, let candidates)? = error else {
            Issue.record("\(String(describing: error))")
            return
        }
        expect(candidates.count, equals: count)
        let text = error?.description ?? ""
        #expect(text.hasSuffix("Write the name of the one that is meant as it stands here."), "\(text)")
        for candidate in candidates {
            let instead = Demangling.demangle(candidate.name) ?? ""
            #expect(text.contains(instead))
            try expect(index.function(named: instead).name, equals: candidate.name)
        }
    }

    @Test func narrowsByImage() throws {
        expect(symbolError { try index.function(named: "Swift.String.shout") }.map(isAmbiguous), equals: true)
        for module in ["Names", "Mall"] {
            let found = try index.function(named: "Swift.String.shout(_:)", in: "lib\(module).so")
            expect(found.image.name, equals: "lib\(module).so")
            try expect(index.function(named: "\(module).price").image, equals: found.image)
            try expect(index.function(named: "Swift.String.shout(Int) -> String", in: "lib\(module)"), equals: found)
        }
    }

    @Test(arguments: [
        "Names.price(of: Int)", "Names.price(of: String) -> Double", "Names.price(by: String)", "Names.price()",
        "Names.Cart.total.setter", "Names.price(of: Other.String)", "Names.price(of: Swift.String, Int)",
        "Names.Cart.total.getter : Double", "Names.price(of: String", "Names.price(of: [String])", "Names.(((((((",
        "Names.x<<<<",
        "Names.nothing(Void)", "Names.Counter.reset(_:)", "uniquePrice", "Nowhere.uniquePrice", "Other.Unique.total",
        "(extension in Mall):Names.price(of:)", "(extension in Names):Names.price(of:)",
    ])
    func findsNothing(_ name: String) {
        expect(symbolError { try index.function(named: name, in: "libNames") }.map(isNotFound), equals: true)
    }
}
