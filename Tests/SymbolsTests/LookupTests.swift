import Glibc
import HotpatchExpectations
import HotpatchMemory
import HotpatchSymbols
import Testing

// Found by name in this very process.
@inline(never) func sampleOverloaded(of text: String) -> Int { text.utf8.count }
@inline(never) func sampleOverloaded(of number: Int) -> Int { number }
@inline(never) func sampleUnique(of text: String, _ times: Int) -> Int { text.utf8.count * times }
@inline(never) private func sampleHidden(_ number: Int) -> Int { number + 1 }
struct SampleCart {
    var items: [Int] = []
    var total: Int { @inline(never) get { items.reduce(0, +) } }
    @inline(never) static func make(of item: Int) -> SampleCart { SampleCart(items: [item]) }
    @inline(never) static func < (left: SampleCart, right: SampleCart) -> Bool { left.total < right.total }
}
extension String {
    @inline(never) func sampleShout() -> String { self + "!" }
}
@inline(never) func sampleGeneric<A: Comparable>(over items: [A]) -> A? { items.max() }

/// Keeps the samples from being removed.
func useSamples() -> Int {
    let cart = SampleCart.make(of: 3)
    return sampleOverloaded(of: "a") + sampleOverloaded(of: 1) + sampleUnique(of: "a", 2) + sampleHidden(1) + cart.total
        + ("a".sampleShout().utf8.count) + (sampleGeneric(over: [1, 2]) ?? 0) + (cart < cart ? 1 : 0)
}

@Suite struct LookupTests {
    static let index = Result { try ownIndex() }
    let index: SymbolIndex

    init() throws {
        #expect(useSamples() > 0)
        index = try Self.index.get()
    }

    @Test func describesTheProcess() {
        expect(index.images.first?.isMainProgram, equals: true)
        expect(index.images.filter(\.isMainProgram).count, equals: 1)
        #expect(index.images.contains { $0.isDynamicLinker })
        #expect(index.images.contains { $0.matches("libc") && $0.elf.soname == "libc.so.6" })
        #expect(index.problems.isEmpty, "\(index.problems)")
        for image in index.images { #expect(image.elf.fileType == 3 || image.isMainProgram, "\(image.path)") }
    }

    @Test(arguments: [
        "SymbolsTests.sampleUnique(of: Swift.String, _: Swift.Int) -> Swift.Int",
        "SymbolsTests.sampleUnique(of: Swift.String, _: Swift.Int)", "SymbolsTests.sampleUnique(of:_:)",
        "SymbolsTests.sampleUnique",
        "SymbolsTests.sampleOverloaded(of: Swift.Int)", "SymbolsTests.sampleHidden(_:)", "SymbolsTests.sampleHidden",
        "SymbolsTests.SampleCart.total.getter", "SymbolsTests.SampleCart.make(of:)",
        "static SymbolsTests.SampleCart.make(of:)", "static SymbolsTests.SampleCart.make(of: Swift.Int)",
        "SymbolsTests.SampleCart.<", "Swift.String.sampleShout()", "Swift.String.sampleShout",
        "(extension in SymbolsTests):Swift.String.sampleShout() -> Swift.String", "SymbolsTests.sampleGeneric(over:)",
        "SymbolsTests.sampleGeneric",
    ])
    func findsSwiftFunctions(_ name: String) throws {
        let found = try index.function(named: name)
        #expect(found.image.isMainProgram)
        #expect(found.size > 0)
        let text = found.demangledName
        #expect(text.contains("sample") || text.contains("SampleCart"))
        try expect(index.function(named: found.name), equals: found)
        try expect(index.function(named: text), equals: found)
    }

    @Test func overloadsAreAmbiguous() throws {
        for name in ["SymbolsTests.sampleOverloaded", "SymbolsTests.sampleOverloaded(of:)"] {
            let error = symbolError { try index.function(named: name) }
            guard case .ambiguous(_, let candidates)? = error else {
                Issue.record("\(String(describing: error))")
                continue
            }
            expect(candidates.count, equals: 2)
            expect(error?.description.contains("sampleOverloaded(of: Swift.String)"), equals: true)
            expect(index.functions(named: name).count, equals: 2)
        }
    }

    /// What dlsym answers for these is what is found, without saying where.
    @Test(arguments: ["malloc", "free", "dlopen", "pthread_create", "getenv", "swift_retain", "qsort", "calloc"])
    func agreesWithTheDynamicLinker(_ name: String) throws {
        let expected = try #require(dlsym(nil, name)).address
        try expect(index.function(named: name).address, equals: expected)
        expect(index.exportedAddress(of: name), equals: expected)
    }

    @Test func indirectFunctionsOfLibc() throws {
        for name in ["memcpy", "strlen", "memset"] {
            let found = try index.function(named: name)
            #expect(found.isIndirect)
            #expect(found.address != found.symbolAddress)
            // dlsym calls the resolver.
            expect(found.address, equals: dlsym(nil, name)?.address, "\(name)")
            #expect(index.extent(of: found).length > 0)
        }
    }

    @Test func versions() throws {
        let current = try index.function(named: "memcpy")
        expect(current.version, equals: "GLIBC_2.14")
        try expect(index.function(named: "memcpy@@GLIBC_2.14"), equals: current)
        try expect(index.function(named: "memcpy@GLIBC_2.14"), equals: current)
        let old = try index.function(named: "memcpy@GLIBC_2.2.5")
        #expect(old.symbolAddress == dlvsym(nil, "memcpy", "GLIBC_2.2.5")?.address || old.isIndirect)
        #expect(old.symbolAddress != current.symbolAddress)
        expect(symbolError { try index.function(named: "memcpy@GLIBC_9") }.map(isNotFound), equals: true)
        expect(Set(index.functions(named: "memcpy").compactMap(\.version)), equals: ["GLIBC_2.14", "GLIBC_2.2.5"])
    }

    @Test func narrowsByImage() throws {
        let malloc = try index.function(named: "malloc")
        for spec in ["libc", "libc.so", "libc.so.6", malloc.image.path] {
            try expect(index.function(named: "malloc", in: spec), equals: malloc)
        }
        for spec in ["lib", "libcc", "libm", "nothing"] {
            expect(symbolError { try index.function(named: "malloc", in: spec) }.map(isNotFound), equals: true)
        }
        #expect(
            symbolError { try index.function(named: "malloc", excluding: [malloc.image]) }.map(isNotFound) == true
                || index.images.contains { $0.isDynamicLinker })
    }

