import HotpatchExpectations
import HotpatchTestSupport
import Testing

extension CommandTests {
    /// Edits of what other files rely on, which are not applied with it.
    @Suite struct ApplyObjectOthersTests {
        private func clerk() throws -> Desk { try Desk("Clerk", editing: ["Clerk", "Shelf"]) }

        private func expectRefused(_ clerk: Desk, _ edits: Desk.Edits, _ reason: String) throws {
            let edited = try clerk.edited(edits)
            let result = try hotpatch(["apply"] + edited.arguments + ["--pid", clerk.victim.id])
            expect(result.status, equals: 2, "\(result)")
            #expect(result.errors.contains(reason), "\(result)")
        }

        private static let color = "    var color: String { get }\n"
        private static let outline = "    /* In this order: */ func outline() -> String\n"

        /// No object tells which of a protocol's requirements is which: what conforms to it is in another file.
        @Test func requirementsOfWhichOtherFilesTell() throws {
            var clerk = try clerk()
            try clerk.expect(["square red"], ["drawn"])
            let before = "Square : Drawn in Clerk, of another file, has them as 'outline', 'color'"
            try expectRefused(
                clerk, [(Self.outline + Self.color, Self.color + Self.outline)],
                "Clerk.swift has its requirements as 'color', 'outline', and " + before)
            // As other text than code has it, nothing has changed.
            try clerk.apply(
                ("/// What is drawn.", "/// protocol Drawn { var color: String; func outline() }"),
                ("drawn.outline() + \" \"", "drawn.outline() + \" in \""))
            try clerk.expect(["square in red"], ["drawn"])
            try expectDone("revert", "--all", "--pid", clerk.victim.id)
            expect(clerk.victim.finish(), equals: 0)
        }

        /// Code that an edit has brought reads what another one changes: no symbol of the program is at it.
        @Test func codeOfEdits() throws {
            var clerk = try clerk()
            try clerk.apply(shelf: [("{ 1 }", "{ twice(Limits.stored) }")])
            try clerk.expect(["6 3"], ["reader"])
            let computed = [("static var stored = 3", "static var stored: Int { get { 8 } set {} }")]
            try expectRefused(
                clerk, computed, "it was stored, and is computed now: Clerk.reader() -> Swift.Int, which is not in")
            let gone = try clerk.apply(("func twice(_ number: Int)", "func twice(_ number: Int, by factor: Int = 1)"))
            #expect(
                gone.errors.contains(
                    "Clerk.twice(Swift.Int) -> Swift.Int: it is gone from the file, and Clerk.reader()"),
                "\(gone)")
            try clerk.expect(["6 3"], ["reader"])
            // With the file that reads it.
            try clerk.apply(try clerk.edited(computed, shelf: [("{ twice(", "{ 1 + twice(")]))
            try clerk.expect(["17 8"], ["reader"])
            // What an edit has replaced does not run.
            try clerk.apply(shelf: [("1 + twice(Limits.stored)", "9")])
            let last = try clerk.apply(("func twice(_ number: Int, by", "func thrice(_ number: Int, by"))
            #expect(!"\(last)".contains("gone"), "\(last)")
            try clerk.expect(["9 8"], ["reader"])
            try expectDone("revert", "--all", "--pid", clerk.victim.id)
            try clerk.expect(["1 3"], ["reader"])
            expect(clerk.victim.finish(), equals: 0)
        }

        /// A constant of another file is made once. A variable that has become a constant has one value for all, as any.
        @Test func constantsOfOtherFiles() throws {
            var clerk = try clerk()
            try clerk.expect(["10 4"], ["made"])
            let changed = try clerk.apply(("Int(\"5\")!", "Int(\"6\")!"))
            #expect(
                changed.output.contains(
                    "static Clerk.Limits.five : Swift.Int: another file's constant is made of it, and stays what it is")
                    && changed.output.contains("one-time initialization function for ten"), "\(changed)")
            try clerk.expect(["10 4"], ["made"])
            let kept = try clerk.apply(("nonisolated(unsafe) var four = 4", "let four = 44"))
            #expect("\(kept)".contains("Clerk.four : Swift.Int: its value is kept: it is a variable"), "\(kept)")
            try clerk.expect(["10 4"], ["made"])
            try clerk.apply(("let four = 44", "let four = 45"))
            try clerk.expect(["10 45"], ["made"])
            try expectDone("revert", "--all", "--pid", clerk.victim.id)
            try clerk.expect(["10 4"], ["made"])
            expect(clerk.victim.finish(), equals: 0)
        }

        /// A file of one function is itself, though no function of it has the name that it had.
        @Test func allOfASmallFile() throws {
            var square = try EditedFiles(
                [
                    ("square.c", "int square(int n) { return n * n; }\n"),
                    (
                        "answer.c",
                        "#include <stdio.h>\nint square(); static char text[16];\n"
                            + "const char *answer(const char *q) { sprintf(text, \"%d\", square(3)); return text; }\n"
                    ),
                ], ["gcc"])
            #expect(try square.victim.ask("") == "9")
            let renamed = try square.apply(
                ("square.c", "int square(int n) { return n * n; }", "int cube(int n) { return n * n * n; }"),
                ("answer.c", "int square()", "int cube()"), ("answer.c", "square(3)", "cube(3)"))
            expect(renamed.status, equals: 0, "\(renamed)")
            #expect(try square.victim.ask("") == "27")
            expect(square.victim.finish(), equals: 0)
        }

        /// Callers have the value of such a default themselves.
        @Test func aDefaultArgumentOfTheCaller() throws {
            var clerk = try clerk()
            let changed = try clerk.apply(("number: Int = 5", "number: Int = #line"))
            #expect(
                changed.errors.contains("default argument 0 of Clerk.line(Swift.Int) -> Swift.String: it is gone"),
                "\(changed)")
            try clerk.expect(["line 5"], ["line"])
            expect(clerk.victim.finish(), equals: 0)
        }
    }
}
