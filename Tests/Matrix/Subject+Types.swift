extension Subject {
    /// What types are made of.
    static let types = Subject(
        name: "types in Swift", language: .swift,
        source: #"""
            nonisolated(unsafe) var state = 0
            nonisolated(unsafe) var point: Any = Point()
            nonisolated(unsafe) var node = Node()

            func answer(_ question: String) async -> String {
                state += 1
                switch question {
                case "struct": return "\(Point())"
                case "class": return "\(node.value) \(node.next == nil)"
                case "enum": return "\(Way.left) \(Way.allCases.count) \(Way.right.rawValue)"
                case "payload": return text(of: .some(1))
                case "mirror": return Mirror(reflecting: point).children.compactMap(\.label).joined(separator: ",")
                case "generic": return "\(Box(value: 1).described) \(Box(value: "a").described)"
                case "opaque": return "\(shape())"
                case "opaque property": return "\(Point().shown) \(Point()[2])"
                case "opaque witness": return text(of: Page())
                case "new": return extra()
                case "private": return "\(Secret(key: 3).open())"
                case "is": return "\(point is any Marked)"
                default: return "?"
                }
            }

            struct Point {
                var x = 1
                var y = 2
            }
            class Base {}
            class Other {}
            class Node: Base {
                var value = 4
                var next: Node?
            }
            enum Way: Int, CaseIterable { case left, right }
            enum Payload { case none, some(Int) }
            func text(of payload: Payload) -> String {
                switch payload {
                case .none: return "none"
                case .some(let n): return "some \(n)"
                }
            }
            protocol Marked {}
            struct Box<T> {
                var value: T
                var described: String { "box \(value)" }
            }
            func shape() -> some CustomStringConvertible { 42 }
            extension Point {
                var shown: some CustomStringConvertible { x }
                subscript(place: Int) -> some CustomStringConvertible { place }
            }
            protocol Shown {
                associatedtype Content: CustomStringConvertible
                var content: Content { get }
            }
            struct Page: Shown { var content: some CustomStringConvertible { 5 } }
            func text<S: Shown>(of shown: S) -> String { "\(shown.content)" }
            func extra() -> String { "nothing" }
            private struct Secret {
                var key: Int
                func open() -> Int { key + 1 }
            }
            """#,
        questions: [
            "struct", "class", "enum", "payload", "mirror", "generic", "opaque", "opaque property", "opaque witness",
            "new", "private", "is",
        ],
        cells: [
            Cell(
                "struct", "a stored property is added", [("var y = 2", "var y = 2\n    var z = 3")],
                .refused("Point: stored property 'z: Int' added: restart needed")),
            Cell(
                "struct", "a stored property is removed", [("    var y = 2\n", "")],
                .refused("Point: stored property 'y: Int' removed: restart needed")),
            Cell(
                "struct", "its stored properties are swapped",
                [("    var x = 1\n    var y = 2", "    var y = 2\n    var x = 1")],
                .refused("Point: stored properties reordered")),
            Cell(
                "struct", "a stored property has another type", [("var y = 2", "var y = 2.0")],
                .refused("Point: stored property 'y' changed its type from 'Int' to 'Double'")),
            Cell(
                "struct", "a stored property is renamed", [("var y = 2", "var z = 2")],
                .refused("Point: stored property 'y' renamed to 'z'")),
            Cell(
                "struct", "a computed property is added, and used",
                [
                    ("var y = 2", "var y = 2\n    var sum: Int { x + y }"),
                    ("return \"\\(Point())\"", "return \"\\(Point().sum)\""),
                ], .applied, ["struct": "3"]),
            Cell(
                "private struct", "a stored property is added",
                [("var key: Int\n", "var key: Int\n    var more = 1\n")],
                .refused("Secret: stored property 'more: Int' added")),
            Cell("private struct", "a method's body", [("key + 1", "key + 2")], .applied, ["private": "5"]),
            Cell(
                "class", "a stored property is added", [("var value = 4", "var value = 4\n    var more = 5")],
                .refused("Node: stored property 'more: Int' added")),
            Cell(
                "class", "another superclass", [("class Node: Base", "class Node: Other")],
                .refused("Node: superclass changed from 'Base' to 'Other'")),
            Cell(
                "enum", "a case is added", [("case left, right", "case left, right, up")],
                .refused("Way: case 'up' added")),
            Cell(
                "enum", "a case is renamed", [("case left, right", "case left, east"), ("Way.right", "Way.east")],
                .refused("Way: case 'right' renamed to 'east'")),
            Cell(
                "enum", "another raw value", [("case left, right", "case left = 5, right")], .applied,
                ["enum": "left 2 6"]),
            Cell(
                "enum with payloads", "another payload", [("case none, some(Int)", "case none, some(Int8)")],
                .refused("Payload: case 'some' has other associated values")),
            Cell(
                "generic struct", "a member's body", [("\"box \\(value)\"", "\"case \\(value)\"")], .applied,
                ["generic": "case 1 case a"]),
            Cell(
                "generic struct", "a parameter is added",
                [
                    ("struct Box<T> {", "struct Box<T, U> {"), ("Box(value: 1)", "Box<Int, Int>(value: 1)"),
                    ("Box(value: \"a\")", "Box<String, Int>(value: \"a\")"),
                ], .refused("Box: generic parameters changed")),
            Cell(
                "opaque result", "another value of the same type",
                [("CustomStringConvertible { 42 }", "CustomStringConvertible { 43 }")], .applied, ["opaque": "43"]),
            Cell(
                "opaque result", "another type",
                [("CustomStringConvertible { 42 }", "CustomStringConvertible { \"a text\" }")],
                .applied, ["opaque": "a text"],
                note: "shape(): underlying type of its opaque result changed from 'Int' to 'String'"),
            Cell(
                "opaque property", "another type",
                [("CustomStringConvertible { x }", "CustomStringConvertible { \"x is \\(x)\" }")],
                .applied, ["opaque property": "x is 1 2"],
                note: "underlying type of its opaque result changed from 'Int' to 'String'"),
            Cell(
                "opaque subscript", "another type",
                [("CustomStringConvertible { place }", "CustomStringConvertible { [place] }")],
                .applied, ["opaque property": "1 [2]"],
                note: "underlying type of its opaque result changed from 'Int' to 'Array<Int>'"
            ),
            Cell(
                "opaque property that is a witness", "another type",
                [("CustomStringConvertible { 5 }", "CustomStringConvertible { \"five\" }")],
                .refused("Page: associated type 'Content' of its conformance to Shown changed from 'Int' to 'String'")),
            Cell(
                "struct", "a new one, used",
                [("{ \"nothing\" }", "{ \"\\(Fresh(a: 1, b: \"x\"))\" }\nstruct Fresh { var a: Int, b: String }")],
                .applied, ["new": "Fresh(a: 1, b: \"x\")"]),
            Cell(
                "class", "a new one, used",
                [
                    (
                        "{ \"nothing\" }",
                        "{ Fresh().text() }\nclass Fresh: Base { var n = 8; func text() -> String { \"fresh \\(n)\" } }"
                    )
                ], .applied, ["new": "fresh 8"]),
            Cell(
                "enum", "a new one, used",
                [("{ \"nothing\" }", "{ \"\\(Fresh.two(2))\" }\nenum Fresh { case one, two(Int) }")], .applied,
                ["new": "two(2)"]),
            Cell(
                "generic struct", "a new one, used",
                [("{ \"nothing\" }", "{ \"\\(Fresh(a: [1]))\" }\nstruct Fresh<A> { var a: A }")], .applied,
                ["new": "Fresh<Array<Int>>(a: [1])"]),
            Cell(
                "actor", "a new one, used",
                [
                    ("return extra()", "return await Fresh().next()"),
                    (
                        "{ \"nothing\" }",
                        "{ \"nothing\" }\nactor Fresh { var n = 1; func next() -> String { n += 1; return \"next \\(n)\" } }"
                    ),
                ], .applied, ["new": "next 2"]),
            Cell(
                "file of types", "a task is begun in it",
                [("return extra()", "return await Task.detached { [node] in \"\\(extra()) \\(node.value)\" }.value")],
                .applied,
                ["new": "nothing 4"]),
            Cell(
                "protocol", "a conformance is added",
                [("protocol Marked {}", "protocol Marked {}\nextension Point: Marked {}")], .applied, ["is": "true"],
                remains: true),
        ],
        sequences: [
            EditSequence(
                name: "a type that an edit has added is reflected and cast by the edits after it",
                steps: [
                    (
                        [
                            (
                                "{ \"nothing\" }",
                                #"""
                                { seen(Fresh()) }
                                struct Fresh { var a = 1, b = "x" }
                                func seen(_ value: Any) -> String {
                                    let parts = Mirror(reflecting: value).children.map { "\($0.label!)=\($0.value)" }
                                    return "\(parts) \(value is Fresh)"
                                }
                                """#
                            ), ("return \"\\(Point())\"", "point = Fresh(a: 5, b: \"kept\"); return \"\\(Point())\""),
                        ], ["new": "[\"a=1\", \"b=x\"] true", "mirror": "a,b"]
                    ),
                    (
                        [
                            ("\\($0.label!)=", "\\($0.label!): "),
                            ("\"\\(point is any Marked)\"", "seen(point)"),
                        ],
                        ["new": "[\"a: 1\", \"b: x\"] true", "is": "[\"a: 5\", \"b: kept\"] true"]
                    ),
                    (
                        [("point = Fresh(a: 5, b: \"kept\")", "point = Point()")],
                        ["mirror": "x,y", "is": "[\"x: 1\", \"y: 2\"] false"]
                    ),
                ])
        ])
}
