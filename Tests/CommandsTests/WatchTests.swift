import Glibc
import HotpatchExpectations
import HotpatchTestSupport
import Testing

extension CommandTests {
    /// A program whose sources are edited while it runs, under `watch`.
    @Suite struct WatchTests {
        private static let sources = "\(Workshop.package)/Tests/Victims/watch"
        static let kiosk = Result { try makeKiosk() }

        /// A copy, built.
        private static func makeKiosk() throws -> TemporaryDirectory {
            let directory = try TemporaryDirectory("watched", untilExit: true)
            try runTool("cp", "-r", "\(sources)/.", directory.path)
            try runTool("chmod", "-R", "u+w", directory.path)
            return directory
        }

        /// What the watcher has made aside.
        private func temporaryFolders(_ watched: Watched) throws -> [String] {
            let parent = getenv("TMPDIR").map { String(cString: $0) } ?? "/tmp"
            return try run(["ls", parent]).output.components(of: "\n").filter {
                $0.hasPrefix("hotpatch-watch-\(watched.conversation.pid)-")
            }
        }

        /// Gives the sources back what they were.
        static func restore(_ folder: String) throws {
            try Watched.restore("\(folder)/Sources", as: "\(sources)/Sources")
        }

        /// A day of a developer: the program keeps its counter as long as no type changes.
        @Test func editsOfAPackage() throws {
            let folder = try Self.kiosk.get().path
            try Self.restore(folder)
            let watched = try Watched(folder, command: ["swift", "run", "Kiosk"])
            let ready = try watched.event("ready", seconds: 300)
            try expect(watched.ask("hello"), equals: "hello")
            try expect(watched.ask("count"), equals: "count 1")
            // The body of a stored closure.
            try watched.save("Sources/Kiosk/Routes.swift", ("{ \"hello\" }", "{ \"good day\" }"))
            let applied = try watched.event("applied")
            expect(applied["functions"].count, equals: 1, "\(applied)")
            expect(applied["kept_old"].count, equals: 0, "\(applied)")
            try expect(watched.ask("hello"), equals: "good day")
            try expect(watched.ask("count"), equals: "count 2")
            try watched.save("Sources/Kiosk/Routes.swift", ("{ \"good day\" }", "{ \"\\(counter.next())\" }"))
            let kept = try watched.event("applied", "unchanged")
            let said =
                "closure #1 in makeRoutes now captures counter: kept as it was where it is stored, until makeRoutes runs again"
            expect(kept["kept_old"], equals: .array([.string(said)]), "\(kept)")
            // Taken back.
            try watched.save("Sources/Kiosk/Routes.swift", ("{ \"\\(counter.next())\" }", "{ \"hello\" }"))
            _ = try watched.event("restored")
            try expect(watched.ask("hello"), equals: "hello")
            // What does not compile changes nothing; what is saved next is compiled with it.
            try watched.save("Sources/Kiosk/Routes.swift", ("{ \"hello\" }", "{ 5 }"))
            let failed = try watched.event("compile-failed")
            guard case .string(let output) = failed["output"] else { throw TestFailure("no output: \(failed)") }
            #expect(output.contains("Routes.swift:11:") && output.contains("error:"), "\(output)")
            try expect(watched.ask("hello"), equals: "hello")
            try watched.save("Sources/Kiosk/Routes.swift", ("{ 5 }", "{ \"ciao\" }"))
            _ = try watched.event("applied")
            #expect(try watched.ask("hello") == "ciao")
            try whatWaits(watched)
            // C, and a constant that another module reads.
            try watched.save("Sources/CKiosk/kiosk.c", ("* 10", "* 20"))
            _ = try watched.event("applied")
            try watched.save("Sources/KioskCore/Counter.swift", ("pageSize = 20", "pageSize = 50"))
            _ = try watched.event("applied")
            try expect(watched.ask("price"), equals: "price 40, 50 a page")
            // A file that is new, with what one module adds and another one uses.
            try watched.write(
                "public func shout(_ text: String) -> String { text.uppercased() }\n",
                to: "Sources/KioskCore/Shout.swift")
            _ = try watched.event("applied", "unchanged")
            try watched.save("Sources/Kiosk/Routes.swift", ("{ \"ciao\" }", "{ shout(\"ciao\") }"))
            _ = try watched.event("applied")
            try expect(watched.ask("hello"), equals: "CIAO")
            // The same of C.
            try watched.write("int kiosk_factor(void) { return 30; }\n", to: "Sources/CKiosk/factor.c")
            _ = try watched.event("applied", "unchanged")
            try watched.save(
                "Sources/CKiosk/kiosk.c", ("static int rounded", "int kiosk_factor(void);\nstatic int rounded"),
                ("amount * 20", "amount * kiosk_factor()"))
            _ = try watched.event("applied")
            try expect(watched.ask("price"), equals: "price 60, 50 a page")
            // A file goes with its last use, and comes back.
            let prices = String(
                decoding: try Workshop.bytes(of: "\(folder)/Sources/KioskCore/Prices.swift"), as: UTF8.self)
            expect(unlink("\(folder)/Sources/KioskCore/Prices.swift"), equals: 0)
            try watched.save("Sources/Kiosk/Routes.swift", ("price \\(price(of: 2))", "price none"))
            _ = try watched.event("applied")
            try expect(watched.ask("price"), equals: "price none, 50 a page")
            try watched.write(prices, to: "Sources/KioskCore/Prices.swift")
            try watched.save("Sources/Kiosk/Routes.swift", ("price none", "price \\(price(of: 2))"))
            try watched.wait(for: "price 60, 50 a page", to: "price")
            // A resource.
            try watched.write("closed\n", to: "Sources/KioskCore/Resources/sign.txt")
            _ = try watched.event("copied")
            let built = "\(folder)/.build/debug/Kiosk_KioskCore.resources/sign.txt"
            #expect(try Workshop.bytes(of: built) == Array("closed\n".utf8))
            #expect(try watched.ask("count") == "count 3")
            #expect(unlink("\(folder)/Sources/KioskCore/Resources/sign.txt") == 0)
            _ = try watched.event("removed")
            #expect(access(built, F_OK) != 0)
            try watched.write("open\n", to: "Sources/KioskCore/Resources/sign.txt")
            _ = try watched.event("copied")
            // A file that has gone before it compiled has never been.
            try watched.write("let mistaken: Int = \"\"\n", to: "Sources/Kiosk/Draft.swift")
            _ = try watched.event("compile-failed")
            expect(unlink("\(folder)/Sources/Kiosk/Draft.swift"), equals: 0)
            // What cannot go into the process: named, built, and started again.
            try watched.save(
                "Sources/KioskCore/Counter.swift",
                ("private var count = 0\n", "private var count = 0\n    private var step = 2 { didSet {} }\n"),
                ("count += 1", "count += step"))
            let restarting = try watched.event("restarting")
            expect(restarting["reason"], equals: .string("Counter: stored property 'step: Int' added"), "\(restarting)")
            let restarted = try watched.event("restarted")
            #expect(restarted["pid"] != ready["pid"])
            try expect(watched.ask("count"), equals: "count 2")
            try expect(watched.ask("hello"), equals: "CIAO")
            // And edited on.
            try watched.save("Sources/Kiosk/Routes.swift", ("shout(\"ciao\")", "shout(\"servus\")"))
            _ = try watched.event("applied")
            try expect(watched.ask("hello"), equals: "SERVUS")
            // A program that dies is said to have, and an edit starts it again.
            guard case .number(let pid) = restarted["pid"] else { throw TestFailure("no pid: \(restarted)") }
            kill(pid_t(pid), SIGKILL)
            let exited = try watched.event("exited")
            expect(exited["signal"], equals: .string("SIGKILL"), "\(exited)")
            try watched.save("Sources/Kiosk/Routes.swift", ("shout(\"servus\")", "\"again\""))
            let again = try watched.event("ready")
            try expect(watched.ask("hello"), equals: "again")
            try expect(temporaryFolders(watched).count, equals: 1)
            guard case .number(let last) = again["pid"] else { throw TestFailure("no pid: \(again)") }
            expect(watched.finish(), equals: -SIGTERM)
            #expect(kill(pid_t(last), 0) != 0)
            try expect(temporaryFolders(watched), equals: [])
        }

