private let makeRoutes =
    "Subject.makeRoutes(prefix: Swift.String) -> Swift.Array<(Swift.String, @Sendable (Swift.Int) async -> Swift.String)>"

extension Subject {
    /// Closures: stored, passed, escaping, async, in initialisers.
    static let closures = Subject(
        name: "closures in Swift", language: .swift,
        source: #"""
            typealias Route = @Sendable (Int) async -> String
            nonisolated(unsafe) var state = 0
            let routes = makeRoutes(prefix: "/")
            nonisolated(unsafe) var hooks: [(Int) -> Int] = [{ $0 + 1 }, { $0 * 2 }]
            nonisolated(unsafe) let adder = makeAdder(5)

            func answer(_ question: String) async -> String {
                state += 1
                switch question {
                case "hello": return await route("hello")
                case "count": return await route("count")
                case "page": return await route("page")
                case "hooks": return hooks.map { "\($0(10))" }.joined(separator: " ")
                case "adder": return "\(adder(1))"
                case "passed": return "\([1, 2, 3].map { $0 * 3 })"
                case "deep": return deep()(2)
                case "escaping": return run { n in "escaping v1 \(n)" }
                case "autoclosure": return lazily("auto" + "closure")
                case "captures": return captures()
                case "inner": return inner()
                default: return "?"
                }
            }

            func route(_ name: String) async -> String { await routes.first { $0.0 == name }?.1(7) ?? "none" }

            func makeRoutes(prefix: String) -> [(String, Route)] {
                var routes: [(String, Route)] = []
                routes.append(("hello", { n in "hello v1" }))
                routes.append(("count", { n in "count v1 \(await later(n))" }))
                routes.append(("page", { n in "page v1 \(prefix)\(n)" }))
                return routes
            }
            func later(_ n: Int) async -> Int { n + 1 }
            func makeAdder(_ k: Int) -> (Int) -> Int { { n in n + k } }
            func deep() -> (Int) -> String { { n in { m in "deep \(m * n)" }(n + 1) } }
            func run(_ body: @escaping (Int) -> String) -> String { body(3) }
            func lazily(_ text: @autoclosure () -> String) -> String { "[" + text() + "]" }
            func inner() -> String {
                let (one, two) = (1, 20)
                let adding = { (n: Int) -> () -> Int in { n + one } }
                return "inner \(adding(5)()) \(two)"
            }
            func captures() -> String {
                var count = 0
                let step = { count += 1 }
                step()
                step()
                return "captures \(count)"
            }
            """#,
        questions: [
            "hello", "count", "page", "hooks", "adder", "passed", "deep", "escaping", "autoclosure", "captures",
            "inner",
        ],
        cells: [
            Cell("stored closure", "its body", [("hello v1", "hello v2")], .applied, ["hello": "hello v2"]),
            Cell("stored async closure", "its body", [("count v1", "count v2")], .applied, ["count": "count v2 8"]),
            Cell(
                "stored async closure", "an await more",
                [("\\(await later(n))", "\\(await later(n)) \\(await later(n + 1))")], .applied,
                ["count": "count v1 8 9"]),
            Cell(
                "stored closure that captures", "its body", [("page v1", "page v2")], .applied, ["page": "page v2 /7"]),
            Cell("closure that a function returns", "its body", [("n + k }", "n * k }")], .applied, ["adder": "5"]),
            Cell(
                "stored closures", "one is inserted above",
                [
                    (
                        "    routes.append((\"hello\"",
                        "    routes.append((\"new\", { n in \"new\" }))\n    routes.append((\"hello\""
                    )
                ],
                .applied, listed: [makeRoutes]),
            Cell(
                "stored closures", "one is inserted above, and another is edited",
                [
                    (
                        "    routes.append((\"hello\"",
                        "    routes.append((\"new\", { n in \"new\" }))\n    routes.append((\"hello\""
                    ), ("page v1", "page v3"),
                ],
                .applied, ["page": "page v3 /7"]),
            Cell(
                "stored closures", "two are swapped",
                [
                    (
                        "routes.append((\"hello\", { n in \"hello v1\" }))\n    routes.append((\"count\", { n in \"count v1 \\(await later(n))\" }))",
                        "routes.append((\"count\", { n in \"count v1 \\(await later(n))\" }))\n    routes.append((\"hello\", { n in \"hello v1\" }))"
                    )
                ], .applied),
            Cell(
                "stored closures", "one is removed", [("    routes.append((\"hello\", { n in \"hello v1\" }))\n", "")],
                .applied,
                note: "kept as it was where it is stored"),
            Cell(
                "stored closure", "it captures more", [("{ n in \"hello v1\" }", "{ n in \"hello \\(prefix)\" }")],
                .applied,
                note: "kept as it was where it is stored"),
            Cell(
                "stored closure in the initialiser of a global", "its body", [("{ $0 * 2 }", "{ $0 * 3 }")], .applied,
                ["hooks": "11 30"]),
            Cell(
                "stored closures in the initialiser of a global", "the bodies of two",
                [("{ $0 + 1 }", "{ $0 + 4 }"), ("{ $0 * 2 }", "{ $0 * 4 }")], .applied, ["hooks": "14 40"]),
            Cell(
                "closure that is passed", "its body", [("{ $0 * 3 }", "{ $0 * 4 }")], .applied, ["passed": "[4, 8, 12]"]
            ),
            Cell(
                "closure in a closure", "its body", [("\"deep \\(m * n)\"", "\"deeper \\(m * n)\"")], .applied,
                ["deep": "deeper 6"]),
            Cell(
                "closure in a closure that is called where it is made", "it captures more",
                [("{ n + one }", "{ n + one + two }")],
                .applied, ["inner": "inner 26 20"], note: "closure #1 in closure #1 in inner now captures two"),
            Cell(
                "closure in a closure that is called where it is made", "what is captured has another name",
                [("let (one, two)", "let (first, two)"), ("{ n + one }", "{ n + first }")], .nothing),
            Cell(
                "escaping closure", "its body", [("escaping v1", "escaping v2")], .applied,
                ["escaping": "escaping v2 3"]),
            Cell(
                "autoclosure", "its body", [("\"auto\" + \"closure\"", "\"auto\" + \"matic\"")], .applied,
                ["autoclosure": "[automatic]"]),
            Cell(
                "closure that changes what it captures", "its body", [("{ count += 1 }", "{ count += 10 }")], .applied,
                ["captures": "captures 20"]),
        ],
        sequences: [
            EditSequence(
                name: "a closure that nothing makes is inserted above another, which is edited then",
                steps: [
                    ([("[{ $0 + 1 }, ", "[{ $0 + 1 }, { $0 - 7 }, "), ("n + k }", "n * k }")], ["adder": "5"]),
                    ([("{ $0 * 2 }", "{ $0 * 5 }")], ["hooks": "11 50"]),
                    ([("{ $0 - 7 }, ", ""), ("{ $0 * 3 }", "{ $0 * 4 }")], ["passed": "[4, 8, 12]"]),
                ]),
            EditSequence(
                name: "routes are inserted, edited and removed",
                steps: [
                    (
                        [
                            (
                                "    routes.append((\"hello\"",
                                "    routes.append((\"new\", { n in \"new\" }))\n    routes.append((\"hello\""
                            )
                        ], [:]
                    ),
                    ([("hello v1", "hello v2"), ("page v1", "page v2")], ["hello": "hello v2", "page": "page v2 /7"]),
                    ([("    routes.append((\"new\", { n in \"new\" }))\n", "")], [:]),
                    ([("count v1", "count v2")], ["count": "count v2 8"]),
                ]),
        ])
}
