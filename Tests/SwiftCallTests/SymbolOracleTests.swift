import Glibc
import HotpatchExpectations
import HotpatchTestSupport
import Testing

@testable import HotpatchSwiftCall

/// The reader of signatures against the compiler's own demangler, which shows what a symbol is made of as a tree.
@Suite struct SymbolOracleTests {
    /// What the tree of one symbol says.
    private struct Tree {
        /// What is directly below the root: one thing for a function of the source.
        var top: [String] = []
        /// What is below a `Static`.
        var member = ""
        var kinds: Set<String> = []
        /// What an extension says that generic parameters are, and where parameters stand at all.
        private var bindingCount = 0
        private var genericParameterCount = 0
        var isAsync = false
        var isThrowing = false
        var throwsTyped = false
        var parameterCount = 0
        /// How many function types in its parameters do not escape.
        var lentCount = 0
        /// The first of what may be a function's context.
        var context = ""

        private static let contexts: Set = [
            "Structure", "Enum", "Class", "Protocol", "Extension", "Module", "OtherNominalType", "TypeAlias",
        ]

        init(_ lines: ArraySlice<Substring>) {
            // How deep it is in the function's own type.
            var typeDepth = 0
            var isInParameters = false
            for line in lines {
                let depth = line.prefix { $0 == " " }.count / 2
                let words = line.dropFirst(2 * depth).dropFirst(5).prefix { $0 != "," && $0 != " " }
                let kind = String(words)
                kinds.insert(kind)
                if kind == "DependentGenericSameTypeRequirement" { bindingCount += 1 }
                if kind == "DependentGenericParamType" { genericParameterCount += 1 }
                if depth == 1 { top.append(kind) }
                if depth == 2, top.count == 1, top[0] == "Static" { member = kind }
                if context.isEmpty, depth >= 2, Self.contexts.contains(kind) { context = kind }
                if typeDepth == 0, kind == "FunctionType" { typeDepth = depth }
                guard typeDepth > 0 else { continue }
                if depth == typeDepth + 1, kind == "AsyncAnnotation" { isAsync = true }
                if depth == typeDepth + 1, kind == "ThrowsAnnotation" { isThrowing = true }
                if depth == typeDepth + 1, kind == "TypedThrowsAnnotation" { throwsTyped = true }
                if depth == typeDepth + 1 { isInParameters = kind == "ArgumentTuple" }
                guard isInParameters else { continue }
                if kind == "NoEscapeFunctionType" || kind == "AutoClosureType" { lentCount += 1 }
                if depth == typeDepth + 3 { parameterCount = kind == "Tuple" ? 0 : 1 }
                if depth == typeDepth + 4, kind == "TupleElement" { parameterCount += 1 }
            }
        }

        private static let constrainedExistential: Set = ["DependentGenericParamType", "DependentMemberType"]

        /// Whether it is a function of the source that is not generic.
        var isFunction: Bool {
            let entities: Set = ["Function", "Allocator", "Getter", "Setter"]
            guard top.count == 1, entities.contains(top[0] == "Static" ? member : top[0]) else { return false }
            // `any Collection<Int>` is written with the Self of the protocol.
            let isConstrained = kinds.contains("ConstrainedExistential")
            return kinds.subtracting(isConstrained ? Self.constrainedExistential : []).isDisjoint(with: Self.notPlain)
                && !throwsTyped
        }

        /// Whether it is a member of an extension that says what the generic parameters are, and nothing else of them.
        var isBound: Bool {
            bindingCount > 0 && bindingCount == genericParameterCount && !kinds.contains("DependentMemberType")
                && kinds.contains("Extension")
        }

        private static let notPlain: Set = [
            "DependentGenericParamType", "DependentGenericType", "DependentGenericSignature", "DependentMemberType",
            "OpaqueReturnType", "OpaqueType", "LocalDeclName", "AnonymousContext", "DynamicSelf",
        ]
    }

    private static func trees(_ symbols: [String], in directory: TemporaryDirectory) throws -> [Tree] {
        let list = "\(directory.path)/symbols"
        try runTool("sh", "-c", "printf %s \"$1\" > \"$2\"", "sh", "", list)
        let file = try #require(fopen(list, "w"))
        fputs(symbols.joined(separator: "\n") + "\n", file)
        fclose(file)
        let output = try run(["sh", "-c", "swift demangle --tree-only < \(list)"]).output
        var trees: [Tree] = []
        let lines = output.split(separator: "\n", omittingEmptySubsequences: true)
        var start = 0
        for (index, line) in lines.enumerated() where line.hasPrefix("Demangling for ") || index == lines.count - 1 {
            let end = index == lines.count - 1 ? lines.count : index
            if end > start { trees.append(Tree(lines[(start + 1)..<end])) }
            start = index
        }
        return trees
    }

