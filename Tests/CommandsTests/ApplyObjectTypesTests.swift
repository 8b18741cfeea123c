import HotpatchExpectations
import HotpatchTestSupport
import Testing

extension CommandTests {
    /// Types that edits bring, change and move.
    @Suite struct ApplyObjectTypesTests {
        private static let point = """
            struct Point: Hashable, Named {
                var x: Int
                var name: String { "point \\(x)" }
            }

            """
        private static let way = "enum Way: String, CaseIterable { case left, right }\n"
        private static let box = """
            struct Box<Value> {
                var value: Value
                func twice() -> [Value] { [value, value] }
            }
            extension Box: Equatable where Value: Equatable {}

            """
        private static let before = "2 true point 3 [Parcel.Way.left, Parcel.Way.right] [4, 4] true"

        private func parcel() throws -> Desk { try Desk("Parcel", editing: ["Parcel", "Shelf"]) }

        /// A type with what the compiler makes for its conformances is that of the process, whichever file has it: what was made of it is
        /// of it, and its functions are edited where they are now.
        @Test func typesMoveToAnotherFile() throws {
            var parcel = try parcel()
            try parcel.expect([Self.before, "point 1"], ["types", "kept"])
            for type in [Self.point, Self.way, Self.box, "protocol Named { var name: String { get } }\n"] {
                try parcel.apply((type, ""), shelf: [("// Shelf\n", type + "// Shelf\n")])
                try parcel.expect([Self.before, "point 1"], ["types", "kept"])
            }
            try parcel.apply(shelf: [("\"point \\(x)\"", "\"moved \\(x)\"")])
            try parcel.expect(["moved 1"], ["kept"])
            // And back, with another body.
            let moved = try edit(Self.point, [("\"point \\(x)\"", "\"moved \\(x)\"")])
            let back = try edit(Self.point, [("\"point \\(x)\"", "\"back \\(x)\"")])
            try parcel.apply(("// Point\n", "// Point\n" + back), shelf: [(moved, "")])
            try parcel.expect(["back 1"], ["kept"])
            try expectDone("revert", "--all", "--pid", parcel.victim.id)
            try parcel.expect([Self.before, "point 1"], ["types", "kept"])
            expect(parcel.victim.finish(), equals: 0)
        }

        @Test func aTypeThatMovesIsLaidOutAsItWas() throws {
            let parcel = try parcel()
            let other = try edit(Self.point, [("var x: Int\n", "var x: Int\n    var y = 0\n")])
            let moved = try parcel.edited([(Self.point, "")], shelf: [("// Shelf\n", other + "// Shelf\n")])
            let result = try hotpatch(["apply"] + moved.arguments + ["--pid", parcel.victim.id])
            expect(result.status, equals: 2, "\(result)")
            #expect(
                result.errors.contains(
                    "Point: it moves from Parcel.o to Shelf.o, and is laid out otherwise than the process has it: restart"
                ),
                "\(result)")
            try parcel.expect([Self.before, "point 1"], ["types", "kept"])
            expect(parcel.victim.finish(), equals: 0)
        }

        private static let items = """
            struct Item: Hashable, Named {
                var count = 1
                var name: String { "item \\(count)" }
            }
            class Crate {
                var item = Item()
                func label() -> String { "crate of \\(item.name)" }
            }
            enum Size { case small, large(Int) }
            protocol Weighed { func weight() -> Int }
            extension Int: Weighed { func weight() -> Int { self } }
            nonisolated(unsafe) var crates: [Crate] = []
            nonisolated(unsafe) var told: [() -> String] = []
            func tell(_ item: Item) { told.append { "told \\(item.name)" } }
            // Items

            """
        private static let report = """
            func report() -> String {
                kept.append(Item())
                crates.append(Crate())
                tell(Item(count: 5))
                let weight: any Weighed = 3
                let count = kept.count { $0 is Item }
                return "\\(crates.count) \\(crates[0].label()) \\(Size.large(2)) \\(weight.weight()) \\(count) \\(told.map { $0() })"
            }
            """

