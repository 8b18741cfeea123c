import Glibc
import HotpatchExpectations
import HotpatchTestSupport
import Testing

extension CommandTests {
    /// A program whose sources are edited while it runs, under `watch`.
    @Suite struct WatchTests {
        private static let sources = "\(Workshop.package)/Tests/Victims/watch"
        private static let kiosk = Result { try makeKiosk() }

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
        private static func restore(_ folder: String) throws {
            try Watched.restore("\(folder)/Sources", as: "\(sources)/Sources")
        }

        /// A day of a developer: the program keeps its counter as long as no type changes.
        @Test func editsOfAPackage() throws {
            let folder = try Self.kiosk.get().path
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

        /// What does not compile waits, and what is saved after it goes without it: of another module, and of its own.
        private func whatWaits(_ watched: Watched) throws {
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

        /// C, with a compile_commands.json; and what cannot go into the process is left where the user wants that.
        @Test func editsOfAProgramInC() throws {
            let directory = try TemporaryDirectory("watched-c", untilExit: true)
            let folder = directory.path
            let source = """
                #include <stdio.h>
                #include <string.h>
                #include <unistd.h>
                static int count;
                struct price { int amount; };
                static struct price price = {7};
                static int next(void) { return ++count; }
                static const char *hello(void) { return "hello"; }
                int main(void) {
                    char line[64];
                    while (fgets(line, sizeof line, stdin)) {
                        if (!strcmp(line, "count\\n")) printf("= %d\\n", next());
                        else if (!strcmp(line, "price\\n")) printf("= %d\\n", price.amount);
                        else if (!strcmp(line, "fork\\n")) {
                            if (!fork()) pause();
                            printf("= forked\\n");
                        } else printf("= %s\\n", hello());
                        fflush(stdout);
                    }
                }

                """
            let watchedFile = "\(folder)/kiosk.c"
            try runTool("sh", "-c", "printf '%s' \"$1\" > \"$0\"", watchedFile, source)
            let database = """
                [{"directory": "\(folder)", "file": "kiosk.c", "output": "kiosk.o",
                  "arguments": ["gcc", "-g", "-O0", "-c", "kiosk.c", "-o", "kiosk.o"]}]
                """
            try runTool("sh", "-c", "printf '%s' \"$1\" > \"$0\"", "\(folder)/compile_commands.json", database)
            try runTool("sh", "-c", "cd \"$0\" && gcc -g -O0 -c kiosk.c -o kiosk.o && gcc kiosk.o -o kiosk", folder)
            let watched = try Watched(folder, ["--keep"], command: ["./kiosk"])
            _ = try watched.event("ready")
            try expect(watched.ask("count"), equals: "1")
            try expect(watched.ask("fork"), equals: "forked")
            try watched.save("kiosk.c", ("\"hello\"", "\"good day\""), ("return ++count", "return count += 10"))
            _ = try watched.event("applied")
            guard case .string(let notice) = try watched.event("notice")["message"] else {
                throw TestFailure("no text")
            }
            #expect(notice.contains("forked by the program"), "\(notice)")
            try expect(watched.ask("hello"), equals: "good day")
            try expect(watched.ask("count"), equals: "11")
            try watched.save("kiosk.c", ("int amount;", "int amount, tax;"), ("good day", "good night"))
            let refused = try watched.event("refused")
            guard case .string(let reason) = refused["reason"] else { throw TestFailure("no reason: \(refused)") }
            #expect(reason.contains("price"), "\(reason)")
            try expect(watched.ask("hello"), equals: "good day")
            expect(watched.finish(), equals: -SIGTERM)
        }

        /// A program with a library, saved together; and what a restart does not mend, as each build has its time and other options.
        @Test func editsOfTwoImages() throws {
            let directory = try TemporaryDirectory("watched-images", untilExit: true)
            let folder = directory.path
            func make(_ file: String, _ text: String) throws {
                try runTool("sh", "-c", "printf '%s' \"$1\" > \"$0\"", "\(folder)/\(file)", text)
            }
            try make(
                "kiosk.c",
                """
                #include <stdio.h>
                #include <string.h>
                const char *sign(void);
                static int asked;
                static const char *hello(void) { return "hello"; }
                int main(void) {
                    char line[64];
                    while (fgets(line, sizeof line, stdin)) {
                        asked++;
                        printf("= %s %s\\n", hello(), sign());
                        fflush(stdout);
                    }
                }

                """)
            try make(
                "sign.c",
                """
                struct size { int width; };
                static struct size size = {1};
                static const char *text(void) { return size.width ? "open" : ""; }
                const char *sign(void) { return text(); }

                """)
            let files = ["kiosk", "sign"].map {
                """
                {"directory": "\(folder)", "file": "\($0).c", "output": "\($0).o",
                 "arguments": ["gcc", "-g", "-O0", "-fPIC", "-c", "\($0).c", "-o", "\($0).o"]}
                """
            }
            try make("compile_commands.json", "[\(files.joined(separator: ","))]")
            try make(
                "Makefile",
                """
                all: ; gcc -g -O0 -fPIC -c kiosk.c && gcc -g -O0 -fPIC -c sign.c && gcc -shared sign.o -o libsign.so \
                && gcc kiosk.o -L. -lsign -Wl,-rpath,'$$ORIGIN' -o kiosk

                """)
            try runTool("make", "-C", folder)
            let watched = try Watched(folder, command: ["./kiosk"])
            _ = try watched.event("ready")
            try expect(watched.ask(""), equals: "hello open")
            for (file, old, new) in [("kiosk.c", "\"hello\"", "\"bye\""), ("sign.c", "\"open\"", "\"closed\"")] {
                try runTool("sed", "-i", "s/\(old)/\(new)/", "\(folder)/\(file)")
            }
            let applied = try watched.event("applied")
            #expect(applied["files"].count == 2 && applied["functions"].count == 2, "\(applied)")
            try expect(watched.ask(""), equals: "bye closed")
            for (file, old, new) in [("kiosk.c", "\"bye\"", "\"hello\""), ("sign.c", "\"closed\"", "\"open\"")] {
                try runTool("sed", "-i", "s/\(old)/\(new)/", "\(folder)/\(file)")
            }
            _ = try watched.event("restored")
            try expect(watched.ask(""), equals: "hello open")
            expect(watched.finish(), equals: -SIGTERM)
            // Where one of them cannot have its part, the other does not keep its own.
            let kept = try Watched(folder, ["--keep"], command: ["./kiosk"])
            _ = try kept.event("ready")
            for (file, old, new) in [("sign.c", "\"open\"", "\"closed\""), ("kiosk.c", "int asked", "long asked")] {
                try runTool("sed", "-i", "s/\(old)/\(new)/", "\(folder)/\(file)")
            }
            guard case .string(let reason) = try kept.event("refused")["reason"] else { throw TestFailure("no reason") }
            #expect(reason.contains("asked") && !reason.contains("taken back"), "\(reason)")
            try expect(kept.ask(""), equals: "hello open")
            try runTool("sed", "-i", "s/long asked/int asked/", "\(folder)/kiosk.c")
            _ = try kept.event("applied")
            try expect(kept.ask(""), equals: "hello closed")
            expect(kept.finish(), equals: -SIGTERM)
            try runTool("sed", "-i", "s/closed/open/", "\(folder)/sign.c")
            // Built with another layout than the commands say, and written in the future: it is not started again and again.
            try make(
                "Makefile", "all: ; sed s/int/long/ sign.c > other.c && gcc -g -O0 -fPIC -c other.c -o sign.o\n")
            try runTool("make", "-C", folder)
            try runTool("gcc", "-shared", "\(folder)/sign.o", "-o", "\(folder)/libsign.so")
            try runTool("touch", "-d", "tomorrow", "\(folder)/sign.c")
            let again = try Watched(folder, command: ["./kiosk"])
            _ = try again.event("restarting")
            _ = try again.event("restarted")
            _ = try again.event("refused")
            expect(again.finish(), equals: -SIGTERM)
        }

        /// Who ends both while the old program takes its time to end does not get a new one.
        @Test func endsWhileItRestarts() throws {
            let directory = try TemporaryDirectory("watched-end", untilExit: true)
            let folder = directory.path
            let source = """
                #include <signal.h>
                #include <unistd.h>
                struct size { int width; };
                static struct size size = {1};
                static int width(void) { return size.width; }
                int main(void) {
                    signal(SIGTERM, SIG_IGN);
                    for (;;) sleep(width());
                }

                """
            try runTool("sh", "-c", "printf '%s' \"$1\" > \"$0\"", "\(folder)/stubborn.c", source)
            let database = """
                [{"directory": "\(folder)", "file": "stubborn.c", "output": "stubborn.o",
                  "arguments": ["gcc", "-g", "-O0", "-c", "stubborn.c", "-o", "stubborn.o"]}]
                """
            try runTool("sh", "-c", "printf '%s' \"$1\" > \"$0\"", "\(folder)/compile_commands.json", database)
            let build = "cd \"$0\" && gcc -g -O0 -c stubborn.c -o stubborn.o && gcc stubborn.o -o stubborn"
            try runTool("sh", "-c", build, folder)
            let watched = try Watched(folder, command: ["./stubborn"])
            let ready = try watched.event("ready")
            guard case .number(let pid) = ready["pid"] else { throw TestFailure("no pid: \(ready)") }
            // Not before it ignores SIGTERM, the fifteenth.
            func ignored() throws -> UInt64 {
                let status = String(decoding: try Workshop.bytes(of: "/proc/\(pid)/status"), as: UTF8.self)
                let line = status.split(separator: "\n").first { $0.hasPrefix("SigIgn:") }
                return line.flatMap { UInt64($0.dropFirst(8), radix: 16) } ?? 0
            }
            for _ in 0..<3000 where try ignored() & 1 << 14 == 0 { usleep(10_000) }
            try watched.save("stubborn.c", ("int width;", "int width, height;"))
            _ = try watched.event("restarting")
            // It is said what is waited for.
            let notice = try watched.event("notice")["message"].string ?? ""
            #expect(notice.contains("has not ended yet"), "\(notice)")
            kill(watched.conversation.pid, SIGINT)
            expect((try? watched.event("launched", seconds: 30)), equals: nil)
            expect(watched.conversation.finish(seconds: 20), equals: -SIGINT)
            #expect(kill(pid_t(pid), 0) != 0)
        }

        @Test func saysWhatItCannotBeginWith() throws {
            let none = try hotpatch("watch")
            expect(none.status, equals: 64)
            let missing = try hotpatch("watch", "--", "/nowhere/program")
            #expect(missing.status == 2 && missing.errors.contains("/nowhere/program"), "\(missing)")
        }
    }
}
