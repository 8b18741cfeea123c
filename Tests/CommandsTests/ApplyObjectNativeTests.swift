import HotpatchExpectations
import HotpatchTestSupport
import Testing

extension CommandTests {
    /// Edits of C and C++ of which the process has more than code: tables, static variables, lambdas, tables of exceptions.
    @Suite struct ApplyObjectNativeTests {
        private static let compilers = [["gcc"], ["clang"], ["gcc", "-fno-pic", "-no-pie", "-gdwarf-4"]]

        /// Types without a name of their own, arrays, variables: whoever has one of the former kind would be read as one of the new.
        @Test(arguments: [["gcc"], ["clang", "-gdwarf-4"]]) func otherLayoutsWithoutNames(compiler: [String]) throws {
            let sources = try EditedC("things.c", beside: "answerer.c", compiler)
            let victim = try Victim(sources.program)
            let refused: [(String, String, String)] = [
                ("{ int x, y; } point", "{ int y, x; } point", "point: 'y: int at 0' changed: restart needed"),
                ("{ int x, y; } point", "{ float x; int y; } point", "point: 'x: float at 0' changed: restart needed"),
                ("struct { int p, q; } in", "struct { int q, p; } in", "outer: 'in: { q: int at 0; p: int at 4 }"),
                ("struct { int a, b; } n", "struct { int b, a; } n", "nameless: its type is '{ b: int at 0; a: int"),
                ("grid[2][3] = {{1, 2, 3}, {4, 5, 6}}", "grid[3][2] = {{1, 2}, {3}}", "grid: its type is 'int[][2]'"),
                ("int bits = 1065353216", "float bits = 1", "bits: its type is 'float' instead of 'int': restart"),
                ("bits >> 20", "again()", ""),
                ("alias(\"real\")", "alias(\"other\")", "again: it was another name of real, and is not any more"),
                ("int other(void) { return 22; }", "int other(void) __attribute__((alias(\"real\")));", "other: it is"),
            ]
            for (before, after, reason) in refused {
                var edits = [(before, after)]
                if before.hasPrefix("int bits") { edits.append(("bits >> 20", "(int)bits")) }
                let edit = try sources.edited(edits)
                let result = try hotpatch("apply", edit.object, "--base", sources.base, "--pid", victim.id)
                expect(result.status, equals: (reason.isEmpty ? 0 : 2), "\(after): \(result)")
                #expect(reason.isEmpty || result.errors.contains(reason), "\(after): \(result)")
                if reason.isEmpty { try expectDone("revert", "--all", "--pid", victim.id) }
            }
            try expect(victim.ask("layout"), equals: "3 2 8 4 1016")
            // What means the same as before.
            let harmless = try sources.edited([
                ("{ red, green }", "{ red, green, blue }"), ("paint == green", "paint != blue"),
                ("int bits =", "unsigned bits ="), ("typedef int number", "typedef int other_number, number"),
                ("numeric(number n)", "numeric(const other_number n)"),
            ])
            try expectDone("apply", harmless.object, "--base", sources.base, "--pid", victim.id)
            try expect(victim.ask("color"), equals: "1")
            #expect(victim.finish() == 0)
        }

        /// Linkers give programs copies of the constants of libraries that they use, and code reaches those: what an edit uses besides has
        /// a copy of its own. Of the streams of libc, the same is done: they lead to the same.
        @Test(arguments: [
            ["g++", "-falign-functions=16"], ["g++", "-falign-functions=16", "-fno-pic", "-no-pie"], ["clang++"],
        ])
        func constantsOfLibraries(compiler: [String]) throws {
            let sources = try EditedC("shapes.cpp", beside: "shaper.cpp", compiler)
            let first = try sources.edited([
                ("#include <memory>", "#include <memory>\n#include <cstdio>"),
                (
                    "throw std::runtime_error(\"too much \"",
                    "{ fputs(\"\", stderr); if (x > 200) throw x; if (x > 150) throw 1.5; } if (x > 100) throw std::invalid_argument(\"invalid \""
                ),
                (
                    "catch (const std::exception &e)",
                    "catch (int n) { text += \"int \" + std::to_string(n); } catch (double) { text += \"double\"; } catch (const std::logic_error &e)"
                ),
            ])
            let victim = try Victim(sources.program)
            try expect(victim.ask("60"), equals: "v1 square 9 caught too much 120 #1")
            try expectDone("apply", first.object, "--base", sources.base, "--pid", victim.id)
            try expect(victim.ask("60"), equals: "v1 square 9 caught invalid 120 #2")
            try expect(victim.ask("80"), equals: "v1 square 9 double #3")
            try expect(victim.ask("110"), equals: "v1 square 9 int 220 #4")
            try expectDone("revert", "1", "--pid", victim.id)
            try expect(victim.ask("60"), equals: "v1 square 9 caught too much 120 #5")
            expect(victim.finish(), equals: 0)
        }

