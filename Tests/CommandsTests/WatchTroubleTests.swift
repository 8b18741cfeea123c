import Glibc
import HotpatchExpectations
import HotpatchTestSupport
import Testing

extension CommandTests {
    /// What editors, users and programs do to `watch` that nobody would do on purpose. A program of two C files that make builds.
    @Suite struct WatchTroubleTests {
        private static let kiosk = """
            #include <stdio.h>
            #include <string.h>
            #include <sys/prctl.h>
            #include <sys/wait.h>
            #include <unistd.h>
            int sign(void);
            static int count;
            static int next(void) { return ++count; }
            static int number(void) { return 0; }
            int main(int argc, char **argv) {
                char line[64];
                if (argc > 1) prctl(PR_SET_DUMPABLE, 0);
                while (fgets(line, sizeof line, stdin)) {
                    if (!strcmp(line, "count\\n")) printf("= %d\\n", next());
                    else if (!strcmp(line, "both\\n")) printf("= %d %d\\n", number(), sign());
                    else if (!strcmp(line, "half\\n")) printf("= half\\nof a line, ");
                    else if (!strcmp(line, "close\\n")) printf("= %d\\n", prctl(PR_SET_DUMPABLE, 0));
                    else if (!strcmp(line, "vfork\\n")) {
                        printf("= begins\\n");
                        fflush(stdout);
                        if (!vfork()) {
                            while (access("go", F_OK) != 0) usleep(10000);
                            _exit(0);
                        }
                    } else printf("= %d\\n", number());
                    fflush(stdout);
                }
            }

            """

        /// A folder with the program, built.
        private func makeKiosk(_ name: String) throws -> String {
            let directory = try TemporaryDirectory(name, untilExit: true)
            let folder = directory.path
            func make(_ file: String, _ text: String) throws {
                try runTool("sh", "-c", "printf '%s' \"$1\" > \"$0\"", "\(folder)/\(file)", text)
            }
            try make("kiosk.c", Self.kiosk)
            try make("sign.c", "int sign(void) { return 0; }\n")
            let commands = ["kiosk", "sign"].map {
                """
                {"directory": "\(folder)", "file": "\($0).c", "output": "\($0).o",
                 "arguments": ["gcc", "-g", "-O0", "-Wall", "-c", "\($0).c", "-o", "\($0).o"]}
                """
            }
            try make("compile_commands.json", "[\(commands.joined(separator: ","))]")
            try make(
                "Makefile",
                """
                kiosk: kiosk.o sign.o
                \tgcc -o kiosk kiosk.o sign.o
                %.o: %.c
                \tgcc -g -O0 -Wall -c $< -o $@
                run: kiosk
                \t./kiosk

                """)
            try runTool("make", "-s", "-C", folder)
            return folder
        }

        /// Each way of editors to save: one event for one save, and the code of the last.
        @Test func editorsAndQuickSaves() throws {
            let folder = try makeKiosk("watched-editors")
            let watched = try Watched(folder, command: ["make", "-s", "run"])
            _ = try watched.event("ready")
            // At once: the program's symbols are still being read.
            try watched.save("kiosk.c", ("number(void) { return 0;", "number(void) { return 1;"))
            _ = try watched.event("applied")
            try expect(watched.ask("number"), equals: "1")
            try expect(watched.ask("count"), equals: "1")
            let change = #"sed "s/number(void) { return [0-9]*/number(void) { return $1/" kiosk.c"#
            let editors: [(name: String, save: String)] = [
                ("in place", "\(change) > kiosk.tmp && cat kiosk.tmp > kiosk.c && rm kiosk.tmp"),
                (
                    "vim",
                    """
                    : > .kiosk.c.swp; : > 4913; rm 4913; new=$(\(change)); mv kiosk.c kiosk.c~
                    printf '%s\\n' "$new" > kiosk.c; chmod 644 kiosk.c; rm kiosk.c~ .kiosk.c.swp
                    """
                ),
                (
                    "emacs",
                    """
                    ln -s user@host.1:2 .#kiosk.c; \(change) > '#kiosk.c#'; cp -p kiosk.c kiosk.c~; \(change) > kiosk.new
                    cat kiosk.new > kiosk.c; rm kiosk.new '#kiosk.c#' .#kiosk.c kiosk.c~
                    """
                ),
                ("another file renamed", "\(change) > kiosk.c.tmp.1234 && mv kiosk.c.tmp.1234 kiosk.c"),
                (
                    "JetBrains",
                    """
                    \(change) > kiosk.c___jb_tmp___ && mv kiosk.c kiosk.c___jb_old___ && mv kiosk.c___jb_tmp___ kiosk.c
                    rm kiosk.c___jb_old___
                    """
                ),
                ("removed before", "new=$(\(change)) && rm kiosk.c && printf '%s\\n' \"$new\" > kiosk.c"),
            ]
            for (index, (name, save)) in editors.enumerated() {
                try runTool("sh", "-c", "cd \"$0\" && \(save)", folder, "\(index + 2)")
                let event = try watched.event("applied", "restored", "unchanged", "compile-failed", "refused", "copied")
                #expect(event["event"] == .string("applied") && event["files"].count == 1, "\(name): \(event)")
                try expect(watched.ask("number"), equals: "\(index + 2)", "\(name)")
            }
            // A file is empty for a moment.
            try runTool(
                "sh", "-c",
                "cd \"$0\" && new=$(\(change)) && : > kiosk.c && printf '%s\\n' \"$new\" > kiosk.c", folder,
                "8")
            try watched.wait(for: "8", to: "number")
            // The last one of quick saves runs, whatever the compiler was about when it came.
            for (index, pause) in [0, 5, 15, 40, 60, 90].enumerated() {
                try watched.save("kiosk.c", ("return \(index + 8);", "return 0;"))
                usleep(UInt32(pause) * 1000)
                try watched.save("kiosk.c", ("return 0;", "return \(index + 9);"))
                try watched.wait(for: "\(index + 9)", to: "number")
            }
            try expect(watched.ask("count"), equals: "2")
            expect(watched.finish(), equals: -SIGTERM)
        }

