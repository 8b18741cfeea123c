import HotpatchExpectations
import HotpatchTestSupport
import Testing

extension CommandTests {
    /// Edited objects of shared libraries, and of programs that use their variables.
    @Suite struct ApplyObjectLibraryTests {
        private let objects = Workshop.sources + "/objects/"

        private func done(_ command: [String]) throws {
            let result = try run(command)
            guard result.status == 0 else { throw TestFailure("\(command): \(result.errors)") }
        }

        /// What each thread has of a library's variables is found by the number that the dynamic linker gave them, and by their distance from the
        /// thread pointer where the library was there from the start. (libc has a function called step, too.)
        @Test(arguments: [
            ("gcc", false, ""), ("gcc", true, ""), ("clang", true, ""), ("gcc", false, "-ftls-model=initial-exec"),
        ])
        func ofALibrary(compiler: String, isLoadedLater: Bool, model: String) throws {
            let sources = try EditedC(
                "threads.c", beside: "threader.c",
                [compiler, "-fPIC", "-Dstep=one_more", "-pthread"] + (model.isEmpty ? [] : [model]))
            let library = sources.base + ".so"
            try done([compiler, "-shared", "-o", library, sources.base])
            let program = library + ".program"
            try done([
                compiler, "-g", "-pthread", "-DLIBRARY=\"\(library)\"", "-o", program, objects + "threader.c",
                isLoadedLater ? objects + "late.c" : library,
            ])
            let victim = try Victim(program)
            try expect(victim.ask(), equals: "204 101")
            let first = try sources.edited([("return ++calls;", "return calls += 10;"), ("base +=", "base += 1000 +")])
            try expectDone("apply", first.object, "--base", sources.base, "--pid", victim.id)
            // 103 + 1012 and + 1022; 101 + 1011.
            try expect(victim.ask(), equals: "\(1115 + 2137) 1112")
            try expectDone("revert", "--all", "--pid", victim.id)
            // 2137 + 23 and + 24; 1112 + 12.
            try expect(victim.ask(), equals: "\(2160 + 2184) 1124")
            expect(victim.finish(), equals: 0)
        }

        /// A variable that a library lets others use is found by what the program's objects call it.
        @Test(arguments: [["gcc"], ["gcc", "-fPIC"], ["clang"]])
        func ofAnotherImage(compiler: [String]) throws {
            let library = try Workshop.directory + "/libthreads-\(Desk.number.next()).so"
            try done([
                compiler[0], "-g", "-fPIC", "-Dstep=one_more", "-Dtotal=library_total", "-shared", "-o", library,
                objects + "threads.c",
            ])
            let teller = try EditedC(
                "teller.c", beside: "threader.c", compiler + ["-pthread", "-Wl,--no-as-needed", library])
            let victim = try Victim(teller.program)
            try expect(victim.ask(), equals: "204 101")
            let edit = try teller.edited([("+ base - base", "+ base * 1000")])
            try expectDone("apply", edit.object, "--base", teller.base, "--pid", victim.id)
            // 106 + 106000 and 110 + 110000; 103 + 103000.
            try expect(victim.ask(), equals: "\(106106 + 110110) 103103")
            expect(victim.finish(), equals: 0)
        }

        /// Where no place is the same in each thread, code that expects one is refused.
        @Test func thatWereLoadedLaterByDistance() throws {
            let sources = try EditedC(
                "threads.c", beside: "threader.c", ["gcc", "-fPIC", "-Dstep=one_more", "-pthread"])
            let library = sources.base + ".so"
            try done(["gcc", "-shared", "-o", library, sources.base])
            let program = library + ".program"
            try done([
                "gcc", "-g", "-pthread", "-DLIBRARY=\"\(library)\"", "-o", program, objects + "threader.c",
                objects + "late.c",
            ])
            let victim = try Victim(program)
            try expect(victim.ask(), equals: "204 101")
            let edit = try sources.edited([
                (
                    "static __thread int calls;",
                    "static __thread int calls __attribute__((tls_model(\"initial-exec\")));"
                ),
                ("return ++calls;", "return calls += 10;"),
            ])
            let refused = try hotpatch("apply", edit.object, "--base", sources.base, "--pid", victim.id)
            expect(refused.status, equals: 2)
            #expect(refused.errors.contains("its library was loaded later"), "\(refused)")
            try expect(victim.ask(), equals: "216 103")
            expect(victim.finish(), equals: 0)
        }

        /// What a library exports the dynamic linker may have bound to the program's: its copy of a variable, its version of a function. The
        /// library's new code means what its old code means, however the library is linked.
        @Test(arguments: [
            ([], ["607 6 1 1", "1307 13 1 1", "1408 14 1 1"]),
            (["-Wl,-z,lazy"], ["607 6 1 1", "1307 13 1 1", "1408 14 1 1"]),
            (["-Wl,-Bsymbolic-functions"], ["601 6 1 0", "1301 13 1 0", "1402 14 1 0"]),
            (["-Wl,-Bsymbolic"], ["601 5 0 0", "1301 5 0 0", "1402 5 0 0"]),
        ])
        func whatTheProgramHasOnceMore(link: [String], answers: [String]) throws {
            let sources = try EditedC("shared.c", beside: "sharer.c", ["gcc", "-fPIC", "-Wl,-z,muldefs"])
            let library = sources.base + ".so"
            try done(["gcc", "-shared", "-o", library] + link + [sources.base])
            let program = library + ".program"
            try done(["gcc", "-g", "-o", program, objects + "sharer.c", "-Wl,--no-as-needed", library])
            let victim = try Victim(program)
            try expect(victim.ask(), equals: answers[0])
            let edit = try sources.edited([
                ("counter++", "counter += 7"), ("return &counter;", "int *found = &counter; return found;"),
            ])
            try expectDone("apply", edit.object, "--base", sources.base, "--pid", victim.id)
            try expect(victim.ask(), equals: answers[1])
            // What the library has not called before.
            let next = try sources.edited(
                [("counter += 7", "counter++"), ("100 + hook()", "100 + unused_hook()")], of: edit.text)
            try expectDone("apply", next.object, "--base", edit.object, "--pid", victim.id)
            try expect(victim.ask(), equals: answers[2])
            expect(victim.finish(), equals: 0)
        }

        /// An edit of what the process does not call is said.
        @Test func whatTheProcessDoesNotCall() throws {
            let sources = try EditedC("shared.c", beside: "sharer.c", ["gcc", "-fPIC", "-Wl,-z,muldefs"])
            let library = sources.base + ".so"
            try done(["gcc", "-shared", "-o", library, sources.base])
            let program = library + ".program"
            try done(["gcc", "-g", "-o", program, objects + "sharer.c", "-Wl,--no-as-needed", library])
            let victim = try Victim(program)
            let edit = try sources.edited([("int hook(void) { return 1; }", "int hook(void) { return 3; }")])
            let applied = try expectDone("apply", edit.object, "--base", sources.base, "--pid", victim.id)
            #expect(
                applied.output.contains("hook: the process calls that of \(program), and not this one"), "\(applied)")
            try expect(victim.ask(), equals: "607 6 1 1")
            expect(victim.finish(), equals: 0)
        }
    }
}