        /// g++ names what destroys a whole object and what destroys the part of one by turns.
        @Test(arguments: [["g++", "-falign-functions=16"], ["clang++"]])
        func aClassIsDerivedFrom(compiler: [String]) throws {
            let sources = try EditedC("shapes.cpp", beside: "shaper.cpp", compiler)
            let edit = try sources.edited([
                (
                    "static std::string prefix",
                    "struct Cube : Square { std::string text = \"cube\"; Cube() : Square(2) {} std::string name() const override { return text; } };\nstatic std::string prefix"
                ), ("std::string text = prefix;", "Cube cube; std::string text = prefix + cube.name() + \" \";"),
            ])
            let victim = try Victim(sources.program)
            try expect(victim.ask("20"), equals: "v1 square 9 40 #1")
            try expectDone("apply", edit.object, "--base", sources.base, "--pid", victim.id)
            try expect(victim.ask("20"), equals: "v1 cube square 9 40 #2")
            try expectDone("revert", "1", "--pid", victim.id)
            try expect(victim.ask("20"), equals: "v1 square 9 40 #3")
            expect(victim.finish(), equals: 0)
        }

        /// A constant table has one value for all who read it, whatever it holds; a longer one is another for its own file.
        @Test(arguments: compilers) func tablesThatHoldReferences(compiler: [String]) throws {
            let sources = try EditedC("things.c", beside: "answerer.c", compiler)
            let victim = try Victim(sources.program)
            func expect(_ table: String, _ words: String, _ primes: String) throws {
                #expect(try victim.ask("table") == table)
                #expect(try victim.ask("words") == words)
                #expect(try victim.ask("primes") == primes)
            }
            try expect("twice 8 thrice 12 ", "one two ", "10")
            let first = try sources.edited([
                ("{\"thrice\", thrice}", "{\"square\", square}"), ("\"one\", \"two\"", "\"one\", \"zwei\""),
                ("struct entry {", "static int square(int n) { return n * n; }\nstruct entry {"),
            ])
            let applied = try expectDone("apply", first.object, "--base", sources.base, "--pid", victim.id)
            #expect(!applied.output.contains("kept"), "\(applied)")
            try expect("twice 8 square 16 ", "one zwei ", "10")
            let second = try sources.edited(
                [
                    ("n * n", "n * n + 1"), ("\"one\", \"zwei\"", "\"one\", \"zwei\", \"three\""),
                    ("2, 3, 5", "2, 3, 5, 7"),
                ], of: first.text)
            try expectDone("apply", second.object, "--base", first.object, "--pid", victim.id)
            try expect("twice 8 square 17 ", "one zwei three ", "17")
            let third = try sources.edited(
                [
                    ("\"three\"", "\"drei\""), ("2, 3, 5, 7", "2, 3, 5, 8"),
                    ("{\"square\", square}", "{\"same\", twice}"),
                ],
                of: second.text)
            try expectDone("apply", third.object, "--base", second.object, "--pid", victim.id)
            try expect("twice 8 same 8 ", "one zwei drei ", "18")
            // Of another type, it is another one for its own file, too.
            let fourth = try sources.edited(
                [("const int primes", "const unsigned primes"), ("2, 3, 5, 8", "2, 3, 5, 9")], of: third.text)
            try expectDone("apply", fourth.object, "--base", third.object, "--pid", victim.id)
            try expect("twice 8 same 8 ", "one zwei drei ", "19")
            try expectDone("revert", "2", "--pid", victim.id)
            try expectDone("revert", "--all", "--pid", victim.id)
            try expect("twice 8 thrice 12 ", "one two ", "10")
            #expect(victim.finish() == 0)
        }

