#if canImport(Testing)
    import Hotpatch
    import Testing

    /// A function that is replaced or mocked while a test runs. Of a suite, while each of its tests runs.
    ///
    ///     @Test(.mock(symbol: "Shop.price(of:)", with: { (item: String) -> Int in 42 }))
    ///     func total() { #expect(cart.total == 84) }
    ///
    /// It ends with the test, whether that passes or throws; of a parameterised one, with each of its cases.
    public struct PatchTrait: TestTrait, SuiteTrait, TestScoping {
        public let isRecursive = true
        fileprivate let scope: @Sendable (@Sendable () async throws -> Void) async throws -> Void

        public func provideScope(
            for test: Test, testCase: Test.Case?, performing function: @Sendable () async throws -> Void
        ) async throws {
            try await scope(function)
        }
    }

    extension Trait where Self == PatchTrait {
        /// Mocks a function for the test's task and its children: see `withMock(symbol:in:with:selfUse:recorder:_:)`.
        public static func mock<F>(
            symbol: String, in image: String? = nil, with mock: F, selfUse: Patch.SelfUse? = nil
        ) -> Self {
            nonisolated(unsafe) let mock = mock
            return Self { body in
                try await withMock(symbol: symbol, in: image, with: mock, selfUse: selfUse, body)
            }
        }

        /// The same with a mock that may call the original.
        public static func mock<F>(
            symbol: String, in image: String? = nil, wrapping wrap: @escaping @Sendable (F) throws -> F,
            selfUse: Patch.SelfUse? = nil
        ) -> Self {
            Self { body in try await withMock(symbol: symbol, in: image, wrapping: wrap, selfUse: selfUse, body) }
        }

        /// Replaces a function for the whole process, which tests that run at the same time see too: see
        /// `withPatch(symbol:in:with:selfUse:_:)`, and Swift Testing's `.serialized`.
        public static func patch<F>(
            symbol: String, in image: String? = nil, with function: F, selfUse: Patch.SelfUse? = nil
        ) -> Self {
            nonisolated(unsafe) let function = function
            return Self { body in
                try await withPatch(symbol: symbol, in: image, with: function, selfUse: selfUse, body)
            }
        }
    }
#endif