        /// What an edit has brought, only code of edits knows: laid out otherwise, it is another type. What was made with the former one
        /// goes on as it was, also in closures, and in what is stored as something else.
        @Test func typesOfAnEditAreLaidOutOtherwise() throws {
            var parcel = try parcel()
            try parcel.apply(("// Items\n", Self.items), ("func report() -> String { \"nothing\" }", Self.report))
            try parcel.expect(["1 crate of item 1 large(2) 3 1 [\"told item 5\"]", "point 1, item 1"], ["", "kept"])
            let changed: Desk.Edits = [
                ("    var count = 1\n", "    var unit = \"kg\"\n    var count = 1\n"),
                ("\"item \\(count)\"", "\"item \\(count) \\(unit)\""),
                ("    func label()", "    func weigh() -> Int { item.count * 7 }\n    func label()"),
                ("\"crate of \\(item.name)\"", "\"crate of \\(item.name), \\(weigh())\""),
                ("case small, large(Int)", "case small, medium(String, String), large(Int)"),
                ("{ func weight() -> Int }", "{ func unit() -> String; func weight() -> Int }"),
                (
                    "{ func weight() -> Int { self } }",
                    "{ func weight() -> Int { self }; func unit() -> String { \"t\" } }"
                ),
                ("\\(weight.weight())", "\\(weight.weight())\\(weight.unit())"),
            ]
            let edited = try parcel.edited(changed)
            let applied = try parcel.apply(edited)
            for note in [
                "Item: an edit before has added it, and it is another one from now on",
                "Crate: an edit before has added it", "Size: an edit before has added it",
                "Weighed: an edit before has added it",
                "Parcel.crates : Swift.Array<Parcel.Crate>: it begins anew, as its type does",
            ] { #expect(applied.output.contains(note), "\(note) in \(applied)") }
            try parcel.expect(
                [
                    "1 crate of item 1 kg, 7 large(2) 3t 1 [\"told item 5\", \"told item 5 kg\"]",
                    "point 1, item 1, item 1 kg",
                ], ["", "kept"])
            // The next edits find them as they are by now.
            try parcel.apply(("\"item \\(count) \\(unit)\"", "\"ITEM \\(count) \\(unit)\""))
            try parcel.expect(
                [
                    "2 crate of ITEM 1 kg, 7 large(2) 3t 2 [\"told item 5\", \"told ITEM 5 kg\", \"told ITEM 5 kg\"]",
                    "point 1, item 1, ITEM 1 kg, ITEM 1 kg",
                ], ["", "kept"])
            let again = try parcel.apply(
                ("    var unit = \"kg\"\n", ""), ("\"ITEM \\(count) \\(unit)\"", "\"third \\(count)\""))
            #expect(again.output.contains("Item: an edit before has added it"), "\(again)")
            try parcel.expect(
                ["point 1, item 1, ITEM 1 kg, ITEM 1 kg", "1 crate of third 1, 7 large(2) 3t 1 "],
                ["kept"])
            #expect(try parcel.victim.ask().hasPrefix("1 crate of third 1, 7 large(2) 3t 1 [\"told item 5\""))
            // Reverted one by one, each is what it was.
            try expectDone("revert", "4", "--pid", parcel.victim.id)
            #expect(try parcel.victim.ask().hasPrefix("3 crate of ITEM 1 kg, 7 large(2) 3t 3 ["))
            try expectDone("revert", "2", "--pid", parcel.victim.id)
            #expect(try parcel.victim.ask().hasPrefix("2 crate of item 1 large(2) 3 2 ["))
            try expectDone("revert", "--all", "--pid", parcel.victim.id)
            try parcel.expect(["nothing"], [""])
            expect(parcel.victim.finish(), equals: 0)
        }

        /// Files that were compiled with the former type are asked for; applied together, they know the new one.
        @Test func otherFilesKnowTheNewType() throws {
            var parcel = try parcel()
            let shelf = "func shelve(_ item: Item) -> String { \"shelf of \\(item.count)\" }\n// Shelf\n"
            try parcel.apply(
                ("// Items\n", "struct Item { var count = 1 }\n// Items\n"),
                ("{ \"nothing\" }", "{ shelve(Item(count: 4)) }"), shelf: [("// Shelf\n", shelf)])
            try parcel.expect(["shelf of 4"], [""])
            let changes: Desk.Edits = [("{ var count = 1 }", "{ var text = \"a\"; var count = 1 }")]
            let alone = try parcel.edited(changes)
            let refused = try hotpatch(["apply"] + alone.arguments + ["--pid", parcel.victim.id])
            expect(refused.status, equals: 2, "\(refused)")
            #expect(
                refused.errors.contains(
                    "shelve(Parcel.Item) -> Swift.String: another file has it, compiled with the former type"),
                "\(refused)")
            try parcel.expect(["shelf of 4"], [""])
            try parcel.apply(try parcel.edited(changes, shelf: [("// Shelf\n", "// Shelf again\n")]))
            try parcel.expect(["shelf of 4"], [""])
            try parcel.apply(shelf: [("\"shelf of", "\"rack of \\(item.text)")])
            try parcel.expect(["rack of a 4"], [""])
            try expectDone("revert", "--all", "--pid", parcel.victim.id)
            try parcel.expect(["nothing"], [""])
            expect(parcel.victim.finish(), equals: 0)
        }

        /// What a file no longer has, and another one uses, is said; where one would read what was stored, and another what is computed,
        /// nothing is done.
        @Test func whatOthersUseIsGone() throws {
            var scale = try Desk("Scale", editing: ["Scale", "Shelf"])
            let gone = try scale.apply(("func label() -> some", "func label(_ n: Int = 0) -> some"))
            #expect(
                gone.output.contains(
                    "Scale.label() -> some: it is gone from the file, and async_Main uses it as it was: apply the object"
                ),
                "\(gone)")
            try scale.expect(["2 20 2 42 5 1 1 0 0"], [""])
            expect(scale.victim.finish(), equals: 0)

            let desk = try Desk()
            let edit = try desk.edited([("static let pageSize = 20", "static var pageSize: Int { 50 }")])
            let result = try hotpatch("apply", edit.new, "--base", edit.base, "--pid", desk.victim.id)
            expect(result.status, equals: 2, "\(result)")
            #expect(result.errors.contains("it was stored, and is computed now: "), "\(result)")
            #expect(result.errors.contains("which is not in the object, reads what was stored: restart"), "\(result)")
            try desk.expect(["20 1 desk 42 20"], ["facts"])
            expect(desk.victim.finish(), equals: 0)
        }
    }
}
