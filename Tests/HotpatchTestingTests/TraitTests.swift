import Hotpatch
import HotpatchExpectations
import HotpatchTesting
import Testing

extension HotpatchTestingTests {
    @Suite struct TraitTests {
        @Test(.mock(symbol: "HotpatchTestingTests.price(of:)", with: { (_: String) -> Int in 42 }))
        func holdsDuringATest() { expect(price(of: "tea"), equals: 42) }

        @Test func holdsInNoOther() { expect(price(of: "tea"), equals: 3) }

        @Test(
            .mock(
                symbol: "HotpatchTestingTests.price(of:)",
                wrapping: { (original: @escaping (String) -> Int) in { original($0) + 1 } }), arguments: 0..<50)
        func holdsInEachCase(_ number: Int) async {
            expect(price(of: "tea"), equals: 4)
            await Task.yield()
            expect(price(of: "tea"), equals: 4)
        }

        @Test(.mock(symbol: "HotpatchTestingTests.price(of:)", with: { (_: String) -> Int in 42 }))
        func endsWhereTheTestThrows() throws {
            withKnownIssue {
                expect(price(of: "tea"), equals: 42)
                throw Stopped()
            }
        }

        @Suite(.mock(symbol: "HotpatchTestingTests.stock(of:)", with: { (_: String) async throws -> Int in 7 }))
        struct OfASuite {
            @Test func one() async throws { try await expect(stock(of: ""), equals: 7) }
            @Test(.mock(symbol: "HotpatchTestingTests.stock(of:)", with: { (_: String) async throws -> Int in 8 }))
            func another() async throws { try await expect(stock(of: ""), equals: 8) }
        }
    }
}

extension HotpatchTestingTests {
    /// Patches of the whole process, of functions that no other suite uses.
    @Suite(.serialized) struct PatchScopeTests {
        private static let name = "HotpatchTestingTests.tax(_:)"

        @Test func holdsForAll() async throws {
            try await withPatch(symbol: Self.name, with: { (amount: Int) -> Int in amount }) {
                expect(tax(5), equals: 5)
                await expect(onAThread { tax(6) }, equals: 6)
            }
            expect(tax(5), equals: 50)
            let result = try withPatch(
                symbol: Self.name, wrapping: { (original: @escaping (Int) -> Int) in { original($0) + 1 } }
            ) { tax(5) }
            expect(result, equals: 51)
        }

        @Test func endsWhereTheBodyThrows() async throws {
            #expect(throws: Stopped.self) {
                try withPatch(symbol: Self.name, with: { (amount: Int) -> Int in amount }) {
                    expect(tax(5), equals: 5)
                    throw Stopped()
                }
            }
            expect(tax(5), equals: 50)
            // What runs may revert it.
            try withPatch(symbol: Self.name, with: { (amount: Int) -> Int in amount }, checks: []) {
                try Patch.revert(symbol: Self.name)
                expect(tax(5), equals: 50)
            }
            try expect(Patch.replacement(for: Self.name), equals: nil)
        }

        @Test(.patch(symbol: "HotpatchTestingTests.tax(_:)", with: { (amount: Int) -> Int in -amount }))
        func aTrait() async {
            expect(tax(5), equals: -5)
            await expect(onAThread { tax(6) }, equals: -6)
        }

        @Test func andMocks() async throws {
            let patch = try Patch.replace(symbol: Self.name, with: { (amount: Int) -> Int in amount })
            let error = #expect(throws: MockError.self) {
                try withMock(symbol: Self.name, with: { (_: Int) -> Int in 42 }) { Issue.record("it ran") }
            }
            expect(error?.description.contains("patched for the whole process"), equals: true)
            try patch.revert()
            // On top of a mock, a patch wins.
            try withMock(symbol: Self.name, with: { (_: Int) -> Int in 42 }) {
                try withPatch(symbol: Self.name, with: { (amount: Int) -> Int in amount }) { expect(tax(5), equals: 5) }
                expect(tax(5), equals: 42)
                try withPatch(
                    symbol: Self.name, wrapping: { (original: @escaping (Int) -> Int) in { original($0) + 1 } }
                ) { expect(tax(5), equals: 51) }
            }
            expect(tax(5), equals: 50)
        }
    }
}
@inline(never) @_optimize(none) func tax(_ amount: Int) -> Int { amount * 10 }
