import Glibc
import HotpatchExpectations
import HotpatchTestSupport
import Testing

extension CommandTests {
    /// What of a library replaces what of a process.
    @Suite struct LibraryTests {
        /// hotpatch.h, from every compiler and language it is for.
        @Test(arguments: [["gcc"], ["clang"], ["g++", "-x", "c++"], ["clang++", "-x", "c++"]])
        func saysWhatItReplaces(compiler: [String]) throws {
            var shop = try Shop()
            let options = Array(compiler.dropFirst()) + ["-DANSWER=0"]
            // `-x` comes too late after the source.
            let library = try header(options, with: compiler[0])
            let applied = try expectDone("apply", library, "--pid", shop.id)
            #expect(applied.output.contains("    → hotpatch.replace.price"), "\(applied)")
            // Each of the four calls of countdown runs the replacement.
            try shop.expect(price: 140, rebate: 70, countdown: 413, noted: "applied")
            try expectDone("revert", "1", "--pid", shop.id)
            try shop.expect(noted: "reverted")
            expect(shop.victim.finish(), equals: 0)
        }

        /// The header's example, compiled as another language than the file's name says.
        private func header(_ options: [String], with compiler: String) throws -> String {
            try Workshop.library("explicit.c", options, with: compiler)
        }

        @Test func theOriginalIsNeverAnotherPatch() throws {
            var shop = try Shop()
            try expectDone("apply", try Workshop.library("price.c", ["-DPRICE=1000"]), "--pid", shop.id)
            try expectDone("apply", try Workshop.library("explicit.c"), "--pid", shop.id)
            try shop.expect(price: 140, rebate: 70, countdown: 413)
            try expectDone("revert", "1", "--pid", shop.id)
            try shop.expect(price: 140, rebate: 70, countdown: 413)
        }

        /// What was refused stays loaded, and the loader takes the file for it, whatever is written into that since.
        @Test(arguments: [O_TRUNC, 0])
        func writtenOverAfterItWasRefused(_ flag: Int32) throws {
            var shop = try Shop()
            let refusing = try Workshop.bytes(of: Workshop.library("explicit.c", ["-DANSWER=3"]))
            let library = try Workshop.file("written-over-\(flag).so", refusing)
            for _ in 0..<2 {
                // Again, unchanged: it may think otherwise by now.
                let result = try hotpatch("apply", library, "--pid", shop.id)
                #expect(result.errors.contains("returned 3, which refuses the patch"), "\(result)")
            }
            let other = try Workshop.bytes(of: Workshop.library("price.c", ["-DPRICE=1000", "-DTAX=5", "-DRATE=3"]))
            let descriptor = open(library, O_WRONLY | flag | O_CLOEXEC)
            expect(write(descriptor, other, other.count), equals: other.count)
            close(descriptor)
            for arguments in [[], ["--dry-run"]] {
                let result = try hotpatch(["apply", library, "--pid", shop.id] + arguments)
                expect(result.status, equals: 2, "\(result)")
                #expect(
                    result.errors.contains("\(library) was written to after process \(shop.id) had loaded it")
                        && result.errors.contains("Apply a copy"), "\(result)")
            }
            try shop.expect(noted: "applied")
            try expectDone("apply", try Workshop.file("copy-\(flag).so", other), "--pid", shop.id)
            try shop.expect(price: 1007, tax: 75, noted: "applied")
            // Its own constructors' opposites would run at the end, from a file that is not theirs.
            kill(shop.victim.pid, SIGKILL)
        }

