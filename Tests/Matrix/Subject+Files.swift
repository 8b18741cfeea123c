extension Subject {
    /// Two files of one module, whose objects are applied at once.
    static let files = Subject(
        name: "several files in Swift", language: .swift,
        source: #"""
            nonisolated(unsafe) var state = 0
            nonisolated(unsafe) let greeters: [any Greeter] = [Plain(), Own()]

            func answer(_ question: String) async -> String {
                state += 1
                switch question {
                case "helper": return "helper \(helper(4))"
                case "later": return await later(3)
                case "greet": return greeters.map { $0.greet() }.joined(separator: " ")
                case "constants": return "\(limit) \(limitTwice()) \(title)"
                case "moved": return moved(2)
                case "method": return tally()
                case "opaque": return "\(shape())"
                case "stored": return stored(1)
                case "fresh": return fresh()
                default: return "?"
                }
            }
            struct Plain: Greeter {}
            struct Own: Greeter { func greet() -> String { "own" } }
            func moved(_ n: Int) -> String { "here \(n)" }
            func tally() -> String {
                var counter = Counter()
                _ = counter.step()
                return "\(counter.step())"
            }
            let stored: @Sendable (Int) -> String = { n in "stored \(helper(n))" }
            func fresh() -> String { "nothing" }

            // The next file
            protocol Greeter { func greet() -> String }
            extension Greeter { func greet() -> String { "hello" } }
            let limit = 20
            let title = "title v1"
            func limitTwice() -> Int { limit * 2 }
            func helper(_ n: Int) -> Int { n * 2 }
            func later(_ n: Int) async -> String {
                await Task.yield()
                return "later \(n)"
            }
            struct Counter {
                var n = 5
                func step() -> Int { n }
            }
            func shape() -> some CustomStringConvertible { 3 }
            """#,
        questions: ["helper", "later", "greet", "constants", "moved", "method", "opaque", "stored", "fresh"],
        cells: [
            Cell(
                "two files: function", "its body, and its caller's",
                [("-> Int { n * 2 }", "-> Int { n * 3 }"), ("\"helper \\(", "\"HELPER \\(")], .applied,
                ["helper": "HELPER 12", "stored": "stored 3"]),
            Cell(
                "two files: function", "a parameter is added, with its callers",
                [
                    ("func helper(_ n: Int) -> Int { n * 2", "func helper(_ n: Int, _ m: Int) -> Int { n * m"),
                    ("helper(4)", "helper(4, 5)"), ("helper(n)", "helper(n, 7)"),
                ], .applied, ["helper": "helper 20", "stored": "stored 7"]),
            Cell(
                "two files: function", "made async, with its caller",
                [
                    ("func moved(_ n: Int) -> String", "func moved(_ n: Int) async -> String"),
                    ("\"here \\(n)\"", "await later(n)"), ("return moved(2)", "return await moved(2)"),
                ], .applied, ["moved": "later 2"]),
            Cell(
                "two files: async function", "its body, and its caller's",
                [("\"later \\(n)\"", "\"sooner \\(n)\""), ("await later(3)", "await later(4)")], .applied,
                ["later": "sooner 4"]),
            Cell(
                "two files: method of a struct", "made mutating, with its caller",
                [
                    (
                        "func step() -> Int { n }",
                        "mutating func step() -> Int {\n    n += 1\n    return n\n}"
                    ), ("return \"\\(counter.step())\"", "return \"\\(counter.step())!\""),
                ], .applied, ["method": "7!"]),
            Cell(
                "two files: opaque result", "another type, with its reader",
                [
                    ("CustomStringConvertible { 3 }", "CustomStringConvertible { \"text\" }"),
                    ("\"\\(shape())\"", "\"<\\(shape())>\""),
                ],
                .applied, ["opaque": "<text>"]),
            Cell(
                "two files: default implementation", "moved from one to the other, with its body",
                [
                    ("extension Greeter { func greet() -> String { \"hello\" } }\n", ""),
                    ("struct Plain", "extension Greeter { func greet() -> String { \"hi\" } }\nstruct Plain"),
                ], .applied, ["greet": "hi own"]),
            Cell(
                "two files: function", "moved from one to the other",
                [
                    ("func moved(_ n: Int) -> String { \"here \\(n)\" }\n", ""),
                    ("let limit = 20", "func moved(_ n: Int) -> String { \"there \\(n)\" }\nlet limit = 20"),
                ], .applied, ["moved": "there 2"]),
            Cell(
                "two files: method", "moved from one to the other, and called otherwise",
                [
                    ("func step() -> Int { n }\n", ""),
                    (
                        "struct Plain",
                        "extension Counter {\n    mutating func step() -> Int {\n        n += 1\n        return n\n    }\n}\nstruct Plain"
                    ),
                ], .refused("is defined by another file of the program")),
            Cell(
                "two files: constant", "its value, and a reader's body",
                [("limit = 20", "limit = 50"), ("\\(limit) \\(limitTwice())", "\\(limit + 1) \\(limitTwice())")],
                .applied,
                ["constants": "51 100 title v1"]),
            Cell(
                "two files: constant", "moved from one to the other",
                [("let title = \"title v1\"\n", ""), ("struct Plain", "let title = \"title v1\"\nstruct Plain")],
                .applied),
            Cell(
                "two files: struct", "a new one, used by the other",
                [
                    ("let limit = 20", "struct Fresh: Hashable {\n    var a = 4\n}\nlet limit = 20"),
                    ("\"nothing\"", "\"\\(Fresh()) \\(Set([Fresh(), Fresh()]).count)\""),
                ], .applied, ["fresh": "Fresh(a: 4) 1"]),
            Cell(
                "two files: protocol", "a new one, conformed to by the other's type",
                [
                    ("let limit = 20", "protocol Loud { func loud() -> String }\nlet limit = 20"),
                    (
                        "struct Own: Greeter {",
                        "extension Own: Loud { func loud() -> String { \"OWN\" } }\nstruct Own: Greeter {"
                    ),
                    ("\"nothing\"", "(Own() as Any as? any Loud)?.loud() ?? \"quiet\""),
                ], .applied, ["fresh": "OWN"]),
        ],
        sequences: [
            EditSequence(
                name: "a function moves to another file, is edited there, and comes back",
                steps: [
                    (
                        [
                            ("func moved(_ n: Int) -> String { \"here \\(n)\" }\n", ""),
                            ("let limit = 20", "func moved(_ n: Int) -> String { \"there \\(n)\" }\nlet limit = 20"),
                        ], ["moved": "there 2"]
                    ),
                    ([("\"there \\(n)\"", "\"over there \\(n)\"")], ["moved": "over there 2"]),
                    ([("\"helper \\(", "\"HELPER \\(")], ["helper": "HELPER 8"]),
                    (
                        [
                            ("func moved(_ n: Int) -> String { \"over there \\(n)\" }\n", ""),
                            ("struct Plain", "func moved(_ n: Int) -> String { \"back \\(n)\" }\nstruct Plain"),
                        ], ["moved": "back 2"]
                    ),
                    ([("\"back \\(n)\"", "\"home \\(n)\"")], ["moved": "home 2"]),
                ]),
            EditSequence(
                name: "a function that an edit has added moves to another file",
                steps: [
                    (
                        [
                            ("struct Plain", "func added() -> String { \"added v1\" }\nstruct Plain"),
                            ("\"nothing\"", "added()"),
                        ], ["fresh": "added v1"]
                    ),
                    (
                        [
                            ("func added() -> String { \"added v1\" }\n", ""),
                            ("let limit = 20", "func added() -> String { \"added v2\" }\nlet limit = 20"),
                        ], ["fresh": "added v2"]
                    ),
                    ([("added v2", "added v3")], ["fresh": "added v3"]),
                ]),
        ])

    /// Two files of C, whose objects are applied at once.
    static let cFiles = Subject(
        name: "several files in C", language: .c,
        source: #"""
            #include <stdio.h>
            #include <string.h>
            int state;
            extern const int limit;
            int helper(int);
            int twice(void);
            int moved(int n) { return n + 1; }
            static char text[200];
            const char *answer(const char *question) {
                state++;
                if (!strcmp(question, "helper")) sprintf(text, "helper %d", helper(4));
                else if (!strcmp(question, "constants")) sprintf(text, "%d %d", limit, twice());
                else if (!strcmp(question, "moved")) sprintf(text, "%d", moved(2));
                else sprintf(text, "?");
                return text;
            }

            // The next file
            #include <stdlib.h>
            const int limit = 20;
            int twice(void) { return limit * 2; }
            int helper(int n) { return n * 2; }
            """#,
        questions: ["helper", "constants", "moved"],
        cells: [
            Cell(
                "C, two files: function", "a parameter is added, with its caller",
                [
                    ("int helper(int n) { return n * 2; }", "int helper(int n, int m) { return n * m; }"),
                    ("int helper(int);", "int helper(int, int);"), ("helper(4)", "helper(4, 5)"),
                ], .applied, ["helper": "helper 20"]),
            Cell(
                "C, two files: function", "moved from one to the other",
                [
                    ("int moved(int n) { return n + 1; }", "int moved(int n);"),
                    ("#include <stdlib.h>", "#include <stdlib.h>\nint moved(int n) { return n + 100; }"),
                ], .applied, ["moved": "102"]),
            Cell(
                "C, two files: constant", "its value, and a reader's body",
                [("limit = 20", "limit = 30"), ("limit * 2", "limit * 3")], .applied, ["constants": "30 90"]),
        ])

    static let cxxFiles = Subject(
        name: "several files in C++", language: .cxx,
        source: #"""
            #include <cstdio>
            #include <cstring>
            int state;
            int helper(int);
            static char text[200];
            extern "C" const char *answer(const char *question) {
                state++;
                if (!strcmp(question, "helper")) sprintf(text, "helper %d", helper(4));
                else sprintf(text, "?");
                return text;
            }

            // The next file
            struct Till { int rate = 3; int tax(int n) const { return n * rate; } };
            inline int doubled(int n) { return n * 2; }
            int helper(int n) { return doubled(n) + Till().tax(1); }
            """#,
        questions: ["helper"],
        cells: [],
        sequences: [
            EditSequence(
                name: "a file begins to use what another one has of a header, and both are edited",
                steps: [
                    (
                        [
                            (
                                "int helper(int);",
                                """
                                int helper(int);
                                struct Till{ int rate = 3; int tax(int n) const { return n * rate; } };
                                inline int doubled(int n){ return n * 2; }
                                """
                            ), ("helper(4)", "helper(4) * 1000 + doubled(1) * 10 + Till().tax(1)"),
                        ], ["helper": "helper 11023"]
                    ),
                    (
                        [
                            ("(int n) { return n * 2; }", "(int n) { return n * 4; }"),
                            ("(int n){ return n * 2; }", "(int n){ return n * 4; }"),
                        ], ["helper": "helper 19043"]
                    ),
                    (
                        [
                            (
                                "Till { int rate = 3; int tax(int n) const { return n * rate;",
                                "Till { int rate = 3; int tax(int n) const { return n + rate;"
                            ),
                            (
                                "Till{ int rate = 3; int tax(int n) const { return n * rate;",
                                "Till{ int rate = 3; int tax(int n) const { return n + rate;"
                            ),
                        ], ["helper": "helper 20044"]
                    ),
                ])
        ])
}