        /// Files that are saved together are one transaction, and what is said of it begins a line.
        @Test func filesSavedTogether() throws {
            let folder = try makeKiosk("watched-together")
            let watched = try Watched(folder, command: ["make", "-s", "run"])
            _ = try watched.event("ready")
            try watched.wait(for: "0 0", to: "both")
            // A machine that is busy may part them.
            var sizes: [Int] = []
            while sizes.last != 2, sizes.count < 5 {
                try expect(watched.ask("half"), equals: "half")
                let number = sizes.count + 1
                try runTool(
                    "sh", "-c",
                    """
                    cd "$0" && sed 's/number(void) { return [0-9]/number(void) { return \(number)/' kiosk.c > kiosk.c~
                    sed 's/return [0-9]/return \(number)/' sign.c > sign.c~
                    mv kiosk.c~ kiosk.c; mv sign.c~ sign.c
                    """, folder)
                sizes.append(try watched.event("applied")["files"].count ?? 0)
                try watched.wait(for: "\(number) \(number)", to: "both")
            }
            expect(sizes.last, equals: 2, "\(sizes)")
            let number = sizes.count
            // A warning is said, of the file that compiles; what the program begins with runs once.
            try watched.save("kiosk.c", ("char line[64];", "char line[65]; int unused;"))
            let main = try watched.event("applied")
            #expect(main["not_reached"].count == 1 && main["functions"].count == 0, "\(main)")
            let warnings = try watched.event("warnings")
            guard case .string(let output) = warnings["output"] else { throw TestFailure("no output: \(warnings)") }
            #expect(output.contains("kiosk.c:11:") && output.contains("unused"), "\(output)")
            // What nothing defines cannot be linked, by make either; the program that runs goes on.
            try watched.save("sign.c", ("return \(number);", "extern int nowhere(void); return nowhere();"))
            _ = try watched.event("restarting")
            let failed = try watched.event("compile-failed")
            guard case .string(let printed) = failed["output"] else { throw TestFailure("no output: \(failed)") }
            #expect(printed.contains("nowhere") && failed["files"].count == 0, "\(failed)")
            try expect(watched.ask("both"), equals: "\(number) \(number)")
            try watched.save("sign.c", ("extern int nowhere(void); return nowhere();", "return 9;"))
            try watched.wait(for: "\(number) 9", to: "both")
            try expect(watched.ask("count"), equals: "1")
            // Who kills the watcher does the program no harm.
            kill(watched.conversation.pid, SIGKILL)
            usleep(100_000)
            try expect(watched.ask("both"), equals: "\(number) 9")
            try expect(watched.ask("count"), equals: "2")
        }

