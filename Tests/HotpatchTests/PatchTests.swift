import CHotpatchVictims
import Glibc
import Hotpatch
import HotpatchExpectations
import HotpatchMemory
import HotpatchTestSupport
import Testing

typealias Binary = @Sendable @convention(c) (Int32, Int32) -> Int32
typealias Unary = @Sendable @convention(c) (Int32) -> Int32
typealias Nullary = @Sendable @convention(c) () -> Int32

private let subtract: Binary = { $0 - $1 }
private let multiply: Binary = { $0 * $1 }
private let zero: Binary = { _, _ in 0 }

/// Everything below patches this very process, whose other threads belong to libdispatch and block signals.
@Suite(.serialized) final class PatchTests {
    private let turn: PatchingTurn

    init() async { turn = await PatchingTurn() }

    deinit { try? Patch.revertAll() }

    @Test func aCFunctionRunsInstead() throws {
        let patch = try Patch.replace(symbol: "victim_add", with: subtract)
        expect(victim_add(40, 2), equals: 38)
        try expect(patch.original(as: Binary.self)(40, 2), equals: 42)
        #expect(try patch.isInForce)
        try patch.revert()
        expect(victim_add(40, 2), equals: 42)
        #expect(try !patch.isInForce)
        // What the handle gave out stays callable.
        try expect(patch.original(as: Binary.self)(40, 2), equals: 42)
    }

