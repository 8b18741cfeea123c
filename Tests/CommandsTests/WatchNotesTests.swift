import HotpatchEngine
import HotpatchExpectations
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
            expect(WatchNotes.isDetail(note, nil), equals: isDetail)
        }

        /// Whoever edits core.cpp has not seen its objects.
        @Test func objectsOfTheWatcher() {
            let said = WatchNotes.aboutSources(
                "/tmp/w-1/save-1/first/0/core.cpp.o cannot be linked into a process: /tmp/w-1/kept/main.swift.o, "
                    + "/tmp/w-2/words.c.o, /tmp/w-1/modules/App.swiftmodule. Restart.", folder: "/tmp/w-1")
            expect(
                said,
                equals: "core.cpp cannot be linked into a process: main.swift, /tmp/w-2/words.c.o, "
                    + "/tmp/w-1/modules/App.swiftmodule. Restart.")
            expect(WatchNotes.aboutSources("/tmp/my w/0/a.c.o is bad", folder: "/tmp/my w"), equals: "a.c is bad")
            let other = "It was compiled with other options."
            let advice =
                "Give the object that the program was linked from, or of a later one the object that was applied last."
            expect(WatchNotes.aboutSources("\(other) \(advice)\nx", folder: "/tmp/w"), equals: "\(other)\nx")
        }
    }
}
