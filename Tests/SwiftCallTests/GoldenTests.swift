import CHotpatchVictims
import Glibc
import HotpatchExpectations
import HotpatchTestSupport
import Testing

@testable import HotpatchSwiftCall

private typealias Escaping = (@escaping (Int) -> Int, (() -> Void)?) -> () -> Int
private typealias InOuts = (inout Int, inout String, inout GoldenFive) -> Void
private typealias Consuming = (consuming GoldenPair, __owned Any) -> GoldenPair
private typealias Tuples = ((Int8, Int), (String, (Bool, Double))) -> (Int8, (Int8, Int32), Double)
private typealias Metatypes = (Int.Type, GoldenObject.Type, Any.Type, any GoldenProtocol.Type) -> GoldenObject.Type
private typealias Compositions = (any GoldenProtocol & GoldenOther, any GoldenClassProtocol & GoldenOther) -> Int
private typealias TenDoubles = (
    Double, Double, Double, Double, Double, Double, Double, Double, Double, Float
) -> Float
private typealias TenInts = (Int, Int8, Int, Bool, Int, Int16, Int, Int, Int32, Int) -> UInt8
private typealias Spilled = (Int, Int, Int, Int, Int, Int, Int, Int, Int, String, SIMD4<Float>, GoldenPair) -> Int
private typealias Later = (String, Double, Bool) async throws -> (String, Int)

/// Plans as text, for both machines, against files; and against what the compiler makes of the same types.
/// `GOLDEN=write` writes the files anew: read what has changed.
@Suite struct GoldenTests {
    static let types: [Any.Type] = [
        ((Int, Int) -> Int).self, (() -> Void).self, ((String, Int, Double, Bool) throws -> Int).self,
        ((Int8, Int16, Bool, Int32, UInt8) -> Int16).self, ((Float, Double, Int, Float) -> Double).self, TenInts.self,
        TenDoubles.self, Spilled.self, ((GoldenEmpty, Int) -> GoldenEmpty).self, ((GoldenBytes) -> GoldenBytes).self,
        ((GoldenSmall, GoldenBytes) -> GoldenSmall).self, ((GoldenPoint, GoldenFloats) -> GoldenPoint).self,
        ((GoldenFloats) -> GoldenFloats).self, ((GoldenMixed) -> GoldenMixed).self, ((GoldenPair) -> GoldenPair).self,
        ((GoldenFour) -> GoldenFour).self, ((GoldenFive, Int) -> GoldenFive).self,
        ((GoldenWeak, Int) -> GoldenWeak).self, ((GoldenUnowned) -> GoldenUnowned).self,
        ((GoldenNested) -> GoldenNested).self, ((GoldenBox<Int16>) -> GoldenBox<Double>).self,
        ((GoldenBox<String>) -> GoldenBox<GoldenBytes>).self, ((GoldenVectors) -> SIMD8<Float>).self,
        ((SIMD2<Float>, SIMD3<Float>, SIMD8<Int8>, SIMD16<UInt8>, SIMD2<Int>) -> SIMD2<Double>).self,
        ((GoldenEmptyCases, GoldenEmptyCases?) -> GoldenEmptyCases?).self, ((GoldenSingle) -> GoldenSingle).self,
        ((GoldenPayloads) -> GoldenPayloads).self, ((GoldenThree, GoldenThree?) -> GoldenThree).self,
        ((GoldenTree) -> GoldenTree).self, ((Int?, Double?, String?, Bool?, GoldenObject?) -> Double?).self,
        ((GoldenPoint?, Float?) -> GoldenPair?).self, ((Any, any GoldenProtocol, any Error) -> Any).self,
        ((any GoldenClassProtocol) -> any GoldenClassProtocol).self, Compositions.self,
        ((GoldenExistential) -> (GoldenExistential, Int)).self, Metatypes.self, Tuples.self,
        (((GoldenFive, Int8), (Int, Any)) -> (GoldenFive, Int8)).self, Escaping.self, InOuts.self, Consuming.self,
        ((TaskPriority, Duration) -> TaskPriority).self,
        (([Int], [String: Int], Set<Int>, Substring) -> Character).self,
        ((Range<Int>, ClosedRange<Int8>, Unicode.Scalar, UnsafeRawBufferPointer) -> StaticString).self, Later.self,
        ((GoldenFive) async -> GoldenFive).self,
        // Several results in memory.
        (() -> (any GoldenProtocol, GoldenFive)).self, (() -> (GoldenFive, Any, any GoldenProtocol)).self,
        ((Int) throws -> (Any, GoldenFive, Int, Any, GoldenObject.Type)).self, (() -> (Any, Any)).self,
        // C's.
        ((victim_plain, victim_packed) -> victim_plain).self, ((victim_single, Int) -> victim_packed).self,
        ((victim_hidden_bits?, victim_single?) -> victim_large_with_bits).self,
    ]