        /// What has run code stays: a thread that the constructor has started is inside the library.
        @Test func refusesItself() throws {
            var shop = try Shop()
            let library = try Workshop.library("explicit.c", ["-DANSWER=3", "-DBACKGROUND", "-pthread"])
            let result = try hotpatch("apply", library, "--pid", shop.id)
            expect(result.status, equals: 2, "\(result)")
            #expect(result.errors.contains("hotpatch_on_apply of \(library) returned 3"), "\(result)")
            #expect(result.errors.contains("stays loaded in process \(shop.id)"), "\(result)")
            #expect(try shop.victim.maps().contains(library), "the library is unloaded")
            try shop.expect(noted: "applied")
            try expect(expectDone("list", "--pid", shop.id).output, equals: "process \(shop.id) has no patches\n")
            usleep(20_000)
            try shop.expect(noted: "applied")
            // And is in nobody's way.
            try expectDone("apply", try Workshop.library("explicit.c", ["-DANSWER=0"]), "--pid", shop.id)
            try shop.expect(price: 140, rebate: 70, countdown: 413, noted: "applied")
            expect(shop.victim.finish(), equals: 0)
        }

        /// Part of a library is not left out in silence: what cannot be replaced is named, and nothing is.
        @Test func refusesWhatTheKernelProvides() throws {
            var shop = try Shop()
            let library = try Workshop.library("vdso.c", ["-fno-builtin"])
            let result = try hotpatch("apply", library, "--pid", shop.id)
            expect(result.status, equals: 2, "\(result)")
            #expect(result.errors.contains("'time' in "), "\(result)")
            try shop.expect()
            #expect(try !shop.victim.maps().contains(library))
        }

        /// hotpatch_on_apply does not return in time: nothing is replaced, and the process can be patched once it has.
        @Test func slowToAgree() throws {
            var shop = try Shop()
            let slow = try Workshop.library("slow.c")
            let result = try hotpatch("apply", slow, "--pid", shop.id, "--timeout", "3")
            expect(result.status, equals: 4, "\(result)")
            #expect(result.errors.contains("has not answered"), "\(result)")
            try shop.expect()
            usleep(2_500_000)
            try expectDone("apply", try Workshop.library("price.c", ["-DPRICE=1000"]), "--pid", shop.id)
            try shop.expect(price: 1007)
        }

        @Test func fromSwift() throws {
            let victim = try Victim(try Workshop.build("store.swift", ["-module-name", "store"]))
            try expect(victim.ask(), equals: "price 70 order tea #1")
            let name = "store.Shop.price(of: Swift.Int, twice: Swift.Bool) -> Swift.Int"
            let symbols = try expectDone("symbols", "--pid", victim.id, name, "--json").json["functions"]
            expect(symbols[0]["symbol"], equals: .string("$s5store4ShopV5price2of5twiceS2i_SbtF"), "\(symbols)")
            let library = try Workshop.library("store_patch.swift", ["-module-name", "store_patch"])
            let applied = try expectDone("apply", library, "--pid", victim.id)
            #expect(applied.output.contains("  \(name) at 0x"), "\(applied)")
            try expect(victim.ask(), equals: "price 7001 order tea #2")
            try expectDone("revert", "--all", "--pid", victim.id)
            try expect(victim.ask(), equals: "price 70 order tea #3")
            expect(victim.finish(), equals: 0)
        }

        private let later = ["-module-name", "later", "-parse-as-library"]

