extension Subject {
    /// Protocols, what conforms to them, and what the compiler writes by itself.
    static let conformances = Subject(
        name: "protocols in Swift", language: .swift,
        source: #"""
            #if canImport(Synchronization)
                import Synchronization
            #endif
            nonisolated(unsafe) var state = 0
            nonisolated(unsafe) let shapes: [any Shape] = [Square(side: 3), Circle()]

            func answer(_ question: String) async -> String {
                state += 1
                switch question {
                case "witness": return shapes.map { "\($0.area())" }.joined(separator: " ")
                case "extension": return shapes.map { $0.doubled() }.joined(separator: " ")
                case "default": return shapes.map { $0.name() }.joined(separator: " ")
                case "description": return "\(Square(side: 2))"
                case "equal": return "\(Pair(a: 1, b: 2) == Pair(a: 1, b: 3)) \(Set([Pair(a: 1, b: 2), Pair(a: 1, b: 2)]).count)"
                case "compare": return "\(Version(number: 1) < Version(number: 2))"
                case "sequence": return "\(Array(Countdown(from: 3)))"
                case "cast": return cast(Plain())
                case "error": return failure()
                case "coded": return Mirror(reflecting: Coded.CodingKeys.name).description + Coded.CodingKeys.name.stringValue
                case "locked": return locked()
                default: return "?"
                }
            }

            protocol Shape {
                func area() -> Int
                func name() -> String
            }
            extension Shape {
                func doubled() -> String { "\(area() * 2)" }
                func name() -> String { "shape" }
            }
            struct Square: Shape, CustomStringConvertible {
                var side: Int
                func area() -> Int { side * side }
                var description: String { "square of \(side)" }
            }
            struct Circle: Shape {
                func area() -> Int { 3 }
                func name() -> String { "circle" }
            }
            struct Pair: Hashable {
                var a: Int
                var b: Int
            }
            struct Version: Comparable {
                var number: Int
                static func < (left: Version, right: Version) -> Bool { left.number < right.number }
            }
            struct Countdown: Sequence, IteratorProtocol {
                var from: Int
                mutating func next() -> Int? {
                    guard from > 0 else { return nil }
                    from -= 1
                    return from
                }
            }
            private protocol Label { func text() -> String }
            private struct Plain: Label { func text() -> String { "plain" } }
            private func cast(_ value: Any) -> String { (value as? any Label)?.text() ?? "no label" }
            enum Failure: Error { case wrong(Int) }
            func failure() -> String {
                do { throw Failure.wrong(3) } catch { return "\(error)" }
            }
            struct Coded: Codable {
                enum CodingKeys: String, CodingKey { case name = "title" }
                var name = "x"
            }
            func locked() -> String { "no lock" }
            """#,
        questions: [
            "witness", "extension", "default", "description", "equal", "compare", "sequence", "cast", "error", "coded",
            "locked",
        ],
        cells: [
            Cell(
                "witness", "its body", [("{ side * side }", "{ side * side * 10 }")], .applied,
                ["witness": "90 3", "extension": "180 6"]),
            Cell(
                "method of a protocol's extension", "its body", [("\"\\(area() * 2)\"", "\"2x\\(area())\"")], .applied,
                ["extension": "2x9 2x3"]),
            Cell(
                "default implementation", "its body", [("{ \"shape\" }", "{ \"a shape\" }")], .applied,
                ["default": "a shape circle"]),
            Cell(
                "protocol", "a requirement is added",
                [
                    ("func area() -> Int\n", "func area() -> Int\n    func sides() -> Int\n"),
                    (
                        "func name() -> String { \"shape\" }",
                        "func name() -> String { \"shape\" }\n    func sides() -> Int { 0 }"
                    ),
                ], .refused("Shape: requirement method 'sides()' added")),
            Cell(
                "protocol", "a requirement is removed",
                [("    func area() -> Int\n    func name() -> String\n}", "    func area() -> Int\n}")],
                .refused("Shape: requirement method 'name()' removed")),
            Cell(
                "conformance", "a witness instead of the default",
                [("func area() -> Int { 3 }", "func area() -> Int { 3 }\n    func doubled() -> String { \"own\" }")],
                .nothing),
            Cell(
                "conformance", "the default instead of a witness", [("    func name() -> String { \"circle\" }\n", "")],
                .applied, ["default": "shape shape"]),
            Cell(
                "description", "its body", [("\"square of \\(side)\"", "\"a square, \\(side) wide\"")], .applied,
                ["description": "a square, 2 wide"]),
            Cell(
                "Hashable that the compiler writes", "its own instead",
                [
                    (
                        "var b: Int\n}",
                        "var b: Int\n    static func == (left: Pair, right: Pair) -> Bool { left.a == right.a }\n}"
                    )
                ], .applied, ["equal": "true 1"]),
            Cell(
                "Comparable", "its body", [("{ left.number < right.number }", "{ left.number > right.number }")],
                .applied, ["compare": "false"]),
            Cell(
                "Sequence", "its iterator's body", [("return from\n", "return from * 2\n")], .applied,
                ["sequence": "[4, 2, 0]"]),
            Cell(
                "conformance", "removed",
                [("struct Square: Shape, CustomStringConvertible {", "struct Square: Shape {")], .applied,
                note: "the conformance is gone"),
            Cell(
                "private conformance", "its witness's body", [("{ \"plain\" }", "{ \"plainer\" }")], .applied,
                ["cast": "plainer"]),
            Cell(
                "private conformance", "a new one, cast to",
                [
                    ("cast(Plain())", "cast(Plain()) + cast(Bold())"),
                    (
                        "private func cast",
                        "private struct Bold: Label { func text() -> String { \"bold\" } }\nprivate func cast"
                    ),
                ], .applied, ["cast": "plainbold"]),
            Cell(
                "error", "what is thrown", [("Failure.wrong(3)", "Failure.wrong(4)")], .applied, ["error": "wrong(4)"]),
            Cell(
                "Codable that the compiler writes", "another key",
                [("case name = \"title\"", "case name = \"heading\"")], .applied,
                ["coded": "Mirror for CodingKeysheading"]),
            Cell(
                "Codable that the compiler writes", "a stored property is added",
                [
                    ("var name = \"x\"", "var name = \"x\"\n    var size = 1"),
                    ("case name = \"title\"", "case name = \"title\", size"),
                ], .refused("Coded: stored property 'size: Int' added")),
            Cell(
                "Codable", "a new type, used",
                [
                    (
                        "{ \"no lock\" }",
                        "{ New.CodingKeys.size.stringValue }\nstruct New: Codable { var size = 1; enum CodingKeys: String, CodingKey { case size = \"extent\" } }"
                    )
                ], .applied, ["locked": "extent"]),
            Cell(
                "function", "begins to use a Mutex",
                [("{ \"no lock\" }", "{ Mutex(5).withLock { \"locked \\($0)\" } }")],
                .applied, ["locked": "locked 5"]),
        ])
}