    private static let folder = #filePath.split(separator: "/").dropLast().map { "/" + $0 }.joined()

    @Test(arguments: CallArchitecture.allCases) func plans(_ architecture: CallArchitecture) throws {
        var text = ""
        for type in Self.types {
            text += "\(type)\n"
            let plan = try CallPlan(type, architecture: architecture)
            for line in plan.description.split(separator: "\n") { text += "    \(line)\n" }
        }
        text = text.replacing("SwiftCallTests.", with: "")
        let path = "\(Self.folder)/Golden/\(architecture.rawValue).txt"
        if getenv("GOLDEN").map({ String(cString: $0) }) == "write" {
            let file = try #require(fopen(path, "w"))
            fputs(text, file)
            fclose(file)
        }
        let golden = try run(["cat", path]).output
        let (lines, expected) = (text.split(separator: "\n"), golden.split(separator: "\n"))
        expect(lines.count, equals: expected.count)
        for (line, other) in zip(lines, expected) { expect(line, equals: other) }
        #expect(Self.types.count >= 40)
    }

    // MARK: The compiler

    /// The values of a plan in the order of the compiler's parameters, and of its results: `i64`, `f32`, `v128`.
    private static func shape(of plan: CallPlan) -> (arguments: [String], results: [String]) {
        func text(_ range: Lowering.Range) -> String {
            switch range.kind {
            case .opaque, .integer: "i\(8 * range.count)"
            case .bit: "i1"
            case .float: "f\(8 * range.count)"
            case .vector, .shortVector: "v\(8 * range.count)"
            }
        }
        var arguments: [String] = []
        var results: [String] = []
        switch plan.result.form {
        case .registers(let components): results = components.map { text($0.range) }
        case .memory(let place), .indirect(let place): arguments.append(place == .indirectResult ? "sret" : "i64")
        }
        for leaf in plan.result.leaves { if case .pointer = leaf.passing { arguments.append("i64") } }
        for leaf in plan.arguments.flatMap(\.leaves) {
            switch leaf.passing {
            case .nothing, .thinMetatype: break
            case .direct(let components): arguments += components.map { text($0.range) }
            case .pointer, .inout: arguments.append("i64")
            case .opened: arguments += ["i64", "i64"]
            case .closure: arguments += ["i64", "i64"]
            }
        }
        return (arguments, results)
    }

    /// `ptr noalias %0, i64 %1, <4 x float> %2`, split at commas outside of brackets.
    private static func values(_ text: some StringProtocol) -> [String] {
        var depth = 0
        var values = [""]
        for character in text {
            if "<{([".contains(character) { depth += 1 }
            if ">})]".contains(character) { depth -= 1 }
            if character == ",", depth == 0 { values.append("") } else { values[values.count - 1].append(character) }
        }
        return values.map { value in
            var value = value[...]
            while value.first == " " { value = value.dropFirst() }
            return String(value)
        }.filter { !$0.isEmpty }
    }

