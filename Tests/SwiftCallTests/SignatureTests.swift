import Glibc
import HotpatchDemangle
import HotpatchExpectations
import HotpatchTestSupport
import Synchronization
import Testing

@testable import HotpatchSwiftCall

@Suite struct SignatureTests {
    /// A line of a table: a symbol, and what stands behind it.
    struct Row: CustomTestStringConvertible, Sendable {
        var symbol: String
        var rest: [String]
        var testDescription: String { SwiftDemangler.demangle(symbol) ?? symbol }
    }

    static let folder = #filePath.split(separator: "/").dropLast(2).map { "/" + $0 }.joined() + "/Victims/signatures"

    static func table(_ name: String) -> [Row] {
        guard let file = fopen("\(folder)/\(name)", "r") else { return [] }
        defer { fclose(file) }
        var bytes: [UInt8] = []
        var buffer = [UInt8](repeating: 0, count: 1 << 16)
        while case let count = fread(&buffer, 1, buffer.count, file), count > 0 { bytes += buffer[..<count] }
        return String(decoding: bytes, as: UTF8.self).split(separator: "\n").filter { !$0.hasPrefix("#") }.map { line in
            let fields = line.split(separator: "\t").map(String.init)
            return Row(symbol: fields[0], rest: Array(fields.dropFirst()))
        }
    }

    static func facts(_ words: String) -> FunctionFacts {
        let words = Set(words.split(separator: " "))
        let isAccessor = words.contains("accessor")
        return FunctionFacts(
            selfUse: words.contains("borrowed")
                ? .borrowed : words.contains("mutated") ? .mutated : words.contains("consumed") ? .consumed : nil,
            throwsError: words.contains("throws") ? true : isAccessor ? false : nil,
            isAsync: words.contains("async") ? true : isAccessor ? false : nil,
            isOptimised: words.contains("unoptimised") ? false : nil)
    }

    static func match(_ symbol: String, _ closure: String, _ words: String = "-") throws -> SignatureMatch {
        try SwiftSignature(mangled: symbol).match(
            closure: closure, facts(words), isConcreteContext: words.contains("concrete"))
    }

    @Test func tablesAreThere() {
        #expect(Self.table("accepted.txt").count > 240)
        #expect(Self.table("refused.txt").count > 200)
    }

    @Test(arguments: table("accepted.txt"))
    func accepts(_ row: Row) throws {
        let match = try Self.match(row.symbol, row.rest[1], row.rest[0])
        #expect(row.rest[1].contains("throws ->") == match.throwsError || match.signature.text.contains("throws ->"))
        expect(match.ownership.count, equals: Self.parameterCount(row.rest[1]))
        // Whatever differs in one place is no match.
        for other in Self.changed(row.rest[1]) {
            let error = signatureError { try Self.match(row.symbol, other, row.rest[0]) }
            switch error {
            case .mismatch?: break
            default: Issue.record("\(other): \(String(describing: error))")
            }
        }
    }

    @Test(arguments: table("refused.txt"))
    func refuses(_ row: Row) throws {
        do {
            let signature = try SwiftSignature(mangled: row.symbol)
            Issue.record("read as \(signature.text)")
        } catch {
            #expect(String(describing: error.reason).prefix { $0 != "(" } == row.rest[0])
            #expect(error.description.hasSuffix("."))
            expect(error.reason.advice.first?.isUppercase, equals: true)
        }
    }

    /// The letters that stand for types of the standard library do not say whether they are structs or protocols.
    @Test(arguments: [
        ("$sSO3ZooE14identifierNameSSyF", SwiftSignature.Context.Kind.structure),
        ("$sScP3ZooE12priorityNameySSSiF", .structure), ("$sScf3ZooE12executorNameSSyF", .protocolType),
    ])
    func contexts(_ symbol: String, _ kind: SwiftSignature.Context.Kind) throws {
        try expect(SwiftSignature(mangled: symbol).context?.kind, equals: kind)
    }

    private static func parameterCount(_ text: String) -> Int {
        var parser = SignatureParser(text)
        return (try? parser.function().parameters.count) ?? -1
    }