    private static func functions(of image: String) throws -> [String] {
        let listing = try run(["nm", "--defined-only", image]).output
        let dynamic = try run(["nm", "-D", "--defined-only", image]).output
        var symbols: Set<String> = []
        for line in (listing + "\n" + dynamic).split(separator: "\n") {
            let fields = line.split(separator: " ")
            if fields.count == 3, "tTwWvV".contains(fields[1]), fields[2].hasPrefix("$s") {
                symbols.insert(String(fields[2]))
            }
        }
        return symbols.sorted()
    }

    private static func check(_ symbols: [String], in directory: TemporaryDirectory) throws -> (
        accepted: Int, refused: Int
    ) {
        let trees = try trees(symbols, in: directory)
        try #require(trees.count == symbols.count)
        var counts = (accepted: 0, refused: 0)
        for (symbol, tree) in zip(symbols, trees) {
            let signature: SwiftSignature
            do { signature = try SwiftSignature(mangled: symbol) } catch {
                counts.refused += 1
                // A function that is plain, and refused: only for reasons that the tree does not show.
                guard tree.isFunction else { continue }
                switch error.reason {
                case .privateType, .ambiguousMetatype, .genericContext, .typedThrows, .part: break
                // What no closure's type can say either, or hardly any.
                case .unreadable
                where ["<Self: ~", "Pack{", "):(extension in "].contains { error.function.contains($0) }: break
                default: Issue.record("\(symbol) is refused: \(error)")
                }
                continue
            }
            counts.accepted += 1
            #expect(
                tree.isFunction || tree.isBound || tree.kinds.contains("DynamicSelf"),
                "\(symbol) is accepted: \(signature.text)")
            expect(signature.isStatic, equals: (tree.top == ["Static"]), "\(symbol)")
            let isAccessor = [.getter, .setter].contains(signature.kind)
            if !isAccessor {
                let isSetter = signature.kind == .subscriptSetter
                expect(
                    signature.function.parameters.count, equals: tree.parameterCount + (isSetter ? 1 : 0),
                    "\(symbol) \(signature.text)")
                let lent = signature.escapeMarks.flatMap(\.marks).count { $0 }
                if !isSetter { expect(lent, equals: tree.lentCount, "\(symbol) \(signature.text)") }
                expect(signature.function.isAsync, equals: tree.isAsync, "\(symbol) \(signature.text)")
                expect((signature.function.thrown != .nothing), equals: tree.isThrowing, "\(symbol) \(signature.text)")
            }
            let isContext: Bool =
                switch (tree.context, signature.context?.kind) {
                case ("Structure", .structure?), ("TypeAlias", .structure?), ("Enum", .enumeration?),
                    ("Class", .classType?),
                    ("Protocol", .protocolType?), ("Module", nil), ("Extension", _?):
                    true
                default: false
                }
            #expect(isContext, "\(symbol) \(signature.text) \(tree.context) \(String(describing: signature.context))")
        }
        return counts
    }

    @Test(arguments: [["-Onone"], ["-O"], ["-O", "-enable-library-evolution"]])
    func readsWhatTheCompilerSees(_ options: [String]) throws {
        let directory = try TemporaryDirectory("oracle")
        var symbols: [String] = []
        for name in ["Zoo", "Zoo2"] { symbols += try Self.functions(of: Zoo.library(name, options)) }
        let counts = try Self.check(Array(Set(symbols)).sorted(), in: directory)
        #expect(counts.accepted > 180 && counts.refused > 100, "\(counts)")
    }

    /// Code that was not written for this test. `ORACLE_IMAGES` names more.
    @Test func readsLibraries() throws {
        let directory = try TemporaryDirectory("oracle")
        let bin = try run(["sh", "-c", "readlink -f \"$(command -v swiftc)\""]).output
        let usr = bin.split(separator: "/").dropLast(2).map { "/" + $0 }.joined()
        var images = [
            "\(usr)/lib/swift/linux/libswift_Concurrency.so", "\(usr)/lib/swift/linux/libswiftObservation.so",
        ]
        if let more = getenv("ORACLE_IMAGES") { images += String(cString: more).split(separator: " ").map(String.init) }
        for image in images {
            let counts = try Self.check(Self.functions(of: image), in: directory)
            #expect(counts.accepted > 10 && counts.refused > 10, "\(image) \(counts)")
            print("\(image): \(counts)")
        }
    }
}