        /// Callers allocate the context that the original needs, whatever runs in its place: what needs more is entered through a thunk.
        @Test(arguments: [("-O", "-Onone"), ("-Onone", "-O")])
        func asyncFromSwift(optimisation: String, ofPatch: String) throws {
            let victim = try Victim(try Workshop.build("later.swift", later + [optimisation]))
            try expect(victim.ask(), equals: "sum 4950")
            let blocking = try Workshop.library("later.swift", later + [ofPatch, "-DBLOCKING"])
            try expectRefused(
                ["apply", blocking, "--pid", victim.id], "cannot replace later.work(Swift.Int) async -> Swift.Int",
                "the other is not", maps: victim.maps)
            let small = try Workshop.library("later.swift", later + ["-O", "-DSMALL"])
            let plain = try expectDone("apply", small, "--pid", victim.id)
            #expect(!plain.output.contains("thunk"), "\(plain)")
            try expect(victim.ask(), equals: "sum 1000")
            let patch = try Workshop.library("later.swift", later + [ofPatch, "-DPATCH"])
            let large = try Workshop.library("later.swift", later + [ofPatch, "-DLARGE"])
            let planned = try expectDone("apply", patch, "--pid", victim.id, "--dry-run")
            #expect(planned.output.contains("\nasync thunk 0x"), "\(planned)")
            #expect(planned.output.contains(" bytes, allocates a context of "), "\(planned)")
            try expectDone("apply", patch, "--pid", victim.id)
            try expect(victim.ask(), equals: "sum 49500")
            try expectDone("apply", large, "--pid", victim.id)
            try expect(victim.ask(), equals: "sum 495000")
            let list = try expectDone("list", "--pid", victim.id)
            expect(list.output.split(separator: "\n").filter { $0.contains(" through 0x") }.count, equals: 2, "\(list)")
            try expectDone("revert", "3", "--pid", victim.id)
            try expect(victim.ask(), equals: "sum 49500")
            try expectDone("revert", "--all", "--pid", victim.id)
            try expect(victim.ask(), equals: "sum 4950")
            expect(victim.finish(), equals: 0)
        }

        /// Tasks suspended in a replacement finish in it, and return through its thunk, whatever was patched and reverted meanwhile.
        @Test func asyncWhileAThousandTasksCall() throws {
            let victim = try Victim(try Workshop.build("later.swift", later + ["-O"]))
            let patches = try ["-DPATCH", "-DLARGE"].map {
                try Workshop.library("later.swift", later + ["-Onone", $0])
            }
            try expect(victim.ask("begin"), equals: "begun")
            for _ in 0..<2 {
                for patch in patches { try expectDone("apply", patch, "--pid", victim.id) }
                try expectDone("revert", "--all", "--pid", victim.id)
            }
            try expect(victim.ask("end", seconds: 60), equals: "wrong 0")
            try expect(victim.ask(), equals: "sum 4950")
            expect(victim.finish(), equals: 0)
        }

        /// A library that is bound to the runtime in the program knows its tasks; one with a runtime of its own does not.
        @Test func asyncWithTheRuntimeInTheProgram() throws {
            let victim = try Victim(try Workshop.build("later.swift", later + ["-O", "-static-stdlib"]))
            try expect(victim.ask(), equals: "sum 4950")
            for patch in ["-DPATCH", "-DSMALL"] {
                try expectRefused(
                    ["apply", try Workshop.library("later.swift", later + ["-O", patch]), "--pid", victim.id],
                    "cannot replace later.work(Swift.Int) async -> Swift.Int", "brings a Swift runtime of its own",
                    maps: victim.maps)
            }
            let object = try Workshop.build("later.swift", later + ["-O", "-DPATCH", "-emit-object"])
            let bare = object + ".so"
            let linked = try run(["gcc", "-shared", "-o", bare, object])
            expect(linked.status, equals: 0, "\(linked)")
            try expectDone("apply", bare, "--pid", victim.id)
            try expect(victim.ask(), equals: "sum 49500")
            try expectDone("revert", "--all", "--pid", victim.id)
            try expect(victim.ask(), equals: "sum 4950")
            // What is not async does not ask which runtime it is.
            let both = try Workshop.library("later.swift", later + ["-O", "-DPATCH", "-DUNIT"])
            let partly = try hotpatch("apply", both, "--pid", victim.id, "--keep-going")
            expect(partly.status, equals: 5, "\(partly)")
            #expect(partly.output.contains("\n  refused: later.work(Swift.Int) async -> Swift.Int: "), "\(partly)")
            try expect(victim.ask("unit"), equals: "unit 7")
            try expect(victim.ask(), equals: "sum 4950")
            try expectDone("revert", "--all", "--pid", victim.id)
            try expect(victim.ask("unit"), equals: "unit 1")
            expect(victim.finish(), equals: 0)
        }

