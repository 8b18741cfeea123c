import Glibc
import HotpatchELF
import HotpatchExpectations
import HotpatchMemory
import HotpatchSymbols
import HotpatchTestSupport
import Testing

/// Libraries compiled for the test and loaded into this process.
@Suite struct LibraryTests {
    let workshop: Workshop

    init() throws { workshop = try Workshop() }

    @Test func scopesInsideAnImage() throws {
        let path = try workshop.library("libscopes.so", ["symbols_scopes.c", "symbols_scopes_other.c"])
        let handle = try load(path)
        let index = try ownIndex()

        let aliasedBody = try index.function(named: "aliased", in: path).address + 1

        // A name that other files can use hides the file-scoped one; two file-scoped ones are equals.
        try expect(
            index.function(named: "static_and_global", in: "libscopes.so").address,
            equals: dlsym(handle, "static_and_global")?.address)
        expect(index.functions(named: "static_and_global", in: "libscopes.so").count, equals: 2)
        expect(symbolError { try index.function(named: "two_statics", in: "libscopes") }.map(isAmbiguous), equals: true)
        expect(index.functions(named: "two_statics", in: path).count, equals: 2)

        // The file tells static ones apart, and so does the address.
        for (file, length) in [("symbols_scopes.c", 2), ("symbols_scopes_other.c", 1)] {
            let found = try index.function(named: "two_statics@\(file)", in: path)
            let address = found.image.bias.linked(found.address)
            try expect(index.function(named: "libscopes.so+0x\(String(address, radix: 16))"), equals: found)
            try expect(index.function(named: "\(found.address)"), equals: found)
            expect(index.functions(named: "static_and_global@\(file)", in: path).count, equals: length - 1)
        }
        let error = symbolError { try index.function(named: "two_statics", in: path) }
        guard case .ambiguous(_, let candidates) = error else { throw TestFailure("\(error as Any)") }
        expect(
            candidates.map(\.spelling).sorted(),
            equals: ["two_statics@symbols_scopes.c", "two_statics@symbols_scopes_other.c"])
        expect(symbolError { try index.function(named: "two_statics@other.c", in: path) }.map(isNotFound), equals: true)
        guard case .noFunctionAt(_, let inside) = symbolError({ try index.function(named: "\(aliasedBody)") }) else {
            throw TestFailure("an address inside a function")
        }
        expect(inside, equals: "aliased")

        // Aliases are found by either name, at one address.
        let aliased = try index.function(named: "aliased", in: path)
        try expect(index.function(named: "other_label", in: path).address, equals: aliased.address)

        let variable = try index.dataSymbol(named: "variable_in_library", in: path)
        expect(variable.address, equals: dlsym(handle, "variable_in_library")?.address)
        try expect(LocalMemory().value(Int32.self, at: variable.address), equals: 7)
        expect(symbolError { try index.dataSymbol(named: "per_thread", in: path) }.map(isNotFound), equals: true)
    }

    @Test func extentsWithoutSymbolSizes() throws {
        let path = try workshop.library("libextents.so", ["symbols_scopes.c", "symbols_scopes_other.c"])
        _ = try load(path)
        let index = try ownIndex()
        let sizeless = try index.function(named: "sizeless", in: path)
        expect(sizeless.size, equals: 0)
        // Its frame description says 3 bytes (x86_64: nop nop ret), whatever follows.
        #if arch(x86_64)
            expect(index.extent(of: sizeless).length, equals: 3)
        #else
            expect(index.extent(of: sizeless).length, equals: 12)
        #endif
        #expect(index.extent(of: sizeless).available >= index.extent(of: sizeless).length)
        let untyped = try index.function(named: "untyped_entry", in: path)
        expect(index.extent(of: untyped).available, equals: 16)
    }

    @Test func severalImages() throws {
        let first = try workshop.library("libfirst.so", ["symbols_scopes.c", "symbols_scopes_other.c"])
        let second = try workshop.library("libsecond.so", ["symbols_twin.c"])
        _ = try load(first)
        _ = try load(second)
        let index = try ownIndex()
        let others = index.images.filter { $0.path != first && $0.path != second }
        let error = symbolError { try index.function(named: "in_two_images", excluding: others) }
        guard case .ambiguous(_, let candidates)? = error else {
            Issue.record("\(String(describing: error))")
            return
        }
        // In the order in which they were loaded.
        expect(candidates.map(\.image), equals: [first, second])
        try expect(index.function(named: "in_two_images", in: "libsecond").image.path, equals: second)
        let firstImage = try #require(index.images.first { $0.path == first })
        try expect(
            index.function(named: "in_two_images", excluding: others + [firstImage]).image.path, equals: second)
    }

