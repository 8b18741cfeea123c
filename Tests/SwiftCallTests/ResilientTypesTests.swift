import HotpatchExpectations
import HotpatchTestSupport
import Testing

@testable import HotpatchSwiftCall

/// The list against the compiler: a parameter of a resilient type is an address.
@Suite struct ResilientTypesTests {
    static let resilient = [
        "TaskPriority", "Mirror", "Mirror.DisplayStyle", "Mirror.AncestorRepresentation", "AsyncStream<Int>",
        "AsyncStream<Int>.Continuation", "AsyncStream<Int>.Iterator", "AsyncStream<Int>.Continuation.BufferingPolicy",
        "AsyncThrowingStream<Int, any Error>", "ContinuousClock", "ContinuousClock.Instant", "SuspendingClock",
        "SuspendingClock.Instant", "CancellationError", "TaskGroup<Int>.Iterator", "CodingUserInfoKey", "EncodingError",
        "EncodingError.Context", "DecodingError", "DecodingError.Context", "FloatingPointRoundingRule", "RangeSet<Int>",
        "RangeSet<Int>.Ranges", "DiscontiguousSlice<[Int]>", "DiscontiguousSlice<[Int]>.Index",
        "CollectionDifference<Int>",
        "Unicode.GeneralCategory", "Unicode.NumericType", "Unicode.CanonicalCombiningClass",
        "Unicode.Scalar.Properties", "KeyedEncodingContainer<Key>", "KeyedDecodingContainer<Key>", "Regex<Substring>",
        "Regex<Substring>.Match", "AnyRegexOutput", "AnyRegexOutput.Element", "RegexWordBoundaryKind",
        "RegexSemanticLevel", "RegexRepetitionBehavior", "ObservationRegistrar", "LocalTestingActorID",
        "RemoteCallTarget", "Reference<Int>", "CharacterClass", "Anchor", "ChoiceOf<Substring>", "Lookahead<Substring>",
        "AsyncMapSequence<AsyncStream<Int>, Int>", "AsyncPrefixSequence<AsyncStream<Int>>", "Backtrace",
        "SymbolicatedBacktrace",
    ]
    static let frozen = [
        "Int", "String", "String.Index", "Substring", "Character", "Bool", "Double", "[Int]", "[String: Int]",
        "Set<Int>",
        "Int?", "Range<Int>", "ClosedRange<Int>", "Duration", "Unicode.Scalar", "StaticString", "ObjectIdentifier",
        "Hasher?.Type", "UnsafePointer<Int>", "UnsafeRawBufferPointer", "Task<Int, any Error>", "UnownedJob",
        "UnownedSerialExecutor", "Never", "FloatingPointSign", "FloatingPointClassification", "Result<Int, any Error>",
        "ArraySlice<Int>", "AnyHashable.Type", "OpaquePointer", "Unmanaged<AnyObject>", "SIMD4<Float>",
        "UnsafeContinuation<Int, any Error>", "Optional<Range<Int>>", "CommandLine?", "CollectionDifference<Int>.Index",
        "CollectionDifference<Int>.Change", "JobPriority",
        "RegexBuilder.Anchor?.Type",
    ]
    static let imports = ["_Concurrency", "_StringProcessing", "Observation", "Distributed", "RegexBuilder", "Runtime"]

    @Test func listMatchesTheCompiler() throws {
        let directory = try TemporaryDirectory("resilient")
        var source = Self.imports.map { "import \($0)\n" }.joined() + "public enum Key: CodingKey { case a }\n"
        let types = Self.resilient + Self.frozen
        for (index, type) in types.enumerated() {
            source += "@_silgen_name(\"take\(index)\") public func take\(index)(_ value: \(type)) {}\n"
        }
        let path = "\(directory.path)/types.swift"
        try write(source, to: path)
        let compiled = try run([
            "swiftc", "-parse-as-library", "-module-name", "Types", "-emit-ir", path, "-o",
            "\(directory.path)/types.ll",
        ])
        expect(compiled.status, equals: 0, "\(compiled)")
        let text = try run(["grep", "^define.* @take", "\(directory.path)/types.ll"]).output
        var seen = 0
        for line in text.split(separator: "\n") {
            let parts = line.split(separator: "@take", maxSplits: 1)[1].split(separator: "(", maxSplits: 1)
            let index = try #require(Int(parts[0]))
            let isIndirect = parts[1].hasPrefix("ptr noalias")
            seen += 1
            expect(isIndirect, equals: (index < Self.resilient.count), "\(types[index]): \(line)")
        }
        expect(seen, equals: types.count)
    }

    @Test func namesTheSame() {
        for (types, expected) in [(Self.resilient, true), (Self.frozen, false)] {
            for type in types {
                var depth = 0
                let name = type.filter { character in
                    if character == "<" { depth += 1 }
                    defer { if character == ">" { depth -= 1 } }
                    return depth == 0
                }
                let modules = ["Swift"] + Self.imports
                let isListed = modules.contains { ResilientTypes.isResilient(module: $0, name: name) }
                expect(isListed, equals: expected, "\(type)")
            }
        }
        #expect(Self.resilient.count >= 40 && Self.frozen.count >= 20)
    }

    @Test func names() {
        #expect(ResilientTypes.isResilient(module: "Swift", name: "Mirror.DisplayStyle"))
        #expect(ResilientTypes.isResilient(module: "Swift", name: "TaskPriority"))
        #expect(ResilientTypes.isResilient(module: "Observation", name: "ObservationRegistrar"))
        #expect(ResilientTypes.isResilient(module: "_StringProcessing", name: "Regex"))
        expect(ResilientTypes.isResilient(module: "Synchronization", name: "Mutex"), equals: false)
        #expect(!ResilientTypes.isResilient(module: "Swift", name: "Array"))
        #expect(!ResilientTypes.isResilient(module: "Swift", name: "DisplayStyle"))
        #expect(!ResilientTypes.isResilient(module: "Shop", name: "TaskPriority"))
        #expect(!ResilientTypes.isResilient(module: "Foundation", name: "URL"))
    }
}

private func write(_ text: String, to path: String) throws {
    try runTool("sh", "-c", "printf %s \"$1\" > \"$2\"", "sh", text, path)
}
