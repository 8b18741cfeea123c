import Glibc
import HotpatchExpectations
import HotpatchTestSupport
import Testing

extension CommandTests {
    /// Stored properties and methods that classes get while their objects live.
    @Suite struct WatchStoredTests {
        private static let sources = "\(Workshop.package)/Tests/Victims/watch-stored"
        private static let stall = Result { try makeStall() }
        private static let till = "Sources/StallCore/Till.swift"

        /// A copy, built.
        private static func makeStall() throws -> TemporaryDirectory {
            let directory = try TemporaryDirectory("watched-stored", untilExit: true)
            try runTool("cp", "-r", "\(sources)/.", directory.path)
            try runTool("chmod", "-R", "u+w", directory.path)
            return directory
        }

        /// From its first state on.
        private static func watch(_ options: String...) throws -> Watched {
            let folder = try stall.get().path
            try Watched.restore("\(folder)/Sources", as: "\(sources)/Sources")
            let watched = try Watched(folder, options, command: ["swift", "run", "--disable-index-store", "Stall"])
            _ = try watched.event("ready", seconds: 300)
            return watched
        }

        private static func said(_ type: String, _ name: String) -> Parsed {
            .string(
                "\(type): stored property '\(name)' is kept beside the object until the next restart; "
                    + "Codable and Mirror do not see it")
        }

        /// Saves a file, and expects that the program has it.
        private func apply(_ watched: Watched, _ file: String, _ edits: (old: String, new: String)...) throws {
            try watched.save(file, edits)
            let event = try watched.event("applied", "refused", "unchanged", "compile-failed", "restarting")
            expect(event["event"], equals: .string("applied"), "\(event)")
        }

