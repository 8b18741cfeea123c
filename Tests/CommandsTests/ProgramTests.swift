import Glibc
import HotpatchExpectations
import HotpatchTestSupport
import Testing

extension CommandTests {
    /// Programs that nobody here wrote, and programs that patch themselves.
    @Suite struct ProgramTests {
        /// Debian's own, stripped: patched by what it exports.
        @Test func python() throws {
            let program =
                "import sys\nprint('ready', flush=True)\n"
                + "for line in sys.stdin: print(f'{line.strip()!r}', len(line), flush=True)"
            let victim = try Victim("/usr/bin/python3", "-c", program)
            try expect(victim.ask("a"), equals: "'a' 2")
            let applied = try expectDone("apply", try Workshop.library("python.c"), "--pid", victim.id)
            #expect(applied.output.contains("  PyObject_Repr at 0x"), "\(applied)")
            try expect(victim.ask("a"), equals: "patched('a') 2")
            try expectDone("revert", "1", "--pid", victim.id)
            try expect(victim.ask("a"), equals: "'a' 2")
            expect(victim.finish(), equals: 0)
        }

        @Test func bash() throws {
            let victim = try Victim(
                "/usr/bin/bash", "-c", "echo ready; while read -r line; do echo \"$line ${#line}\"; done; exit 0")
            try expect(victim.ask("abc"), equals: "abc 3")
            try expectDone("apply", try Workshop.library("bash.c"), "--pid", victim.id)
            try expect(victim.ask("abc"), equals: "patched: abc 3")
            try expect(victim.ask("abcd"), equals: "patched: abcd 4")
            try expectDone("revert", "--all", "--pid", victim.id)
            try expect(victim.ask("abc"), equals: "abc 3")
            expect(victim.finish(), equals: 0)
        }

        // MARK: Patched from code and from outside

        /// A process that patches itself all the time, and a command that patches it too: each waits for the other, and nothing that
        /// one has recorded is lost by the other.
        @Test func bothPatchAllTheTime() throws {
            let victim = try fromCode()
            try expect(victim.ask("storm"), equals: "storming")
            let library = try Workshop.library("price.c", ["-DPRICE=1000"])
            for _ in 0..<4 {
                try expectDone("apply", library, "--pid", victim.id, "--map", "victim_depth=price")
                let list = try hotpatch(["list", "--pid", victim.id, "--json"])
                let patches = list.json["patches"]
                let applied = (0..<(patches.count ?? 0)).map { patches[$0] }.filter {
                    $0["state"] == .string("applied") && $0["library"] != .string("")
                }
                expect(applied.count, equals: 1, "\(list)")
                try expectDone("revert", "\(applied.first?["id"].number ?? 0)", "--pid", victim.id)
            }
            try expect(victim.ask("calm"), equals: "wrong 0 rounds true ")
            let list = try expectDone("list", "--pid", victim.id)
            #expect(!list.output.contains("  applied  "), "\(list)")
            try expect(victim.ask("ask"), equals: "add(6, 7) = 13")
            expect(victim.finish(), equals: 0)
        }

        private func fromCode() throws -> Victim { try Victim(products + "/HotpatchFromCode") }

        @Test func revertsWhatCodePatched() throws {
            let victim = try fromCode()
            try expect(victim.ask("ask"), equals: "add(6, 7) = 13")
            try expect(victim.ask("patch"), equals: "patch 1")
            try expect(victim.ask("ask"), equals: "add(6, 7) = -1")
            let list = try expectDone("list", "--pid", victim.id)
            #expect(list.output.contains("patch 1  applied  "), "\(list)")
            #expect(list.output.contains("  from code\n  victim_add at 0x"), "\(list)")
            #expect(list.output.contains("→ victim_subtract at 0x"), "\(list)")
            let json = try expectDone("list", "--pid", victim.id, "--json").json["patches"][0]
            expect(json["origin"], equals: .string("code"))
            expect(json["library"], equals: .string(""))
            try expect(victim.ask("in force"), equals: "true")
            try expectDone("revert", "--all", "--pid", victim.id)
            try expect(victim.ask("ask"), equals: "add(6, 7) = 13")
            try expect(victim.ask("in force"), equals: "false")
            // And the process can go on patching.
            try expect(victim.ask("patch"), equals: "patch 2")
            try expect(victim.ask("in force"), equals: "false true")
            try expect(victim.ask("ask"), equals: "add(6, 7) = -1")
            expect(victim.finish(), equals: 0)
        }

