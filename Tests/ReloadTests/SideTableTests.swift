import Glibc
import HotpatchExpectations
import HotpatchTestSupport
import Testing

@testable import HotpatchReload

/// Swift files in which stored properties are kept in tables.
@Suite struct SideTableTests {
    private static func outline(_ text: String) throws -> SourceOutline {
        let directory = try TemporaryDirectory("table")
        let (path, output) = (directory.path + "/Shop.swift", directory.path + "/outline.json")
        try BuildPackage.write(text, to: path)
        try runTool(
            "swiftc", "-frontend", "-dump-ast", "-dump-ast-format", "json", "-experimental-skip-all-function-bodies",
            "-suppress-warnings", "-parse-as-library", "-primary-file", path, "-module-name", "Stall", "-o", output)
        return SourceOutline(try JSON(reading: BuildFiles.read(output), depth: 1000))
    }

    /// A source with properties of it in tables: each `Type.name`, in the order of their numbers.
    private static func rewrite(_ text: String, _ names: [String]) throws -> String? {
        let outline = try outline(text)
        let source = SideTableSource(outline: outline, text: Array(text.utf8)) { $0 == "$sSiD" ? "Int" : nil }
        let tables = names.enumerated().compactMap { index, name -> SideTableSource.Table? in
            let parts = name.split(separator: ".").map(String.init)
            let types = outline.classes.keys.filter { $0.contains("\(parts[0].utf8.count)\(parts[0])") }
            return types.first.map { ($0, parts[1], index + 1) }
        }
        guard tables.count == names.count, tables.allSatisfy({ source.property($0.name, of: $0.type) != nil }) else {
            return nil
        }
        return source.rewritten(tables).map { String(decoding: $0, as: UTF8.self) }
    }

    /// What stands in the place of a property that can be written.
    private static func computed(
        _ modifiers: String, _ name: String, _ type: String, _ initial: String, number: Int = 1, canSet: Bool = true
    ) -> String {
        let table = "__hotpatch\(number)_\(name)"
        let setting =
            " set { __hotpatchKeep(newValue, Self.\(table), self) }"
            + " _modify { var __hotpatchNew = __hotpatchTake(Self.\(table), self) ?? self.\(name); "
            + "defer { __hotpatchKeep(__hotpatchNew, Self.\(table), self) }; yield &__hotpatchNew }"
        return "\(modifiers) \(name): \(type) { get { __hotpatchValue(Self.\(table), self) {\(initial) } }"
            + (canSet ? setting : "") + " }; "
            + "private nonisolated(unsafe) static let \(table): __HotpatchTable<\(type)> = __hotpatchTable()"
    }

    private static let drop = "__hotpatchDrop(Self.__hotpatch1_a, self)"
    private static let `deinit` = "deinit { \(drop) }"

    struct Row: Sendable, CustomTestStringConvertible {
        var source: String
        var expected: String
        var line: Int

        init(_ source: String, _ expected: String, line: Int = #line) {
            (self.source, self.expected, self.line) = (source, expected, line)
        }

        var testDescription: String { "line \(line)" }
    }