        /// A value stays with its object through the edits after it, wherever it is used, and goes with the object.
        @Test func values() throws {
            let watched = try Self.watch()
            for answer in ["1", "2"] { #expect(try watched.ask("take") == answer) }
            try expect(watched.ask("second"), equals: "1")
            try apply(
                watched, Self.till, ("private var total = 0\n", "private var total = 0\n    private var step = 10\n"),
                ("total += 1", "total += step\n        step += 1"))
            try expect(watched.event("notice")["message"], equals: Self.said("Till", "step"))
            for answer in ["12", "23"] { #expect(try watched.ask("take") == answer) }
            try expect(watched.ask("second"), equals: "11")
            // Two edits later it has what it had.
            try apply(watched, Self.till, ("step += 1", "step += 2"))
            for answer in ["35", "49"] { #expect(try watched.ask("take") == answer) }
            try apply(watched, Self.till, ("\"\\(total)\"", "\"\\(total) by \\(step)\""))
            try expect(watched.ask("take"), equals: "65 by 18")
            // Another one, which another file uses, and another module; and who makes it.
            try apply(
                watched, Self.till,
                ("    private var step", "    public var label =\n        Label()\n    private var step"))
            try expect(watched.event("notice")["message"], equals: Self.said("Till", "label"))
            try apply(watched, "Sources/StallCore/Label.swift", ("\"none\"", "\"\\(label.text) of \\(Label.count)\""))
            try expect(watched.ask("summary"), equals: "new of 1")
            try apply(watched, "Sources/Stall/Board.swift", ("\"empty\"", "\"a board of \\(till.label)\""))
            try expect(watched.ask("board"), equals: "a board of StallCore.Label")
            try apply(watched, Self.till, ("step += 2", "step += 2; label.text += \"er\""))
            try expect(watched.ask("second"), equals: "22 by 13")
            try expect(watched.ask("take"), equals: "83 by 20")
            try expect(watched.ask("summary"), equals: "newer of 2")
            // The values of an object go with it.
            try expect(watched.ask("close"), equals: "closed")
            try expect(watched.ask("labels"), equals: "1")
            // What the compiler says is of the text that was saved.
            try watched.save(Self.till, ("step += 2", "stop += 2"))
            let failed = try watched.event("compile-failed", "applied", "refused")
            let output = failed["output"].string ?? ""
            #expect(output.contains("Till.swift:11:9: error:") && !output.contains("__hotpatch"), "\(failed)")
            try watched.save(Self.till, ("stop += 2", "step += 2"))
            try expect(watched.event("unchanged", "applied", "refused")["event"], equals: .string("unchanged"))
            // An actor, and a value that its initialiser gives to new ones.
            try apply(
                watched, Self.till, ("private var served = 0\n", "private var served = 0\n    var pace = -3\n"),
                ("served += 1", "served += pace; pace -= 1"))
            try expect(watched.event("notice")["message"], equals: Self.said("Clerk", "pace"))
            for answer in ["-3", "-7"] { #expect(try watched.ask("serve") == answer) }
            // Taken away, it is forgotten, and comes back as new.
            try watched.save(Self.till, ("    var pace = -3\n", ""), ("served += pace; pace -= 1", "served += 1"))
            _ = try watched.event("applied", "restored")
            try expect(watched.ask("serve"), equals: "-6")
            try apply(
                watched, Self.till, ("private var served = 0\n", "private var served = 0\n    var pace = 5\n"),
                ("served += 1", "served += pace"))
            try expect(watched.event("notice")["message"], equals: Self.said("Clerk", "pace"))
            try expect(watched.ask("serve"), equals: "-1")
            // What it cannot go into is started again, and has all of them in its objects.
            try watched.save(Self.till, ("var amount = 5\n", "var amount = 5\n    var discount = 1\n"))
            let restarting = try watched.event("restarting")
            expect(
                restarting["reason"], equals: .string("Price: stored property 'discount: Int' added"), "\(restarting)")
            _ = try watched.event("restarted", seconds: 300)
            try expect(watched.ask("take"), equals: "10 by 12")
            try apply(watched, Self.till, ("step += 2", "step += 3"))
            try expect(watched.ask("take"), equals: "22 by 15")
            expect(watched.finish(), equals: -SIGTERM)
        }

        /// What has no place beside an object is named, and left alone until it is taken back.
        @Test func refused() throws {
            let watched = try Self.watch("--keep")
            for (edits, reason) in [
                ([("var amount = 5", "var amount = 5; var more = 1")], "Price: stored property 'more: Int' added"),
                // A variable of its own is what no generic type has.
                ([("[Item] = []", "[Item] = []; var more = 1")], "Shelf: stored property 'more: Int' added"),
                ([("total = 0", "total = 0; var more = 1 { didSet {} }")], "Till: stored property 'more: Int' added"),
                // The objects that live were not asked.
                (
                    [
                        (
                            "total = 0\n\n    public init() {}",
                            "total = 0; var more: Int\n\n    public init() { more = 1 }"
                        )
                    ], "Till: stored property 'more: Int' added"
                ),
            ] {
                try watched.save(Self.till, edits.map { (old: $0.0, new: $0.1) })
                let event = try watched.event("refused", "applied", "unchanged", "compile-failed")
                expect(event["reason"], equals: .string(reason), "\(event)")
                try watched.save(Self.till, edits.map { (old: $0.1, new: $0.0) })
                try expect(watched.event("refused", "applied", "unchanged")["event"], equals: .string("unchanged"))
            }
            try expect(watched.ask("take"), equals: "1")
            expect(watched.finish(), equals: -SIGTERM)
        }

        /// Whatever a vtable has no slot for is final, for all that use it, until the program is built again.
        @Test func methods() throws {
            let watched = try Self.watch()
            for answer in ["1", "2"] { #expect(try watched.ask("visit") == answer) }
            try expect(watched.ask("big"), equals: "1 here")
            try apply(
                watched, Self.till,
                (
                    "    var visits = 0\n",
                    """
                        var visits = 0
                        // Above what is there already.
                        @discardableResult
                        public func greet() -> String {
                            let word = label
                            return "\\(word) \\(self[2])"
                        }
                        class var name: String { "\\(self)" }
                        private func twice(_ number: Int) async -> Int { 2 * number }
                    public subscript(_ factor: Int) -> Int {
                        get { visits * factor }
                        set { visits = newValue / factor }
                    }

                    """
                ),
                (
                    "        return \"\\(visits)\"\n    }",
                    "        return greet()\n    }\n    var label: String { Self.name }"
                ))
            for answer in ["Desk 6", "Desk 8"] { #expect(try watched.ask("visit") == answer) }
            try expect(watched.ask("big"), equals: "BigDesk 4 here")
            // In another module, and with a stored property of the same class.
            try apply(
                watched, "Sources/Stall/Board.swift",
                ("\"none\"", "defer { desk[10] = 80 }; return \"\\(desk.greet()) and \\(big.greet())\""))
            try expect(watched.ask("desks"), equals: "Desk 8 and BigDesk 4")
            try expect(watched.ask("visit"), equals: "Desk 18")
            try apply(
                watched, Self.till,
                ("var label: String { Self.name }", "var sign = 7; var label: String { \"\\(sign)\" }"))
            try expect(watched.ask("desks"), equals: "7 18 and 7 4")
            try apply(
                watched, Self.till,
                ("served += 1", "served += bonus"),
                ("    private var served = 0\n", "    private var served = 0; private var bonus: Int { 20 }\n"))
            try expect(watched.ask("serve"), equals: "20")
            // What the compiler says has its place.
            try watched.save(Self.till, ("let word", "let none = 1; let word"))
            try expect(watched.event("warnings")["output"].string?.contains("Till.swift:45:13: warning:"), equals: true)
            try watched.save(Self.till, ("visits * factor", "visit * factor"))
            let failed = try watched.event("compile-failed", "applied", "refused")
            let output = failed["output"].string ?? ""
            #expect(output.contains("Till.swift:51:11: error:") && !output.contains("final"), "\(failed)")
            try watched.save(Self.till, ("visit * factor", "visits * factor + 1"))
            _ = try watched.event("applied")
            try expect(watched.ask("desks"), equals: "7 17 and 7 5")
            // A file that was not saved with the method overrides it.
            try watched.save(
                "Sources/StallCore/BigDesk.swift",
                ("    public override", "    public override func greet() -> String { \"Big\" }\n    public override"))
            let restarting = try watched.event("restarting", "applied", "compile-failed", "refused")
            let reason = restarting["reason"].string ?? "\(restarting)"
            #expect(reason.contains("BigDesk: override of method 'greet()' added"), "\(reason)")
            _ = try watched.event("restarted", seconds: 300)
            try expect(watched.ask("desks"), equals: "7 1 and Big")
            expect(watched.finish(), equals: -SIGTERM)
        }
    }
}
