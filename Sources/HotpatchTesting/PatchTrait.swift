#if canImport(Testing)
    import Hotpatch
    import Synchronization
    import Testing

    /// A function that is replaced or mocked while a test runs. Of a suite, while each of its tests runs.
    ///
    ///     @Test(.mock(symbol: "Shop.price(of:)", with: { (item: String) -> Int in 42 }))
    ///     func total() { #expect(cart.total == 84) }
    ///
    /// It ends with the test, whether that passes or throws; of a parameterised one, with each of its cases.
    public struct PatchTrait: TestTrait, SuiteTrait, TestScoping {
        /// The trait of a suite is one of each of its tests.
        public let isRecursive = true
        /// Runs a test, without some of the checks that were asked for.
        private let scope: @Sendable (PatchChecks, @Sendable () async throws -> Void) async throws -> Void
        private let use = Use()

        /// Shared by the copies that the tests of a suite have.
        private final class Use: Sendable {
            let isOfSuite = Atomic<Bool>(false)
        }

        fileprivate init(
            _ scope: @escaping @Sendable (PatchChecks, @Sendable () async throws -> Void) async throws -> Void
        ) {
            self.scope = scope
        }

        /// For Swift Testing. Notes whether the trait is a suite's.
        /// - Parameter test: the test or suite that has the trait.
        public func prepare(for test: Test) async throws {
            if test.isSuite { use.isOfSuite.store(true, ordering: .relaxed) }
        }

        /// For Swift Testing. Runs a test with the function replaced or mocked.
        /// - Parameters:
        ///   - test: the test, or the suite that it is of.
        ///   - testCase: the case of a parameterised test.
        ///   - function: runs the test.
        /// - Throws: `PatchError` or `MockError`, and then the test has not run; what the test throws.
        public func provideScope(
            for test: Test, testCase: Test.Case?, performing function: @Sendable () async throws -> Void
        ) async throws {
            // Not all tests of a suite need call what it mocks.
            try await scope(use.isOfSuite.load(ordering: .relaxed) ? .calls : [], function)
        }
    }

    extension Trait where Self == PatchTrait {
        /// Mocks a function for the test's task and its children: see `withMock(symbol:in:with:selfUse:recorder:_:)`.
        public static func mock<F>(
            symbol: String, in image: String? = nil, with mock: sending F, selfUse: Patch.SelfUse? = nil,
            checks: PatchChecks = .all,
            fileID: StaticString = #fileID, filePath: StaticString = #filePath, line: UInt = #line,
            column: UInt = #column
        ) -> Self {
            nonisolated(unsafe) let mock = mock
            return Self { needless, body in
                try await withMock(
                    symbol: symbol, in: image, with: mock, selfUse: selfUse, checks: checks.subtracting(needless),
                    fileID: fileID, filePath: filePath, line: line, column: column
                ) { try await body() }
            }
        }

        /// The same with a mock that may call the original.
        public static func mock<F>(
            symbol: String, in image: String? = nil, wrapping wrap: @escaping @Sendable (F) throws -> F,
            selfUse: Patch.SelfUse? = nil,
            checks: PatchChecks = .all,
            fileID: StaticString = #fileID, filePath: StaticString = #filePath, line: UInt = #line,
            column: UInt = #column
        ) -> Self {
            Self { needless, body in
                try await withMock(
                    symbol: symbol, in: image, wrapping: wrap, selfUse: selfUse, checks: checks.subtracting(needless),
                    fileID: fileID, filePath: filePath, line: line, column: column
                ) { try await body() }
            }
        }

        /// Replaces a function for the whole process, which tests that run at the same time see too: see
        /// `withPatch(symbol:in:with:selfUse:_:)`, and Swift Testing's `.serialized`.
        public static func patch<F>(
            symbol: String, in image: String? = nil, with function: sending F, selfUse: Patch.SelfUse? = nil,
            checks: PatchChecks = .all,
            fileID: StaticString = #fileID, filePath: StaticString = #filePath, line: UInt = #line,
            column: UInt = #column
        ) -> Self {
            nonisolated(unsafe) let function = function
            return Self { needless, body in
                try await withPatch(
                    symbol: symbol, in: image, with: function, selfUse: selfUse, checks: checks.subtracting(needless),
                    fileID: fileID, filePath: filePath, line: line, column: column
                ) { try await body() }
            }
        }
    }
#endif