        /// What allocates a larger context, or what callers allocate, cannot be known where the symbols are gone.
        @Test func asyncOfAStrippedProgram() throws {
            let function = "$s5later4workyS2iYaF"
            let patch = try Workshop.library("later.swift", later + ["-O", "-DPATCH"])
            for (kept, options, reason) in [
                ([function], [], "its record (the symbol that ends with Tu) is missing"),
                (
                    [function, function + "Tu"], ["-static-stdlib"],
                    "swift_task_alloc and swift_task_dealloc, are not found"
                ),
            ] {
                let names = kept.map { "\"\($0)\";" }.joined(separator: " ")
                let list = try Workshop.file("later-\(kept.count).list", Array("{ \(names) };".utf8))
                let victim = try Victim(
                    try Workshop.build(
                        "later.swift",
                        later + options + ["-O", "-Xlinker", "-s", "-Xlinker", "--dynamic-list=\(list)"]))
                try expect(victim.ask(), equals: "sum 4950")
                try expectRefused(
                    ["apply", patch, "--pid", victim.id], "cannot replace later.work(Swift.Int) async -> Swift.Int",
                    reason, maps: victim.maps)
                try expect(victim.ask(), equals: "sum 4950")
                expect(victim.finish(), equals: 0)
            }
        }

        private let kinds = ["-module-name", "kinds", "-parse-as-library"]

        /// A library built as the program's module declares its variables anew: only the function is meant.
        @Test func onlyWhatSwiftSourcesSay() throws {
            let victim = try Victim(try Workshop.build("kinds.swift", kinds))
            try expect(victim.ask(), equals: "fee 6 rate 6 total 15")
            let library = try Workshop.library("kinds.swift", kinds + ["-DFEE"])
            let applied = try expectDone("apply", library, "--pid", victim.id)
            #expect(applied.output.hasPrefix("patch 1 applied to process \(victim.id): 1 function, "), "\(applied)")
            #expect(applied.output.contains("note: left out: 1 function that the compiler made"), "\(applied)")
            try expect(victim.ask(), equals: "fee 900 rate 7 total 15")
            let report = try expectDone("apply", library, "--pid", victim.id, "--dry-run", "--json").json
            expect(report["left_out"].count, equals: 1, "\(report)")
            expect(report["left_out"][0], equals: .string("$s5kinds4rateSivau"), "\(report)")
            // Whoever says it has it.
            let named = try expectDone(
                "apply", library, "--pid", victim.id, "--only", "$s5kinds4rateSivau", "--dry-run")
            #expect(named.output.contains("would replace 1 function"), "\(named)")
            expect(victim.finish(), equals: 0)
        }

        /// Objects made by a copy of a class are not of the program's class.
        @Test func aLibraryWithTheProgramsTypes() throws {
            let victim = try Victim(try Workshop.build("kinds.swift", kinds))
            let library = try Workshop.library("kinds.swift", kinds + ["-DTYPES"])
            try expectRefused(
                ["apply", library, "--pid", victim.id], "declares types that the process has: kinds.Cart.", "--only",
                maps: victim.maps)
            let all = try expectDone("apply", library, "--pid", victim.id, "--only", "*Cart*", "--dry-run")
            for made in [
                "type metadata accessor for kinds.Cart", "kinds.Cart.deinit", "kinds.Cart.__deallocating_deinit",
            ] {
                #expect(all.output.contains("  left out: \(made)\n"), "\(all)")
            }
            let applied = try expectDone("apply", library, "--pid", victim.id, "--only", "kinds.Cart.total() -> *")
            #expect(applied.output.contains("note: \(library) has types of its own"), "\(applied)")
            for turn in 6..<10 { try expect(victim.ask(), equals: "fee \(turn) rate \(turn) total 2000") }
            try expectDone("revert", "--all", "--pid", victim.id)
            try expect(victim.ask(), equals: "fee 10 rate 10 total 15")
            expect(victim.finish(), equals: 0)
        }

