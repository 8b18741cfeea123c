extension Subject {
    /// Members of structs, classes and actors.
    static let methods = Subject(
        name: "members in Swift", language: .swift,
        source: #"""
            nonisolated(unsafe) var state = 0
            nonisolated(unsafe) var point = Point()
            nonisolated(unsafe) var dog: Animal = Dog()
            nonisolated(unsafe) var gone = ""
            let bank = Bank()

            func answer(_ question: String) async -> String {
                state += 1
                switch question {
                case "method": return "\(point.scaled())"
                case "mutating":
                    var copy = point
                    return "\(copy.move()) \(copy.x)"
                case "static": return Point.origin()
                case "private": return point.callsHidden()
                case "computed": return "\(point.computed)"
                case "observed":
                    var copy = point
                    copy.observed = 5
                    return copy.log
                case "subscript": return "\(point[3])"
                case "init": return "\(Point(at: 4).x)"
                case "deinit":
                    _ = Resource()
                    return gone
                case "lazy":
                    var copy = Point()
                    return "\(copy.late)"
                case "actor": return await bank.describe()
                case "virtual": return dog.speak() + " " + dog.walk()
                case "inherited": return dog.swim()
                case "class func": return Dog.kind()
                case "wrapped":
                    var settings = Settings()
                    settings.volume = 500
                    return "\(settings.volume)"
                case "extension": return 21.doubled
                case "keypath": return "\(point[keyPath: \Point.computed])"
                case "setter":
                    var copy = point
                    copy.halves = 8
                    return "\(copy.x)"
                case "final": return Tool().use()
                case "in place":
                    var row = Row()
                    row[0] += 5
                    row.last += 1
                    return "\(row.cells)"
                default: return "?"
                }
            }

            struct Point {
                var x = 2
                var log = ""
                init() {}
                init(at place: Int) { x = place }
                func scaled() -> Int { x * 10 }
                mutating func move() -> Int {
                    x += 1
                    return x
                }
                static func origin() -> String { "origin v1" }
                private func hidden() -> String { "hidden v1" }
                func callsHidden() -> String { hidden() }
                var computed: Int { x + 100 }
                var observed: Int = 0 { didSet { log = "observed v1 \(observed)" } }
                subscript(index: Int) -> Int { x + index }
                lazy var late: Int = x * 7
                var halves: Int {
                    get { x / 2 }
                    set { x = newValue * 2 }
                }
            }
            struct Row {
                var cells = [1, 2]
                subscript(index: Int) -> Int {
                    _read { yield cells[index] }
                    _modify { yield &cells[index] }
                }
                var last: Int {
                    _read { yield cells[1] }
                    _modify { yield &cells[1] }
                }
            }
            final class Resource { deinit { gone = "gone v1" } }
            actor Bank {
                private var sum = 40
                private func interest() -> Int { sum / 10 }
                func describe() -> String { "sum \(sum + interest())" }
            }
            class Animal {
                func speak() -> String { "..." }
                func walk() -> String { "walks" }
                func swim() -> String { "swims" }
                class func kind() -> String { "animal" }
            }
            class Dog: Animal {
                override func speak() -> String { "woof" }
                override class func kind() -> String { "dog" }
            }
            final class Tool {
                private func sharpen() -> String { "sharp" }
                func use() -> String { sharpen() + " tool" }
            }
            @propertyWrapper struct Limited {
                private var value = 0
                var wrappedValue: Int {
                    get { value }
                    set { value = min(newValue, 100) }
                }
            }
            struct Settings { @Limited var volume: Int }
            extension Int { var doubled: String { "\(self * 2)" } }
            """#,
        questions: [
            "method", "mutating", "static", "private", "computed", "observed", "subscript", "init", "deinit", "lazy",
            "actor", "virtual", "inherited", "class func", "wrapped", "extension", "keypath", "setter", "final",
            "in place",
        ],
        cells: [
            Cell("method of a struct", "its body", [("{ x * 10 }", "{ x * 11 }")], .applied, ["method": "22"]),
            Cell(
                "method of a struct", "made mutating, with its caller",
                [("func scaled() -> Int { x * 10 }", "mutating func scaled() -> Int { x += 0; return x * 11 }")],
                .applied, ["method": "22"], note: "is now mutating"),
            Cell(
                "method of a struct", "another one is added, and called",
                [
                    (
                        "func scaled() -> Int { x * 10 }",
                        "func scaled() -> Int { more() }\n    func more() -> Int { x * 12 }"
                    )
                ],
                .applied, ["method": "24"]),
            Cell(
                "mutating method", "its body", [("x += 1\n        return x", "x += 2\n        return x")], .applied,
                ["mutating": "4 4"]),
            Cell("static method", "its body", [("origin v1", "origin v2")], .applied, ["static": "origin v2"]),
            Cell("private method", "its body", [("hidden v1", "hidden v2")], .applied, ["private": "hidden v2"]),
            Cell(
                "private method", "its signature, with its caller",
                [
                    (
                        "func hidden() -> String { \"hidden v1\" }",
                        "func hidden(_ n: Int) -> String { \"hidden \\(n)\" }"
                    ), ("{ hidden() }", "{ hidden(9) }"),
                ],
                .applied, ["private": "hidden 9"]),
            Cell(
                "computed property", "its body", [("{ x + 100 }", "{ x + 200 }")], .applied,
                ["computed": "202", "keypath": "202"]),
            Cell(
                "observed property", "its didSet", [("observed v1", "observed v2")], .applied,
                ["observed": "observed v2 5"]),
            Cell(
                "property with a setter", "its setter", [("x = newValue * 2", "x = newValue * 3")], .applied,
                ["setter": "24"]),
            Cell("subscript", "its body", [("{ x + index }", "{ x * index }")], .applied, ["subscript": "6"]),
            Cell(
                "subscript that is changed in place", "its body",
                [
                    (
                        "_modify { yield &cells[index] }",
                        "_modify {\n            yield &cells[index]\n            cells[index] *= 2\n        }"
                    )
                ],
                .applied, ["in place": "[12, 3]"]),
            Cell(
                "subscript that is changed in place", "a getter and a setter instead",
                [
                    ("_read { yield cells[index] }", "get { cells[index] }"),
                    ("_modify { yield &cells[index] }", "set { cells[index] = newValue * 3 }"),
                ], .applied, ["in place": "[18, 3]"]),
            Cell(
                "property that is changed in place", "a getter and a setter instead",
                [
                    ("_read { yield cells[1] }", "get { cells[1] }"),
                    ("_modify { yield &cells[1] }", "set { cells[1] = newValue * 3 }"),
                ], .applied, ["in place": "[6, 9]"]),
            Cell("init", "its body", [("x = place }", "x = place * 3 }")], .applied, ["init": "12"]),
            Cell("deinit", "its body", [("gone v1", "gone v2")], .applied, ["deinit": "gone v2"]),
            Cell(
                "lazy property", "what it is initialised with", [("late: Int = x * 7", "late: Int = x * 8")], .applied,
                ["lazy": "16"]),
            Cell(
                "stored property", "what it is initialised with",
                [("struct Point {\n    var x = 2", "struct Point {\n    var x = 3")], .applied, ["lazy": "21"]),
            Cell("method of an actor", "its body", [("\"sum \\(", "\"total \\(")], .applied, ["actor": "total 44"]),
            Cell("private method of an actor", "its body", [("sum / 10", "sum / 4")], .applied, ["actor": "sum 50"]),
            Cell(
                "actor", "a private method is added, and called",
                [
                    (
                        "private func interest() -> Int { sum / 10 }",
                        "private func bonus() -> Int { 3 }\n    private func interest() -> Int { sum / 10 + bonus() }"
                    )
                ],
                .refused("method 'bonus()' added to the vtable")),
            Cell(
                "actor", "a final method is added, and called",
                [
                    (
                        "private func interest() -> Int { sum / 10 }",
                        "final func bonus() -> Int { 3 }\n    private func interest() -> Int { sum / 10 + bonus() }"
                    )
                ],
                .applied, ["actor": "sum 47"]),
            Cell("method of a class", "its body", [("\"swims\"", "\"dives\"")], .applied, ["inherited": "dives"]),
            Cell("override", "its body", [("\"woof\"", "\"wau\"")], .applied, ["virtual": "wau walks"]),
            Cell("class method", "its body", [("{ \"dog\" }", "{ \"hound\" }")], .applied, ["class func": "hound"]),
            Cell(
                "class", "an override is added",
                [("override func speak()", "override func walk() -> String { \"runs\" }\n    override func speak()")],
                .applied, ["virtual": "woof runs"], note: "override of method 'walk()' added"),
            Cell(
                "class", "a method is added", [("func swim()", "func fly() -> String { \"flies\" }\n    func swim()")],
                .refused("method 'fly()' added to the vtable; mark it final or put it into an extension")),
            Cell(
                "class", "a method is added in an extension, and called",
                [
                    ("{ \"swims\" }", "{ fly() }"),
                    ("class Dog:", "extension Animal { func fly() -> String { \"flies\" } }\nclass Dog:"),
                ],
                .applied, ["inherited": "flies"]),
            Cell(
                "final class", "a private method is added, and called",
                [
                    ("{ sharpen() + ", "{ oil() + sharpen() + "),
                    ("private func sharpen", "private func oil() -> String { \"oiled \" }\n    private func sharpen"),
                ],
                .applied, ["final": "oiled sharp tool"]),
            Cell(
                "property wrapper", "its setter", [("min(newValue, 100)", "min(newValue, 200)")], .applied,
                ["wrapped": "200"]),
            Cell(
                "extension of a type of another module", "its body", [("self * 2", "self * 4")], .applied,
                ["extension": "84"]),
        ])
}
