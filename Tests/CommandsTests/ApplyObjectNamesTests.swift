import HotpatchExpectations
import HotpatchTestSupport
import Testing

extension CommandTests {
    /// Whose a name is: what only one file can name is nobody else's, whatever it is called.
    @Suite struct ApplyObjectNamesTests {
        private static let first = """
            #include <stdio.h>
            static char text[80];
            int orders = 3;
            const char *answer(const char *question) { snprintf(text, 80, "%d", orders); return text; }
            """
        private static let second = """
            static int rate(int n) { return n * 100; }
            static int level = 77;
            int second(void) { return rate(1) + level; }
            """
        private static let third = "int third(void) { return 4; }\n"
        private static var files: [(name: String, text: String)] {
            [("first.c", first), ("second.c", second), ("third.c", third)]
        }

        /// A linker would find none of them, and neither does this one.
        @Test(arguments: [["gcc"], ["clang"]]) func staticsOfOthersAreNotFound(compiler: [String]) throws {
            var program = try EditedFiles(Self.files, compiler)
            for (declaration, use, name) in [
                ("int rate(int);", "rate(2)", "rate"), ("extern int level;", "level", "level"),
            ] {
                let result = try program.apply(
                    ("first.c", "int orders", declaration + "\nint orders"), ("first.c", "orders)", use + ")"))
                expect(result.status, equals: 2, "\(result)")
                #expect(result.errors.contains("\(name) (static in second.c)"), "\(result)")
                try expect(program.victim.ask(), equals: "3")
            }
            expect(program.victim.finish(), equals: 0)
        }

        /// What all files can name is new beside what another file has for itself.
        @Test(arguments: [["gcc"], ["clang"]]) func newNamesBesideStatics(compiler: [String]) throws {
            var program = try EditedFiles(Self.files, compiler)
            var result = try program.apply(
                ("first.c", "int orders", "int level = 5;\nint rate(int n) { return n + 1; }\nint orders"),
                ("first.c", "orders)", "rate(4) * 10 + level)"))
            expect(result.status, equals: 0, "\(result)")
            try expect(program.victim.ask(), equals: "55")
            result = try program.apply(("first.c", "n + 1", "n + 2"), ("first.c", "+ level)", "+ level++)"))
            expect(result.status, equals: 0, "\(result)")
            try expect(program.victim.ask(), equals: "65")
            try expect(program.victim.ask(), equals: "66")
            expect(program.victim.finish(), equals: 0)
        }

