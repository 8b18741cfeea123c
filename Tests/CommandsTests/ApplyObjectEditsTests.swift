import HotpatchTestSupport
import Testing

extension CommandTests {
    /// Edits of an object that change more than code.
    @Suite struct ApplyObjectEditsTests {
        /// What a class overrides comes and goes on living objects: its own, those of subclasses in other files, and of generic ones, whose
        /// metadata the runtime makes.
        @Test func overridesComeAndGo() throws {
            var kennel = try Desk("Kennel", editing: ["Kennel"], beside: ["Others", "main"])
            let questions = ["speak", "walk", "legs", "rest"]
            let before = [
                "animal, dog, dog, cub of dog, dog, dog", "walks, walks, walks, walks, walks, walks",
                "4, 4, 4, 4, 4, 4", "rests, rests, rests, rests, rests, rests",
            ]
            try kennel.expect(before, questions)
            let applied = try kennel.apply(
                (
                    "    // Dog\n",
                    """
                        override func walk() -> String { "trots, as it \\(super.walk())" }
                        override var legs: Int { 5 }
                        override func rest() async -> String { await Task.yield(); return "sleeps" }

                    """
                ), ("    // Puppy\n", "    override func speak() -> String { \"puppy\" }\n    // Puppy\n"))
            #expect(applied.output.contains("Dog: override of method 'walk()' added"), "\(applied)")
            let trots = Array(repeating: "trots, as it walks", count: 5).joined(separator: ", ")
            try kennel.expect(
                [
                    "animal, dog, puppy, cub of dog, puppy, puppy", "walks, " + trots, "4, 5, 5, 5, 5, 5",
                    "rests, sleeps, sleeps, sleeps, sleeps, sleeps",
                ], questions)
            // What is made of a generic class only now inherits it, too.
            #expect(try kennel.victim.ask("later").hasPrefix("trots, as it walks, trots"))
            // An override that an object has brought is edited as any function, and goes as it came.
            try kennel.apply(("trots", "runs"), ("    override var legs: Int { 5 }\n", ""))
            try kennel.expect(
                [
                    "walks, " + Array(repeating: "runs, as it walks", count: 5).joined(separator: ", "),
                    "4, 4, 4, 4, 4, 4",
                ], ["walk", "legs"])
            // So does one that was there from the start.
            let removed = try kennel.apply(("    override func speak() -> String { \"dog\" }\n", ""))
            #expect(removed.output.contains("Dog: override of method 'speak()' removed"), "\(removed)")
            #expect(removed.output.contains("Cub overrides what Dog does"), "\(removed)")
            try kennel.expect(["animal, animal, puppy, cub of dog, puppy, puppy"], ["speak"])
            try expectDone("revert", "--all", "--pid", kennel.victim.id)
            try kennel.expect(before, questions)
            #expect(kennel.victim.finish() == 0)
        }

        /// What each thread has of a variable stays; a new one each thread gets when it first asks for it, and both in one function.
        @Test(arguments: [["gcc", "-fPIC"], ["clang", "-fPIC"], ["clang", "-fPIC", "-fdata-sections"]])
        func newThreadLocals(compiler: [String]) throws {
            let sources = try EditedC("threads.c", beside: "threader.c", compiler + ["-pthread"])
            let first = try sources.edited([
                (
                    "static __thread int calls;",
                    "static __thread int calls;\nstatic __thread int more[9] = {7, 0, 0, 40};\n__thread char *text;"
                ),
                (
                    "return ++calls;",
                    "if (!text) text = \"1\"; more[3] += 10 + *text - '0'; return ++calls * 1000 + more[3];"
                ),
            ])
            let victim = try Victim(sources.program)
            // 101 + 103, and 101.
            #expect(try victim.ask() == "204 101")
            let applied = try expectDone("apply", first.object, "--base", sources.base, "--pid", victim.id)
            #expect(applied.output.contains(": 1 function, "), "\(applied)")
            // 103 + 3051 and + 4062; 101 + 2051.
            #expect(try victim.ask() == "\(3154 + 7216) 2152")
            // An edit of the edit finds what the threads have by then.
            let second = try sources.edited([("return ++calls", "return more[3] + ++calls")], of: first.text)
            try expectDone("apply", second.object, "--base", first.object, "--pid", victim.id)
            // 7216 + 73 + 5073 and + 84 + 6084; 2152 + 62 + 3062.
            #expect(try victim.ask() == "\(12362 + 18530) 5276")
            try expectDone("revert", "--all", "--pid", victim.id)
            #expect(try victim.ask() == "\(18537 + 18545) 5280")
            #expect(victim.finish() == 0)
        }

        /// Code that is compiled for an executable finds variables by their distance from the thread pointer: those that there are.
        @Test(arguments: [["gcc"], ["gcc", "-fno-pic", "-no-pie"], ["clang"]])
        func threadLocalsOfTheProgram(compiler: [String]) throws {
            let sources = try EditedC("threads.c", beside: "threader.c", compiler + ["-pthread"])
            let edit = try sources.edited([("return ++calls;", "return calls += 10;"), ("base = 100", "base = 200")])
            let victim = try Victim(sources.program)
            #expect(try victim.ask() == "204 101")
            let applied = try expectDone("apply", edit.object, "--base", sources.base, "--pid", victim.id)
            #expect(applied.output.contains("base: its value is kept: each thread has its own"), "\(applied)")
            // 103 + 12 and + 22; 101 + 11.
            #expect(try victim.ask() == "\(115 + 137) 112")
            let grown = try sources.edited([
                ("__thread long base = 100", "__thread long base[2]"), ("base +=", "*base +="),
            ])
            let refused = try hotpatch("apply", grown.object, "--base", edit.object, "--pid", victim.id)
            #expect(refused.errors.contains("base: it had 8 bytes, and has 16 now: restart needed"), "\(refused)")
            #expect(victim.finish() == 0)
        }

        /// A Swift file that begins to use a lock brings a thread-local variable.
        @Test func aMutexIsAdded() throws {
            var loom = try Desk("Loom", editing: ["Loom"])
            try loom.expect(["1: " + Array(repeating: "weaves 2", count: 8).joined(separator: ", ")], ["ab"])
            try loom.apply(
                (
                    "final class Loom",
                    "import Synchronization\n\nprivate let threads = Mutex([Int]())\n\nfinal class Loom"
                ),
                (
                    "{ \"weaves \\(n)\" }",
                    "{ \"has woven \\(threads.withLock { all in all.append(n); return all.count + 10 })\" }"
                ))
            try loom.expect(
                [
                    "2: " + (11...18).map { "has woven \($0)" }.joined(separator: ", "),
                    "3: " + (19...26).map { "has woven \($0)" }.joined(separator: ", "),
                ], ["ab", "ab"])
            try loom.apply(("has woven", "wove"))
            try loom.expect(["4: " + (27...34).map { "wove \($0)" }.joined(separator: ", ")], ["ab"])
            try expectDone("revert", "--all", "--pid", loom.victim.id)
            try loom.expect(["5: " + Array(repeating: "weaves 2", count: 8).joined(separator: ", ")], ["ab"])
            #expect(loom.victim.finish() == 0)
        }
    }
}