        private func addition() throws -> String { try Workshop.library("price.c", ["-DOTHER=1000"]) }

        @Test func codeRevertsWhatWasAppliedFromOutside() throws {
            let victim = try fromCode()
            try expectDone("apply", addition(), "--pid", victim.id, "--map", "victim_add=other")
            try expect(victim.ask("ask"), equals: "add(6, 7) = 1006")
            try expect(victim.ask("original"), equals: "original 13")
            try expect(victim.ask("revert all"), equals: "reverted")
            try expect(victim.ask("ask"), equals: "add(6, 7) = 13")
            try expect(
                expectDone("list", "--all", "--pid", victim.id, "--json").json["patches"][0]["state"],
                equals: .string("reverted"))
            expect(victim.finish(), equals: 0)
        }

        @Test(arguments: [true, false])
        func stackedOnOneFunction(outsideFirst: Bool) throws {
            let victim = try fromCode()
            for outside in [outsideFirst, !outsideFirst] {
                if outside {
                    try expectDone("apply", addition(), "--pid", victim.id, "--map", "victim_add=other")
                    try expect(victim.ask("ask"), equals: "add(6, 7) = 1006")
                } else {
                    try expect(victim.ask("patch"), equals: "patch 1")
                    try expect(victim.ask("ask"), equals: "add(6, 7) = -1")
                }
                try expect(victim.ask("original"), equals: "original 13")
            }
            let patches = try expectDone("list", "--pid", victim.id, "--json").json["patches"]
            expect(patches.count, equals: 2)
            expect(patches[1]["functions"][0]["status"], equals: .string("in force"))
            expect(patches[0]["functions"][0]["status"].string?.hasPrefix("below "), equals: true)
            // The older one goes: the newer one stays in force.
            try expectDone("revert", "1", "--pid", victim.id)
            try expect(victim.ask("ask"), equals: (outsideFirst ? "add(6, 7) = -1" : "add(6, 7) = 1006"))
            try expect(victim.ask("in force"), equals: (outsideFirst ? "true" : "false"))
            try expectDone("revert", "2", "--pid", victim.id)
            try expect(victim.ask("ask"), equals: "add(6, 7) = 13")
            try expect(victim.ask("in force"), equals: "false")
            expect(victim.finish(), equals: 0)
        }

        // MARK: Symbols

        @Test func symbolsOfAProcess() throws {
            let shop = try Shop()
            let text = try expectDone("symbols", "--pid", shop.id, "price").output
            #expect(text.split(separator: "\n").allSatisfy { $0.hasPrefix("0x") && $0.contains("price") }, "\(text)")
            let json = try expectDone("symbols", "--pid", shop.id, "price", "--json").json["functions"]
            let row = try #require((0..<(json.count ?? 0)).map { json[$0] }.first { $0["symbol"] == .string("price") })
            #expect((row["size"].number ?? 0) > 0)
            expect(row["address"].string.map { text.contains($0) }, equals: true)
            let libc = try expectDone("symbols", "--pid", shop.id, "getpid", "--in", "libc.so.6").output
            #expect(libc.contains("  getpid@GLIBC_"), "\(libc)")
            try expectRefused(
                ["symbols", "--pid", shop.id, "--in", "libnone"], "no image 'libnone'", "libc.so.6",
                maps: shop.victim.maps)
            // Without a pattern: all of them.
            let all = try expectDone("symbols", "--pid", shop.id, "--all", "--json").json["functions"]
            #expect((all.count ?? 0) > 1000)
        }

        private func names(_ result: RunResult) -> [String] {
            let functions = result.json["functions"]
            return (0..<(functions.count ?? 0)).compactMap { functions[$0]["name"].string }
        }

