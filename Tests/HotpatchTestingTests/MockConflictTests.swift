import Foundation
import Hotpatch
import HotpatchTesting
import Testing

/// Mocks beside patches of the whole process, which end in any order.
@Suite(.serialized) struct MockConflictTests {
    private static let name = "HotpatchTestingTests.levy(_:)"
    private static let patched: @Sendable (Int) -> Int = { $0 }

    /// Where a patch is on top, a mock would hold for nobody.
    @Test func noMockBelowAPatch() throws {
        try withMock(symbol: Self.name, with: { (_: Int) -> Int in 42 }) {
            let patch = try Patch.replace(symbol: Self.name, with: Self.patched)
            #expect(throws: MockError.self) {
                try withMock(symbol: Self.name, with: { (_: Int) -> Int in 43 }) { Issue.record("it ran") }
            }
            #expect(levy(5) == 5)
            try patch.revert()
            #expect(levy(5) == 42)
            try #expect(withMock(symbol: Self.name, with: { (_: Int) -> Int in 43 }) { levy(5) } == 43)
        }
        #expect(levy(5) == 50)
        #expect(try Patch.replacement(for: Self.name) == nil)
    }

    @Test func aMockEndsBelowAPatch() throws {
        var patch: Patch?
        try withMock(symbol: Self.name, with: { (_: Int) -> Int in 42 }) {
            patch = try Patch.replace(symbol: Self.name, with: Self.patched)
        }
        #expect(levy(5) == 5)
        #expect(throws: MockError.self) {
            try withMock(symbol: Self.name, with: { (_: Int) -> Int in 43 }) { Issue.record("it ran") }
        }
        try patch?.revert()
        #expect(levy(5) == 50)
        try #expect(withMock(symbol: Self.name, with: { (_: Int) -> Int in 43 }) { levy(5) } == 43)
        #expect(levy(5) == 50)
        #expect(try Patch.replacement(for: Self.name) == nil)
    }

    /// What ran meanwhile reverted everything.
    @Test func aMockAfterARevert() throws {
        try withMock(symbol: Self.name, with: { (_: Int) -> Int in 42 }) {
            try Patch.revert(symbol: Self.name)
            #expect(levy(5) == 50)
            try withMock(symbol: Self.name, with: { (_: Int) -> Int in 43 }) { #expect(levy(5) == 43) }
            #expect(levy(5) == 42)
        }
        #expect(levy(5) == 50)
        #expect(try Patch.replacement(for: Self.name) == nil)
    }

    /// The library itself calls what it needs, not its task's mocks.
    @Test(arguments: ["open", "open64", "read", "pread", "pread64", "mmap", "close", "readlink", "openat", "stat", "fstat"])
    func aMockOfWhatTheLibraryCalls(_ function: String) throws {
        do {
            try withMock(symbol: function, with: { errno = ENOSYS; return -1 } as @convention(c) () -> Int) {
                try #expect(withMock(symbol: Self.name, with: { (_: Int) -> Int in 43 }) { levy(5) } == 43)
                try #expect(withPatch(symbol: Self.name, with: { (_: Int) -> Int in 43 }) { levy(5) } == 43)
            }
        } catch PatchError.symbol(let e) { print("NOT", function, e) }
    }

    @Test(arguments: ["malloc", "free", "memcpy", "pthread_getspecific", "pthread_self", "__tls_get_addr"])
    func aMockOfWhatLookUpsMayCall(_ function: String) throws {
        print("mocking", function)
        do {
            try withMock(symbol: function, wrapping: { (original: @escaping @convention(c) (Int, Int, Int) -> Int) in original }) {
                try #expect(withMock(symbol: Self.name, with: { (_: Int) -> Int in 43 }) { levy(5) } == 43)
            }
        } catch let e as PatchError { print(e) }
    }

    @Test func inAGroup() async throws {
        let sum = try await withThrowingTaskGroup(of: Int.self) { group in
            for number in 1...3 {
                try withMock(symbol: Self.name, with: { (_: Int) -> Int in number }) {
                    group.addTask { levy(5) }
                }
            }
            return try await group.reduce(0, +)
        }
        #expect([6, 150].contains(sum), "\(sum)")
        print("group sum", sum)
    }

    @Test func costs() throws {
        let clock = ContinuousClock()
        let alone = try clock.measure { for _ in 0..<100 { try withMock(symbol: Self.name, with: { (_: Int) -> Int in 42 }) {} } }
        let nested = try withMock(symbol: Self.name, with: { (_: Int) -> Int in 42 }) {
            try clock.measure { for _ in 0..<100 { try withMock(symbol: Self.name, with: { (_: Int) -> Int in 42 }) {} } }
        }
        print("alone", alone / 100, "nested", nested / 100)
    }
}
@inline(never) @_optimize(none) func levy(_ amount: Int) -> Int { amount * 10 }
