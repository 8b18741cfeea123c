import Glibc
import HotpatchExpectations
import HotpatchTestSupport
import Testing

extension CommandTests {
    /// Apply, list and revert, on a program with threads.
    @Suite struct ApplyTests {
        /// PIE or not, with symbols or stripped to what it exports.
        @Test(arguments: [[], ["-no-pie"], ["-s"], ["-no-pie", "-s"], ["-O2", "-fcf-protection=full"]])
        func replacesAndPutsBack(built: [String]) throws {
            var shop = try Shop(built: built)
            try shop.expect()
            let library = try Workshop.library("price.c", ["-DPRICE=1000", "-DTAX=2000"])
            let applied = try expectDone("apply", library, "--pid", shop.id)
            #expect(applied.output.hasPrefix("patch 1 applied to process \(shop.id): 2 functions, "), "\(applied)")
            #expect(applied.output.contains("\n  price at 0x"), "\(applied)")
            try shop.expect(price: 1007, tax: 2070)

            let list = try expectDone("list", "--pid", shop.id)
            #expect(list.output.hasPrefix("patch 1  applied  20"), "\(list)")
            #expect(list.output.contains("Z  by swift-hotpatch (pid "), "\(list)")
            #expect(list.output.contains("\n  library \(library)\n  build-id "), "\(list)")
            #expect(list.output.contains("  in force\n"), "\(list)")

            let reverted = try expectDone("revert", "1", "--pid", shop.id)
            #expect(reverted.output.hasPrefix("reverted patch 1: 2 functions, "), "\(reverted)")
            try shop.expect()
            try expect(
                expectDone("list", "--pid", shop.id).output,
                equals: "process \(shop.id) has no patches in force (list --all shows 1 that was reverted)\n")
            #expect(try expectDone("list", "--pid", shop.id, "--all").output.contains("patch 1  reverted  "))
            expect(shop.victim.finish(), equals: 0)
        }

        @Test func tellsAllAsJSON() throws {
            var shop = try Shop()
            let library = try Workshop.library("price.c", ["-DPRICE=1000"])
            try expect(expectDone("list", "--pid", shop.id).output, equals: "process \(shop.id) has no patches\n")
            try expect(
                expectDone("list", "--pid", shop.id, "--json").json,
                equals: .object([
                    "schema": .number(1), "pid": .number(Int(shop.id)!), "patches": .array([]),
                    "reverted": .number(0), "forgotten": .number(0), "unknown_records": .number(0),
                    "earlier": .object(["code": .number(0), "constants": .number(0), "data": .number(0)]),
                ]))
            // However it was named.
            let named = try Workshop.directory + "/./" + library.split(separator: "/").last!
            let planned = try expectDone("apply", named, "--pid", shop.id, "--dry-run", "--json").json
            expect(planned["library"], equals: .string(library))
            let applied = try expectDone("apply", named, "--pid", shop.id, "--json").json
            expect(applied["pid"], equals: .number(Int(shop.id)!))
            expect(applied["patch"], equals: .number(1))
            expect(applied["library"], equals: .string(library))
            expect(applied["functions"].count, equals: 1)
            let function = applied["functions"][0]
            expect(function["symbol"], equals: .string("price"))
            expect(function["replacement"], equals: .string("price"))
            #expect(function["image"].string?.hasSuffix("shop-0") != nil)
            expect(function["unreached"], equals: .array([]))
            // The victim's three and the agent's.
            #expect((3...4).contains(applied["threads"].number ?? 0), "\(applied)")
            let pause = applied["pause_ns"].number ?? 0
            #expect(pause > 0)
            #expect((applied["holds"].number ?? 0) >= 1)
            #expect((applied["held_ns"].number ?? 0) >= pause)

            let patch = try expectDone("list", "--pid", shop.id, "--json").json["patches"][0]
            expect(patch["id"], equals: .number(1))
            expect(patch["state"], equals: .string("applied"))
            let time = try #require(patch["time"].string)
            #expect(time.wholeMatch(of: /20\d\d-[01]\d-[0-3]\dT[0-2]\d:[0-5]\d:[0-6]\dZ/) != nil, "\(time)")
            expect(patch["origin"], equals: .string("outside"))
            expect(patch["library"], equals: .string(library))
            expect(patch["build_id"].string?.count, equals: 40, "\(patch)")
            expect(patch["functions"][0]["address"], equals: function["address"])
            expect(patch["functions"][0]["status"], equals: .string("in force"))
            expect(patch["functions"][0]["original_address"].string?.hasPrefix("0x"), equals: true)

            let reverted = try expectDone("revert", "--all", "--pid", shop.id, "--json").json
            expect(reverted["reverted"], equals: .array([.number(1)]))
            expect(reverted["warnings"], equals: .array([]))
            let left = try expectDone("list", "--pid", shop.id, "--json").json
            #expect(left["patches"] == .array([]) && left["reverted"] == .number(1))
            try expect(expectDone("list", "--all", "--pid", shop.id, "--json").json["patches"].count, equals: 1)
            let nothing = try expectDone("revert", "--all", "--pid", shop.id, "--json").json
            expect(nothing["reverted"], equals: .array([]))
            try shop.expect()
        }

