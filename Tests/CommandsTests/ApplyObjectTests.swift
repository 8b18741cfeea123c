import Glibc
import HotpatchExpectations
import HotpatchTestSupport
import Testing

extension CommandTests {
    /// An edited file, linked into the program that runs.
    @Suite struct ApplyObjectTests {
        /// One edit after another: the counter goes on, stored closures run what was written for them, whatever their number is.
        @Test func aSequenceOfEdits() throws {
            var desk = try Desk()
            try desk.expect(["hello v1", "count v1 1", "page v1 helper v1 7", "probe v1 plain"])
            // The body of a stored closure.
            let first = try desk.apply(("hello v1", "hello v2"))
            #expect(first.output.hasPrefix("patch 1 applied to process \(desk.victim.id): 1 function, "), "\(first)")
            try desk.expect(["hello v2", "count v1 2", "page v1 helper v1 7", "probe v1 plain"])
            // One above the others, which have other numbers from now on.
            try desk.apply(
                (
                    "    routes.append((\"hello\"",
                    "    routes.append((\"new\", { n in \"new \\(n)\" }))\n    routes.append((\"hello\""
                ))
            try desk.expect(["hello v2", "count v1 3", "page v1 helper v1 7", "probe v1 plain"])
            // Edits of what has been renumbered, and of what it calls.
            try desk.apply(("count v1 ", "count v2 \\(n) "), ("helper v1", "helper v2"))
            try desk.expect(["hello v2", "count v2 7 4", "page v1 helper v2 7", "probe v1 plain"])
            // A type and a conformance that the process did not have, of a protocol that is private; and a value of a type that it had.
            try desk.apply(
                (
                    "private func label(",
                    "private struct Bold: Label { let words: [String]; func text() -> String { \"bold\\(words)\" } }\nprivate func label("
                ),
                (
                    "probe v1 \\(label(of: stored))",
                    "probe v2 \\(label(of: stored)) \\(label(of: Bold(words: [\"a\"]))) \\(Bold(words: []))"
                ))
            try desk.expect([
                "hello v2", "count v2 7 5", "page v1 helper v2 7", "probe v2 plain bold[\"a\"] Bold(words: [])",
            ])
            // What the edit before has added is edited.
            try desk.apply(("bold\\(words)", "bolder\\(words.count)"), ("page v1", "page v2"))
            try desk.expect([
                "hello v2", "count v2 7 6", "page v2 helper v2 7", "probe v2 plain bolder1 Bold(words: [])",
            ])
            // Neighbours of one type, all at once; and the bodies of two, each in the other's place.
            try desk.apply(("hello v2", "hello v3"), ("count v2 ", "count v3 "), ("page v2", "page v3"))
            try desk.expect(["hello v3", "count v3 7 7", "page v3 helper v2 7"], ["hello", "count", "page"])
            try desk.apply(
                ("{ n in \"hello v3\" }", "{ n in \"page v3 \\(helper(n))\" }"),
                ("{ n in \"page v3 \\(helper(n))\" }))\n    return", "{ n in \"hello v3\" }))\n    return"))
            try desk.expect(["page v3 helper v2 7", "count v3 7 8", "hello v3"], ["hello", "count", "page"])
            try expectDone("revert", "--all", "--pid", desk.victim.id)
            try desk.expect(["hello v1", "count v1 9", "page v1 helper v1 7", "probe v1 plain"])
            #expect(desk.victim.finish() == 0)
        }

