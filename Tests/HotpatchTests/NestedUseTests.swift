import HotpatchTestSupport
import Testing

@testable import Hotpatch

/// A function that a patch calls runs while the patcher is in use: what would wait for itself is refused.
@Suite struct NestedUseTests {
    @Test func whoIsCalledByAPatchIsRefused() throws {
        for _ in 0..<2 {
            let inner = try LocalPatcher.with { (_) throws(PatchError) -> PatchError? in
                do throws(PatchError) {
                    _ = try Patch.originalAddress(symbol: "victim_add")
                    return nil
                } catch { return error }
            }
            let error = try #require(inner)
            #expect(error.code == .underway && error.thread != nil)
            #expect(error.message.contains("Patch once the function has returned."), "\(error)")
        }
        // Afterwards, and from another thread, it is as ever.
        _ = try Patch.originalAddress(symbol: "victim_add")
    }
}