    /// The same closure with one parameter more, with another result, another effect, and one parameter changed.
    private static func changed(_ text: String) -> [String] {
        var parser = SignatureParser(text)
        guard let function = try? parser.function() else { return [] }
        var changes: [SwiftType.Function] = []
        func change(_ body: (inout SwiftType.Function) -> Void) {
            var copy = function
            body(&copy)
            changes.append(copy)
        }
        change { $0.parameters += [.init(type: .swift("Int")), .init(type: .swift("Int"))] }
        change { $0.result = .swift("Optional", [$0.result]) }
        change { $0.isAsync.toggle() }
        change { $0.thrown = $0.thrown == .nothing ? .anyError : .nothing }
        for index in function.parameters.indices {
            change { $0.parameters[index].type = .swift("Optional", [$0.parameters[index].type]) }
            change { $0.parameters[index].ownership = $0.parameters[index].ownership == .inout ? .shared : .inout }
        }
        return changes.map { DemanglerSpelling.text($0) }
    }

    /// What the compiler of this machine makes of the same sources is read, but for what the table says.
    @Test(arguments: ["-Onone", "-O"])
    func readsWhatTheCompilerWrites(_ optimisation: String) throws {
        var symbols: Set<String> = []
        for name in ["Zoo", "Zoo2"] {
            let listing = try run(["nm", Zoo.library(name, [optimisation])])
            for line in listing.output.split(separator: "\n") {
                let fields = line.split(separator: " ")
                if fields.count == 3, "tT".contains(fields[1]), fields[2].hasPrefix("$s") {
                    symbols.insert(String(fields[2]))
                }
            }
        }
        #expect(symbols.count > 800)
        for symbol in symbols {
            do { _ = try SwiftSignature(mangled: symbol) } catch {
                if case .unreadable = error.reason {
                    #expect(error.function.contains("noncopyableExistential"), "\(error) \(symbol)")
                }
            }
        }
        if optimisation == "-Onone" {
            for row in Self.table("accepted.txt") { #expect(symbols.contains(row.symbol), "\(row.testDescription)") }
        }
    }

    /// Any piece of any name ends in a value or an error.
    @Test func survivesPieces() throws {
        for row in Self.table("accepted.txt") + Self.table("refused.txt") {
            let text = Array((SwiftDemangler.demangle(row.symbol) ?? "").utf8)
            for length in stride(from: 0, through: text.count, by: 3) {
                let piece = String(decoding: text[..<length], as: UTF8.self)
                _ = try? SwiftSignature(mangled: row.symbol) { $0 == row.symbol ? piece : nil }
                var parser = SignatureParser(piece)
                _ = try? parser.type()
            }
        }
        var random = SeededGenerator(seed: testSeed())
        let bytes = Array("()[]<>.,:?@&#-_ A0`$".utf8)
        for row in Self.table("accepted.txt") + Self.table("refused.txt") {
            for text in [SwiftDemangler.demangle(row.symbol) ?? ""] + row.rest.suffix(1) {
                for _ in 0..<20 {
                    var changed = Array(text.utf8)
                    for _ in 0..<Int.random(in: 1...4, using: &random) where !changed.isEmpty {
                        let index = Int.random(in: changed.indices, using: &random)
                        changed[index] = bytes.randomElement(using: &random)!
                    }
                    let piece = String(decoding: changed, as: UTF8.self)
                    let signature = try? SwiftSignature(mangled: row.symbol) {
                        $0 == row.symbol ? piece : SwiftDemangler.demangle($0)
                    }
                    _ = try? signature?.match(
                        closure: piece, FunctionFacts(selfUse: .borrowed), isConcreteContext: true)
                    _ = try? signature?.match(closure: text, FunctionFacts(selfUse: .borrowed), isConcreteContext: true)
                    _ = FunctionValueOrigin(entry: piece)
                }
            }
        }
        for piece in ["(", "<", "[", "@", "any ", "A & ", "() -> "] {
            var parser = SignatureParser(String(repeating: piece, count: 100_000))
            let type = try? parser.type()
            #expect(type == nil || !parser.isAtEnd)
        }
    }
}

/// The error of a comparison that must fail.
func signatureError<R>(
    _ body: () throws -> R, sourceLocation: SourceLocation = #_sourceLocation
) -> SignatureError? {
    do {
        let result = try body()
        Issue.record("no error, but \(result)", sourceLocation: sourceLocation)
    } catch let error as SignatureError {
        return error
    } catch {
        Issue.record("another error: \(error)", sourceLocation: sourceLocation)
    }
    return nil
}

/// Writes types as the runtime's demangler does, for tests that change one.
enum DemanglerSpelling {
    static func text(_ type: SwiftType) -> String {
        switch type {
        case .nominal(let nominal):
            let path = nominal.components.map { component in
                let name = component.discriminator.map { "(\(component.name) in \($0))" } ?? component.name
                let arguments = component.arguments.map(text).joined(separator: ", ")
                return arguments.isEmpty ? name : "\(name)<\(arguments)>"
            }.joined(separator: ".")
            let isConstrained = nominal.components.contains { component in
                component.arguments.contains { if case .sameType = $0 { true } else { false } }
            }
            return (isConstrained ? "any " : "") + (nominal.extensionModule.map { "(extension in \($0)):" } ?? "")
                + path
        case .tuple(let elements):
            return "("
                + elements.map { ($0.label.map { "\($0): " } ?? "") + text($0.type) }.joined(separator: ", ") + ")"
        case .function(let function): return text(function)
        case .composition(let members):
            // `any` stands before the whole.
            let texts = members.map(text)
            let isConstrained = texts.contains { $0.hasPrefix("any ") }
            return (isConstrained ? "any " : "")
                + texts.map { $0.hasPrefix("any ") ? String($0.dropFirst(4)) : $0 }.joined(separator: " & ")
        case .metatype(.function(let function)): return "(\(text(function))).Type"
        case .metatype(let type): return text(type) + ".Type"
        case .protocolMetatype(.composition(let members)): return "(\(text(.composition(members)))).Protocol"
        case .protocolMetatype(.function(let function)): return "(\(text(function))).Protocol"
        case .protocolMetatype(let type): return text(type) + ".Protocol"
        case .sameType(let left, let right): return "\(text(left)) == \(text(right))"
        case .number(let digits): return digits
        }
    }

