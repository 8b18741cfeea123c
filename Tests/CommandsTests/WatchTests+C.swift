import Glibc
import HotpatchExpectations
import HotpatchTestSupport
import Testing

/// Programs in C, with a compile_commands.json.
extension CommandTests.WatchTests {
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
}