        /// What edits have added for one file is that file's.
        @Test(arguments: [["gcc"], ["clang"]]) func staticsOfEditsAreTheirFiles(compiler: [String]) throws {
            var program = try EditedFiles(Self.files, compiler)
            func expect(_ result: RunResult, _ answer: String, sourceLocation: SourceLocation = #_sourceLocation) throws
            {
                #expect(result.status == 0, "\(result)", sourceLocation: sourceLocation)
                #expect(try program.victim.ask() == answer, sourceLocation: sourceLocation)
            }
            try expect(
                try program.apply(
                    (
                        "third.c", "int third",
                        "static int fresh = 9;\nstatic int more(int n) { return n + fresh; }\nint third"
                    ),
                    ("third.c", "return 4", "return more(4)"),
                    ("first.c", "int orders", "int third(void);\nint orders"), ("first.c", "orders)", "third())")), "13"
            )
            // It is not found by others,
            let refused = try program.apply(
                ("first.c", "int orders", "extern int fresh;\nint orders"), ("first.c", "third())", "third() + fresh)"))
            #expect(refused.status == 2 && refused.errors.contains("fresh"), "\(refused)")
            // and not taken for what others have of the same name.
            try expect(
                try program.apply(
                    (
                        "first.c", "int orders",
                        "static int fresh = 1000;\nstatic int more(int n) { return 3 * n + fresh++; }\nint orders"
                    ), ("first.c", "third())", "third() + more(1))")), "1016")
            try expect(try program.apply(("third.c", "n + fresh", "n + 2 * fresh")), "1026")
            try expect(try program.apply(("first.c", "3 * n", "4 * n")), "1028")
            try expect(try program.apply(("third.c", "2 * fresh", "3 * fresh")), "1038")
            #expect(program.victim.finish() == 0)
        }

        /// Who can name a variable may change; the variable is the one that it was.
        @Test(arguments: [["gcc"], ["clang"]]) func staticsThatAreOpened(compiler: [String]) throws {
            var program = try EditedFiles(Self.files, compiler)
            var result = try program.apply(("second.c", "static int level", "int level"))
            expect(result.status, equals: 0, "\(result)")
            result = try program.apply(
                ("first.c", "int orders", "extern int level;\nint orders"), ("first.c", "orders)", "++level)"))
            expect(result.status, equals: 0, "\(result)")
            try expect(program.victim.ask(), equals: "78")
            // And the other way round.
            result = try program.apply(
                ("first.c", "\nint orders", "\nstatic int orders"), ("first.c", "++level)", "++level + 0 * ++orders)"))
            expect(result.status, equals: 0, "\(result)")
            try expect(program.victim.ask(), equals: "79")
            result = try program.apply(("first.c", "0 * ++orders", "1000 * orders"))
            expect(result.status, equals: 0, "\(result)")
            try expect(program.victim.ask(), equals: "4080")
            expect(program.victim.finish(), equals: 0)
        }

        /// Linkers make hidden symbols of a program local, and they are the program's all the same.
        @Test(arguments: [["gcc", "-fuse-ld=bfd"], ["gcc", "-fuse-ld=gold"], ["clang", "-fuse-ld=lld"]])
        func hiddenNamesAreFound(compiler: [String]) throws {
            let hidden = """
                __attribute__((visibility("hidden"))) int concealed(int n) { return n + 5; }
                __attribute__((visibility("hidden"))) int depth = 6;
                int second(void) { return concealed(1) + depth; }
                """
            var program = try EditedFiles(
                [("first.c", Self.first), ("second.c", hidden)], [compiler[0]], linking: [compiler[1]])
            let result = try program.apply(
                ("first.c", "int orders", "int concealed(int);\nextern int depth;\nint orders"),
                ("first.c", "orders)", "concealed(2) + depth)"))
            expect(result.status, equals: 0, "\(result)")
            try expect(program.victim.ask(), equals: "13")
            expect(program.victim.finish(), equals: 0)
        }

        /// Functions of C may be called as the Swift compiler calls what it makes without a name.
        @Test(arguments: [["gcc"], ["clang"]]) func namesThatSwiftHasAMeaningFor(compiler: [String]) throws {
            let text = """
                #include <stdio.h>
                static char text[80];
                int get_price(int n) { static int got = 5; return n + got++; }
                static int keypath_length(int n) { return n * 2; }
                int (*stored)(int) = get_price;
                const char *answer(const char *question) {
                    snprintf(text, 80, "%d %d %d", get_price(1), keypath_length(2), stored(5));
                    return text;
                }
                """
            var program = try EditedFiles([("first.c", text)], compiler)
            _ = try program.victim.ask()
            var result = try program.apply(
                ("first.c", "n + got++", "n * 100 + 0 * got++"), ("first.c", "n * 2", "n * 3"))
            expect(result.status, equals: 0, "\(result)")
            try expect(program.victim.ask(), equals: "100 6 500")
            result = try program.apply(("first.c", "0 * got++", "got"))
            expect(result.status, equals: 0, "\(result)")
            try expect(program.victim.ask(), equals: "109 6 509")
            expect(program.victim.finish(), equals: 0)
        }

        /// Code of programs expects a copy of a library's variable in the program, and says so where there is none.
        @Test func variablesOfLibraries() throws {
            var program = try EditedFiles(Self.files, ["gcc"])
            let edits = [
                ("first.c", "#include <stdio.h>", "#include <stdio.h>\n#include <unistd.h>"),
                ("first.c", "orders)", "optind + 1)"),
            ]
            let result = try program.apply(edits[0], edits[1])
            expect(result.status, equals: 2)
            #expect(result.errors.contains("reaches optind as something of the program"), "\(result)")
            #expect(result.errors.contains("-fPIC"), "\(result)")
            let done = try program.apply(edits[0], edits[1], compiling: ["-fPIC"])
            expect(done.status, equals: 0, "\(done)")
            try expect(program.victim.ask(), equals: "2")
            expect(program.victim.finish(), equals: 0)
        }

        private static let cxx = """
            #include <cstdio>
            #include <string>
            static char text[80];
            struct Sized { std::string name = "a"; int size() { return (int)name.size(); } };
            int made() { return 7; }
            extern "C" const char *answer(const char *question) {
                Sized sized;
                snprintf(text, 80, "%d", sized.size());
                return text;
            }
            """

        /// Each file that includes <iostream> asks for the streams when a program starts. Where another file has, they are there.
        @Test(arguments: [["g++", "-fPIC"], ["clang++"]]) func streams(compiler: [String]) throws {
            let other = "#include <iostream>\nvoid other() { std::cerr << 1; }\n"
            func include(_ program: inout EditedFiles) throws -> RunResult {
                try program.apply(
                    ("first.cpp", "#include <cstdio>", "#include <cstdio>\n#include <iostream>"),
                    ("first.cpp", "sized.size())", "sized.size() + std::cout.good())"))
            }
            var program = try EditedFiles([("first.cpp", Self.cxx), ("second.cpp", other)], compiler)
            let result = try include(&program)
            expect(result.status, equals: 0, "\(result)")
            #expect(result.output.contains("std::cout and the other streams are initialised already"), "\(result)")
            try expect(program.victim.ask(), equals: "2")
            let next = try program.apply(("first.cpp", "std::cout.good()", "10 * std::cout.good()"))
            expect(next.status, equals: 0, "\(next)")
            try expect(program.victim.ask(), equals: "11")
            expect(program.victim.finish(), equals: 0)
        }

        /// What initialises a thread-local, each thread calls by the name of the variable.
        @Test(arguments: [["g++"], ["clang++"]]) func initialisersOfThreadLocals(compiler: [String]) throws {
            var program = try EditedFiles([("first.cpp", Self.cxx)], compiler)
            for declaration in ["thread_local int each = made();", "static thread_local std::string each = \"x\";"] {
                let result = try program.apply(
                    ("first.cpp", "int made() { return 7; }", "int made() { return 7; }\n" + declaration),
                    ("first.cpp", "sized.size())", "sized.size() + (int)sizeof each + (int)(&each != nullptr))"))
                expect(result.status, equals: 2, "\(result)")
                #expect(result.errors.contains("initialised when the program, or a thread, starts"), "\(result)")
            }
            try expect(program.victim.ask(), equals: "1")
            expect(program.victim.finish(), equals: 0)
        }
    }
}
