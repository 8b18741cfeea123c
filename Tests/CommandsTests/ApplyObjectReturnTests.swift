import HotpatchExpectations
import HotpatchTestSupport
import Testing

extension CommandTests {
    /// What an edit has removed, and a later one brings back: the process has kept it.
    @Suite struct ApplyObjectReturnTests {
        private static let hello = "{ n in \"hello v1\" }"

        /// The runtime forgets no type: one that comes back is what it was, or is refused.
        @Test(arguments: [
            (
                "struct Back { var a = 1 }", "struct Back { var z = \"zz\"; var a = 1 }",
                "Back: it comes back, or comes from another file, and is laid out otherwise"
            ),
            (
                "enum Back { case a, b; init() { self = .b } }",
                "enum Back { case z(Int), b; init() { self = .z(4) } }", "Back"
            ),
            ("final class Back { var a = 1 }", "final class Back { var z = 2.5; var a = 1 }", "Back"),
            ("actor Back { var a = 1 }", "actor Back { let z = 2.5; var a = 1 }", "Back"),
            (
                "protocol Form { func f() -> Int }\nstruct Back: Form { func f() -> Int { 1 } }",
                "protocol Form { func e() -> Int; func f() -> Int }\nstruct Back: Form { func e() -> Int { 2 }; func f() -> Int { 1 } }",
                "Form"
            ),
        ])
        func types(first: String, second: String, reason: String) throws {
            var desk = try Desk()
            let (mark, use) = ("enum Limits", "{ n in \"\\(type(of: Back()))\" }")
            try desk.apply((mark, first + "\n" + mark), (Self.hello, use))
            try expect(desk.victim.ask("hello"), equals: "Back")
            try desk.apply((first + "\n" + mark, mark), (use, Self.hello))
            try expect(desk.victim.ask("hello"), equals: "hello v1")
            let refused = try hotpatch(
                ["apply"] + desk.edited([(mark, second + "\n" + mark), (Self.hello, use)]).arguments
                    + ["--pid", desk.victim.id])
            #expect(refused.status == 2 && refused.errors.contains(reason), "\(refused)")
            try expect(desk.victim.ask("hello"), equals: "hello v1")
            // As it was, it is the one that is there.
            try desk.apply((mark, first + "\n" + mark), (Self.hello, use))
            try expect(desk.victim.ask("hello"), equals: "Back")
            expect(desk.victim.finish(), equals: 0)
        }

        /// A type that moves from one file to the other is the one that runs, or another.
        @Test func typesThatMove() throws {
            var desk = try Desk()
            let type = "struct Meter {\n    var level = 1\n    func step() -> Int { level }\n}\n"
            let moved = "nonisolated(unsafe) private var taken"
            let other = type.components(of: "var level = 1").joined(separator: "var depth = 2.5; var level = 1")
            let refused = try hotpatch(
                ["apply"] + desk.edited([(type, "")], shelf: [(moved, other + moved)]).arguments
                    + ["--pid", desk.victim.id])
            #expect(refused.status == 2 && refused.errors.contains("Meter"), "\(refused)")
            try expect(desk.victim.ask("facts"), equals: "20 1 desk 42 20")
            try desk.apply((type, ""), ("\\(shape())", "\\(shape())!"), shelf: [(moved, type + moved)])
            try expect(desk.victim.ask("facts"), equals: "20 1 desk 42! 20")
            expect(desk.victim.finish(), equals: 0)
        }

        /// Variables, tables of C++ classes and functions, likewise.
        @Test(arguments: [["g++"], ["clang++"]]) func definitionsOfC(compiler: [String]) throws {
            let text = """
                #include <stdio.h>
                #include <string>
                static char text[80];
                int order = 1;
                // here
                extern "C" const char *answer(const char *question) {
                    std::string asked(question);
                    snprintf(text, 80, "%d", order);
                    return text;
                }
                """
            var program = try EditedFiles([("first.cpp", text)], compiler)
            for (first, second, use, other, reason) in [
                ("short back = 7;", "double back = 7.5;", "back", "(int)back", "back"),
                (
                    "struct Back { virtual int f(); }; int Back::f() { return 4; }",
                    "struct Back { virtual int e(); virtual int f(); }; int Back::e() { return 3; } int Back::f() { return 4; }",
                    "({ Back *volatile b = new Back; b->f(); })", "({ Back *volatile b = new Back; b->f(); })", "Back"
                ),
                (
                    "extern \"C\" int called(int n) { return n; }",
                    "extern \"C\" double called(double n) { return n; }",
                    "called(4)", "(int)called(4)", "called: it comes back, and is called otherwise"
                ),
            ] {
                var result = try program.apply(("first.cpp", "// here", first), ("first.cpp", ", order", ", " + use))
                expect(result.status, equals: 0, "\(result)")
                result = try program.apply(("first.cpp", first, "// here"), ("first.cpp", ", " + use, ", order"))
                expect(result.status, equals: 0, "\(result)")
                try expect(program.victim.ask(), equals: "1")
                result = try program.apply(("first.cpp", "// here", second), ("first.cpp", ", order", ", " + other))
                #expect(result.status == 2 && result.errors.contains(reason), "\(result)")
                try expect(program.victim.ask(), equals: "1")
            }
            expect(program.victim.finish(), equals: 0)
        }
    }
}
