extension Subject {
    /// Globals and static properties.
    static let values = Subject(
        name: "values in Swift", language: .swift,
        source: #"""
            nonisolated(unsafe) var state = 0
            let limit = 20
            let title = "title v1"
            nonisolated(unsafe) var counter = 5
            nonisolated(unsafe) var name = "name v1"
            let table = [1, 2, 3]
            let computed = makeNumber()
            enum Limits {
                static let pageSize = 20
                static let ratio = 0.5
                static nonisolated(unsafe) var current = 7
                static let words = ["one", "two"]
                static var size: Int { pageSize * 2 }
            }
            func makeNumber() -> Int { 42 }
            func total() -> Int { limit + Limits.pageSize }

            func answer(_ question: String) async -> String {
                state += 1
                switch question {
                case "let": return "\(limit)"
                case "text": return title
                case "var": return "\(counter) \(name)"
                case "array": return "\(table)"
                case "computed": return "\(computed)"
                case "static": return "\(Limits.pageSize) \(Limits.ratio)"
                case "static var": return "\(Limits.current)"
                case "static array": return "\(Limits.words)"
                case "readers": return "\(total()) \(Limits.size)"
                case "literal": return "\(0x10) \(2.5) \("\u{e9}") \(-1)"
                case "long": return "a text that is longer than what fits into a small string: v1"
                default: return "?"
                }
            }
            """#,
        questions: [
            "let", "text", "var", "array", "computed", "static", "static var", "static array", "readers", "literal",
            "long",
        ],
        cells: [
            Cell(
                "global let", "its value", [("let limit = 20", "let limit = 50")], .applied,
                ["let": "50", "readers": "70 40"]),
            Cell(
                "static let", "its value", [("pageSize = 20", "pageSize = 60")], .applied,
                ["static": "60 0.5", "readers": "80 120"]),
            Cell("static let", "a Double", [("ratio = 0.5", "ratio = 0.25")], .applied, ["static": "20 0.25"]),
            Cell(
                "global var", "what it begins with", [("counter = 5", "counter = 6")], .nothing,
                note: "its value is kept"),
            Cell(
                "static var", "what it begins with", [("current = 7", "current = 8")], .nothing,
                note: "its value is kept"),
            Cell(
                "global let that holds a text", "its value", [("\"title v1\"", "\"title v2\"")], .applied,
                ["text": "title v2"]),
            Cell("global let that holds an array", "its value", [("[1, 2, 3]", "[1, 2, 4]")], .nothing, note: "table"),
            Cell(
                "static let that holds an array", "its value", [("[\"one\", \"two\"]", "[\"one\", \"three\"]")],
                .nothing, note: "words"),
            Cell(
                "global let", "what computes it", [("makeNumber() -> Int { 42 }", "makeNumber() -> Int { 43 }")],
                .applied),
            Cell(
                "global let", "one is added, and read",
                [
                    ("let limit = 20", "let limit = 20\nlet other = 33"),
                    ("return \"\\(limit)\"", "return \"\\(limit + other)\""),
                ], .applied, ["let": "53"]),
            Cell(
                "global var", "one is added, and used",
                [
                    ("let limit = 20", "let limit = 20\nnonisolated(unsafe) var other = 3"),
                    ("return \"\\(limit)\"", "other += 1\n        return \"\\(limit + other - other)\""),
                ], .applied),
            Cell(
                "global let", "another type",
                [("let limit = 20", "let limit: Int32 = 20"), ("limit + Limits", "Int(limit) + Limits")], .applied),
            Cell(
                "literals", "numbers", [("\\(0x10) \\(2.5)", "\\(0x20) \\(3.5)")], .applied, ["literal": "32 3.5 é -1"]),
            Cell(
                "literals", "a long text", [("small string: v1", "small string: version 2")], .applied,
                ["long": "a text that is longer than what fits into a small string: version 2"]),
            Cell(
                "literals", "a text that is not ASCII", [("\\(\"\\u{e9}\")", "\\(\"\\u{fc}\")")], .applied,
                ["literal": "16 2.5 ü -1"]),
        ])
}