    static func text(_ function: SwiftType.Function) -> String {
        let parameters = function.parameters.map { parameter in
            (parameter.label.map { "\($0): " } ?? "") + (parameter.isIsolated ? "isolated " : "")
                + (parameter.isSending ? "sending " : "")
                + parameter.ownership.rawValue + text(parameter.type) + (parameter.isVariadic ? "..." : "")
        }.joined(separator: ", ")
        let attributes = function.attributes.map { $0.hasPrefix("nonisolated") ? "\($0) " : "@\($0) " }.joined()
        let thrown =
            switch function.thrown {
            case .nothing: ""
            case .anyError: " throws"
            case .typed(let error): " throws(\(text(error)))"
            }
        return attributes + "(\(parameters))" + (function.isAsync ? " async" : "") + thrown + " -> "
            + (function.sendsResult ? "sending " : "") + text(function.result)
    }
}

/// Libraries of functions of many signatures.
enum Zoo {
    private static let directory = Result { try TemporaryDirectory("zoo", untilExit: true) }
    private static let built = Mutex<[[String]: String]>([:])

    /// Compiles Zoo or Zoo2, once with the same options.
    static func library(_ name: String, _ options: [String]) throws -> String {
        try built.withLock { built in
            if let path = built[[name] + options] { return path }
            let path = "\(try directory.get().path)/lib\(name)-\(built.count).so"
            try runTool(
                ["swiftc", "-swift-version", "5", "-suppress-warnings", "-parse-as-library", "-emit-library"] + options
                    + ["-module-name", name, "\(SignatureTests.folder)/\(name).swift", "-o", path])
            built[[name] + options] = path
            return path
        }
    }
}
