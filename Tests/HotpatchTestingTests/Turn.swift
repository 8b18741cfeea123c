import HotpatchTestSupport
import Testing

/// All of this module's tests, which may run beside each other, but not beside those that revert all patches of this process.
@Suite(.ownTurn) enum HotpatchTestingTests {}

struct OwnTurn: SuiteTrait, TestScoping {
    func provideScope(
        for test: Test, testCase: Test.Case?, performing function: @Sendable () async throws -> Void
    ) async throws {
        let turn = await PatchingTurn()
        try await function()
        withExtendedLifetime(turn) {}
    }
}

extension SuiteTrait where Self == OwnTurn {
    static var ownTurn: Self { Self() }
}