        /// Files that were edited together are applied together: the one uses what the other adds.
        @Test func severalObjects() throws {
            var desk = try Desk()
            let questions = ["page", "shelf"]
            try desk.expect(["page v1 helper v1 7", "shelf v1 1"], questions)
            let both = try desk.edited(
                [("helper v1 \\(n)", "helper v2 \\(labelled(n))")],
                shelf: [
                    ("shelf v1", "shelf v2"),
                    ("func shelf()", "func labelled(_ n: Int) -> String { \"#\\(n)\" }\nfunc shelf()"),
                ])
            let alone = try hotpatch("apply", both.new, "--base", both.base, "--pid", desk.victim.id)
            expect(alone.status, equals: 2)
            #expect(alone.errors.contains("does not have: Desk.labelled(Swift.Int)"), "\(alone)")
            let first = try desk.apply(both)
            #expect(first.output.hasPrefix("patch 1 applied to process \(desk.victim.id): 2 functions, "), "\(first)")
            try desk.expect(["page v1 helper v2 #7", "shelf v2 2"], questions)
            // What the edit before has added, and its caller.
            try desk.apply(("helper v2", "helper v3"), shelf: [("\"#\\(n)\"", "\"##\\(n)\"")])
            try desk.expect(["page v1 helper v3 ##7", "shelf v2 3"], questions)
            try expectDone("revert", "2", "--pid", desk.victim.id)
            try desk.expect(["page v1 helper v2 #7", "shelf v2 4"], questions)
            try expectDone("revert", "1", "--pid", desk.victim.id)
            try desk.expect(["page v1 helper v1 7", "shelf v1 5"], questions)
            expect(desk.victim.finish(), equals: 0)
        }

        /// Generations are reverted in any order. What an earlier one has added is still there for those that use it, and is edited as before.
        @Test func generationsInAnyOrder() throws {
            var desk = try Desk()
            let questions = ["page", "facts"]
            func expect(_ helper: String, _ size: Int) throws {
                try desk.expect(["page v1 \(helper)", "\(size) 1 desk 42 \(size)"], questions)
            }
            try desk.apply(
                ("helper v1 \\(n)", "helper v2 \\(extra(n))"), ("pageSize = 20", "pageSize = 50"),
                ("enum Limits", "func extra(_ n: Int) -> String { \"<\\(n)>\" }\nenum Limits"))
            try expect("helper v2 <7>", 50)
            try desk.apply(("<\\(n)>", "<<\\(n)>>"), ("pageSize = 50", "pageSize = 70"))
            try expect("helper v2 <<7>>", 70)
            try desk.apply(("helper v2", "helper v3"), ("<<\\(n)>>", "[\\(n)]"), ("pageSize = 70", "pageSize = 90"))
            try expect("helper v3 [7]", 90)
            // The one in the middle first: nothing of it is in force.
            try expectDone("revert", "2", "--pid", desk.victim.id)
            try expect("helper v3 [7]", 90)
            // The first one: what it has added is in use.
            try expectDone("revert", "1", "--pid", desk.victim.id)
            try expect("helper v3 [7]", 90)
            try desk.apply(("[\\(n)]", "{\\(n)}"))
            try expect("helper v3 {7}", 90)
            try expectDone("revert", "4", "--pid", desk.victim.id)
            try expect("helper v3 [7]", 90)
            try expectDone("revert", "3", "--pid", desk.victim.id)
            try expect("helper v1 7", 20)
            #expect(desk.victim.finish() == 0)
        }

        /// What an edit has added and a revert has taken away is added once more, also where a later edit is in force.
        @Test func addedAgain() throws {
            var desk = try Desk()
            let added = try desk.edited([
                ("helper v1 \\(n)", "helper v2 \\(extra(n))"),
                ("enum Limits", "func extra(_ n: Int) -> String { \"<\\(n)>\" }\nenum Limits"),
            ])
            try desk.apply(added)
            try desk.apply(shelf: [("shelf v1", "shelf v2")])
            try desk.expect(["page v1 helper v2 <7>"], ["page"])
            try expectDone("revert", "1", "--pid", desk.victim.id)
            try desk.expect(["page v1 helper v1 7"], ["page"])
            try desk.apply(added)
            try desk.expect(["page v1 helper v2 <7>"], ["page"])
            expect(desk.victim.finish(), equals: 0)
        }