        /// Two watchers of one build, each with a program of its own; and events in a file of their own.
        @Test func twoWatchers() throws {
            let folder = try makeKiosk("watched-twice")
            let first = try Watched(folder, ["--events", "\(folder)/events"], command: ["./kiosk"])
            let second = try Watched(folder, command: ["./kiosk"])
            for watched in [first, second] { _ = try watched.event("ready") }
            for number in 1...3 {
                try first.save("kiosk.c", ("number(void) { return \(number - 1);", "number(void) { return \(number);"))
                for watched in [first, second] { try watched.wait(for: "\(number)", to: "number") }
            }
            for watched in [first, second] { expect(watched.finish(), equals: -SIGTERM) }
            let events = String(decoding: try Workshop.bytes(of: "\(folder)/events"), as: UTF8.self)
            let all = events.components(of: "\n").filter { !$0.isEmpty }.map { Parsed($0 + "\n") }
            // What is compiled is said before what comes of it.
            let saved = all.indices.filter { all[$0]["event"] == .string("saved") }
            for index in saved {
                expect(all[index]["files"], equals: .array([.string("\(folder)/kiosk.c")]), "\(events)")
            }
            for index in all.indices where all[index]["event"] == .string("applied") {
                #expect(saved.contains(index - 1), "\(events)")
            }
            let names = all.map { $0["event"] }.filter { $0 != .string("saved") }
            expect(
                names, equals: ["launched", "ready", "applied", "applied", "applied"].map { .string($0) }, "\(events)")
        }

        /// A thread that cannot be held: nothing is changed, which is said, and the next save is applied with it.
        @Test func aProgramThatCannotBeHeld() throws {
            let folder = try makeKiosk("watched-vfork")
            let watched = try Watched(folder, ["--timeout", "2"], command: ["./kiosk"])
            _ = try watched.event("ready")
            try expect(watched.ask("vfork"), equals: "begins")
            try watched.save("kiosk.c", ("number(void) { return 0;", "number(void) { return 1;"))
            let refused = try watched.event("refused", "applied")
            guard case .string(let reason) = refused["reason"] else { throw TestFailure("no reason: \(refused)") }
            #expect(reason.contains("vfork"), "\(reason)")
            try runTool("touch", "\(folder)/go")
            try expect(watched.ask("both"), equals: "0 0")
            // On a machine with much to do two seconds are soon over.
            for number in 1...10 {
                try watched.save("sign.c", ("return \(number - 1);", "return \(number);"))
                if try watched.event("applied", "refused")["event"] == .string("applied") {
                    try expect(watched.ask("both"), equals: "1 \(number)")
                    break
                }
            }
            expect(watched.finish(), equals: -SIGTERM)
        }

        /// An optimised program cannot get anything: why is said, and it is started again. Where no build is known, that is said.
        @Test func programsThatGetNothing() throws {
            let folder = try makeKiosk("watched-optimised")
            let products = "\(folder)/.build/some-linux/release"
            try runTool("mkdir", "-p", products)
            try runTool("sh", "-c", "cp \"$0/kiosk\" \"$1\" && echo '{}' > \"$1/description.json\"", folder, products)
            let watched = try Watched(folder, command: [products + "/kiosk"])
            guard case .string(let error) = try watched.event("error")["message"] else { throw TestFailure("no text") }
            #expect(error.contains("-c release"), "\(error)")
            try expect(watched.ask("count"), equals: "1")
            try watched.save("kiosk.c", ("number(void) { return 0;", "number(void) { return 1;"))
            // What can be done about it was said: not again with each save.
            try expect(watched.event("restarting", "error")["reason"], equals: .string(error.components(of: ". ")[0]))
            _ = try watched.event("restarted", "error")
            try expect(watched.ask("count"), equals: "1")
            expect(watched.finish(), equals: -SIGTERM)
            try runTool("rm", "\(folder)/compile_commands.json")
            let unknown = try Watched(folder, command: ["sh", "-c", "./kiosk"])
            try expect(unknown.ask("count"), equals: "1")
            try unknown.save("kiosk.c", ("number(void) { return 1;", "number(void) { return 2;"))
            guard case .string(let notice) = try unknown.event("notice")["message"] else {
                throw TestFailure("no text")
            }
            #expect(notice.contains("no build of the program was found"), "\(notice)")
            expect(unknown.finish(), equals: -SIGTERM)
        }

