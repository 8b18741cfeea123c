import HotpatchExpectations
import HotpatchTestSupport
import Testing

extension CommandTests {
    /// Options of compilers that an object may have been made with.
    @Suite struct ApplyObjectOptionsTests {
        /// Whose debugging information says less than it must, or whose code is another than it seems: refused by name.
        @Test(arguments: [
            (["gcc", "-gz=zlib"], "compressed (-gz)"), (["clang", "-gz"], "compressed (-gz)"),
            (["gcc", "-gsplit-dwarf"], "in another file (-gsplit-dwarf)"),
            (["clang", "-gsplit-dwarf", "-gdwarf-4"], "in another file (-gsplit-dwarf)"),
            (["gcc", "-fdebug-types-section"], "types in sections of their own"),
            (["gcc", "-fdebug-types-section", "-gdwarf-4"], "types in sections of their own"),
            (["gcc", "-g1"], "only lines (-g1"), (["clang", "-gline-tables-only"], "only lines (-g1"),
            (["gcc", "-fsanitize=thread"], "compiled with -fsanitize=thread"),
            (["gcc", "-fsanitize=address"], "compiled with -fsanitize=address"),
            (["gcc", "--coverage"], "compiled with --coverage"),
            (["clang", "-fprofile-instr-generate"], "compiled with -fprofile-instr-generate"),
            (["gcc", "-flto"], "link-time optimisation"), (["gcc", "-O1"], "compiled with -O1"),
            (["clang", "-O1"], "compiled with optimisation"),
        ])
        func refusedByName(options: [String], reason: String) throws {
            let sources = try EditedC("things.c", beside: "answerer.c", [options[0]])
            let victim = try Victim(sources.program)
            // Its own -g and -O0 come first.
            let object = try sources.compiledAnew(with: Array(options.dropFirst()))
            let result = try hotpatch("apply", object, "--base", sources.base, "--pid", victim.id)
            #expect(result.status == 2 && result.errors.contains(reason), "\(result)")
            try expect(victim.ask("number"), equals: "5")
            expect(victim.finish(), equals: 0)
        }

        /// Others change nothing that matters.
        @Test(arguments: [
            ["gcc", "-ffunction-sections", "-fdata-sections", "-fno-plt"],
            ["clang", "-gdwarf-4", "-fpatchable-function-entry=5"],
            ["gcc", "-gdwarf64", "-fcf-protection=full", "-fno-asynchronous-unwind-tables"],
            ["gcc", "-fstack-protector-all", "-g3"],
        ])
        func applied(options: [String]) throws {
            let sources = try EditedC("things.c", beside: "answerer.c", options)
            let victim = try Victim(sources.program)
            let edit = try sources.edited([("n + 1", "n + 2")])
            try expectDone("apply", edit.object, "--base", sources.base, "--pid", victim.id)
            try expect(victim.ask("number"), equals: "6")
            // What they leave out they would not notice.
            let other = try sources.edited([("struct { int p, q; } in", "struct { int q, p; } in")], of: edit.text)
            let refused = try hotpatch("apply", other.object, "--base", edit.object, "--pid", victim.id)
            #expect(
                refused.status == 2 && refused.errors.contains("outer: 'in: { q: int at 0; p: int at 4 }"), "\(refused)"
            )
            expect(victim.finish(), equals: 0)
        }
    }
}