        /// Objects and a library on top of each other, reverted in every order: of each function the newest in force runs.
        @Test func amongOtherPatches() throws {
            let directory = try Workshop.directory + "/mixed-\(Desk.number.next())"
            guard mkdir(directory, 0o755) == 0 else { throw TestFailure("cannot make \(directory)") }
            let source = String(decoding: try Workshop.bytes(of: Workshop.sources + "/objects/work.c"), as: UTF8.self)
            let first = try edit(source, [("x * 2", "x * 3"), ("\"three\"", "\"THREE\"")])
            let second = try edit(first, [("x * 3", "x * 4"), ("return a - b", "return a - b + 1000")])
            let third = try edit(second, [("switch (n) {", "if (n >= 0) return \"above\";\n    switch (n) {")])
            var objects: [String] = []
            for (number, text) in [source, first, second, third].enumerated() {
                let name = "\(directory)/\(number).c"
                _ = try Workshop.file(String(name.dropFirst(try Workshop.directory.count + 1)), Array(text.utf8))
                // One name in all of their debugging information.
                let result = try run([
                    "sh", "-c",
                    "cp \(name) \(directory)/work.c && gcc -g -O0 -c \(directory)/work.c -o \(directory)/\(number).o",
                ])
                guard result.status == 0 else { throw TestFailure("cannot compile: \(result)") }
                objects.append("\(directory)/\(number).o")
            }
            let program = directory + "/program"
            _ = try run(["gcc", "-g", "-o", program, Workshop.sources + "/objects/worker.c", objects[0]])
            let library = directory + "/name.so"
            _ = try Workshop.file(
                String("\(directory)/name.c".dropFirst(try Workshop.directory.count + 1)),
                Array("const char *name(int n) { return n ? \"lib\" : 0; }\n".utf8))
            _ = try run(["gcc", "-shared", "-fPIC", "-o", library, directory + "/name.c"])

            for order in [[1, 2, 3], [1, 3, 2], [2, 1, 3], [2, 3, 1], [3, 1, 2], [3, 2, 1]] {
                let victim = try Victim(program)
                var inForce: Set<Int> = []
                /// The third answer, and those of every seventh from there on, come from the function whose text is edited.
                func check() throws {
                    // One of two answers is that of a sum, and the other that of a difference.
                    for _ in 0..<7 {
                        let answer = try victim.ask().split(separator: " ")
                        let (result, hits) = (Int(answer[0])!, Int(answer[1])!)
                        let isSecond = inForce.contains(2) && !inForce.contains(4)
                        let factor = isSecond ? 4 : inForce.contains(1) ? 3 : 2
                        let other = hits % 2 == 0 ? 2 : isSecond ? 1000 : 0
                        expect(result, equals: 10 * factor + other, "\(answer) with \(inForce) of \(order)")
                        guard hits % 7 == 3 else { continue }
                        let text = inForce.contains(3) ? "lib" : inForce.contains(1) ? "THREE" : "three"
                        expect(String(answer[2]), equals: text, "\(answer) with \(inForce) of \(order)")
                    }
                }
                try check()
                try expectDone("apply", objects[1], "--base", objects[0], "--pid", victim.id)
                inForce.insert(1)
                try check()
                try expectDone("apply", objects[2], "--base", objects[1], "--pid", victim.id)
                inForce.insert(2)
                try check()
                try expectDone("apply", library, "--pid", victim.id)
                inForce.insert(3)
                try check()
                // What a library has replaced is below it what the object has.
                try expectDone("apply", objects[1], "--base", objects[2], "--pid", victim.id)
                inForce.insert(4)
                try check()
                try expectDone("revert", "4", "--pid", victim.id)
                inForce.remove(4)
                if order == [3, 2, 1] {
                    // An edit of the function itself lies above the library.
                    let result = try expectDone("apply", objects[3], "--base", objects[2], "--pid", victim.id)
                    #expect(result.output.contains("name: patch 3 has replaced it"), "\(result)")
                    #expect(try victim.ask().hasSuffix(" above"))
                    try expectDone("revert", "5", "--pid", victim.id)
                }
                for patch in order {
                    try expectDone("revert", "\(patch)", "--pid", victim.id)
                    inForce.remove(patch)
                    try check()
                }
                expect(victim.finish(), equals: 0)
            }
        }