        /// Temporary files that somebody cleans up: what was kept of the program is made anew, in `/tmp` where there is no other place.
        @Test func temporaryFilesThatGo() throws {
            let folder = try makeKiosk("watched-cleaned")
            let temporary = "\(folder)/temporary"
            try runTool("mkdir", temporary)
            let watched = try Watched(
                folder, command: ["./kiosk"], rights: ["env", "TMPDIR=\(temporary)"])
            _ = try watched.event("ready")
            try watched.save("kiosk.c", ("number(void) { return 0;", "number(void) { return 1;"))
            _ = try watched.event("applied")
            // The watcher may be about to remove some of it, too.
            try runTool("rm", "-rf", temporary)
            try watched.save("kiosk.c", ("number(void) { return 1;", "number(void) { return 2;"))
            let restarting = try watched.event("restarting", "error")
            expect(restarting["reason"].string?.hasSuffix("is gone"), equals: true, "\(restarting)")
            _ = try watched.event("restarted", "error")
            try expect(watched.ask("count"), equals: "1")
            try expect(watched.ask("number"), equals: "2")
            try watched.save("kiosk.c", ("number(void) { return 2;", "number(void) { return 3;"))
            _ = try watched.event("applied", "error")
            try expect(watched.ask("number"), equals: "3")
            try expect(watched.ask("count"), equals: "2")
            expect(watched.finish(), equals: -SIGTERM)
        }

        /// A program that has ended is built before it is started again: its command starts what there is.
        @Test func aProgramThatHasEnded() throws {
            let folder = try makeKiosk("watched-ended")
            let watched = try Watched(folder, command: ["./kiosk"])
            let ready = try watched.event("ready")
            try expect(watched.ask("number"), equals: "0")
            guard case .number(let pid) = ready["pid"] else { throw TestFailure("no pid: \(ready)") }
            kill(pid_t(pid), SIGKILL)
            _ = try watched.event("exited")
            try watched.save("kiosk.c", ("number(void) { return 0;", "number(void) { return 1;"))
            let notice = try watched.event("notice", "launched")["message"].string ?? ""
            #expect(notice.hasPrefix("it had ended"), "\(notice)")
            let again = try watched.event("ready")
            try expect(watched.ask("number"), equals: "1")
            guard case .number(let second) = again["pid"] else { throw TestFailure("no pid: \(again)") }
            kill(pid_t(second), SIGKILL)
            _ = try watched.event("exited")
            // What does not compile starts nothing.
            try watched.save("kiosk.c", ("number(void) { return 1;", "number(void) { return 1 +;"))
            let failed = try watched.event("compile-failed", "launched")
            expect(failed["event"], equals: .string("compile-failed"), "\(failed)")
            try watched.save("kiosk.c", ("number(void) { return 1 +;", "number(void) { return 2;"))
            _ = try watched.event("ready")
            try expect(watched.ask("number"), equals: "2")
            expect(watched.finish(), equals: -SIGTERM)
        }

        /// What is saved while the program is stopped goes into it when it runs again. One that could not be started again is not ended.
        @Test func aProgramThatWaits() throws {
            let folder = try makeKiosk("watched-waits")
            let watched = try Watched(folder, command: ["./kiosk"])
            let ready = try watched.event("ready")
            guard case .number(let pid) = ready["pid"] else { throw TestFailure("no pid: \(ready)") }
            #expect(try watched.ask("count") == "1")
            kill(pid_t(pid), SIGSTOP)
            for _ in 0..<3000 where try !run(["ps", "-o", "state=", "-p", "\(pid)"]).output.hasPrefix("T") {
                usleep(10_000)
            }
            try watched.save("kiosk.c", ("number(void) { return 0;", "number(void) { return 1;"))
            let refused = try watched.event("refused", "applied")
            #expect(refused["reason"].string?.contains("stopped by job control") == true, "\(refused)")
            kill(pid_t(pid), SIGCONT)
            _ = try watched.event("applied")
            #expect(try watched.ask("number") == "1")
            // A folder that is being replaced, by a tool that removes all of it first.
            try runTool("sh", "-c", "cd \"$0\" && mkdir away && mv Makefile kiosk *.c *.json away", folder)
            let error = try watched.event("error", "restarted")["message"].string ?? ""
            #expect(error.contains("cannot start ./kiosk again"), "\(error)")
            #expect(try watched.ask("count") == "2")
            #expect(watched.finish() == -SIGTERM)
        }

