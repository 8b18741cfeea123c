import HotpatchEngine
import Testing

@testable import HotpatchCommands

extension CommandTests {
    @Suite struct WatchNotesTests {
        @Test(arguments: [
            ("App.main() " + PlannedPatch.uncheckedJump, true),
            (
                "implicit closure in makeRoutes is gone: kept as it was where it is stored, until makeRoutes runs again",
                true
            ),
            // `use: controller.index`
            (
                "implicit closure in implicit closure in makeRoutes is gone: kept as it was where it is stored, until makeRoutes runs again",
                false
            ),
            ("closure #1 in makeRoutes is gone: kept as it was where it is stored, until makeRoutes runs again", false),
            (
                "implicit closure in makeRoutes now captures cart: kept as it was where it is stored, until makeRoutes runs again",
                false
            ),
            ("App.limit: its value is kept: it is a variable", false),
        ])
        func details(_ note: String, _ isDetail: Bool) {
            #expect(WatchNotes.isDetail(note, nil) == isDetail)
        }
    }
}