        /// What happens while something else is under way: nothing that was saved is lost, and a program that has died is started.
        @Test func editsAtBadMoments() throws {
            let folder = try Self.kiosk.get().path
            try Self.restore(folder)
            try runTool("rm", "-rf", "\(folder)/Core")
            try runTool("mv", "\(folder)/Sources/KioskCore", "\(folder)/Core")
            symlink("../Core", "\(folder)/Sources/KioskCore")
            // The first build fails, and what mends it was saved meanwhile.
            let routes = "Sources/Kiosk/Routes.swift"
            try runTool("sed", "-i", "s/\"hello\" }/5 }/", "\(folder)/\(routes)")
            let watched = try Watched(
                folder,
                command: ["sh", "-c", "[ -e begun ] && exec swift run Kiosk; touch begun; read line; exit 1"])
            _ = try watched.event("launched")
            try watched.save(routes, ("{ 5 }", "{ \"hello\" }"))
            usleep(700_000)
            try watched.conversation.say("go on")
            let ready = try watched.event("ready", seconds: 300)
            try expect(watched.ask("hello"), equals: "hello")
            // A file of the folder that a link leads to.
            try watched.save("Sources/KioskCore/Counter.swift", ("pageSize = 20", "pageSize = 50"))
            try expect(watched.event("applied", "unchanged", "restarting")["event"], equals: .string("applied"))
            try expect(watched.ask("price"), equals: "price 20, 50 a page")
            // It dies while it is built anew.
            try watched.save(
                "Sources/KioskCore/Counter.swift",
                ("private var count = 0\n", "private var count = 0\n    private var step = 2 { didSet {} }\n"),
                ("count += 1", "count += step"))
            _ = try watched.event("restarting")
            guard case .number(let pid) = ready["pid"] else { throw TestFailure("no pid: \(ready)") }
            kill(pid_t(pid), SIGKILL)
            _ = try watched.event("restarted")
            try expect(watched.ask("count"), equals: "count 2")
            expect(watched.finish(), equals: -SIGTERM)
        }

        @Test func saysWhatItCannotBeginWith() throws {
            let none = try hotpatch("watch")
            expect(none.status, equals: 64)
            let missing = try hotpatch("watch", "--", "/nowhere/program")
            #expect(missing.status == 2 && missing.errors.contains("/nowhere/program"), "\(missing)")
        }
    }
}