        /// What each generation holds, and whether anything of it is in force.
        @Test func listsObjects() throws {
            var desk = try Desk()
            let both = try desk.edited(
                [("hello v1", "hello v2"), ("helper v1", "helper v2")], shelf: [("shelf v1", "shelf v2")])
            try desk.apply(both)
            let next = try desk.edited([("hello v2", "hello v3")])
            try desk.apply(next)
            let last = try desk.edited([("hello v3", "hello v4")])
            try desk.apply(last)
            let text = try expectDone("list", "--pid", desk.victim.id).output
            #expect(
                text.contains("\n  object \(both.objects[0].new)\n  object \(both.objects[1].new)\n  takes "), "\(text)"
            )
            #expect(text.contains("KiB of code, "), "\(text)")
            #expect(text.contains("; 2 of 3 functions in force\n"), "\(text)")
            #expect(text.contains("; 0 of 1 function in force: superseded\n"), "\(text)")
            #expect(text.contains("; 1 of 1 function in force\n"), "\(text)")
            #expect(!text.contains("library"), "\(text)")
            let patches = try expectDone("list", "--pid", desk.victim.id, "--json").json["patches"]
            let expected = [(2, false), (0, true), (1, false)]
            for (number, (inForce, isSuperseded)) in expected.enumerated() {
                expect(patches[number]["library"], equals: .string(""))
                expect(patches[number]["functions_in_force"], equals: .number(inForce))
                expect(patches[number]["superseded"], equals: .bool(isSuperseded))
                #expect((patches[number]["memory"]["code"].number ?? 0) >= 4096)
            }
            expect(patches[0]["objects"], equals: .array(both.objects.map { .string($0.new) }))
            expect(patches[2]["objects"], equals: .array([.string(last.new)]))
        }

        /// Each object has its baseline, and each file comes once.
        @Test func objectsThatDoNotFitTogether() throws {
            let desk = try Desk()
            let both = try desk.edited([("helper v1", "helper v2")], shelf: [("shelf v1", "shelf v2")])
            let (one, other) = (both.objects[0], both.objects[1])
            func refused(_ arguments: [String], _ status: Int32, _ reason: String) throws {
                let result = try hotpatch(["apply"] + arguments + ["--pid", desk.victim.id])
                expect(result.status, equals: status, "\(result)")
                #expect(result.errors.contains(reason), "\(result)")
            }
            try refused([one.new, other.new, "--base", one.base], 64, "there are 2 of the patch, and 1 of --base")
            try refused([one.new, "--base", one.base, "--base", other.base], 64, "1 of the patch, and 2 of --base")
            try refused([one.new, other.new], 64, "one library is applied at a time")
            try refused([one.new, one.new, "--base", one.base, "--base", other.base], 64, "is given twice")
            try refused([one.new, other.new, "--base", one.base, "--base", one.base], 64, "is given twice")
            try refused(
                [one.new, "--base", one.base, "--only", "helper"], 64, "--only, --map and --in are for a library")
            let copy = try Workshop.file("copy-\(Desk.number.next()).o", try Workshop.bytes(of: one.new))
            try refused([one.new, copy, "--base", one.base, "--base", other.base], 2, "are the same object")
            // In another order than their baselines.
            try refused(
                [one.new, other.new, "--base", other.base, "--base", one.base], 2,
                "it has no function in common with its baseline")
            try desk.expect(["page v1 helper v1 7", "shelf v1 1"], ["page", "shelf"])
        }

        /// A closure that captures lies beside the code that calls it with what it captures, a jump of two bytes away.
        @Test func closuresThatCapture() throws {
            var desk = try Desk()
            try desk.expect(["6 2"], ["sums"])
            try desk.apply(("n + k", "n * k + 100"))
            try desk.expect(["105 101"], ["sums"])
            // What makes it is new code, too.
            try desk.apply(("{ { n in n * k + 100 } }", "{ let k = k * 2; return { n in n * k + 200 } }"))
            try desk.expect(["205 202"], ["sums"])
            try expectDone("revert", "--all", "--pid", desk.victim.id)
            try desk.expect(["6 2"], ["sums"])
        }