        /// gcc numbers the static variables of functions through the whole file: one that is added gives its number to others.
        @Test(arguments: [["gcc"], ["clang"]]) func staticVariablesOfFunctions(compiler: [String]) throws {
            let sources = try EditedC("things.c", beside: "answerer.c", compiler)
            let victim = try Victim(sources.program)
            try expect(victim.ask("statics"), equals: "10 20")
            let first = try sources.edited([
                (
                    "static int calls = 10; return calls++;",
                    "static int more = 50, calls = 10; more++; return calls++ + more;"
                )
            ])
            try expectDone("apply", first.object, "--base", sources.base, "--pid", victim.id)
            try expect(victim.ask("statics"), equals: "62 21")
            // Another order, and another of the same name.
            let second = try sources.edited(
                [
                    ("static int second(void) { static int calls = 20; return calls++; }", ""),
                    (
                        "static int first(void) {",
                        """
                        static int second(void) { static int calls = 20; return calls++; }
                        static int third(void) { static int calls = 30; return calls++; }
                        static int first(void) {
                        """
                    ), ("sprintf(text, \"%d %d\", a, b)", "sprintf(text, \"%d %d %d\", a, b, third())"),
                ], of: first.text)
            try expectDone("apply", second.object, "--base", first.object, "--pid", victim.id)
            try expect(victim.ask("statics"), equals: "64 22 30")
            // One that nothing told apart goes.
            let third = try sources.edited(
                [("{ static int calls = 20; return calls++; }", "{ return 0; }"), ("more++;", "more += 2;")],
                of: second.text)
            try expectDone("apply", third.object, "--base", second.object, "--pid", victim.id)
            try expect(victim.ask("statics"), equals: "67 0 31")
            try expectDone("revert", "--all", "--pid", victim.id)
            try expect(victim.ask("statics"), equals: "14 23")
            expect(victim.finish(), equals: 0)
        }