    @Test(arguments: [
        Row(
            "class Shop { var a: Int = 2 /* = */ }",
            "class Shop { \(computed("final var", "a", "Int", " 2")); \(`deinit`) /* = */ }"),
        Row(
            "final class Shop { private(set) public var a = 2; func b() {} }",
            "final class Shop { \(computed("public private(set) final var", "a", "Int", " 2")); \(`deinit`); func b() {} }"
        ),
        Row(
            "open class Shop { open var a: String? // none\n}",
            "open class Shop { \(computed("public final var", "a", "String?", " nil")); \(`deinit`) // none\n}"),
        Row(
            "actor Shop { let a: Double = 1.5e-3 }",
            "actor Shop { \(computed("final var", "a", "Double", " 1.5e-3", canSet: false)); \(`deinit`) }"),
        // Lines stay where they are.
        Row(
            "class Shop {\n private\n var a:\n [String:\n Int] =\n [\"b\": 1,\n \"c\": 2]\n}",
            "class Shop {\n "
                + computed("private final var", "a", "[String:  Int]", "\n\n\n\n [\"b\": 1,\n \"c\": 2]")
                + "; \(`deinit`)\n}"),
        // A deinitialiser drops the value when it is done.
        Row(
            "class Shop { fileprivate var a: [Int] = []\n deinit /* { */ { print(a) } }",
            "class Shop { " + computed("fileprivate final var", "a", "[Int]", " []")
                + "\n deinit /* { */ { defer { \(drop) }; print(a) } }"),
        // Strings of all kinds end where they end.
        Row(
            ##"class Shop { var a: String = #"\#(1 + (2)) " \(""#; }"##,
            "class Shop { " + computed("final var", "a", "String", ##" #"\#(1 + (2)) " \(""#"##) + "; \(`deinit`); }"),
        Row(
            "class Shop { var a: String = \"\"\"\n \\(\"\\\"}\")\n \"\"\"\n}",
            "class Shop { " + computed("final var", "a", "String", " \"\"\"\n \\(\"\\\"}\")\n \"\"\"")
                + "; \(`deinit`)\n}"),
    ])
    func rewritten(_ row: Row) throws {
        let text = try #require(try Self.rewrite(row.source, ["Shop.a"]), "\(row.line)")
        #expect(
            text.hasPrefix(row.expected + "\nprivate typealias "), "\(row.line): \(text.prefix(row.expected.count))")
    }

    @Test func several() throws {
        let text = try #require(
            try Self.rewrite(
                "enum Shop { class One { var a = 1; var b: Int? }\n private final class Two { var c = 3 } }\n",
                ["One.a", "Two.c", "One.b"]))
        let drops = "__hotpatchDrop(Self.__hotpatch1_a, self); __hotpatchDrop(Self.__hotpatch3_b, self)"
        let one = Self.computed("final var", "a", "Int", " 1")
        let two = Self.computed("final var", "c", "Int", " 3", number: 2)
        let three = Self.computed("final var", "b", "Int?", " nil", number: 3)
        #expect(
            text.hasPrefix(
                "enum Shop { class One { \(one); deinit { \(drops) }; \(three) }\n"
                    + " private final class Two { \(two); deinit { __hotpatchDrop(Self.__hotpatch2_c, self) } } }\n\n"))
    }

    /// Whatever else decides how a property is stored, or when, or where.
    @Test(arguments: [
        "class Shop { var a = 1 { didSet {} } }", "class Shop { lazy var a = 1 }", "class Shop { weak var a: Shop? }",
        "class Shop { unowned var a: Shop; init(_ b: Shop) { a = b } }", "class Shop { static var a = 1 }",
        "class Shop { var a: Int { 1 } }", "class Shop { var a: Int; init() { a = 1 } }",
        "class Shop { let a: Int?; init() { a = 1 } }", "class Shop { var (a, b) = (1, 2) }",
        "class Shop { var a = 1, b = 2 }", "class Shop { @available(*, deprecated) var a = 1 }",
        "class Shop { @MainActor var a = 1 }", "class Shop { nonisolated(unsafe) var a = 1 }",
        "class Shop<Item> { var a = 1 }", "struct Outer<Item> { class Shop { var a = 1 } }",
        "@propertyWrapper struct W { var wrappedValue: Int }\nclass Shop { @W var a = 1 }",
        // Its type is nowhere told.
        "class Shop { var a = \"\" }",
    ])
    func refused(_ source: String) throws {
        try expect(Self.rewrite(source, ["Shop.a"]), equals: nil)
    }

    /// Every method that can be final is, and nothing has another line, or another column behind a line of its own.
    @Test func methods() throws {
        // What it gets stands between signs.
        let marked = """
            open class Shop<Item> {« final» // {
                // A note; { of it.
                func a() {}«; final»
                /* Another */ public class func b() {}
                public static func c() {}
                final func d() {}«; final» /* { */
                var e: Int { 1 }
                var f = 1; lazy var g = 2«; final»
                private subscript(_ h: Int) -> String {
                    get { "" }
                    set {}
                } // end
                @discardableResult @available(*, deprecated)« final»
                public func i() -> Int { 1 }; «final »func j() async throws {}
                open func k() {}
            #if true
                nonisolated «final »func l() {}
            #endif
                init() {}; class Inner {« final»
                func m() {} }
            }
            class Sub: Shop<Int> {
                override func a() {}
                override init() {}«; final»
                class var n: Int { 2 }
            }
            extension Shop { func o() {} }
            actor Clerk {« final» func p() {} }

            """
        let text = marked.split(separator: "«").map { part in
            part.split(separator: "»", maxSplits: 1).last ?? ""
        }.joined()
        let outline = try Self.outline(text)
        let functions = outline.classes.flatMap { type, found in
            found.methods.keys.map { (type: type, name: $0.hasSuffix("p") ? $0.dropLast() + "g" : $0) }
        }
        let source = SideTableSource(outline: outline, text: Array(text.utf8)) { _ in nil }
        let rewritten = source.rewritten([], final: functions).map { String(decoding: $0, as: UTF8.self) }
        expect(rewritten, equals: marked.filter { $0 != "«" && $0 != "»" })
    }

    /// The rewritten file does what the original did, but that a value is made when it is read first.
    @Test func behaviour() throws {
        let source = """
            import Glibc
            final class Label {
                nonisolated(unsafe) static var count = 0
                init() { Label.count += 1 }
                deinit { Label.count -= 1 }
            }
            class Till {
                private struct Inner { var list: [Int] = [] }
                private var inner = 0
                var label: Label? = Label()
                private var lists: Inner = Inner()
                var action: @Sendable () -> Int = { 7 }
                let fixed: Label =
                    Label()
                var step: Int = 2
                init(_ step: Int) { self.step = step }
                init() {}
                func add() -> Int {
                    for index in 0..<1000 { lists.list.append(index) }
                    return lists.list.count
                }
                func line(_ line: Int = #line) -> Int { line }
                deinit { if step == 6 { print("deinit", label == nil) } }
            }
            final class Sub: Till {
                override func add() -> Int { super.add() + 1 }
            }
            actor Clerk {
                var served: Int = 1
                func serve() -> Int { served += 1; return served }
            }
            @MainActor final class Window {
                var title: String? = nil
                func show() -> String { title = (title ?? "") + "x"; return title! }
            }
            @main struct Main {
                static func main() async {
                    do {
                        let (one, two, three) = (Till(5), Till(), Sub())
                        one.step += 1
                        for till in [one, two, three] { print(till.label === till.fixed) }
                        print(one.step, two.step, one.add(), one.add(), three.add(), one.action(), one.line())
                        print(one.label === one.label, one.fixed === one.fixed, one.fixed === two.fixed, Label.count)
                        one.label = nil
                        print(Label.count, one.label == nil)
                        three.action = { 8 }
                        print(three.action(), two.action())
                    }
                    print("left", Label.count)
                    let clerk = Clerk()
                    print(await clerk.serve(), await clerk.serve(), await clerk.served)
                    let window = Window()
                    print(window.show(), window.show())
                    let till = Till()
                    await withTaskGroup(of: Void.self) { group in
                        for _ in 0..<4 { group.addTask { for _ in 0..<10_000 { _ = Till(1).step } } }
                    }
                    print("done", till.step)
                }
            }

            """
        let names = [
            "Till.label", "Till.lists", "Till.action", "Till.fixed", "Till.step", "Clerk.served", "Window.title",
        ]
        let rewritten = try #require(try Self.rewrite(source, names))
        let directory = try TemporaryDirectory("table")
        var outputs: [String] = []
        for (name, text) in [("before", source), ("after", rewritten)] {
            let path = directory.path + "/\(name).swift"
            try BuildPackage.write(text, to: path)
            try runTool(
                "swiftc", "-swift-version", "6", "-warnings-as-errors", "-parse-as-library", path, "-o",
                directory.path + "/\(name)")
            let result = try run([directory.path + "/\(name)"])
            expect(result.status, equals: 0, "\(result)")
            outputs.append(result.output)
        }
        expect(outputs[0], equals: outputs[1])
    }

    /// Where tokens end, of those that a property may end with.
    @Test(arguments: [
        ("0xff_p+2 ", 8), ("1.5e-3,", 6), ("1...", 1), ("nil}", 3), ("`in` ", 4), ("\"a\\\"b\" ", 6),
        ("\"\"\"\n\"\"\n\"\"\"\n", 10),
        ("\"\\(f(\")\"))\".", 11), ("##\"\"#\\#(\"##\n", 11), ("#line\n", 5), ("!", 1), ("\u{e9}t\u{e9})", 5),
    ])
    func tokens(_ text: String, _ end: Int) {
        expect(SourceToken(text: Array(text.utf8)).end(from: 0), equals: end)
    }

    @Test(arguments: ["\"abc", "\"\\(", "#\"a\"", "/a/", "", "`a", "# ", "+"])
    func noTokens(_ text: String) {
        expect(SourceToken(text: Array(text.utf8)).end(from: 0), equals: nil)
    }
}
