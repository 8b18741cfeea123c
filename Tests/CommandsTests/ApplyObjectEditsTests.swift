import HotpatchExpectations
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
            expect(kennel.victim.finish(), equals: 0)
        }

        /// LLVM numbers helpers of one name through the whole file: after an edit above, one has the number that another has in the process.
        @Test func helpersThatAreNumberedAnew() throws {
            var tally = try Desk("Tally", editing: ["Tally"])
            try tally.expect(["sum 18"], ["four"])
            try tally.apply(
                ("// Above\n", "func above() async -> Double {\n    async let x = 1.5\n    return await x\n}\n"),
                ("\"sum\"", "\"sum above \\(await above())\""))
            try tally.expect(["sum above 1.5 18"], ["four"])
            try tally.apply(("sum above", "and"))
            try tally.expect(["and 1.5 18"], ["four"])
            try tally.apply(("+ d + e", "+ d - e"))
            try tally.expect(["and 1.5 10"], ["four"])
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
            try expect(victim.ask(), equals: "204 101")
            let applied = try expectDone("apply", first.object, "--base", sources.base, "--pid", victim.id)
            #expect(applied.output.contains(": 1 function, "), "\(applied)")
            // 103 + 3051 and + 4062; 101 + 2051.
            try expect(victim.ask(), equals: "\(3154 + 7216) 2152")
            // An edit of the edit finds what the threads have by then.
            let second = try sources.edited([("return ++calls", "return more[3] + ++calls")], of: first.text)
            try expectDone("apply", second.object, "--base", first.object, "--pid", victim.id)
            // 7216 + 73 + 5073 and + 84 + 6084; 2152 + 62 + 3062.
            try expect(victim.ask(), equals: "\(12362 + 18530) 5276")
            try expectDone("revert", "--all", "--pid", victim.id)
            try expect(victim.ask(), equals: "\(18537 + 18545) 5280")
            expect(victim.finish(), equals: 0)
        }

        /// Code that is compiled for an executable finds variables by their distance from the thread pointer: those that there are.
        @Test(arguments: [["gcc"], ["gcc", "-fno-pic", "-no-pie"], ["clang"]])
        func threadLocalsOfTheProgram(compiler: [String]) throws {
            let sources = try EditedC("threads.c", beside: "threader.c", compiler + ["-pthread"])
            let edit = try sources.edited([("return ++calls;", "return calls += 10;"), ("base = 100", "base = 200")])
            let victim = try Victim(sources.program)
            try expect(victim.ask(), equals: "204 101")
            let applied = try expectDone("apply", edit.object, "--base", sources.base, "--pid", victim.id)
            #expect(applied.output.contains("base: its value is kept: each thread has its own"), "\(applied)")
            // 103 + 12 and + 22; 101 + 11.
            try expect(victim.ask(), equals: "\(115 + 137) 112")
            let grown = try sources.edited([
                ("__thread long base = 100", "__thread long base[2]"), ("base +=", "*base +="),
            ])
            let refused = try hotpatch("apply", grown.object, "--base", edit.object, "--pid", victim.id)
            #expect(refused.errors.contains("base: it had 8 bytes, and has 16 now: restart needed"), "\(refused)")
            expect(victim.finish(), equals: 0)
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
            expect(loom.victim.finish(), equals: 0)
        }

        /// What is called otherwise than before gets an entry of its own, where all that calls it is in the object: a loop that runs goes on
        /// with what it was compiled with.
        @Test func calledOtherwise() throws {
            var scale = try Desk("Scale", editing: ["Scale", "Shelf"])
            try scale.expect(["2 20 2 42 5 1 1 0 0"], [""])
            let applied = try scale.apply(
                ("func step() -> Int { level }", "mutating func step() -> Int { level += 5; return level }"),
                (
                    "fileprivate func hidden() -> Int { level * 10 }",
                    "fileprivate mutating func hidden() -> Int { level += 1; return level * 10 }"
                ), ("{ 42 }", "{ \"a longer text than fits\" }"),
                ("{ 5 }", "{ await Task.yield(); return [\"five\", \"\\(shape())\"] }"))
            for text in [
                "step() -> Swift.Int is now mutating: what runs in it", "shape(): underlying type of its opaque",
            ] {
                #expect(applied.output.contains(text), "\(text) in \(applied)")
            }
            let list = "[\"five\", \"a longer text than fits\"]"
            try scale.expect(["7 80 8 a longer text than fits \(list) 1 1 0 0"], [""])
            // What was found anew is edited as any other: first something else, then the functions, then how one is called again. A file
            // that begins to call one calls it as it is compiled now.
            try scale.apply(
                ("scale.level += 1", "scale.level += 2"),
                shelf: [
                    ("{ \"\\(size())\".utf8.count - 3 }", "{ var scale = Scale(); return scale.step() + scale.level }")
                ])
            try scale.expect(["8 90 9 a longer text than fits \(list) 1 1 12 0"], [""])
            try scale.apply(
                shelf: [("return scale.step()", "return scale.step() + 0")])
            try scale.apply(("level += 5", "level += 6"), ("\"five\"", "\"5\""))
            try scale.expect(["9 100 10 a longer text than fits [\"5\", \"a longer text than fits\"] 1 1 14 0"], [""])
            try scale.apply(
                (
                    "fileprivate mutating func hidden() -> Int { level += 1; return level * 10 }",
                    "fileprivate func hidden() -> Int { level }"
                ), ("{ \"a longer text than fits\" }", "{ 43 }"))
            try scale.expect(["9 9 9 43 [\"5\", \"43\"] 1 1 14 0"], [""])
            try expectDone("revert", "--all", "--pid", scale.victim.id)
            try scale.expect(["2 20 2 42 5 1 1 0 0"], [""])
            expect(scale.victim.finish(), equals: 0)
        }

        /// Top-level code runs once, and initialises its variables; the closures that it has stored are edited as any.
        @Test func topLevelCode() throws {
            var script = try Desk("Script", editing: ["Script", "main"], beside: [])
            try script.expect(["(script 5!"], [""])
            let edit = try script.edited(
                [],
                shelf: [("let limit = 5", "let limit = 5\nlet more = [6]"), ("named(limit)", "named(limit + more[0])")])
            let refused = try hotpatch("apply", edit.new, "--base", edit.base, "--pid", script.victim.id)
            expect(refused.status, equals: 2, "\(refused)")
            #expect(
                refused.errors.contains(
                    "Script.more : Swift.Array<Swift.Int>: it is new, and the top-level code that initialises it has begun: restart needed"
                ), "\(refused)")
            try script.expect(["(script 5!"], [""])
            try script.apply(("script", "text"), shelf: [("named(limit)", "named(limit * 2)")])
            try script.expect(["(text 10!"], [""])
            // Two of the closures that such code has stored are edited at once.
            try script.apply(shelf: [("$0 + \"!\"", "$0 + \"?\""), ("\"(\" + $0", "\"[\" + $0")])
            try script.expect(["[text 10?"], [""])
            try expectDone("revert", "--all", "--pid", script.victim.id)
            try script.expect(["(script 5!"], [""])
            expect(script.victim.finish(), equals: 0)
        }

        /// Where others call it, each of them is named.
        @Test func calledOtherwiseByOthers() throws {
            var scale = try Desk("Scale", editing: ["Scale", "Shelf"])
            let edit = try scale.edited([("{ 1 }", "{ \"one\" }"), ("{ 42 }", "{ \"42\" }")])
            let result = try hotpatch("apply", edit.new, "--base", edit.base, "--pid", scale.victim.id)
            expect(result.status, equals: 2)
            for text in [
                "label(): underlying type of its opaque result changed from 'Int' to 'String': restart needed",
                "async_Main, which is not in the object, calls Scale.label() -> some: restart needed",
            ] { #expect(result.errors.contains(text), "\(text) in \(result)") }
            // It is told once.
            #expect(!result.errors.contains("returns 'String' instead of"), "\(result)")
            try scale.expect(["2 20 2 42 5 1 1 0 0"], [""])
            // Whose file is applied with it calls it as it is now.
            let alone = try scale.edited([("{ 100 }", "{ \"a text\" }")])
            let refused = try hotpatch("apply", alone.new, "--base", alone.base, "--pid", scale.victim.id)
            #expect(
                refused.errors.contains("Scale.weigh() -> Swift.Int, which is not in the object, calls Scale.size()"),
                "\(refused)")
            try scale.apply(("{ 100 }", "{ \"a text\" }"), shelf: [("count - 3", "count - 2")])
            try scale.expect(["2 20 2 42 5 1 1 4 0"], [""])
            try expectDone("revert", "--all", "--pid", scale.victim.id)
            try scale.expect(["2 20 2 42 5 1 1 0 0"], [""])
            expect(scale.victim.finish(), equals: 0)
        }

        /// A constant that is initialised at its first use has one value for all who read it: the new one, whether it had another before or
        /// none yet. What is no mere value, or is not made of such, is kept.
        @Test func constantsOfTheirFirstUse() throws {
            var desk = try Desk("Facts", editing: ["Facts"])
            let questions = ["facts", "others", "kept", "sell"]
            let long = "a text that does not fit into a small string, v1"
            let before = [
                "hello | \(long) | 2.5 | 3.0 seconds | pair 7.0 | hello, 42 | secret v1", "hello 1.0 48",
                "10 [1, 2, 3] 2 current v1",
            ]
            try desk.expect(before + ["11"], questions)
            let applied = try desk.apply(
                ("greeting = \"hello\"", "greeting = \"good morning\""), ("string, v1", "string, version 2"),
                ("Span(1, 2.5)", "Span(2, 3.5)"), ("seconds(3)", "milliseconds(3500)"), ("\"pair\"", "\"couple\""),
                ("String(40 + 2)", "String(40 + 3)"), ("\\(greeting), \\(base)", "\\(greeting): \\(base)"),
                ("late v1", "late v2"), ("secret v1", "secret v2"), ("Till(10)", "Till(20)"),
                ("[1, 2, 3]", "[1, 2, 4]"),
                ("place(of: \"v1\")", "place(of: \"version\")"), ("current v1", "current v2"))
            for note in [
                "Facts.Facts.till : Facts.Till: its value stays what it is, or would have been: it may hold references",
                "Facts.Facts.home : Swift.Int: its value stays what it is, or would have been: what initialises it uses getpid",
                "Facts.Facts.current : Swift.String: its value stays what it is, or would have been: it is a variable",
                "it may hold references",
            ] { #expect(applied.output.contains(note), "\(note) in \(applied)") }
            expect(applied.output.components(of: "its value stays").count, equals: 5, "\(applied)")
            let longer = "a text that does not fit into a small string, version 2"
            var now = [
                "good morning | \(longer) | 3.5 | 3.5 seconds | couple 7.0 | good morning: 43 | secret v2",
                "good morning 2.0 55", "11 [1, 2, 3] 2 current v1", "12",
            ]
            try desk.expect(now, questions)
            // One that had no value yet.
            try desk.expect(["late v2"], ["late"])
            // The next edits find them where they are now, and make some anew again.
            try desk.apply(("plain v1", "plain v2"))
            now[2] = "12 [1, 2, 3] 2 current v1"
            try desk.expect(Array(now.prefix(3)) + ["late v2", "plain v2"], Array(questions.prefix(3)) + ["late", ""])
            try desk.apply(("good morning", "good evening"), ("plain v2", "plain v3"), ("late v2", "late v3"))
            // So is one that is made of it.
            now[0] = now[0].components(of: "good morning").joined(separator: "good evening")
            now[1] = "good evening 2.0 55"
            try desk.expect(Array(now.prefix(3)) + ["late v3", "plain v3"], Array(questions.prefix(3)) + ["late", ""])
            try expectDone("revert", "--all", "--pid", desk.victim.id)
            try desk.expect(Array(before.prefix(2)) + [now[2], "13", "late v1"], questions + ["late"])
            expect(desk.victim.finish(), equals: 0)
        }

        /// One that an edit adds is initialised at its first use as any, whoever asks for it.
        @Test func constantsOfNewConstants() throws {
            var desk = try Desk("Facts", editing: ["Facts"])
            try desk.apply(
                ("\\(greeting), \\(base)\"", "\\(greeting), \\(fresh)\"\n    static let fresh = \"fresh \" + String(7)")
            )
            #expect(try desk.victim.ask("facts").contains("| hello, fresh 7 |"))
            expect(desk.victim.finish(), equals: 0)
        }

        /// That a program exports its functions says nothing of who calls them: a library does that leaves the name to the loader.
        @Test func calledOtherwiseThoughExported() throws {
            let edits = [
                ("func step() -> Int { level }", "mutating func step() -> Int { level += 5; return level }"),
                ("{ 5 }", "{ \"five\" }"),
            ]
            let export = ["-Xlinker", "--export-dynamic"]
            var scale = try Desk("Scale", editing: ["Scale"], beside: ["Shelf", "main"], linking: export)
            try scale.apply(edits[0], edits[1])
            try scale.expect(["7 70 7 42 five 1 1 0 0"], [""])
            expect(scale.victim.finish(), equals: 0)

            let source = try Workshop.file(
                "caller.c",
                Array("long step(void) __asm__(\"$s5ScaleAAV4stepSiyF\"); long call(void) { return step(); }".utf8))
            let library = source + ".so"
            let made = try run(["clang", "-shared", "-fPIC", "-o", library, source])
            try #require(made.status == 0, "\(made)")
            let called = try Desk(
                "Scale", editing: ["Scale"], beside: ["Shelf", "main"],
                linking: export + ["--no-as-needed", library].flatMap { ["-Xlinker", $0] })
            let edit = try called.edited(edits)
            let refused = try hotpatch("apply", edit.new, "--base", edit.base, "--pid", called.victim.id)
            expect(refused.status, equals: 2)
            #expect(refused.errors.contains("caller.c.so calls Scale.Scale.step() -> Swift.Int: restart"), "\(refused)")
            #expect(!refused.errors.contains("calls Scale.later"), "\(refused)")
            try called.expect(["2 20 2 42 5 1 1 0 0"], [""])
            expect(called.victim.finish(), equals: 0)
        }

        /// A function of C that only its own file calls, though others could, takes another argument.
        @Test(arguments: [["gcc"], ["gcc", "-fPIC"], ["clang", "-ffunction-sections"]])
        func otherArgumentsInC(compiler: [String]) throws {
            let sources = try EditedC("threads.c", beside: "threader.c", compiler + ["-pthread"])
            let first = try sources.edited([
                ("int step(void) { return ++calls; }", "int step(int by) { return calls += by; }"),
                ("step()", "step(10)"),
            ])
            let victim = try Victim(sources.program)
            try expect(victim.ask(), equals: "204 101")
            try expectDone("apply", first.object, "--base", sources.base, "--pid", victim.id)
            try expect(victim.ask(), equals: "\(115 + 137) 112")
            let second = try sources.edited(
                [
                    ("(int by) { return calls += by; }", "(char a, long b) { return calls = a * b; }"),
                    ("(10)", "(3, 4)"),
                ],
                of: first.text)
            try expectDone("apply", second.object, "--base", first.object, "--pid", victim.id)
            try expect(victim.ask(), equals: "\(149 + 161) 124")
            try expectDone("revert", "--all", "--pid", victim.id)
            try expect(victim.ask(), equals: "\(174 + 188) 137")
            let refused = try sources.edited([("long total(void)", "long total(int n)"), ("base +=", "base += n +")])
            let result = try hotpatch("apply", refused.object, "--base", sources.base, "--pid", victim.id)
            #expect(
                result.errors.contains("main, which is not in the object, calls total: restart needed"), "\(result)")
            expect(victim.finish(), equals: 0)
        }

        /// Calls that are suspended in what is replaced finish as they have begun, and are counted; those that are not, are not.
        @Test func suspendedCallsAreCounted() throws {
            var waiter = try Desk("Waiter", editing: ["Waiter"])
            func said(_ result: RunResult) -> Int? {
                let words = result.output.split(whereSeparator: \.isWhitespace)
                guard let place = words.firstIndex(of: "suspended"), place > 0 else { return nil }
                return Int(words[place - 1])
            }
            let idle = try waiter.apply(("return n", "return n * 2"))
            expect(said(idle), equals: nil, "\(idle)")
            try waiter.expect(["300 wait"], ["300"])
            // A word or two may be left of what was there before.
            let busy = try waiter.apply(("return n * 2", "return n * 3"))
            let count = try #require(said(busy), "\(busy)")
            #expect((300..<600).contains(count), "\(busy)")
            try waiter.expect(["450 wait"], ["150"])
            try waiter.expect(["\(300 * 2 + 150 * 3)"], ["open"])
            expect(waiter.victim.finish(), equals: 0)
        }
    }
}