        /// What needs a restart that cannot be waits: what is saved next is not compiled as if the program had it.
        @Test func aProgramThatCannotBeStarted() throws {
            let folder = try makeKiosk("watched-away")
            let watched = try Watched(folder, command: ["./kiosk"])
            _ = try watched.event("ready")
            try runTool("sh", "-c", "cd \"$0\" && mkdir away && mv Makefile kiosk away", folder)
            try watched.save(
                "kiosk.c", ("static int count;", "static long count;"),
                ("number(void) { return 0;", "number(void) { return 1;"))
            _ = try watched.event("restarting")
            _ = try watched.event("error")
            try runTool("sh", "-c", "cd \"$0\" && mv away/* .", folder)
            try watched.save("sign.c", ("return 0;", "return 6;"))
            let restarting = try watched.event("restarting", "applied")
            expect(restarting["event"], equals: .string("restarting"), "\(restarting)")
            _ = try watched.event("restarted")
            try expect(watched.ask("both"), equals: "1 6")
            expect(watched.finish(), equals: -SIGTERM)
        }

        /// Another program that the command has started gets nothing, which is said.
        @Test func twoProgramsOfACommand() throws {
            let folder = try makeKiosk("watched-programs")
            try runTool("cp", "\(folder)/kiosk", "\(folder)/clerk")
            let later = "(until [ -e go ]; do sleep 0.02; done; sleep 1000 | ./clerk) & exec ./kiosk"
            let watched = try Watched(folder, command: ["sh", "-c", later])
            _ = try watched.event("ready")
            try runTool("touch", "\(folder)/go")
            let executables = ["sh", "-c", "readlink /proc/[0-9]*/exe"]
            let deadline = time(nil) + 60
            while try !run(executables).output.contains("\(folder)/clerk\n"), time(nil) < deadline { usleep(20_000) }
            try watched.save("kiosk.c", ("number(void) { return 0;", "number(void) { return 1;"))
            _ = try watched.event("applied")
            let notice = try watched.event("notice")["message"].string ?? ""
            #expect(notice.contains("clerk (process") && notice.contains("old code"), "\(notice)")
            try expect(watched.ask("number"), equals: "1")
            expect(watched.finish(), equals: -SIGTERM)
        }

        /// A program that may not be traced is said to be so, and started again with what was saved.
        @Test func aProgramThatMayNotBeTraced() throws {
            let folder = try makeKiosk("watched-closed")
            try runTool("chmod", "-R", "a+rwX", folder)
            let nobody = ["setpriv", "--reuid=65534", "--clear-groups", "--bounding-set=-all", "--inh-caps=-all"]
            let rights = getuid() == 0 ? ["env", "TMPDIR=\(folder)"] + nobody : []
            let watched = try Watched(folder, command: ["./kiosk", "closed"], rights: rights)
            _ = try watched.event("launched")
            try expect(watched.ask("number"), equals: "0")
            try watched.save("kiosk.c", ("number(void) { return 0;", "number(void) { return 1;"))
            // What can be done about it is said once.
            let notice = try watched.event("notice", "restarting")["message"].string ?? ""
            #expect(notice.contains("may not be traced") && notice.contains("ReloaderLoop.start()"), "\(notice)")
            let restarting = try watched.event("restarting")
            guard case .string(let reason) = restarting["reason"] else { throw TestFailure("no reason: \(restarting)") }
            #expect(reason.hasSuffix("may not be traced"), "\(reason)")
            _ = try watched.event("launched")
            try watched.wait(for: "1", to: "number")
            try watched.save("kiosk.c", ("number(void) { return 1;", "number(void) { return 3;"))
            try expect(watched.event("notice", "restarting")["event"], equals: .string("restarting"))
            _ = try watched.event("launched")
            try watched.wait(for: "3", to: "number")
            try watched.save("kiosk.c", ("number(void) { return 3;", "number(void) { return 1;"))
            _ = try watched.event("launched")
            try watched.wait(for: "1", to: "number")
            expect(watched.finish(), equals: -SIGTERM)
            // One that closes itself later.
            let later = try Watched(folder, command: ["./kiosk"], rights: rights)
            _ = try later.event("ready")
            try expect(later.ask("close"), equals: "0")
            try later.save("kiosk.c", ("number(void) { return 1;", "number(void) { return 2;"))
            let again = try later.event("restarting", "refused")
            guard case .string(let why) = again["reason"] else { throw TestFailure("no reason: \(again)") }
            #expect(again["event"] == .string("restarting") && why.contains("may not be traced"), "\(again)")
            _ = try later.event("restarted")
            try later.wait(for: "2", to: "number")
            expect(later.finish(), equals: -SIGTERM)
        }
    }
}