        /// What runs when the program starts has run: nobody is left to think that it did so again.
        @Test func saysWhatWasNotRun() throws {
            let sources = try EditedC("things.c", beside: "answerer.c", ["gcc"])
            let victim = try Victim(sources.program)
            let edit = try sources.edited([
                ("started += 1;", "started += 10;"),
                (
                    "// more",
                    """
                    __attribute__((constructor)) static void late(void) { started += 100; }
                    __attribute__((destructor)) static void last(void) { started += 100; }
                    """
                ),
            ])
            let result = try expectDone("apply", edit.object, "--base", sources.base, "--pid", victim.id)
            for note in [
                "start: it has run when the program started, and was not run again",
                "late: it runs when the program starts, and was not run",
                "last: it runs when the program ends, and will not",
            ] { #expect(result.output.contains(note), "\(note) in \(result)") }
            try expect(victim.ask("started"), equals: "1")
            expect(victim.finish(), equals: 0)
        }

        /// The stack of a process is as the program that it was linked from asks for.
        @Test func refusesCodeOnTheStack() throws {
            let sources = try EditedC("things.c", beside: "answerer.c", ["gcc"])
            let victim = try Victim(sources.program)
            let edit = try sources.edited([
                (
                    "return n + 1;",
                    "int inner(int m) { return m + n; } int (*volatile f)(int) = inner; return f(1);"
                )
            ])
            let result = try hotpatch("apply", edit.object, "--base", sources.base, "--pid", victim.id)
            expect(result.status, equals: 2)
            #expect(result.errors.contains("needs a stack that can be executed"), "\(result)")
            try expect(victim.ask("number"), equals: "5")
            expect(victim.finish(), equals: 0)
        }

        /// A variable that no file initialises is a new one, too.
        @Test func commonVariables() throws {
            let sources = try EditedC("things.c", beside: "answerer.c", ["gcc", "-fcommon"])
            let victim = try Victim(sources.program)
            let edit = try sources.edited([
                ("typedef int number;", "typedef int number; int fresh; long wide[3];"),
                ("n + 1", "n + ++fresh + ++wide[2]"),
            ])
            try expectDone("apply", edit.object, "--base", sources.base, "--pid", victim.id)
            try expect(victim.ask("number"), equals: "6")
            let next = try sources.edited([("n + ++fresh", "n + 10 * ++fresh")], of: edit.text)
            try expectDone("apply", next.object, "--base", edit.object, "--pid", victim.id)
            try expect(victim.ask("number"), equals: "26")
            expect(victim.finish(), equals: 0)
        }

        /// A lambda that is inserted takes the number of another, and not its place: what is stored runs what was written for it.
        @Test(arguments: [["g++", "-falign-functions=16"], ["clang++"]]) func lambdas(compiler: [String]) throws {
            let sources = try EditedC("lambdas.cpp", beside: "answerer.c", compiler + ["-std=c++17"])
            let victim = try Victim(sources.program)
            try expect(victim.ask("store"), equals: "stored")
            try expect(victim.ask("call"), equals: "7 8")
            let first = try sources.edited([
                ("int k = 3;", "int k = 3; auto above = [](int n) { return n - 1000; }; k += 0 * above(1);"),
                ("n * 2", "n * 20"), ("auto f =", "auto g = [](int n) { return n * 5; }; auto f ="),
                ("return f(n);", "return f(n) + g(n);"),
            ])
            try expectDone("apply", first.object, "--base", sources.base, "--pid", victim.id)
            try expect(victim.ask("call"), equals: "7 80")
            try expect(victim.ask("other"), equals: "9")
            let second = try sources.edited(
                [("auto above = [](int n) { return n - 1000; }; k += 0 * above(1);", ""), ("n + k", "n + k * 100")],
                of: first.text)
            try expectDone("apply", second.object, "--base", first.object, "--pid", victim.id)
            try expect(victim.ask("call"), equals: "304 80")
            // What captures otherwise is another one: that which is stored has nowhere what it would need.
            let third = try sources.edited(
                [
                    ("int k = 3;", "int k = 3, j = 7;"),
                    ("[k](int n) { return n + k * 100", "[k, j](int n) { return n + k * j"),
                ],
                of: second.text)
            let applied = try expectDone("apply", third.object, "--base", second.object, "--pid", victim.id)
            #expect(applied.output.contains("it is gone, or captures otherwise than before"), "\(applied)")
            try expect(victim.ask("call"), equals: "304 80")
            try expect(victim.ask("store"), equals: "stored")
            try expect(victim.ask("call"), equals: "25 80")
            expect(victim.finish(), equals: 0)
        }

        /// What a function catches, and what it destroys when it is left, is said by its own table.
        @Test(arguments: [["g++", "-falign-functions=16"], ["clang++"]]) func tablesOfExceptions(compiler: [String])
            throws
        {
            let sources = try EditedC("lambdas.cpp", beside: "answerer.c", compiler + ["-std=c++17"])
            let victim = try Victim(sources.program)
            try expect(victim.ask("throw"), equals: "big 1")
            try expect(victim.ask("catch"), equals: "2")
            let edit = try sources.edited([
                ("catch (long)", "catch (int)"), ("Loud loud;", "Loud loud; Loud another; check(1); Loud third;"),
            ])
            try expectDone("apply", edit.object, "--base", sources.base, "--pid", victim.id)
            try expect(victim.ask("throw"), equals: "big 4")
            try expect(victim.ask("catch"), equals: "1")
            try expectDone("revert", "--all", "--pid", victim.id)
            try expect(victim.ask("throw"), equals: "big 5")
            try expect(victim.ask("catch"), equals: "2")
            expect(victim.finish(), equals: 0)
        }
    }
}
