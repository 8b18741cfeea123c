extension Subject {
    /// Functions that are not members, and what stands inside of them.
    static let functions = Subject(
        name: "functions in Swift", language: .swift,
        source: #"""
            nonisolated(unsafe) var state = 0

            func checked(_ n: Int) -> String {
                precondition(n > 0, "positive")
                return "checked v1"
            }
            func answer(_ question: String) async -> String {
                state += 1
                switch question {
                case "plain": return plain()
                case "checked": return checked(1)
                case "helper": return "helper \(helper(2))"
                case "async": return await later()
                case "throwing": return thrown()
                case "generic": return "\(twice(4)) \(twice("ab"))"
                case "operator": return "operator \(2 <+> 3)"
                case "default": return greeting()
                case "nested": return outer(1)
                case "table": return [0, 1, 2, 3, 4, 5].map { "\(number($0))" }.joined(separator: " ")
                case "states": return describe(.busy(3)) + describe(.idle) + describe(.done("x"))
                case "inout": return changed()
                case "variadic": return "\(sum(1, 2, 3))"
                case "built": return built()
                case "deferred": return deferred()
                default: return "?"
                }
            }

            func plain() -> String { "plain v1" }
            private func helper(_ n: Int) -> Int { n * 10 }
            func first() async -> Int { 1 }
            func second() async -> Int { 2 }
            func later() async -> String {
                let one = await first()
                return "later \(one) \(await second())"
            }
            struct Wrong: Error { var text: String }
            func check(_ n: Int) throws -> Int {
                if n > 2 { throw Wrong(text: "too much") }
                return n
            }
            func thrown() -> String {
                do { return "\(try check(3))" } catch let error as Wrong { return "caught \(error.text)" } catch { return "?" }
            }
            func twice<T>(_ value: T) -> [T] { [value, value] }
            infix operator <+>
            func <+> (left: Int, right: Int) -> Int { left + right }
            func greeting(_ name: String = "you") -> String { "hello \(name)" }
            func outer(_ n: Int) -> String {
                func inner(_ m: Int) -> Int { m + n }
                return "nested \(inner(5))"
            }
            func number(_ n: Int) -> Int {
                switch n {
                case 0: return 10
                case 1: return 33
                case 2: return 2
                case 3: return 77
                case 4: return 5
                default: return 0
                }
            }
            enum Activity { case idle, busy(Int), done(String) }
            func describe(_ activity: Activity) -> String {
                switch activity {
                case .idle: return "[idle]"
                case .busy(let n): return "[busy \(n)]"
                case .done(let text): return "[done \(text)]"
                }
            }
            func grow(_ n: inout Int) { n += 1 }
            func changed() -> String {
                var n = 1
                grow(&n)
                return "inout \(n)"
            }
            func sum(_ numbers: Int...) -> Int { numbers.reduce(0, +) }
            @resultBuilder struct Lines {
                static func buildBlock(_ parts: String...) -> String { parts.joined(separator: "/") }
            }
            @Lines func built() -> String {
                "a"
                "b"
            }
            func deferred() -> String {
                var text = "deferred"
                do {
                    defer { text += " v1" }
                    text += " end"
                }
                return text
            }
            """#,
        questions: [
            "plain", "checked", "helper", "async", "throwing", "generic", "operator", "default", "nested", "table",
            "states", "inout", "variadic", "built", "deferred",
        ],
        cells: [
            Cell(
                "function", "its body", [("\"plain v1\"", "\"plain v2\"")], .applied, ["plain": "plain v2"],
                listed: ["Subject.plain() -> Swift.String"]),
            Cell("function", "a comment above", [("func plain()", "// It answers.\n\nfunc plain()")], .nothing),
            Cell(
                "function that checks, with the line in its message", "a comment above",
                [("func checked", "// It checks.\n\nfunc checked")], .applied, listed: []),
            Cell(
                "function", "another one is added, and called",
                [("{ \"plain v1\" }", "{ \"plain \" + more() }\nfunc more() -> String { \"more\" }")], .applied,
                ["plain": "plain more"]),
            Cell(
                "function", "one is added that nobody calls", [("func plain()", "func unused() {}\nfunc plain()")],
                .nothing),
            Cell(
                "function", "removed, with its callers",
                [("private func helper(_ n: Int) -> Int { n * 10 }\n", ""), ("\\(helper(2))", "none")], .applied,
                ["helper": "helper none"]),
            Cell(
                "private function", "renamed, with its callers",
                [("func helper(", "func assistant("), ("\\(helper(2))", "\\(assistant(2))")], .applied),
            Cell(
                "private function", "a parameter is added, with its callers",
                [
                    ("func helper(_ n: Int) -> Int { n * 10 }", "func helper(_ n: Int, by k: Int) -> Int { n * k }"),
                    ("helper(2)", "helper(2, by: 7)"),
                ],
                .applied, ["helper": "helper 14"]),
            Cell(
                "function", "another type of result, with its callers",
                [("func helper(_ n: Int) -> Int { n * 10 }", "func helper(_ n: Int) -> String { \"<\\(n)>\" }")],
                .applied, ["helper": "helper <2>"]),
            Cell(
                "function", "made async, with its callers",
                [
                    (
                        "func helper(_ n: Int) -> Int { n * 10 }",
                        "func helper(_ n: Int) async -> Int { await first() + n }"
                    ), ("\\(helper(2))", "\\(await helper(2))"),
                ],
                .applied, ["helper": "helper 3"]),
            Cell(
                "function", "made throwing, with its callers",
                [
                    ("func helper(_ n: Int) -> Int { n * 10 }", "func helper(_ n: Int) throws -> Int { try check(n) }"),
                    ("helper(2)", "(try? helper(2)) ?? 0"),
                ],
                .applied, ["helper": "helper 2"]),
            Cell(
                "function", "an attribute: @discardableResult", [("func plain()", "@discardableResult func plain()")],
                .nothing),
            Cell(
                "function", "an attribute: @inline(never)", [("func plain()", "@inline(never) func plain()")], .nothing),
            Cell(
                "async function", "its body", [("return \"later \\(one)", "return \"sooner \\(one)")], .applied,
                ["async": "sooner 1 2"]),
            Cell(
                "async function", "a value more that it keeps over an await",
                [
                    (
                        "return \"later \\(one) \\(await second())\"",
                        "let two = await second(), three = await first() + two\n    return \"later \\(one) \\(two) \\(three) \\(await second())\""
                    )
                ],
                .applied, ["async": "later 1 2 3 2"]),
            Cell(
                "async function", "an await less", [("let one = await first()", "let one = 7")], .applied,
                ["async": "later 7 2"]),
            Cell(
                "throwing function", "its body", [("\"too much\"", "\"too many\"")], .applied,
                ["throwing": "caught too many"]),
            Cell(
                "function that catches", "its body", [("\"caught \\(error.text)\"", "\"got \\(error.text)\"")],
                .applied, ["throwing": "got too much"]),
            Cell(
                "generic function", "its body", [("[value, value]", "[value, value, value]")], .applied,
                ["generic": "[4, 4, 4] [\"ab\", \"ab\", \"ab\"]"]),
            Cell(
                "operator", "its body", [("{ left + right }", "{ left * right }")], .applied, ["operator": "operator 6"]
            ),
            Cell("default argument", "its value", [("= \"you\"", "= \"world\"")], .applied, ["default": "hello world"]),
            Cell("nested function", "its body", [("{ m + n }", "{ m * 10 + n }")], .applied, ["nested": "nested 51"]),
            Cell(
                "nested function", "it captures more",
                [
                    (
                        "func inner(_ m: Int) -> Int { m + n }",
                        "let k = n + 100\n    func inner(_ m: Int) -> Int { m + n + k }"
                    )
                ],
                .applied, ["nested": "nested 107"], note: "captures otherwise than before"),
            Cell(
                "switch with a table of jumps", "a value of it", [("return 77", "return 78")], .applied,
                ["table": "10 33 2 78 5 0"]),
            Cell(
                "switch with a table of jumps", "a case more",
                [("default: return 0", "case 5: return 55\n    default: return 0")], .applied,
                ["table": "10 33 2 77 5 55"]),
            Cell(
                "switch over an enum", "a case of it", [("\"[busy \\(n)]\"", "\"[at work \\(n)]\"")], .applied,
                ["states": "[at work 3][idle][done x]"]),
            Cell("inout argument", "the body", [("n += 1 }", "n += 5 }")], .applied, ["inout": "inout 6"]),
            Cell(
                "variadic function", "its body", [("numbers.reduce(0, +)", "numbers.reduce(1, *)")], .applied,
                ["variadic": "6"]),
            Cell(
                "result builder", "its buildBlock", [("separator: \"/\"", "separator: \"|\"")], .applied,
                ["built": "a|b"]),
            Cell(
                "function of a result builder", "a part more", [("    \"b\"", "    \"b\"\n    \"c\"")], .applied,
                ["built": "a/b/c"]),
            Cell(
                "defer", "its body", [("text += \" v1\"", "text += \" v2\"")], .applied, ["deferred": "deferred end v2"]
            ),
        ],
        sequences: [
            EditSequence(
                name: "a function is removed, and comes back otherwise",
                steps: [
                    (
                        [("private func helper(_ n: Int) -> Int { n * 10 }\n", ""), ("\\(helper(2))", "none")],
                        ["helper": "helper none"]
                    ),
                    (
                        [
                            (
                                "func first() async",
                                "private func helper(_ n: Int) -> Int { n * 20 }\nfunc first() async"
                            ),
                            ("\"helper none\"", "\"helper \\(helper(2))\""),
                        ], ["helper": "helper 40"]
                    ), ([("n * 20", "n * 30")], ["helper": "helper 60"]),
                ]),
            EditSequence(
                name: "an async function is added, and keeps more over its awaits with each edit",
                steps: [
                    (
                        [
                            (
                                "return \"later \\(one) \\(await second())\"",
                                "return \"later \\(one) \\(await added(one))\""
                            ), ("struct Wrong", "func added(_ n: Int) async -> Int { n + 1 }\nstruct Wrong"),
                        ], [:]
                    ),
                    (
                        [
                            (
                                "{ n + 1 }",
                                "{\n    let two = await second(), three = await first() + two\n    return await first() + n + two + three\n}"
                            )
                        ], ["async": "later 1 7"]
                    ),
                    (
                        [
                            (
                                "return await first() + n + two + three",
                                "let all = [n, two, three, await first()], sum = all.reduce(0, +)\n    return await second() + sum + all.count"
                            )
                        ], ["async": "later 1 13"]
                    ),
                    ([("+ all.count", "- all.count")], ["async": "later 1 5"]),
                    (
                        [
                            (
                                "let two = await second(), three = await first() + two\n    let all = [n, two, three, await first()], sum = all.reduce(0, +)\n    return await second() + sum - all.count",
                                "n"
                            )
                        ], ["async": "later 1 1"]
                    ),
                ]),
            EditSequence(
                name: "a function is added, removed, comes back without a caller, and gets one",
                steps: [
                    (
                        [("{ \"plain v1\" }", "{ more() }\nfunc more() -> String { \"more 1\" }")], ["plain": "more 1"]
                    ),
                    ([("{ more() }\nfunc more() -> String { \"more 1\" }", "{ \"plain v3\" }")], ["plain": "plain v3"]),
                    ([("func greeting", "func more() -> String { \"more 2\" }\nfunc greeting")], [:]),
                    ([("\"hello \\(name)\"", "\"hi \\(name)\"")], ["default": "hi you"]),
                    ([("\"plain v3\"", "more()")], ["plain": "more 2"]),
                ]),
        ])
}