    @Test(arguments: [
        ("shop::Cart::add", "_ZN4shop4Cart3addEi"), ("shop::Cart::add(int)", "_ZN4shop4Cart3addEi"),
        ("shop::Cart::total", "_ZNK4shop4Cart5totalEv"), ("shop::Cart::total()", "_ZNK4shop4Cart5totalEv"),
        ("shop::Cart::total() const", "_ZNK4shop4Cart5totalEv"), ("shop::price(double)", "_ZN4shop5priceEd"),
        ("shop::Cart::operator==", "_ZNK4shop4CarteqERKS0_"), ("shop::Cart::operator()", "_ZN4shop4CartclEi"),
        ("shop::Cart::operator bool", "_ZNK4shop4CartcvbEv"), ("shop::largest<int>", "_ZN4shop7largestIiEET_S1_S1_"),
        ("int shop::largest<int>(int, int)", "_ZN4shop7largestIiEET_S1_S1_"),
        ("shop::largest<int>(int, int)", "_ZN4shop7largestIiEET_S1_S1_"),
        ("shop::(anonymous namespace)::hidden_helper", "_ZN4shop12_GLOBAL__N_113hidden_helperEi"),
        ("_ZN4shop5priceEi", "_ZN4shop5priceEi"),
    ])
    func cxxNames(_ name: String, _ mangled: String) throws {
        let path = try workshop.library("libclasses.so", ["symbols_classes.cpp"], compiler: "c++")
        _ = try load(path)
        let found = try ownIndex().function(named: name, in: path)
        expect(found.name, equals: mangled)
    }

    @Test func cxxOverloadsAreAmbiguous() throws {
        let path = try workshop.library("libover.so", ["symbols_classes.cpp"], compiler: "c++")
        _ = try load(path)
        expect(symbolError { try ownIndex().function(named: "shop::price", in: path) }.map(isAmbiguous), equals: true)
    }

    @Test(arguments: [false, true]) func versionsOfALibrary(_ stripped: Bool) throws {
        let name = stripped ? "libversions-stripped.so" : "libversions.so"
        let path = try workshop.library(
            name, ["symbols_versions.c"], ["-Wl,--version-script=\(Workshop.victims)/symbols_versions.map"])
        if stripped { try runTool(["strip", path]) }
        let handle = try load(path)
        let index = try ownIndex()
        for (query, version) in [
            ("versioned", "V2"), ("versioned@@V2", "V2"), ("versioned@V2", "V2"), ("versioned@V1", "V1"),
        ] {
            let found = try index.function(named: query, in: path)
            expect(found.version, equals: version, "\(query)")
            expect(found.address, equals: dlvsym(handle, "versioned", version)?.address, "\(query)")
        }
        expect(index.functions(named: "versioned", in: path).count, equals: 2)
        expect(
            index.exportedAddress(of: "versioned", version: "V1", in: path),
            equals: dlvsym(handle, "versioned", "V1")?.address)
        let elf = try ElfImage(path: path)
        let both = elf.dynamicSymbols.filter { $0.name == "versioned" }
        expect(Set(both.map { "\($0.version ?? "")\($0.isDefaultVersion)" }), equals: ["V1false", "V2true"])
    }

    @Test func indirectFunctions() throws {
        let path = try workshop.library("libindirect.so", ["symbols_indirect.c"])
        let handle = try load(path)
        let index = try ownIndex()
        let fast = dlsym(handle, "fast_choice")?.address
        for name in ["chosen", "chosen_inside"] {
            let found = try index.function(named: name, in: path)
            #expect(found.isIndirect)
            expect(found.address, equals: fast, "\(name)")
            expect(found.size, equals: (try index.function(named: "fast_choice", in: path)).size)
        }
        let error = symbolError { try index.function(named: "never_bound", in: path) }
        guard case .indirectUnresolved("never_bound", path, _)? = error else {
            Issue.record("\(String(describing: error))")
            return
        }
    }