    /// LLVM's type, with what stands behind it for a parameter.
    private static func kind(_ value: String) -> [String] {
        if value.contains("swiftself") || value.contains("swifterror") || value.contains("swiftasync") { return [] }
        if value.contains("sret") { return ["sret"] }
        if value.hasPrefix("ptr") { return ["i64"] }
        if value.hasPrefix("void") || value.hasPrefix("swiftcc") { return [] }
        if value.hasPrefix("float") { return ["f32"] }
        if value.hasPrefix("double") { return ["f64"] }
        if value.hasPrefix("{") { return values(value.dropFirst().prefix { $0 != "}" }).flatMap(kind) }
        if value.hasPrefix("<") {
            let words = value.dropFirst().prefix { $0 != ">" }.split(separator: " ")
            let width = ["float": 32, "double": 64][words[2]] ?? Int(words[2].dropFirst()) ?? 0
            return ["v\((Int(words[0]) ?? 0) * width)"]
        }
        return [String(value.prefix { $0 != " " })]
    }

    /// Both compile the types for one machine, and the functions must take and return the same, in the same order.
    @Test func theCompilerAgrees() throws {
        try compare(.current, [])
    }

    /// Where the SDK for arm64 has been made.
    @Test(.enabled(if: Arm64SDK.options != nil)) func theCompilerAgreesForArm64() throws {
        try compare(.arm64, try #require(Arm64SDK.options))
    }

    private func compare(_ architecture: CallArchitecture, _ options: [String]) throws {
        let directory = try TemporaryDirectory("golden")
        var source = ""
        // Async functions have another form in LLVM's language.
        let types = Self.types.filter { !"\($0)".contains("async") }
        for (index, type) in types.enumerated() {
            let text = try #require(ClosureType.text(of: type)).replacing("SwiftCallTests.", with: "Golden.")
            var parser = SignatureParser(text)
            let function = try parser.function()
            let spelling = TypeSpelling(for: [.function(function)])
            let parameters = function.parameters.enumerated().map { number, parameter in
                let isClosure = if case .function = parameter.type { true } else { false }
                let text = spelling.text(parameter)
                return "_ p\(number): \(isClosure ? "@escaping " : "")\(text)"
            }
            source +=
                "@_silgen_name(\"golden\(index)\") public func golden\(index)(\(parameters.joined(separator: ", ")))"
            source += "\(spelling.effects(function)) -> \(spelling.result(function)) { fatalError() }\n"
        }
        let file = try #require(fopen("\(directory.path)/functions.swift", "w"))
        fputs(source, file)
        fclose(file)
        let output = "\(directory.path)/golden.ll"
        try runTool(
            ["swiftc", "-parse-as-library", "-module-name", "Golden", "-wmo", "-emit-ir", "-suppress-warnings"]
                + options
                + ["-import-objc-header", "\(Self.folder)/../Victims/InProcess/include/types.h"]
                + ["\(Self.folder)/GoldenTypes.swift", "\(directory.path)/functions.swift", "-o", output])
        var seen = 0
        for line in try run(["grep", "^define.* @golden[0-9]", output]).output.split(separator: "\n") {
            let parts = line.split(separator: "@golden", maxSplits: 1)
            let index = try #require(Int(parts[1].prefix { $0.isNumber }))
            let parameters = parts[1].drop { $0 != "(" }.dropFirst()
            var depth = 1
            let inside = parameters.prefix { character in
                if character == "(" { depth += 1 }
                if character == ")" { depth -= 1 }
                return depth > 0
            }
            let resultText = parts[0].split(separator: "swiftcc ", maxSplits: 1).last.map(String.init) ?? ""
            let plan = Self.shape(of: try CallPlan(types[index], architecture: architecture))
            expect(Self.values(inside).flatMap(Self.kind), equals: plan.arguments, "\(types[index]): \(line)")
            expect(Self.kind(resultText), equals: plan.results, "\(types[index]): \(line)")
            seen += 1
        }
        expect(seen, equals: types.count)
    }
}
