import Glibc
import HotpatchExpectations
import HotpatchTestSupport
import Testing

/// Files and functions that move.
extension CommandTests.WatchTests {
    /// A file or a folder gets another name: the program goes on, but for what is private in a file, which has its name in its own.
    @Test func renamedFiles() throws {
        let folder = try Self.kiosk.get().path
        try Self.restore(folder)
        try runTool("mkdir", "\(folder)/Sources/Kiosk/Signs")
        for (file, text) in [
            ("Open", "func open() -> String { \"open\" }\nstruct Sign { var text = \"sign\" }\n"),
            ("Closed", "private func text() -> String { \"closed\" }\nfunc closed() -> String { text() }\n"),
        ] {
            try runTool(
                "sh", "-c", "printf '%s' \"$1\" > \"$0\"", "\(folder)/Sources/Kiosk/Signs/\(file).swift", text)
        }
        try runTool(
            "sed", "-i", "s/{ \"hello\" }/{ \"\\\\(open()), \\\\(Sign().text), \\\\(closed())\" }/",
            "\(folder)/Sources/Kiosk/Routes.swift")
        let watched = try Watched(folder, command: ["swift", "run", "Kiosk"])
        _ = try watched.event("ready", seconds: 300)
        try expect(watched.ask("hello"), equals: "open, sign, closed")
        func move(_ old: String, _ new: String) {
            rename("\(folder)/Sources/Kiosk/\(old)", "\(folder)/Sources/Kiosk/\(new)")
        }
        for (number, (old, new, edited, text)) in [
            ("Signs", "Boards", "Boards/Closed.swift", "closed"),
            ("Boards/Open.swift", "Boards/Welcome.swift", "Boards/Welcome.swift", "open"),
            ("Boards/Welcome.swift", "Boards/Open.swift", "Boards/Open.swift", "OPEN!"),
        ].enumerated() {
            try expect(watched.ask("count"), equals: "count \(number + 1)")
            move(old, new)
            let renamed = try watched.event("unchanged", "applied", "restarting", "refused", "compile-failed")
            #expect(["unchanged", "applied"].contains(renamed["event"].string), "\(renamed)")
            try watched.save("Sources/Kiosk/\(edited)", ("\"\(text)\"", "\"\(text.uppercased())!\""))
            let applied = try watched.event("applied", "unchanged", "restarting", "refused", "compile-failed")
            expect(applied["event"], equals: .string("applied"), "\(applied)")
        }
        try expect(watched.ask("hello"), equals: "OPEN!!, sign, CLOSED!")
        try functionsThatMove(watched)
        move("Boards/Closed.swift", "Boards/Shut.swift")
        let restarting = try watched.event("restarting", "applied", "unchanged")
        expect(
            restarting["reason"].string?.hasPrefix("Closed.swift is called Shut.swift now: what is private in it"),
            equals: true,
            "\(restarting)")
        _ = try watched.event("restarted")
        try expect(watched.ask("hello"), equals: "both, sign, CLOSED!, here")
        try expect(watched.ask("count"), equals: "count 1")
        expect(watched.finish(), equals: -SIGTERM)
    }

    /// A file that an edit has added gets another name, and its function moves to a file that is nothing like it. What the build had
    /// moves likewise.
    private func functionsThatMove(_ watched: Watched) throws {
        let boards = "\(watched.folder)/Sources/Kiosk/Boards"
        func write(_ text: String, to file: String) throws {
            try runTool("sh", "-c", "printf '%s' \"$1\" > \"$0\"", "\(boards)/\(file)", text)
        }
        func expectApplied(_ hello: String) throws {
            let event = try watched.event("applied", "unchanged", "restarting", "refused", "compile-failed")
            expect(event["event"], equals: .string("applied"), "\(event)")
            try expect(watched.ask("hello"), equals: hello)
        }
        try write("func fresh() -> String { \"new\" }\n// A file of its own.\n", to: "New.swift")
        _ = try watched.event("unchanged", "applied")
        try watched.save("Sources/Kiosk/Routes.swift", ("\\(closed())", "\\(closed()), \\(fresh())"))
        try expectApplied("OPEN!!, sign, CLOSED!, new")
        rename("\(boards)/New.swift", "\(boards)/Newest.swift")
        let renamed = try watched.event("unchanged", "applied", "restarting", "refused", "compile-failed")
        #expect(["unchanged", "applied"].contains(renamed["event"].string), "\(renamed)")
        try watched.save("Sources/Kiosk/Boards/Newest.swift", ("\"new\"", "\"newest\""))
        try expectApplied("OPEN!!, sign, CLOSED!, newest")
        try runTool("rm", "\(boards)/Newest.swift")
        try write(
            "struct Neighbour {\n    var age = 1\n    var name = 2\n}\nfunc fresh() -> String { \"there\" }\n",
            to: "Other.swift")
        try expectApplied("OPEN!!, sign, CLOSED!, there")
        try watched.save("Sources/Kiosk/Boards/Other.swift", ("\"there\"", "\"here\""))
        try expectApplied("OPEN!!, sign, CLOSED!, here")
        // Two files go at once.
        try runTool("rm", "\(boards)/Other.swift", "\(boards)/Open.swift")
        try write(
            "func fresh() -> String { \"here\" }\nfunc open() -> String { \"both\" }\n"
                + "struct Sign { var text = \"sign\" }\n",
            to: "Joined.swift")
        try expectApplied("both, sign, CLOSED!, here")
    }
}