        /// The newest in force runs, whichever was reverted before.
        @Test(arguments: [[1, 2, 3], [3, 2, 1], [2, 3, 1], [3, 1, 2]])
        func stacksAndRevertsInAnyOrder(order: [Int]) throws {
            var shop = try Shop()
            for layer in 1...3 {
                try expectDone("apply", try Workshop.library("price.c", ["-DPRICE=\(layer)000"]), "--pid", shop.id)
                try shop.expect(price: layer * 1000 + 7)
            }
            let statuses = try expectDone("list", "--pid", shop.id, "--json").json["patches"]
            expect(statuses[0]["functions"][0]["status"], equals: .string("below price"))
            expect(statuses[2]["functions"][0]["status"], equals: .string("in force"))
            var left: Set<Int> = [1, 2, 3]
            for layer in order {
                try expectDone("revert", "\(layer)", "--pid", shop.id)
                left.remove(layer)
                try shop.expect(price: left.max().map { $0 * 1000 + 7 } ?? 70)
            }
            expect(shop.victim.finish(), equals: 0)
        }

        @Test func appliesAgainAfterARevert() throws {
            var shop = try Shop()
            let library = try Workshop.library("price.c", ["-DPRICE=1000"])
            for round in 1...3 {
                try expectDone("apply", library, "--pid", shop.id)
                try shop.expect(price: 1007)
                try expectDone("revert", "\(round)", "--pid", shop.id)
                try shop.expect()
            }
        }

        @Test func appliesOneLibraryTwice() throws {
            var shop = try Shop()
            let library = try Workshop.library("price.c", ["-DPRICE=1000"])
            try expectDone("apply", library, "--pid", shop.id)
            try expectDone("apply", library, "--pid", shop.id)
            try shop.expect(price: 1007)
            try expectDone("revert", "2", "--pid", shop.id)
            try shop.expect(price: 1007)
            try expectDone("revert", "1", "--pid", shop.id)
            try shop.expect()
        }

        /// glibc takes two libraries of one path for the same; the command must not.
        @Test func appliesANewVersionUnderTheSamePath() throws {
            var shop = try Shop()
            for version in 1...3 {
                let library = try Workshop.library("price.c", ["-DPRICE=\(version)000"], as: "version.so")
                try expectDone("apply", library, "--pid", shop.id)
                try shop.expect(price: version * 1000 + 7)
            }
            // Renamed, and deleted.
            rename(try Workshop.directory + "/version.so", try Workshop.directory + "/renamed.so")
            try expectDone("apply", try Workshop.library("price.c", ["-DPRICE=4000"]), "--pid", shop.id)
            try shop.expect(price: 4007)
            try expectDone("revert", "4", "3", "--pid", shop.id)
            try shop.expect(price: 2007)
            expect(shop.victim.finish(), equals: 0)
        }

        @Test func refusesToRevertWhatIsNotThere() throws {
            var shop = try Shop()
            try expectRefused(
                ["revert", "7", "--pid", shop.id], "process \(shop.id) has no patch 7", maps: shop.victim.maps)
            try expectDone("apply", try Workshop.library("price.c", ["-DPRICE=1000"]), "--pid", shop.id)
            try expectDone("revert", "1", "--pid", shop.id)
            try expectRefused(["revert", "1", "--pid", shop.id], "patch 1 is not in force", maps: shop.victim.maps)
            // One that is not there: none is reverted.
            try expectDone("apply", try Workshop.library("price.c", ["-DPRICE=1000"]), "--pid", shop.id)
            try expectRefused(["revert", "2", "3", "--pid", shop.id], "has no patch 3", maps: shop.victim.maps)
            try shop.expect(price: 1007)
        }