    @Test func suggestsWhatIsSpelledAlike() throws {
        for (wrong, right) in [
            ("mallc", "malloc"), ("SymbolsTests.sampleUniqe(of:_:)", "sampleUnique"),
            ("pthread_craete", "pthread_create"),
        ] {
            guard case .notFound(_, _, let nearest, _)? = symbolError({ try index.function(named: wrong) }) else {
                Issue.record("\(wrong) was found")
                continue
            }
            #expect(nearest.contains { $0.contains(right) }, "\(wrong): \(nearest)")
            #expect(nearest.count <= 5)
        }
    }

    @Test func whatTheOptimizerLeaves() throws {
        let workshop = try Workshop()
        let path = try workshop.library("libspecialised.so", ["symbols_specialised.c"])
        _ = try load(path)
        let index = try ownIndex()
        let error = symbolError { try index.function(named: "app.Shop.price(of:)") }
        guard case .notFound(_, _, let nearest, _)? = error else {
            Issue.record("\(String(describing: error))")
            return
        }
        expect(nearest.count, equals: 1, "\(nearest)")
        expect(
            nearest.first?.hasSuffix("> of static app.Shop.price(of: Swift.String) -> Swift.Int"), equals: true,
            "\(nearest)")
        // `static` may be left out, as in a look-up.
        expect(index.functions(matching: "app.Shop.*").map(\.name), equals: ["$s3app4ShopO9salePrice2ofSiSS_tFZ"])
        try expect(index.function(named: "app.Shop.salePrice").name, equals: "$s3app4ShopO9salePrice2ofSiSS_tFZ")
    }

    @Test(arguments: ["", "@", "@@", "*", "static ", "\u{0}", "malloc@", String(repeating: "x", count: 100_000)])
    func strangeNamesAreNotFound(_ name: String) {
        expect(symbolError { try index.function(named: name) }.map(isNotFound), equals: true)
    }

    @Test func patterns() throws {
        let samples = index.functions(matching: "SymbolsTests.sample*")
        #expect(samples.contains { $0.demangledName.contains("sampleUnique") })
        #expect(samples.contains { $0.demangledName.contains("sampleOverloaded(of: Swift.Int)") })
        #expect(zip(samples, samples.dropFirst()).allSatisfy { $0.address <= $1.address })
        #expect(index.functions(matching: "sampleUnique").count >= 1)
        expect(index.functions(matching: "mallo?", in: "libc").map(\.name), equals: ["malloc"])
        #expect(index.functions(matching: "no such thing at all").isEmpty)
    }

    @Test func findsFunctionsByAddress() throws {
        let unique = try index.function(named: "SymbolsTests.sampleUnique")
        for offset in [0, 1, unique.size - 1] {
            let found = try #require(index.function(containing: unique.address + offset))
            expect(found.symbol, equals: unique)
            expect(found.offset, equals: offset)
        }
        #expect(index.function(containing: .null) == nil)
        #expect(index.function(containing: Address(UInt64.max)) == nil)
        var local = 0
        #expect(withUnsafePointer(to: &local) { index.function(containing: Address(UnsafeRawPointer($0))) } == nil)
    }

    /// Every function that has a size starts before the next one, and none is longer than its segment.
    @Test func extentsStayInTheImage() throws {
        for name in ["malloc", "qsort", "SymbolsTests.sampleUnique", "swift_retain"] {
            let function = try index.function(named: name)
            let (length, available) = index.extent(of: function)
            #expect(length == function.size && length > 0)
            #expect(available >= length, "\(name)")
            let end = function.address + available
            #expect(index.function(containing: end)?.offset ?? 0 == 0, "\(name) ends in the middle of another function")
            #expect(end <= function.image.range.upperBound)
        }
    }

    @Test func dataSymbols() throws {
        let environment = try index.dataSymbol(named: "environ", in: "libc")
        let value = try LocalMemory().value(UInt64.self, at: environment.address)
        expect(value, equals: UInt64(UInt(bitPattern: environ)))
        expect(environment.size, equals: 8)
        expect(symbolError { try index.dataSymbol(named: "malloc") }.map(isNotFound), equals: true)
    }

    @Test func manyThreadsAsk() async throws {
        let fresh = try ownIndex()
        let expected = try index.function(named: "SymbolsTests.sampleUnique").address
        await withTaskGroup(of: Address?.self) { group in
            for _ in 0..<16 { group.addTask { try? fresh.function(named: "SymbolsTests.sampleUnique").address } }
            for await address in group { expect(address, equals: expected) }
        }
    }
}

extension UnsafeMutableRawPointer {
    var address: Address { Address(UnsafeRawPointer(self)) }
}
