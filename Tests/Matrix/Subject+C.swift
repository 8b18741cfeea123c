extension Subject {
    static let c = Subject(
        name: "C", language: .c,
        source: #"""
            #include <stdio.h>
            #include <string.h>
            struct pair { int a; int b; };
            enum kind { none, some = 7 };
            #define FACTOR 3
            int state, one = 1;
            static int hits = 5;
            const int limit = 20;
            static const char *const names[] = {"zero", "one", "two"};
            static char text[200];
            static int add(int a, int b) { return a + b; }
            static int sub(int a, int b) { return a - b; }
            static int (*const operations[])(int, int) = {add, sub};
            static int helper(int n) { static int calls = 1; return n * 10 + calls - 1; }
            int scaled(int n) { return n * FACTOR; }
            static int jump(int n) {
                static void *labels[] = {&&small, &&large};
                goto *labels[n > 2];
            small:
                return 1;
            large:
                n += 1;
                return n;
            }
            static int bounded(int n) {
                static const int limit = 5;
                static const char *const words[] = {"few", "many"};
                return n > limit ? limit : (int)strlen(words[1]);
            }
            static int bounded2(int n) {
                static const int limit = 50;
                return n > limit ? limit : n;
            }
            static int chosen(void) { return 6; }
            static int (*choose(void))(void) { return chosen; }
            int indirect(void) __attribute__((ifunc("choose")));
            static int sum(struct pair p) { return p.a + p.b; }
            static const char *name(int n) {
                switch (n) {
                case 0: return "zero";
                case 1: return "one";
                case 2: return "two";
                case 3: return "three";
                case 4: return "four";
                case 5: return "five";
                default: return "many";
                }
            }
            const char *answer(const char *question) {
                state++;
                if (!strcmp(question, "function")) sprintf(text, "function v1 %d", scaled(2));
                else if (!strcmp(question, "helper")) sprintf(text, "helper %d", helper(4));
                else if (!strcmp(question, "table")) sprintf(text, "%d %d", operations[one - 1](5, 3), operations[one](5, 3));
                else if (!strcmp(question, "names")) sprintf(text, "%s", names[one + 1]);
                else if (!strcmp(question, "static")) sprintf(text, "%d", hits);
                else if (!strcmp(question, "const")) sprintf(text, "%d", limit);
                else if (!strcmp(question, "struct")) { struct pair p = {3, 4}; sprintf(text, "%d", sum(p)); }
                else if (!strcmp(question, "switch")) sprintf(text, "%s %s", name(3), name(9));
                else if (!strcmp(question, "goto")) sprintf(text, "%d %d", jump(1), jump(6));
                else if (!strcmp(question, "own")) sprintf(text, "%d %d %d", bounded(7), bounded(2), bounded2(70));
                else if (!strcmp(question, "indirect")) sprintf(text, "%d %d", indirect(), one);
                else if (!strcmp(question, "enum")) sprintf(text, "%d", some);
                else sprintf(text, "?");
                return text;
            }
            """#,
        questions: [
            "function", "helper", "table", "names", "static", "const", "struct", "switch", "enum", "goto", "own",
            "indirect",
        ],
        cells: [
            Cell(
                "C: function", "its body", [("n * FACTOR", "n * FACTOR + 1")], .applied, ["function": "function v1 7"]),
            Cell("C: function", "a comment above", [("int scaled", "/* Scales. */\n\nint scaled")], .nothing),
            Cell(
                "C: function", "a text in it", [("function v1", "function v2")], .applied, ["function": "function v2 6"]
            ),
            Cell(
                "C: macro", "its value", [("#define FACTOR 3", "#define FACTOR 4")], .applied,
                ["function": "function v1 8"]),
            Cell("C: static function", "its body", [("n * 10 +", "n * 11 +")], .applied, ["helper": "helper 44"]),
            Cell(
                "C: static function", "one is added, and called",
                [
                    (
                        "static int helper(int n) {",
                        "static int more(int n) { return n + 100; }\nstatic int helper(int n) { n = more(n);"
                    )
                ], .applied, ["helper": "helper 1040"]),
            Cell(
                "C: static function", "its parameters, with its caller",
                [
                    ("int helper(int n)", "int helper(int n, int m)"), ("return n * 10 +", "return n * m +"),
                    ("helper(4)", "helper(4, 5)"),
                ], .applied, ["helper": "helper 20"], note: "helper takes other arguments"),
            Cell(
                "C: static function in a table", "its body", [("{ return a - b; }", "{ return a - b - 1; }")], .applied,
                ["table": "8 1"]),
            Cell(
                "C: table of functions", "its order", [("{add, sub}", "{sub, add}")], .applied, ["table": "2 8"]),
            Cell(
                "C: table of texts", "a text", [("\"one\", \"two\"}", "\"one\", \"TWO\"}")], .applied,
                ["names": "TWO"]),
            Cell(
                "C: table of texts", "one more",
                [("\"one\", \"two\"}", "\"one\", \"two\", \"three\"}"), ("names[one + 1]", "names[one + 2]")], .applied,
                ["names": "three"]),
            Cell(
                "C: static variable", "what it begins with", [("hits = 5", "hits = 6")], .nothing,
                note: "its value is kept"),
            Cell("C: const variable", "its value", [("limit = 20", "limit = 30")], .applied, ["const": "30"]),
            Cell(
                "C: static variable", "one is added, and used",
                [
                    ("static int hits = 5;", "static int hits = 5;\nstatic int more = 9;"),
                    ("\"%d\", hits", "\"%d\", hits + more"),
                ], .applied, ["static": "14"]),
            Cell(
                "C: static variable", "another type",
                [("static int hits = 5", "static long hits = 5"), ("\"%d\", hits", "\"%d\", (int)hits")],
                .refused("hits: it had 4 bytes, and has 8 now")),
            Cell(
                "C: struct", "a member is added", [("int a; int b; }", "int a; int b; int c; }")],
                .refused("pair: 'c: int at 8' added")),
            Cell(
                "C: switch with a table of jumps", "a text of it", [("\"three\"", "\"THREE\"")], .applied,
                ["switch": "THREE many"]),
            Cell(
                "C: switch with a table of jumps", "a case more",
                [("default: return \"many\"", "case 9: return \"nine\";\n    default: return \"many\"")], .applied,
                ["switch": "three nine"]),
            Cell(
                "C: enum", "one more value", [("some = 7", "some = 7, more"), ("scaled(2)", "scaled(more)")], .applied,
                ["function": "function v1 24"]),
            Cell("C: enum", "a value of it", [("some = 7", "some = 8")], .refused("kind: 'some = 8' changed")),
            Cell(
                "C: computed goto", "code behind a label",
                [("return 1;", "state += 0; return 2;"), ("n += 1;", "n += 1; n *= 2;")], .applied,
                ["goto": "2 14"]),
            Cell(
                "C: constant of a function", "its value", [("limit = 5;", "limit = 6;")], .applied, ["own": "6 4 50"]),
            Cell(
                "C: table of texts of a function", "a text", [("\"few\", \"many\"", "\"few\", \"several\"")], .applied,
                ["own": "5 7 50"]),
            Cell(
                "C: constant of a function", "another of its name is added before it",
                [
                    (
                        "static int bounded(int n) {",
                        "static int more(int n) { static const int limit = 3; return n + limit; }\nstatic int bounded(int n) {"
                    ),
                    ("bounded(2)", "more(2)"),
                ], .applied, ["own": "5 5 50"]),
            Cell(
                "C: function that a resolver chooses (ifunc)", "its caller",
                [("indirect(), one", "indirect() * 10, one")], .applied, ["indirect": "60 1"]),
            Cell(
                "C: function that a resolver chooses (ifunc)", "its body", [("{ return 6; }", "{ return 7; }")],
                .applied, ["indirect": "7 1"]),
            Cell(
                "C: function that a resolver chooses (ifunc)", "its resolver", [("return chosen;", "return one;")],
                .nothing,
                note: "is not chosen again"),
            Cell(
                "C: function that a resolver chooses (ifunc)", "one is added, and called",
                [
                    (
                        "static int sum(struct pair p)",
                        "int other(void) __attribute__((ifunc(\"choose\")));\nstatic int sum(struct pair p)"
                    ),
                    ("indirect(), one", "other(), one"),
                ], .refused("what other leads to is chosen when the program starts (ifunc), and it is new")),
        ],
        sequences: [
            EditSequence(
                name: "a function that a resolver chooses is called by each edit, and edited",
                steps: [
                    ([("\"%d %d\", indirect(), one", "\"%d, %d\", indirect(), one")], ["indirect": "6, 1"]),
                    ([("{ return 6; }", "{ return 7; }")], ["indirect": "7, 1"]),
                    ([("\"%d, %d\", indirect()", "\"%d; %d\", indirect()")], ["indirect": "7; 1"]),
                ]),
            EditSequence(
                name: "functions with constants and labels of their own",
                steps: [
                    ([("limit = 5;", "limit = 6;")], ["own": "6 4 50"]),
                    ([("limit = 50;", "limit = 51;"), ("n += 1;", "n += 2;")], ["own": "6 4 51", "goto": "1 8"]),
                    (
                        [
                            (
                                "static int bounded(int n) {",
                                "static int more(int n) { static const int limit = 3; return n + limit; }\nstatic int bounded(int n) {"
                            ), ("bounded(2)", "more(2)"),
                        ], ["own": "6 5 51"]
                    ),
                    (
                        [
                            ("limit = 51;", "limit = 52;"), ("return 1;", "state += 0; return 1;"),
                            ("n += 2;", "n += 12;"),
                        ], ["own": "6 5 52", "goto": "1 18"]
                    ),
                ]),
            EditSequence(
                name: "a thread-local that nothing uses is added, and other edits follow",
                steps: [
                    (
                        [
                            ("static int hits = 5;", "static int hits = 5;\nstatic __thread int own = 3;"),
                            ("n * 10 +", "n * 11 +"),
                        ],
                        ["helper": "helper 44"]
                    ),
                    ([("n * 11 +", "n * 12 +")], ["helper": "helper 48"]),
                    ([("\nstatic __thread int own = 3;", ""), ("n * 12 +", "n * 13 +")], ["helper": "helper 52"]),
                ]),
        ])

    static let cxx = Subject(
        name: "C++", language: .cxx,
        source: #"""
            #include <cstdio>
            #include <cstring>
            #include <functional>
            #include <map>
            #include <stdexcept>
            #include <string>
            #include <vector>
            int state;
            static std::string text;
            struct Shape {
                virtual ~Shape() {}
                virtual int area() const { return 1; }
                virtual const char *name() const { return "shape"; }
                int id = 1;
            };
            struct Square : Shape {
                int side;
                Square(int s) : side(s) {}
                int area() const override { return side * side; }
                int scaled(int n) const { return side * n; }
                static int corners() { return 4; }
            };
            static Shape *const shape = new Square(3);
            template <class T> static T twice(T x) { return x + x; }
            static int check(int x) { if (x > 100) throw std::runtime_error("too much"); return x; }
            inline int counted() { static int n = 10; return n; }
            namespace shop { int price(int n) { return n * 2; } }
            static int apply(int (*f)(int), int n) { return f(n); }
            struct Number { int n; Number operator+(const Number &other) const { return {n + other.n}; } };
            static int overloaded(int) { return 1; }
            extern "C" const char *answer(const char *question) {
                state++;
                std::string q = question;
                if (q == "method") text = std::to_string(static_cast<Square *>(shape)->scaled(5));
                else if (q == "static") text = std::to_string(Square::corners());
                else if (q == "virtual") text = std::to_string(shape->area()) + shape->name();
                else if (q == "template") text = std::to_string(twice(4));
                else if (q == "exception") { try { check(200); } catch (const std::exception &e) { text = std::string("caught ") + e.what(); } }
                else if (q == "inline") text = std::to_string(counted());
                else if (q == "namespace") text = std::to_string(shop::price(3));
                else if (q == "lambda") { int k = 2; auto f = [k](int n) { return n * k; }; text = std::to_string(f(4)) + std::to_string(apply([](int n) { return n - 1; }, 4)); }
                else if (q == "operator") text = std::to_string((Number{2} + Number{3}).n);
                else if (q == "overload") text = std::to_string(overloaded(1));
                else if (q == "map") { std::map<int, int> m = {{1, 2}, {2, 3}}; text = std::to_string(m.begin()->first); }
                else if (q == "vector") { std::vector<int> v = {3, 4}; text = std::to_string(v.size()); }
                else text = "?";
                return text.c_str();
            }
            """#,
        questions: [
            "method", "static", "virtual", "template", "exception", "inline", "namespace", "lambda", "operator",
            "overload",
            "map", "vector",
        ],
        cells: [
            Cell("C++: method", "its body", [("return side * n", "return side * n + 1")], .applied, ["method": "16"]),
            Cell("C++: static method", "its body", [("return 4;", "return 5;")], .applied, ["static": "5"]),
            Cell(
                "C++: virtual function", "its body", [("return side * side", "return side * side * 2")], .applied,
                ["virtual": "18shape"]),
            Cell(
                "C++: inherited virtual function", "its body", [("\"shape\"", "\"form\"")], .applied,
                ["virtual": "9form"]),
            Cell(
                "C++: class", "a virtual function is added",
                [("int id = 1;", "virtual int sides() const { return 0; }\n    int id = 1;")], .refused("virtual")),
            Cell(
                "C++: class", "an override is added",
                [
                    (
                        "int scaled(int n) const",
                        "const char *name() const override { return \"square\"; }\n    int scaled(int n) const"
                    )
                ], .applied, ["virtual": "9square"],
                note: "virtual function 'Square::name() const' takes the slot of 'Shape::name() const' in the vtable"),
            Cell(
                "C++: class", "an override is removed",
                [("    int area() const override { return side * side; }\n", "")],
                .applied, ["virtual": "1shape"],
                note: "virtual function 'Shape::area() const' takes the slot of 'Square::area() const' in the vtable"),
            Cell(
                "C++: class", "a member is added", [("int id = 1;", "int id = 1;\n    long more = 2;")],
                .refused("Shape: 'more: long int at 16' added")),
            Cell(
                "C++: class", "a new one, used",
                [
                    (
                        "struct Square : Shape {",
                        "struct Odd : Shape { int area() const override { return 77; } };\nstruct Square : Shape {"
                    ),
                    (
                        "else if (q == \"static\") text = std::to_string(Square::corners());",
                        "else if (q == \"static\") { Odd odd; Shape *s = &odd; text = std::to_string(s->area()) + s->name(); }"
                    ),
                ], .applied, ["static": "77shape"]),
            Cell("C++: template", "its body", [("return x + x", "return x * 3")], .applied, ["template": "12"]),
            Cell(
                "C++: exception", "what is thrown", [("\"too much\"", "\"way too much\"")], .applied,
                ["exception": "caught way too much"]),
            Cell(
                "C++: exception", "what catches it", [("\"caught \"", "\"CAUGHT \"")], .applied,
                ["exception": "CAUGHT too much"]),
            Cell(
                "C++: inline function", "its body", [("return n; }\nnamespace", "return n + 1; }\nnamespace")],
                .applied, ["inline": "11"]),
            Cell(
                "C++: function in a namespace", "its body", [("return n * 2;", "return n * 3;")], .applied,
                ["namespace": "9"]),
            Cell("C++: lambda", "its body", [("return n * k;", "return n * k + 1;")], .applied, ["lambda": "93"]),
            Cell("C++: operator", "its body", [("n + other.n", "n * other.n")], .applied, ["operator": "6"]),
            Cell(
                "C++: overload", "one is added, and called",
                [
                    (
                        "static int overloaded(int) { return 1; }",
                        "static int overloaded(int) { return 1; }\nstatic int overloaded(double) { return 2; }"
                    ), ("overloaded(1)", "overloaded(1.0)"),
                ], .applied, ["overload": "2"]),
            Cell(
                "C++: global", "one with a constructor is added",
                [("static std::string text;", "static std::string text;\nstatic std::vector<int> more = {1, 2};")],
                .refused("initialised when the program")),
            Cell(
                "C++: container of the standard library", "another comparison",
                [("std::map<int, int> m", "std::map<int, int, std::greater<>> m")], .applied, ["map": "2"]),
        ],
        sequences: [
            EditSequence(
                name: "what classes and headers define is added, edited, removed and comes back",
                steps: [
                    (
                        [
                            (
                                "struct Square : Shape {",
                                """
                                struct Odd : Shape {
                                    int area() const override { return 77; }
                                    int plain(int n) const { return n + 1; }
                                };
                                inline int fresh() { return 5; }
                                template <class T> T thrice(T x) { return x + 3; }
                                struct Square : Shape {
                                """
                            ),
                            (
                                "text = std::to_string(Square::corners());",
                                """
                                {
                                    static Odd odd;
                                    Shape *s = &odd;
                                    text = std::to_string(s->area()) + s->name() + std::to_string(odd.plain(1) + fresh() + thrice(1));
                                }
                                """
                            ),
                        ], ["static": "77shape11"]
                    ),
                    ([("return n + 1; }\n};", "return n + 2; }\n};")], ["static": "77shape12"]),
                    ([("return 77;", "return 78;")], ["static": "78shape12"]),
                    ([("return 5;", "return 15;"), ("x + 3", "x * 3")], ["static": "78shape21"]),
                    ([("fresh() + ", "")], ["static": "78shape6"]),
                    (
                        [("thrice(1));", "thrice(1) + fresh());"), ("return 15;", "return 16;")],
                        ["static": "78shape22"]
                    ),
                ])
        ])
}