        /// What a revert would do, with nothing done.
        @Test func dryRunOfARevertTouchesNothing() throws {
            var shop = try Shop()
            for price in [1000, 2000] {
                try expectDone("apply", try Workshop.library("price.c", ["-DPRICE=\(price)"]), "--pid", shop.id)
            }
            let (maps, list) = (try shop.victim.maps(), try expectDone("list", "--pid", shop.id).output)
            let one = try expectDone("revert", "2", "--pid", shop.id, "--dry-run").output
            #expect(
                one.hasPrefix("would revert patch 2 of process \(shop.id): 1 function\n  price at 0x"), "\(one)")
            for part in ["\n    → price of patch 1\nplan for ", ", generation\n", ", slot\n", ", state\n"] {
                #expect(one.contains(part), "\(part) in \(one)")
            }
            let both = try expectDone("revert", "--all", "--pid", shop.id, "--dry-run").output
            for part in [
                "would revert patch 1, 2 of process", "\n    → its own code\nplan for ", "\ntext 0x", ", entry\n",
            ] {
                #expect(both.contains(part), "\(part) in \(both)")
            }
            let json = try expectDone("revert", "2", "1", "--pid", shop.id, "--dry-run", "--json").json
            #expect(json["dry_run"] == .bool(true) && json["patches"] == .array([.number(2), .number(1)]))
            #expect(json["functions"].count == 1 && json["functions"][0]["symbol"] == .string("price"))
            #expect(json["functions"][0]["patch"] == .null && json["functions"][0]["replacement"] == .null)
            #expect(json["plan"].string?.hasPrefix("plan for ") == true && json["notes"] == .array([]))
            try expectRefused(["revert", "7", "--dry-run", "--pid", shop.id], "has no patch 7", maps: shop.victim.maps)
            try expect(shop.victim.maps(), equals: maps)
            try expect(expectDone("list", "--pid", shop.id).output, equals: list)
            try shop.expect(price: 2007)
            try expectDone("revert", "--all", "--pid", shop.id)
            let nothing = try expectDone("revert", "--all", "--dry-run", "--pid", shop.id)
            expect(nothing.output, equals: "process \(shop.id) has no patches to revert\n")
            try shop.expect()
        }

        /// What is computed touches nothing, byte for byte.
        @Test func dryRunTouchesNothing() throws {
            var shop = try Shop()
            let library = try Workshop.library("explicit.c", ["-DANSWER=0"])
            let before = try shop.victim.maps()
            let plan = try expectDone("apply", library, "--pid", shop.id, "--dry-run")
            #expect(plan.output.hasPrefix("\(library) would replace 3 functions of process \(shop.id):\n"), "\(plan)")
            for line in [
                "  price at 0x", "    → hotpatch.replace.price", "hotpatch_on_apply runs", "plan for x86_64: ",
                "jmp 0x", "\nledger mapping 0x", ", generation\n", ", committer\n", ", state\n",
            ] {
                #expect(plan.output.contains(line), "\(plan)")
            }
            let json = try expectDone("apply", library, "--pid", shop.id, "--dry-run", "--json").json
            expect(json["dry_run"], equals: .bool(true))
            expect(json["functions"].count, equals: 3)
            expect(json["plan"].string?.hasPrefix("plan for "), equals: true)
            try expect(shop.victim.maps(), equals: before)
            try shop.expect()
        }

        @Test func keepsToItsLimits() throws {
            var shop = try Shop()
            let library = try Workshop.library("price.c", ["-DPRICE=1000"])
            try expectDone("apply", library, "--pid", shop.id, "--max-pause", "1000", "--timeout", "30")
            try shop.expect(price: 1007)
        }

        @Test(arguments: [
            [], ["nonsense"], ["apply"], ["apply", "x.so"], ["apply", "--pid", "1"],
            ["apply", "x.so", "--pid", "none"],
            ["apply", "x.so", "--pid", "1", "--map", "price"], ["apply", "x.so", "--pid", "1", "--map", "=price"],
            ["apply", "x.so", "--pid", "1", "--timeout", "0"], ["apply", "x.so", "--pid", "1", "--max-pause", "0"],
            ["revert", "--pid", "1"], ["revert", "--pid", "1", "--all", "2"], ["revert", "--pid", "1", "x"],
            ["list"], ["list", "--pid", "1", "2"], ["symbols"], ["symbols", "a", "b", "c"],
            ["symbols", "a", "--in", "b"],
        ])
        func usage(arguments: [String]) throws {
            let result = try hotpatch(arguments)
            // Without a subcommand it says what there is.
            expect(result.status, equals: (arguments.isEmpty ? 0 : 64), "\(result)")
            #expect((result.output + result.errors).lowercased().contains("usage: swift-hotpatch"), "\(result)")
        }