        @Test func weakFunctionsOnlyWhenNamed() throws {
            var shop = try Shop()
            let library = try Workshop.library("price.c", ["-DPRICE=1000", "-DTAX=2000", "-DWEAK=3000"])
            try expectDone("apply", library, "--pid", shop.id)
            try shop.expect(price: 1007, tax: 2070)
            try expectDone("revert", "1", "--pid", shop.id)
            try expectDone("apply", library, "--pid", shop.id, "--only", "disc*", "--only", "tax")
            try shop.expect(tax: 2070, discount: 3070)
            try expectDone("revert", "2", "--pid", shop.id)
            try expectRefused(
                ["apply", library, "--pid", shop.id, "--only", "pric"], "matches 'pric'", "--only",
                maps: shop.victim.maps)
            // A pattern that matches nothing is a mistake, though another matches.
            try expectRefused(
                ["apply", library, "--pid", shop.id, "--only", "price", "--only", "taxes"], "taxes",
                maps: shop.victim.maps)
            try shop.expect()
        }

        @Test func hiddenFunctionsNever() throws {
            var shop = try Shop()
            let library = try Workshop.library("price.c", ["-DHIDDEN=1000"])
            try expectRefused(
                ["apply", library, "--pid", shop.id], "replaces nothing", "no function", maps: shop.victim.maps)
            try expectRefused(
                ["apply", library, "--pid", shop.id, "--map", "tax=tax"], "exports no function tax",
                maps: shop.victim.maps)
            try shop.expect()
        }

        @Test func nothingToReplace() throws {
            let shop = try Shop()
            let library = try Workshop.library("price.c", ["-DOTHER=1000"])
            try expectRefused(
                ["apply", library, "--pid", shop.id], "replaces nothing in this process", "It exports: other",
                "--map OLD=NEW",
                maps: shop.victim.maps)
        }

        @Test func anOriginalWithoutReplacement() throws {
            let shop = try Shop()
            let library = try Workshop.library("unclaimed.c")
            try expectRefused(
                ["apply", library, "--pid", shop.id], "wants the original of tax, which it does not replace",
                maps: shop.victim.maps)
        }

        @Test func mapsNames() throws {
            var shop = try Shop()
            let library = try Workshop.library("price.c", ["-DOTHER=1000"])
            try expectDone("apply", library, "--pid", shop.id, "--map", "tax=other", "--map", "margin=other")
            try shop.expect(tax: 1070, margin: 1007)
            try expectRefused(
                ["apply", library, "--pid", shop.id, "--map", "taxi=other"], "no function named 'taxi'", "tax",
                maps: shop.victim.maps)
            try expectRefused(
                ["apply", library, "--pid", shop.id, "--map", "tax=others"], "exports no function others", "other",
                maps: shop.victim.maps)
            try expectRefused(
                ["apply", library, "--pid", shop.id, "--map", "tax=other", "--map", "tax=other"], "tax", "twice",
                maps: shop.victim.maps)
        }

        /// With --map, only what it names is replaced by it; what else the library defines still is.
        @Test func mapsBesideItsOwnNames() throws {
            var shop = try Shop()
            let library = try Workshop.library("price.c", ["-DPRICE=1000", "-DOTHER=2000"])
            try expectDone("apply", library, "--pid", shop.id, "--map", "tax=other")
            try shop.expect(price: 1007, tax: 2070)
        }

        @Test func mapsAFunctionThatHasTheNameToo() throws {
            var shop = try Shop()
            let library = try Workshop.library("price.c", ["-DPRICE=1000", "-DOTHER=2000"])
            // Said explicitly: it wins over the name.
            try expectDone("apply", library, "--pid", shop.id, "--map", "price=other")
            try shop.expect(price: 2007)
        }
    }
}
