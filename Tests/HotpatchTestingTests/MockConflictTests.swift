import CHotpatchVictims
import Glibc
import Hotpatch
import HotpatchExpectations
import HotpatchTesting
import Testing

extension HotpatchTestingTests {
    /// Mocks beside patches of the whole process, which end in any order, and mocks of what mocks themselves need.
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
                expect(levy(5), equals: 5)
                try patch.revert()
                expect(levy(5), equals: 42)
                try expect(withMock(symbol: Self.name, with: { (_: Int) -> Int in 43 }) { levy(5) }, equals: 43)
            }
            expect(levy(5), equals: 50)
            try expect(Patch.replacement(for: Self.name), equals: nil)
        }

        @Test func aMockEndsBelowAPatch() throws {
            var patch: Patch?
            try withMock(symbol: Self.name, with: { (_: Int) -> Int in 42 }, checks: []) {
                patch = try Patch.replace(symbol: Self.name, with: Self.patched)
            }
            expect(levy(5), equals: 5)
            #expect(throws: MockError.self) {
                try withMock(symbol: Self.name, with: { (_: Int) -> Int in 43 }) { Issue.record("it ran") }
            }
            try patch?.revert()
            expect(levy(5), equals: 50)
            try expect(withMock(symbol: Self.name, with: { (_: Int) -> Int in 43 }) { levy(5) }, equals: 43)
            expect(levy(5), equals: 50)
            try expect(Patch.replacement(for: Self.name), equals: nil)
        }

        /// What the test runs has reverted the function meanwhile.
        @Test func aMockAfterARevert() throws {
            try withMock(symbol: Self.name, with: { (_: Int) -> Int in 42 }) {
                try Patch.revert(symbol: Self.name)
                expect(levy(5), equals: 50)
                try withMock(symbol: Self.name, with: { (_: Int) -> Int in 43 }) { expect(levy(5), equals: 43) }
                expect(levy(5), equals: 42)
            }
            expect(levy(5), equals: 50)
            try expect(Patch.replacement(for: Self.name), equals: nil)
        }

        /// To install another mock, the library calls the real ones.
        @Test(arguments: ["open", "read", "pread", "mmap", "close", "readlink", "fstat"])
        func aMockOfWhatTheLibraryCalls(_ function: String) throws {
            typealias Refusing = @convention(c) () -> Int
            try withMock(
                symbol: function, in: "libc.so.6",
                with: {
                    errno = ENOSYS
                    return -1
                } as Refusing, checks: []
            ) {
                try expect(withMock(symbol: Self.name, with: { (_: Int) -> Int in 43 }) { levy(5) }, equals: 43)
                try expect(withPatch(symbol: Self.name, with: { (_: Int) -> Int in 43 }) { levy(5) }, equals: 43)
            }
        }

        /// The search for the task's mocks calls what it needs, mocked or not.
        @Test(arguments: ["malloc", "free", "pthread_getspecific", "pthread_self", "__tls_get_addr"])
        func aMockOfWhatASearchCalls(_ function: String) throws {
            typealias Plain = @convention(c) (Int, Int, Int) -> Int
            try withMock(symbol: function, wrapping: { (original: @escaping Plain) in original }, checks: []) {
                try expect(withMock(symbol: Self.name, with: { (_: Int) -> Int in 43 }) { levy(5) }, equals: 43)
            }
        }
    }
}
