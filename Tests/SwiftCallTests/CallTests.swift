import HotpatchCallChecks
import HotpatchTestSupport
import Testing

/// Patches functions of this very process, and counts the objects that live in it.
@Suite(.serialized) struct CallTests {
    private let turn: PatchingTurn

    init() async { turn = await PatchingTurn() }

    @Test(arguments: functionChecks) func aFunction(check: CallCheck) throws { try check.run() }
    @Test(arguments: methodChecks) func aMember(check: CallCheck) throws { try check.run() }
    @Test(arguments: asyncChecks) func anAsyncFunction(check: AsyncCallCheck) async throws { try await check.run() }
    @Test(arguments: asyncSymbolChecks) func anAsyncFunctionBySymbol(check: AsyncCallCheck) async throws {
        try await check.run()
    }
    @Test(arguments: closureChecks) func withClosures(check: CallCheck) throws { try check.run() }

    @Test(arguments: dispatchChecks) func dispatched(check: CallCheck) throws { try check.run() }

    @Test(arguments: unwindChecks + stepChecks) func unwinding(check: CallCheck) throws { try check.run() }
    @Test(arguments: asyncUnwindChecks + asyncStepChecks) func unwindingLater(check: AsyncCallCheck) async throws {
        try await check.run()
    }
}