        /// What was written, by name, and none of what compilers, linkers and libraries add to it.
        @Test func symbolsThatWereWritten() throws {
            let program = try Workshop.build("store.swift", ["-module-name", "store"])
            let victim = try Victim(program)
            for subject in [["--pid", victim.id], [program]] {
                let written = names(try hotpatch(["symbols"] + subject + ["--json"]))
                expect(written, equals: written.sorted())
                let price = "store.Shop.price(of: Swift.Int, twice: Swift.Bool) -> Swift.Int"
                #expect(written.contains(price), "\(written)")
                #expect(written.allSatisfy { $0.hasPrefix("store.") || $0 == "main" }, "\(written)")
                // All that libraries define takes seconds to read.
                let all = names(try hotpatch(["symbols"] + subject + ["*store*", "--all", "--json"]))
                #expect(all.contains { $0.hasPrefix("type metadata accessor for ") }, "\(all)")
                #expect(Set(written).subtracting(["main"]).isSubset(of: all))
                #expect(try hotpatch(["symbols"] + subject + ["_start", "--all"]).output.contains("  _start"))
                // Each on a line.
                let lines = try hotpatch(["symbols"] + subject).output.split(separator: "\n")
                #expect(lines.count == written.count && lines.allSatisfy { $0.hasPrefix("0x") })
            }
            let row = try expectDone("symbols", "--pid", victim.id, "price", "--json").json["functions"][0]
            expect(row["image"], equals: .string(program))
        }

        /// No function is no failure, and it is said.
        @Test func symbolsThatAreNone() throws {
            let program = try Workshop.program("shop.c")
            let shop = try Shop()
            func expectNone(
                _ arguments: [String], _ text: String, sourceLocation: SourceLocation = #_sourceLocation
            ) throws {
                let result = try hotpatch(["symbols"] + arguments)
                #expect(result.status == 0 && result.output == "", "\(result)", sourceLocation: sourceLocation)
                #expect(
                    result.errors.hasPrefix("note: no function") && result.errors.contains(text), "\(result)",
                    sourceLocation: sourceLocation)
                let json = try hotpatch(["symbols"] + arguments + ["--json"])
                expect(json.json["functions"], equals: .array([]), sourceLocation: sourceLocation)
                let note = json.json["notes"][0].string ?? ""
                #expect(
                    result.errors == "note: \(note)\n" && json.errors == result.errors, sourceLocation: sourceLocation)
            }
            try expectNone(["--pid", shop.id, "nowhere"], "of \(program) in process \(shop.id) matches 'nowhere'\n")
            try expectNone(["--pid", shop.id, "nowhere", "--all"], "no function of process \(shop.id) matches")
            try expectNone(["--pid", shop.id, "getpid"], "; --all shows ")
            try expectNone([program, "nowhere"], "of \(program) matches 'nowhere'\n")
            try expectNone([program, "_start"], "; --all shows 1 more\n")
            let stripped = try Shop(built: ["-s"])
            try expectNone(["--pid", stripped.id, "stock_of"], " is stripped: of its functions only")
        }

        /// A patch library defines once more what it replaces: only the program's own is shown.
        @Test func symbolsOfAPatchedProcess() throws {
            let shop = try Shop()
            let before = try expectDone("symbols", "--pid", shop.id, "price").output
            try expectDone("apply", try Workshop.library("price.c", ["-DPRICE=1000"]), "--pid", shop.id)
            try expect(expectDone("symbols", "--pid", shop.id, "price").output, equals: before)
        }

        @Test func symbolsOfAFile() throws {
            let library = try Workshop.library("generic.cpp", ["-DSTRONG"], with: "g++")
            let text = try expectDone("symbols", library).output
            #expect(text.contains("  price(int)  [_Z5pricei]\n"), "\(text)")
            #expect(text.contains("int twice<int>(int)  [_Z5twiceIiET_S0_]"), "\(text)")
            let json = try expectDone("symbols", library, "*twice*", "--json").json["functions"]
            expect(json.count, equals: 1)
            expect(json[0]["symbol"], equals: .string("_Z5twiceIiET_S0_"))
            expect(json[0]["name"], equals: .string("int twice<int>(int)"))
            expect(json[0]["image"], equals: .string(library))
            try expectRefused(["symbols", try Workshop.directory + "/nowhere"], "No such file", maps: nil)
            try expectRefused(["symbols", "/etc/passwd"], "/etc/passwd", "ELF header", maps: nil)
        }
    }
}
