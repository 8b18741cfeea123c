import Glibc
import HotpatchExpectations
import HotpatchTestSupport
import Testing

/// What was saved, and is not in the program.
extension CommandTests.WatchTests {
    /// What does not compile waits, and what is saved after it goes without it: of another module, and of its own.
    func whatWaits(_ watched: Watched) throws {
        let (counter, routes, prices) =
            ("Sources/KioskCore/Counter.swift", "Sources/Kiosk/Routes.swift", "Sources/KioskCore/Prices.swift")
        func expectApplied(_ file: String, _ edit: (old: String, new: String)) throws {
            try watched.save(file, edit)
            let event = try watched.event("applied", "restored", "compile-failed", "restarting")
            #expect(["applied", "restored"].contains(event["event"].string), "\(event)")
            #expect(event["files"] == .array([.string("\(watched.folder)/\(file)")]), "\(event)")
        }
        func expectNotice() throws {
            let notice = try watched.event("notice")["message"].string
            #expect(notice == "Counter.swift is not live yet: what was saved before does not compile")
        }
        // Others would see something else of it, too.
        try watched.save(
            counter, ("count += 1", "count += one"),
            ("enum Limits {", "enum Limits { public static var width: Int { 5 };"))
        _ = try watched.event("compile-failed")
        try expectApplied(routes, ("\"ciao\"", "\"salve\""))
        try expectNotice()
        #expect(try watched.ask("hello") == "salve")
        try expectApplied(prices, ("Int32(amount)", "Int32(amount + 1)"))
        try expectNotice()
        #expect(try watched.ask("price") == "price 30, 20 a page")
        // What needs it waits with it, and both go together.
        try watched.save(routes, ("\"salve\"", "\"\\(Limits.width)\""))
        let failed = try watched.event("compile-failed", "applied")
        #expect(failed["output"].string?.contains("one") == true, "\(failed)")
        #expect(try watched.ask("hello") == "salve")
        try watched.save(counter, ("count += one", "count += 1"))
        let both = try watched.event("applied", "compile-failed")
        #expect(both["files"].count == 2, "\(both)")
        #expect(try watched.ask("hello") == "5")
        try expectApplied(routes, ("\"\\(Limits.width)\"", "\"ciao\""))
        try expectApplied(prices, ("Int32(amount + 1)", "Int32(amount)"))
        // An edit that never went is taken back.
        try watched.save(counter, ("count += 1", "count += "))
        _ = try watched.event("compile-failed")
        try watched.save(counter, ("count += ", "count += 1"))
        _ = try watched.event("unchanged")
    }

    /// What cannot go into the process is not compiled with what is saved next: that would reckon with it.
    @Test func whatIsLeftOutStaysOut() throws {
        let folder = try Self.kiosk.get().path
        try Self.restore(folder)
        let main = "Sources/Kiosk/Main/Kiosk.swift"
        try runTool("mkdir", "\(folder)/Sources/Kiosk/Main")
        try runTool("mv", "\(folder)/Sources/Kiosk/Kiosk.swift", "\(folder)/\(main)")
        let watched = try Watched(
            folder, ["--keep", "--dir", "Sources/Kiosk/Main"], command: ["swift", "run", "Kiosk"])
        _ = try watched.event("ready", seconds: 300)
        // A file of another folder than is watched.
        try watched.save("Sources/Kiosk/Routes.swift", ("var name", "var extra = 5; var name"))
        for (old, new) in [("\"what?\"", "\"what else?\""), ("\"what else?\"", "\"what then?\"")] {
            try watched.save(main, (old, new))
            let applied = try watched.event("refused", "applied")
            #expect(applied["event"] == .string("applied") && applied["files"].count == 1, "\(applied)")
            let notice = try watched.event("notice")["message"].string ?? ""
            let reason = "what was saved before cannot go into the program that runs"
            #expect(notice == "Routes.swift is not live yet: \(reason)")
        }
        try expect(watched.ask("hello"), equals: "hello")
        try watched.save("Sources/Kiosk/Routes.swift", ("var extra = 5; ", ""))
        try watched.save(main, ("\"what then?\"", "\"what now?\""))
        let applied = try watched.event("applied")
        expect(applied["files"].count, equals: 2, "\(applied)")
        expect(watched.finish(), equals: -SIGTERM)
    }

    /// Whether a build has read what was saved meanwhile is not known: nothing is compiled as if the program had it.
    @Test func savedDuringABuild() throws {
        let folder = try Self.kiosk.get().path
        try Self.restore(folder)
        let watched = try Watched(
            folder, ["--keep"],
            command: [
                "sh", "-c", "swift build --product Kiosk && echo '= built' && read line && exec .build/debug/Kiosk",
            ])
        while try watched.conversation.readLine(seconds: 300) != "= built" {}
        // Older than what the build has made of it, as what is saved while the compiler reads it.
        try watched.saveAsOld("Sources/Kiosk/Routes.swift", ("var name", "var extra = 5; var name"))
        usleep(700_000)
        try watched.conversation.say("go on")
        _ = try watched.event("ready")
        _ = try watched.event("refused")
        try watched.save("Sources/Kiosk/Kiosk.swift", ("\"what?\"", "\"what else?\""))
        let refused = try watched.event("refused", "applied")
        #expect(refused["event"] == .string("refused"), "\(refused)")
        try expect(watched.ask("hello"), equals: "hello")
        // Without the first edit, all goes.
        try watched.save("Sources/Kiosk/Routes.swift", ("var extra = 5; ", ""))
        _ = try watched.event("applied")
        expect(watched.finish(), equals: -SIGTERM)
    }

    /// A process that is started from the same build has none of the edits: they go into it, of whatever time their files are.
    @Test func startedFromTheSameBuild() throws {
        let folder = try Self.kiosk.get().path
        try Self.restore(folder)
        let watched = try Watched(
            folder,
            command: ["sh", "-c", "swift build --product Kiosk && while true; do .build/debug/Kiosk; done"])
        let ready = try watched.event("ready", seconds: 300)
        try watched.write("func shout(_ text: String) -> String { text + \"!\" }\n", to: "Sources/Kiosk/Shout.swift")
        _ = try watched.event("applied", "unchanged")
        try watched.saveAsOld("Sources/Kiosk/Routes.swift", ("{ \"hello\" }", "{ shout(\"hello\") }"))
        _ = try watched.event("applied")
        try expect(watched.ask("hello"), equals: "hello!")
        guard case .number(let pid) = ready["pid"] else { throw TestFailure("no pid: \(ready)") }
        kill(pid_t(pid), SIGKILL)
        let again = try watched.event("ready")
        #expect(again["pid"] != ready["pid"])
        let applied = try watched.event("applied", "compile-failed", "refused", seconds: 60)
        expect(applied["event"], equals: .string("applied"), "\(applied)")
        try expect(watched.ask("hello"), equals: "hello!")
        expect(watched.finish(), equals: -SIGTERM)
    }
}