    @Test func lazilyBoundSlotsAreNoAnswer() throws {
        let path = try workshop.library("liblazy.so", ["symbols_indirect.c"], ["-Wl,-z,lazy"])
        guard let handle = dlopen(path, RTLD_LAZY) else { throw TestFailure("dlopen") }
        // Bound now or not: the answer is the implementation, or none; never the PLT and never the resolver.
        let found = try? ownIndex().function(named: "chosen", in: path).address
        #expect(found == nil || found == dlsym(handle, "fast_choice")?.address)
        typealias Call = @convention(c) () -> Int32
        let call = unsafeBitCast(try #require(dlsym(handle, "call_chosen")), to: Call.self)
        expect(call(), equals: 22)
        try expect(
            ownIndex().function(named: "chosen", in: path).address, equals: dlsym(handle, "fast_choice")?.address)
    }

    @Test func unresolvedSymbols() throws {
        try workshop.library("libprovider.so", ["symbols_provider.c"])
        let needy = try workshop.library(
            "libneedy.so", ["symbols_needy.c"],
            [
                "-Wl,--no-as-needed", "-L\(workshop.path)", "-lprovider", "-Wl,-rpath,$ORIGIN",
                "-Wl,--allow-shlib-undefined",
            ])
        let index = try ownIndex()
        let elf = try ElfImage(path: needy)
        #expect(elf.needed.contains("libprovider.so"))
        expect(elf.runpath, equals: ["$ORIGIN"])
        var found = index.unresolvedSymbols(of: elf)
        expect(found.symbols, equals: ["nowhere"])
        expect(found.libraries, equals: [])

        try runTool(["rm", workshop.file("libprovider.so")])
        found = index.unresolvedSymbols(of: elf)
        expect(found.symbols, equals: ["nowhere", "only_here"])
        expect(found.libraries, equals: ["libprovider.so (needed by \(needy))"])

        // A library of the system that this process does not load is found through the cache or the directories.
        let fine = try workshop.library("libfine.so", ["symbols_twin.c"], ["-Wl,--no-as-needed", "-lresolv"])
        #expect(index.unresolvedSymbols(of: try ElfImage(path: fine)).isEmpty)
    }

    /// Debug information is often compressed; libelf decompresses it.
    @Test(arguments: ["-gz=none", "-gz"]) func copies(compression: String) throws {
        let path = try workshop.library("libinlined.so", ["symbols_inlined.c"], ["-O2", "-g", compression])
        _ = try load(path)
        let index = try ownIndex()
        guard case .known(let copies) = index.unreachedCopies(of: try index.function(named: "area", in: path)) else {
            Issue.record("DWARF was not read")
            return
        }
        let callers = copies.compactMap { copy -> String? in
            guard case .inlined(let into, let file, let line, let address) = copy.kind else { return nil }
            #expect(file?.hasSuffix("symbols_inlined.c") == true && line != nil)
            expect(index.function(containing: address)?.symbol.name, equals: into)
            return into
        }
        expect(Set(callers), equals: ["floor_area", "wall_area"])
        // Without code of its own in the library there is no symbol; with one, another file's namesake does not count.
        let both = try workshop.library(
            "libtwofiles.so", ["symbols_inlined.c", "symbols_inlined_other.c"], ["-O2", "-g", compression])
        _ = try load(both)
        let namesakes = try ownIndex()
        let counts = namesakes.functions(named: "area", in: both).map { namesakes.unreachedCopies(of: $0).copies.count }
        expect(counts.sorted(), equals: [1, 2])

        let scaled = index.unreachedCopies(of: try index.function(named: "scaled", in: path)).copies
        expect(scaled.map(\.description).count, equals: 1)
        expect(scaled.first?.description.contains("scaled.constprop.0"), equals: true)
    }

    @Test(arguments: [(["-O2"], "symbolsOnly"), (["-O2", "-s"], "unknown")])
    func copiesWithoutDebugInformation(_ options: [String], _ expected: String) throws {
        let path = try workshop.library("lib\(expected).so", ["symbols_inlined.c"], options)
        _ = try load(path)
        let index = try ownIndex()
        switch index.unreachedCopies(of: try index.function(named: "scaled", in: path)) {
        case .known: Issue.record("there is no DWARF")
        case .symbolsOnly(let copies):
            expect(expected, equals: "symbolsOnly")
            expect(copies.count, equals: 1)
        case .unknown: expect(expected, equals: "unknown")
        }
    }
}