        /// A constant has one value for all who read it, in files that are not edited too; a variable keeps its own.
        @Test func constantsAreStored() throws {
            var desk = try Desk()
            try desk.expect(["20 1 desk 42 20"], ["facts"])
            try desk.apply(("pageSize = 20", "pageSize = 50"))
            try desk.expect(["50 1 desk 42 50"], ["facts"])
            try expectDone("revert", "1", "--pid", desk.victim.id)
            try desk.expect(["20 1 desk 42 20"], ["facts"])
        }

        /// What cannot be changed in a process is named as a compiler would, all of it at once; the program is as it was.
        @Test func namesWhatNeedsARestart() throws {
            let desk = try Desk()
            let edit = try desk.edited([
                ("var level = 1", "var level = 1\n    var unit = \"m\""),
                ("func step() -> Int { level }", "mutating func step() -> Int { level += 1; return level }"),
                ("{ 42 }", "{ \"a text\" }"), ("func describe()", "func first() {}\n    func describe()"),
                ("Meter().step()", "{ var meter = Meter(); return meter.step() }()"),
            ])
            let result = try hotpatch("apply", edit.new, "--base", edit.base, "--pid", desk.victim.id)
            expect(result.status, equals: 2)
            let expected = [
                "Meter: stored property 'unit: String' added: restart needed",
                "Desk.Meter.step() -> Swift.Int is now mutating: restart needed",
                "shape(): underlying type of its opaque result changed from 'Int' to 'String': restart needed",
                "first()",
            ]
            for text in expected { #expect(result.errors.contains(text), "\(text) in \(result.errors)") }
            try desk.expect(["20 1 desk 42 20", "hello v1"], ["facts", "hello"])
        }

        /// A baseline that is not what runs: the program is as it was.
        @Test func refusesAnotherBaseline() throws {
            let desk = try Desk()
            let first = try desk.edited([("hello v1", "hello v2")])
            let second = try desk.edited([("hello v1", "hello v3")])
            let result = try hotpatch("apply", second.new, "--base", first.new, "--pid", desk.victim.id)
            expect(result.status, equals: 2)
            #expect(result.errors.contains("is not what runs from"), "\(result)")
            #expect(result.errors.contains("closure #1"), "\(result)")
            try desk.expect(["hello v1", "count v1 1"])
        }

        @Test func saysWhenNothingChanges() throws {
            let desk = try Desk()
            let result = try expectDone("apply", desk.object, "--base", desk.object, "--pid", desk.victim.id)
            #expect(result.output.contains("changes no function"), "\(result)")
            let noted = try hotpatch("apply", desk.object, "--base", "/bin/true", "--pid", desk.victim.id)
            expect(noted.status, equals: 2)
            #expect(noted.errors.contains("/bin/true is not an object file"), "\(noted)")
        }

        @Test func dryRunsChangeNothing() throws {
            let desk = try Desk()
            let edit = try desk.edited([
                ("hello v1", "hello v2"),
                (
                    "{ \"helper v1 \\(n)\" }",
                    "{ \"\\(More(n: n))\" }\nstruct More { var n: Int; func text() -> String { \"more\" } }"
                ),
            ])
            let result = try expectDone("apply", edit.new, "--base", edit.base, "--pid", desk.victim.id, "--dry-run")
            let lines = result.output.split(separator: "\n").map(String.init)
            expect(lines.first, equals: "would be linked into process \(desk.victim.id):")
            let route = "closure #1 @Sendable (Swift.Int) async -> Swift.String in Desk.makeRoutes"
            // Without the addresses, which are of this run.
            let table = lines.dropFirst().prefix { !$0.hasPrefix("plan for ") }.map { line in
                line.split(separator: " ").filter { !$0.hasPrefix("0x") }.joined(separator: " ")
            }
            let expected = [
                "patch \(route)(Desk.Counter) -> ",
                "take (1) suspend resume partial function for \(route)(Desk.Counter)",
                "take outlined destroy of Swift.DefaultStringInterpolation", "patch Desk.(helper in _",
                "add Desk.More.init(n: Swift.Int) -> Desk.More", "add type metadata accessor for Desk.More",
                "take full type metadata for Desk.More", "take type metadata for Desk.More",
                "take nominal type descriptor for Desk.More", "take reflection metadata field descriptor Desk.More",
            ]
            expect(table.count, equals: expected.count, "\(table)")
            for (line, start) in zip(table, expected) { #expect(line.hasPrefix(start)) }
            try desk.expect(["hello v1", "count v1 1", "page v1 helper v1 7"])
            try expect(
                expectDone("list", "--pid", desk.victim.id).output, equals: "process \(desk.victim.id) has no patches\n"
            )
        }

        /// A source that is compiled, edited and compiled again.
        private func objects(
            of source: String, beside program: String, _ compiler: [String], _ edits: [(String, String)],
            from base: [(String, String)] = []
        ) throws -> (program: String, new: String, base: String) {
            let sources = try EditedC(source, beside: program, compiler, from: base)
            return (sources.program, try sources.edited(edits, of: sources.original).object, sources.base)
        }

        /// Where something would lie that is empty, its section begins.
        @Test func whatIsEmptyHasAnAddress() throws {
            let (program, new, base) = try objects(
                of: "work.c", beside: "worker.c", ["gcc"],
                [
                    (
                        "static int helper(int x) {",
                        "__asm__(\".section .empty, \\\"aw\\\"\\n.type nothing, @object\\nnothing:\\n.text\");\n"
                            + "extern char nothing[] __attribute__((visibility(\"hidden\")));\nstatic int helper(int x) {\n"
                            + "char *volatile place = nothing;\nif (!place) return 0;\n"
                    ), ("x * 2", "x * 2 + 1000"),
                ])
            let victim = try Victim(program)
            try expect(victim.ask(), equals: "20 1 one")
            try expectDone("apply", new, "--base", base, "--pid", victim.id)
            try expect(victim.ask(), equals: "1022 2 two")
            expect(victim.finish(), equals: 0)
        }

        @Test(arguments: [
            ["gcc"], ["clang"], ["gcc", "-ffunction-sections", "-fdata-sections"], ["gcc", "-fno-pic", "-no-pie"],
        ])
        func anObjectInC(compiler: [String]) throws {
            let (program, new, base) = try objects(
                of: "work.c", beside: "worker.c", compiler,
                [
                    ("x * 2", "x * 3"), ("return a - b", "return a - b + 1000"), ("\"three\"", "\"THREE\""),
                    ("calls * 0", "calls * 100"),
                ])
            let victim = try Victim(program)
            try expect(victim.ask(), equals: "20 1 one")
            try expect(victim.ask(), equals: "22 2 two")
            let applied = try expectDone("apply", new, "--base", base, "--pid", victim.id)
            #expect(applied.output.contains(": 3 functions, "), "\(applied)")
            try expect(victim.ask(), equals: "1330 3 THREE")
            try expect(victim.ask(), equals: "432 4 four")
            try expectDone("revert", "1", "--pid", victim.id)
            try expect(victim.ask(), equals: "20 5 five")
            expect(victim.finish(), equals: 0)
        }

        /// Aligned: where the first bytes of a function lie on two pages, it is not patched from outside.
        @Test(arguments: [["g++", "-falign-functions=16"], ["clang++"]]) func anObjectInCxx(compiler: [String]) throws {
            let (program, new, base) = try objects(
                of: "shapes.cpp", beside: "shaper.cpp", compiler,
                [
                    ("too much", "way too much"), ("side * side", "side * side * 1000"),
                    ("return x + x", "return x * 3"),
                    ("\"caught \"", "\"CAUGHT \""), ("x > 100", "x > 150"),
                    (
                        "struct Square",
                        "struct Odd : Shape { int area() const override { return 77; } };\nstruct Square"
                    ),
                    (
                        "return text + \" #\"",
                        "Odd odd; Shape *s = &odd; if (dynamic_cast<Square *>(s)) text += \"bad\"; return text + s->name() + std::to_string(s->area()) + \" #\""
                    ),
                ])
            let victim = try Victim(program)
            try expect(victim.ask("20"), equals: "v1 square 9 40 #1")
            try expect(victim.ask("60"), equals: "v1 square 9 caught too much 120 #2")
            try expectDone("apply", new, "--base", base, "--pid", victim.id)
            try expect(victim.ask("20"), equals: "v1 square 9000 60shape77 #3")
            // Thrown and caught by new code, through its own tables.
            try expect(victim.ask("60"), equals: "v1 square 9000 CAUGHT way too much 180shape77 #4")
            try expectDone("revert", "1", "--pid", victim.id)
            try expect(victim.ask("60"), equals: "v1 square 9 caught too much 120 #5")
            expect(victim.finish(), equals: 0)
        }

        /// What the command says of an object that it does not take; the program is as it was.
        private func refusal(_ edits: [(String, String)], _ compiler: [String] = ["gcc"]) throws -> String {
            let (program, new, base) = try objects(of: "work.c", beside: "worker.c", compiler, edits)
            let victim = try Victim(program)
            try expect(victim.ask(), equals: "20 1 one")
            let result = try hotpatch("apply", new, "--base", base, "--pid", victim.id)
            expect(result.status, equals: 2, "\(result)")
            try expect(victim.ask(), equals: "22 2 two")
            expect(victim.finish(), equals: 0)
            return result.errors
        }

        @Test func refusesWhatIsNowhere() throws {
            let said = try refusal([
                ("int count(void) { return hits; }", "int nowhere(void); int count(void) { return nowhere(); }")
            ])
            #expect(said.contains("needs symbols that the process does not have: nowhere"), "\(said)")
        }

        @Test func refusesOtherLayoutsInC() throws {
            let before = "int count(void) { return hits; }"
            let (old, new) = (
                "struct pair { int a; }; int count(void) { struct pair p = { hits }; return p.a; }",
                "struct pair { int b, a; }; int count(void) { struct pair p = { 0, hits }; return p.a; }"
            )
            let (program, after, base) = try objects(
                of: "work.c", beside: "worker.c", ["gcc"], [(before, new)], from: [(before, old)])
            let victim = try Victim(program)
            let result = try hotpatch("apply", after, "--base", base, "--pid", victim.id)
            expect(result.status, equals: 2)
            #expect(result.errors.contains("pair: 'b: int at 0' added: restart needed"), "\(result)")
            let said = try refusal([("int count(void)", "long count(int n)"), ("return hits; }", "return hits + n; }")])
            #expect(said.contains("count takes other arguments: restart needed"), "\(said)")
        }

        @Test func refusesLargerVariables() throws {
            let said = try refusal([
                ("static int hits;", "static long hits;"), ("{ return hits; }", "{ return (int)hits; }"),
            ])
            #expect(said.contains("hits: it had 4 bytes, and has 8 now: restart needed"), "\(said)")
        }

        @Test func refusesThreadLocals() throws {
            let said = try refusal([
                ("int count(void) { return hits; }", "static __thread int mine; int count(void) { return ++mine; }")
            ])
            #expect(said.contains("uses the thread-local variable"), "\(said)")
        }

        @Test func refusesVariablesThatOnlyNumbersTellApart() throws {
            let said = try refusal([
                (
                    "static int calls;\n    calls++;",
                    "{ static int calls; calls += 2; }\n    static int calls;\n    calls++;"
                )
            ])
            #expect(said.contains("it had 1 static variables called calls"), "\(said)")
        }

        @Test func refusesOptimisedObjects() throws {
            let said = try refusal([("x * 2", "x * 3")], ["sh", "-c", "exec gcc \"$@\" -O2", "gcc"])
            #expect(said.contains("it was compiled with -O2"), "\(said)")
        }
    }
}