        /// `cp new.so fix.so` writes into the file that the process has mapped: its loader would not load it anew. (The program
        /// may still die of it, when it ends and runs what was the library's end code.)
        @Test func refusesALibraryWrittenInPlace() throws {
            var shop = try Shop()
            let old = try Workshop.bytes(of: try Workshop.library("price.c", ["-DPRICE=1000"]))
            let new = try Workshop.bytes(of: try Workshop.library("price.c", ["-DPRICE=2000"]))
            let path = try Workshop.file("inplace.so", old)
            try expectDone("apply", path, "--pid", shop.id)
            try expectDone("apply", path, "--pid", shop.id)
            try expectDone("revert", "--all", "--pid", shop.id)
            usleep(20_000)
            _ = try Workshop.file("inplace.so", new)
            try expectRefused(
                ["apply", path, "--pid", shop.id], "was written to after it was applied as patch 1",
                maps: shop.victim.maps)
            try expectDone("apply", try Workshop.file("copy.so", new), "--pid", shop.id)
            try shop.expect(price: 2007)
        }

        /// The program on disk is no longer the one that runs.
        @Test func patchesAProgramThatWasRebuilt() throws {
            let path = try Workshop.build("shop.c", ["-rdynamic", "-pthread"], as: "rebuilt")
            let victim = try Victim(path, "2")
            _ = try Workshop.build("shop.c", ["-rdynamic", "-pthread", "-O0"], as: "rebuilt")
            try expectDone("apply", try Workshop.library("explicit.c"), "--pid", victim.id)
            #expect(try victim.ask().hasPrefix("price 140 tax 7 discount 5 margin 17 rebate 70 countdown 413 "))
            try expectDone("revert", "1", "--pid", victim.id)
            #expect(try victim.ask().hasPrefix("price 70 tax 7 discount 5 margin 17 rebate 60 countdown 13 "))
        }

        /// A command that is killed leaves a process that runs, and that the next command can patch: the library it may have
        /// loaded without a record of it is not taken for part of the program.
        @Test func killedCommands() throws {
            var shop = try Shop()
            let library = try Workshop.library("price.c", ["-DPRICE=1000"])
            for round in 1...12 {
                let null = open("/dev/null", O_RDWR | O_CLOEXEC)
                defer { close(null) }
                let command = try spawn(
                    [products + "/swift-hotpatch", "apply", library, "--pid", shop.id], output: null, errors: null)
                usleep(UInt32(round) * 7000)
                kill(command, SIGKILL)
                reap(command)
            }
            try expectDone("apply", try Workshop.library("price.c", ["-DPRICE=2000"]), "--pid", shop.id)
            try shop.expect(price: 2007)
            try expectDone("revert", "--all", "--pid", shop.id)
            try shop.expect()
            expect(shop.victim.finish(), equals: 0)
        }

        /// Commands at one process at once: each is done or refused, and the list tells which.
        @Test func severalAtOnce() throws {
            var shop = try Shop()
            let library = try Workshop.library("price.c", ["-DPRICE=1000"])
            let null = open("/dev/null", O_RDWR | O_CLOEXEC)
            defer { close(null) }
            let commands = try (0..<4).map { _ in
                try spawn(
                    [products + "/swift-hotpatch", "apply", library, "--pid", shop.id], output: null, errors: null)
            }
            let statuses = commands.map { reap($0) }
            #expect(statuses.allSatisfy { $0 == 0 || $0 == 2 }, "\(statuses)")
            let done = statuses.filter { $0 == 0 }.count
            #expect(done >= 1)
            try expect(expectDone("list", "--pid", shop.id, "--json").json["patches"].count, equals: done)
            try shop.expect(price: 1007)
            try expectDone("revert", "--all", "--pid", shop.id)
            try shop.expect()
        }

        /// Twenty rounds while eight threads call what changes: no wrong answer, and nobody dies.
        @Test func underLoad() throws {
            let victim = try Victim(try Workshop.program("load.c", ["-O2"]))
            let library = try Workshop.library("load_patch.c", ["-O2"])
            for round in 1...20 {
                try expectDone("apply", library, "--pid", victim.id)
                if round % 5 == 0 { try expect(victim.ask(), equals: "wrong 0 patched 1 alive 1") }
                try expectDone("revert", "\(round)", "--pid", victim.id)
            }
            try expect(victim.ask(), equals: "wrong 0 patched 1 alive 1")
            expect(victim.finish(), equals: 0)
        }
    }
}