    @Test func anAddressOrASymbolRunsInstead() throws {
        let address = UnsafeRawPointer(
            bitPattern: UInt(try #require(try Patch.functions(matching: "victim_subtract").first).address.rawValue))
        let first = try Patch.replace(symbol: "victim_add", with: try #require(address))
        expect(victim_add(40, 2), equals: 38)
        try first.revert()
        try Patch.replace(symbol: "victim_add", withSymbol: "victim_subtract")
        expect(victim_add(40, 2), equals: 38)
        try expect(Patch.replacement(for: "victim_add")?.name, equals: "victim_subtract")
        try Patch.revert(symbol: "victim_add")
        try expect(Patch.replacement(for: "victim_add"), equals: nil)
    }

    /// The patcher runs its own functions while it patches: of every module that a program gets with it, none may be replaced.
    @Test(arguments: [
        "Memory", "ELF", "ProcFS", "Demangle", "Symbols", "Plan", "HotLink", "Engine", "Objects", "LocalTarget",
        "SwiftCall", "",
    ])
    func ownCodeIsRefused(module: String) throws {
        let name = "Hotpatch" + module
        let prefix = "$s\(name.utf8.count)\(name)"
        let function = try #require(try Patch.functions(matching: prefix + "*").first { $0.name.hasPrefix(prefix) })
        let error = #expect(throws: PatchError.self) {
            try Patch.replace(symbol: function.name, withSymbol: "victim_add")
        }
        expect(error?.code, equals: .ownFunction, "\(function.name): \(String(describing: error))")
    }

    @Test func aSwiftFunctionByItsDemangledName() throws {
        expect(price(of: "tea"), equals: 3)
        for name in [
            "HotpatchTests.price(of: Swift.String) -> Swift.Int", "HotpatchTests.price(of: Swift.String)",
            "HotpatchTests.price",
        ] {
            let patch = try Patch.replace(
                symbol: name, withSymbol: "HotpatchTests.dearPrice(of: Swift.String) -> Swift.Int")
            expect(price(of: "tea"), equals: 300)
            try patch.revert()
            expect(price(of: "tea"), equals: 3)
        }
    }

    @Test func theOriginalPointerIsThereBeforeTheReplacementRuns() throws {
        let pointer = Patch.OriginalPointer.allocate(capacity: 1)
        pointer.initialize(to: nil)
        let patch = try Patch.replace(symbol: "victim_add", with: subtract, original: pointer)
        expect(pointer.pointee.map { Address($0) }, equals: patch.originalAddress)
    }

    // MARK: Stacking

    @Test(arguments: [[0, 1, 2], [0, 2, 1], [1, 0, 2], [1, 2, 0], [2, 0, 1], [2, 1, 0]])
    func theNewestInForceRunsWhateverTheOrderOfReverts(order: [Int]) throws {
        let functions = [subtract, multiply, zero]
        let answers: [Int32] = [38, 80, 0]
        let patches = try functions.map { try Patch.replace(symbol: "victim_add", with: $0) }
        expect(Set(patches.map(\.originalAddress)).count, equals: 1)
        var inForce = [0, 1, 2]
        expect(victim_add(40, 2), equals: 0)
        for leaving in order {
            try patches[leaving].revert()
            inForce.removeAll { $0 == leaving }
            #expect(victim_add(40, 2) == inForce.last.map { answers[$0] } ?? 42)
            try expect(patches[0].original(as: Binary.self)(40, 2), equals: 42)
        }
    }

    @Test func revertingTwiceIsAnError() throws {
        let patch = try Patch.replace(symbol: "victim_add", with: subtract)
        try patch.revert()
        #expect { try patch.revert() } throws: { error in
            let error = error as? PatchError
            return error?.code == .notInForce && error?.patch == patch.id
        }
    }

    @Test func aFunctionPatchedAgainReusesItsStub() throws {
        let first = try Patch.replace(symbol: "victim_add", with: subtract)
        try first.revert()
        let second = try Patch.replace(symbol: "victim_add", with: multiply)
        expect(first.originalAddress, equals: second.originalAddress)
        expect(victim_add(40, 2), equals: 80)
    }

    // MARK: The original

    @Test func theOriginalByNamePatchedOrNot() throws {
        try expect(Patch.original(symbol: "victim_add", as: Binary.self)(40, 2), equals: 42)
        try Patch.replace(symbol: "victim_add", with: subtract)
        try expect(Patch.original(symbol: "victim_add", as: Binary.self)(40, 2), equals: 42)
        expect(victim_add(40, 2), equals: 38)
        try Patch.revertAll()
        try expect(
            Patch.originalAddress(symbol: "victim_add"), equals: Patch.functions(matching: "victim_add").first?.address)
    }

    @Test func aRecursiveCallInsideTheOriginalReentersTheReplacement() throws {
        expect(victim_depth(5), equals: 5)
        let patch = try Patch.replace(symbol: "victim_depth", with: { $0 > 3 ? 100 : -1 } as Unary)
        // The original's own call, with 4, runs the replacement.
        try expect(patch.original(as: Unary.self)(5), equals: 101)
        expect(victim_depth(5), equals: 100)
    }

    @Test func manyThreadsRunTheOriginalWhileOthersRunTheReplacement() async throws {
        let patch = try Patch.replace(symbol: "victim_add", with: subtract)
        let original = try patch.original(as: Binary.self)
        let wrong = await withTaskGroup(of: Int.self) { group in
            for task in 0..<8 {
                group.addTask {
                    (0..<20_000).reduce(0) { wrong, _ in
                        wrong + (task % 2 == 0 ? (original(40, 2) == 42 ? 0 : 1) : (victim_add(40, 2) == 38 ? 0 : 1))
                    }
                }
            }
            return await group.reduce(0, +)
        }
        expect(wrong, equals: 0)
    }

    // MARK: Entries of all shapes

    @Test func aPCRelativeEntry() throws {
        victim_set_count(7)
        let patch = try Patch.replace(symbol: "victim_counter", with: { -1 } as Nullary)
        expect(victim_counter(), equals: -1)
        try expect(patch.original(as: Nullary.self)(), equals: 7)
        expect(victim_get_count(), equals: 8)
    }

    @Test(arguments: [
        ("victim_endbr", 41, 42), ("victim_call_first", 4, 13), ("victim_branch_first", 0, 100),
        ("victim_branch_first", 9, 9),
    ])
    func anEntryAsCompilersMakeThem(name: String, argument: Int, answer: Int) throws {
        let function = try Patch.original(symbol: name, as: Unary.self)
        expect(function(Int32(argument)), equals: Int32(answer))
        let patch = try Patch.replace(symbol: name, with: { _ in -3 } as Unary)
        expect(function(Int32(argument)), equals: -3)
        try expect(patch.original(as: Unary.self)(Int32(argument)), equals: Int32(answer))
        try patch.revert()
        expect(function(Int32(argument)), equals: Int32(answer))
    }

    @Test func aTinyFunctionWithPadding() throws {
        let patch = try Patch.replace(symbol: "victim_tiny", with: { 9 } as Nullary)
        expect(victim_tiny(), equals: 9)
        try expect(patch.original(as: Nullary.self)(), equals: 0)
    }

    @Test func anExceptionThroughAPatchedFrame() throws {
        let passing = Patch.OriginalPointer.allocate(capacity: 1)
        let patch = try Patch.replace(
            symbol: "victim_cxx_middle(int)", with: victim_passthrough(31)!, original: victim_original(31))
        let passed = victim_passed(31)
        expect(victim_cxx_catch(8), equals: 4)
        expect(victim_cxx_catch(7), equals: -1, "the exception did not get through the replacement and the stub")
        expect(victim_passed(31), equals: passed + 2)
        try patch.revert()
        // The throwing function itself, called through its stub.
        passing.initialize(to: nil)
        try Patch.replace(symbol: "victim_cxx_half", with: victim_passthrough(30)!, original: victim_original(30))
        #expect(victim_cxx_catch(7) == -1 && victim_cxx_catch(8) == 4)
    }

    // MARK: Transactions

    @Test func severalAtOnce() throws {
        let patches = try Patch.transaction {
            try $0.replace(symbol: "victim_add", withSymbol: "victim_subtract")
            try $0.replace(symbol: "victim_tiny", with: { 5 } as Nullary)
        }
        expect(patches.map(\.id), equals: [patches[0].id, patches[0].id])
        #expect(victim_add(40, 2) == 38 && victim_tiny() == 5)
        try patches[1].revert()
        #expect(victim_add(40, 2) == 42 && victim_tiny() == 0)
    }

    @Test func allOrNone() throws {
        #expect(throws: PatchError.self) {
            try Patch.transaction {
                try $0.replace(symbol: "victim_add", withSymbol: "victim_subtract")
                try $0.replace(symbol: "victim_one_byte", with: { 5 } as Nullary)
            }
        }
        #expect(throws: PatchError.self) {
            try Patch.transaction {
                try $0.replace(symbol: "victim_add", withSymbol: "victim_subtract")
                try $0.replace(symbol: "victim_add", with: multiply)
            }
        }
        struct Changed: Error {}
        #expect(throws: Changed.self) {
            try Patch.transaction {
                try $0.replace(symbol: "victim_add", withSymbol: "victim_subtract")
                throw Changed()
            }
        }
        expect(victim_add(40, 2), equals: 42)
        try expect(Patch.replacement(for: "victim_add"), equals: nil)
    }

    @Test func asManyAsCanBe() throws {
        let original = Patch.OriginalPointer.allocate(capacity: 1)
        defer { original.deallocate() }
        original.initialize(to: nil)
        let code = UnsafeRawPointer(
            bitPattern: UInt(try #require(try Patch.functions(matching: "victim_subtract").first).address.rawValue))!
        let results = try Patch.partialTransaction {
            try $0.replace(symbol: "victim_one_byte", with: code, original: original)
            try $0.replace(symbol: "victim_add", withSymbol: "victim_subtract")
            try? $0.replace(symbol: "victim_that_is_not", withSymbol: "victim_subtract")
            try $0.replace(symbol: "victim_tiny", with: { 5 } as Nullary)
        }
        expect(results.count, equals: 3)
        #expect(victim_add(40, 2) == 38 && victim_tiny() == 5)
        guard case .failure(let error) = results[0] else {
            Issue.record("\(results)")
            return
        }
        #expect(error.code == .refused && error.message.contains("victim_one_byte"), "\(error)")
        try expect(
            original.pointee.map { Patch.Address($0) },
            equals: Patch.functions(matching: "victim_one_byte").first?.address)
        let patches = try results.dropFirst().map { try $0.get() }
        expect(patches.map(\.function.name), equals: ["victim_add", "victim_tiny"])
        expect(patches.map(\.id), equals: [patches[0].id, patches[0].id])
        try patches[0].revert()
        #expect(victim_add(40, 2) == 42 && victim_tiny() == 0)
        // The originals are those of their functions.
        try expect(patches[0].original(as: Binary.self)(40, 2), equals: 42)
        #expect(throws: PatchError.self) {
            try Patch.partialTransaction { try $0.replace(symbol: "victim_one_byte", with: { 5 } as Nullary) }
        }
        #expect(try Patch.partialTransaction { _ in }.isEmpty)
    }

    // MARK: Refusals: what, where, why, what to do

    private func refusal(_ body: () throws -> Void) -> String {
        do { try body() } catch { return "\(error)" }
        return "nothing was thrown"
    }

    @Test func anUnknownNameNamesTheNearest() {
        let text = refusal { try Patch.replace(symbol: "victim_ad", with: subtract) }
        #expect(text.contains("victim_ad") && text.contains("victim_add"), "\(text)")
        #expect(refusal { try Patch.revert(symbol: "victim_ad") }.contains("victim_add"))
    }

    @Test func revertingWhatIsNotPatchedDoesNothing() throws {
        try Patch.revert(symbol: "victim_subtract")
        try Patch.revertAll()
        try Patch.revertAll()
    }

    @Test func anAmbiguousNameListsTheCandidates() {
        let text = refusal { try Patch.replace(symbol: "shop::Till::price", with: subtract) }
        #expect(
            text.contains("price(int) const") && text.contains("price(int, int) const") && text.contains("0x"),
            "\(text)")
    }

    @Test func whatCannotBePatchedSaysWhy() {
        let itself = refusal { try Patch.replace(symbol: "victim_add", withSymbol: "victim_add") }
        #expect(itself.contains("itself"), "\(itself)")
        let short = refusal { try Patch.replace(symbol: "victim_one_byte", with: subtract) }
        #expect(short.contains("victim_one_byte") && short.contains("0x") && short.contains("short"), "\(short)")
        let jumped = refusal { try Patch.replace(symbol: "victim_jumped_into", with: subtract) }
        #expect(jumped.contains("jg") && jumped.contains("0x"), "\(jumped)")
        let loop = refusal { try Patch.replace(symbol: "victim_loop_to_entry", with: subtract) }
        #expect(loop.contains("jg") && loop.contains("0x"), "\(loop)")
        let own = refusal { try Patch.replace(symbol: "hp_commit", with: subtract) }
        #expect(own.contains("engine"), "\(own)")
        let data = refusal { try Patch.replace(symbol: "victim_add", with: UnsafeRawPointer(victim_original(0)!)) }
        #expect(data.contains("executable"), "\(data)")
        let closure = refusal { try Patch.replace(symbol: "victim_add", with: { (a: Int32, b: Int32) -> Int32 in a }) }
        #expect(closure.contains("@convention(c)"), "\(closure)")
        let number = refusal { try Patch.replace(symbol: "victim_add", with: 42) }
        #expect(number.contains("Int is neither a Swift nor a C function"), "\(number)")
    }

    // MARK: Libraries

    @Test func aFunctionOfALibraryLoadedLater() throws {
        let path = "/usr/lib/x86_64-linux-gnu/libm.so.6"
        let handle = try #require(dlopen("libm.so.6", RTLD_NOW), "\(path)")
        let cbrt = unsafeBitCast(try #require(dlsym(handle, "cbrt")), to: (@convention(c) (Double) -> Double).self)
        try Patch.replace(symbol: "cbrt", with: { _ in 5 } as @convention(c) (Double) -> Double)
        expect(cbrt(27), equals: 5)
        try Patch.revert(symbol: "cbrt")
        #expect(abs(cbrt(27) - 3) < 1e-9)
    }

    /// memcpy is an indirect function: what is patched is the implementation that its resolver chose.
    @Test func anIndirectFunction() throws {
        let patch = try Patch.replace(
            symbol: "strlen", in: "libc.so.6", with: victim_passthrough(29)!, original: victim_original(29))
        let before = victim_passed(29)
        let length = unsafeBitCast(dlsym(nil, "strlen"), to: (@convention(c) (UnsafePointer<CChar>) -> Int).self)
        expect(length("hotpatch"), equals: 8)
        #expect(victim_passed(29) > before)
        try patch.revert()
    }

    @Test func functionsByPattern() throws {
        let names = try Patch.functions(matching: "victim_many_19??").map(\.name)
        #expect(names.contains("victim_many_1999") == false || names.count == 100)
        try expect(Patch.functions(matching: "victim_many_*").count, equals: 2000)
    }

    @Test func twoThousandAtOnce() throws {
        let before = victim_call_many()
        let functions = try Patch.functions(matching: "victim_many_*")
        let replacement: @convention(c) () -> Int = { 1 }
        let patches = try Patch.transaction { transaction in
            for function in functions { try transaction.replace(symbol: function.name, with: replacement) }
        }
        expect(victim_call_many(), equals: 2000)
        try patches[0].revert()
        expect(victim_call_many(), equals: before)
    }

    @Test func copiesThatAreNotReachedAreListed() throws {
        let patch = try Patch.replace(symbol: "victim_inlined", with: { _ in -1 } as Unary)
        let copies = try patch.unreached.copies.map(\.description)
        #expect(copies.contains { $0.contains("victim_calls_inlined") }, "\(copies)")
    }
}

@inline(never) func price(of item: String) -> Int { item.utf8.count }
@inline(never) func dearPrice(of item: String) -> Int { item.utf8.count * 100 }
