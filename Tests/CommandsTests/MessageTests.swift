import Glibc
import HotpatchExpectations
import HotpatchTestSupport
import Testing

extension CommandTests {
    /// What an error says, and where: what, why, and what to do.
    @Suite struct MessageTests {
        @Test(arguments: [
            (
                ["revert", "1", "--all", "--pid", "1"],
                "error: --all reverts every patch, and 1 names one. Say one or the other."
            ),
            (["revert", "--pid", "1"], "error: no patch is named. Name those to revert, or say --all."),
            (["list"], "error: missing expected argument '--pid <pid>'."),
            (["list", "--pid", "many"], "error: the value 'many' is invalid for '--pid <pid>'."),
            (["list", "--pid", "1", "more"], "error: unexpected argument 'more'."),
            (["list", "--pid", "1", "--nothing"], "error: unknown option '--nothing'."),
            (["apply", "x.so", "--pid", "1", "--map", "x"], "error: --map takes OLD=NEW, not 'x'."),
            (["symbols"], "error: say --pid PID, or name a file."),
        ])
        func usage(_ arguments: [String], _ line: String) throws {
            let result = try hotpatch(arguments)
            #expect(result.status == 64 && result.output == "", "\(result)")
            let lines = result.errors.split(separator: "\n").map(String.init)
            expect(lines.first, equals: line)
            #expect(
                lines.contains { $0.hasPrefix("Usage: swift-hotpatch") } && !result.errors.contains("Error:"),
                "\(result)")
            let json = try hotpatch(arguments + ["--json"])
            expect(json.status, equals: 64, "\(json)")
            #expect(
                json.json["schema"] == .number(1) && json.json["exit_code"] == .number(64)
                    && json.json["error"] == .string(String(line.dropFirst(7))),
                "\(json)")
        }

        @Test func helpIsNoError() throws {
            for arguments in [["--help"], ["list", "--help"], ["--version"]] {
                let result = try hotpatch(arguments)
                #expect(result.status == 0 && result.errors == "" && result.output != "", "\(result)")
            }
        }

        @Test func ofAStrippedProgram() throws {
            let shop = try Shop(built: ["-s"])
            let other = try Workshop.library("price.c", ["-DOTHER=1"])
            let maps = shop.victim.maps
            try expectRefused(
                ["apply", other, "--pid", shop.id, "--map", "stock_of=other"], "no function named 'stock_of'",
                "is stripped",
                ".debug", maps: maps)
            try expectRefused(["apply", other, "--pid", shop.id], "replaces nothing", "is stripped", maps: maps)
        }

        @Test func theSameLibraryTwice() throws {
            let shop = try Shop()
            let library = try Workshop.library("price.c", ["-DPRICE=1000", "-Wl,--build-id"])
            #expect(try !expectDone("apply", library, "--pid", shop.id).output.contains("the same library"))
            let again = try expectDone("apply", library, "--pid", shop.id)
            #expect(again.output.contains("is in force as patch 1"), "\(again)")
            try expectDone("revert", "--all", "--pid", shop.id)
            #expect(try !expectDone("apply", library, "--pid", shop.id).output.contains("the same library"))
        }

        /// The process opens it by its own rights. Only root can be another user.
        @Test func aLibraryThatTheProcessMayNotRead() throws {
            guard getuid() == 0 else { return }
            let library = try Workshop.library("price.c", ["-DPRICE=1000"])
            let hidden = try Workshop.file("hidden.so", Workshop.bytes(of: library))
            chmod(hidden, 0o600)
            let program = try Workshop.program("shop.c")
            for path in [try Workshop.directory, program] { chmod(path, 0o755) }
            let victim = try Victim("setpriv", "--reuid=65534", "--clear-groups", program, "1")
            try expectRefused(["apply", hidden, "--pid", victim.id], "Permission denied", "chmod a+r", maps: nil)
            #expect(try victim.ask().hasPrefix("price 70 "))
        }
    }
}
