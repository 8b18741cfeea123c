import CHotpatchVictims
import Glibc
import HotpatchCalls
import HotpatchExpectations
import HotpatchTestSupport
import Testing
import _Differentiation

@testable import HotpatchSwiftCall

private struct Lock: ~Copyable { let number: Int }
private struct TypeHolder { let type: Int.Type }
private struct Wide { let number: Int128 }
private struct Close {
    let half: Float16
    let flags: (Bool, Bool, Bool)
}
private struct Before {
    let numbers: (Int16, Int16, Int8)
    let half: Float16
}

private typealias TwentyFive = (
    Int, Int, Int, Int, Int, Int, Int, Int, Int, Int, Int, Int, Int, Int, Int, Int, Int, Int, Int, Int, Int, Int, Int,
    Int, Int
) -> Void
private typealias Differentiable = @differentiable(reverse) (Float) -> Float
private typealias Typed = (Int) throws(Failure) -> Int
private typealias Isolated = @isolated(any) (Int) -> Int
private typealias Nonsending = nonisolated(nonsending) (Int) async -> Int
private typealias Sending = (Int) -> sending Token
private typealias CFunction = @convention(c) (Int32) -> Int32
private typealias TakesLock = (borrowing Lock) -> Int
private typealias ReturnsLock = () -> Lock
private typealias TakesTypes = ((Int.Type, Int)) -> Int
private typealias ReturnsTypes = () -> (Int, Int.Type)
private typealias NestedOptional = (((Int) -> Int)??) -> Int
private typealias OptionalTuple = ((() -> Int, Int)?) -> Int
private typealias ReturnsNestedOptional = () -> ((Int) -> Int)??
private typealias InoutClosure = (inout () -> Int) -> Void
private typealias InoutOptionalClosure = (inout (() -> Int)?) -> Void
private typealias InoutTuple = (inout (Int, () -> Int)) -> Void
private typealias InoutMetatype = (inout Int.Type) -> Void
private typealias Observers = ((Observer, Int)) -> Int
private typealias ReturnsObservers = () -> (Observer, Int)
private typealias Vector = SIMD4<Float>
private typealias Vectors = (
    Vector, Vector, Vector, Vector, Vector, Vector, Vector, Vector, Vector, Int, Int, Int, Int, Int, Int, Int
) async -> Int
private typealias MoreVectors = (
    Vector, Vector, Vector, Vector, Vector, Vector, Vector, Vector, Vector, Int, Int, Int, Int, Int, Int, Int, Int
) async -> Int
private typealias OwnedNamed = (__owned any Named) -> Int
private typealias TakesSending = (sending Token) -> Int
private typealias Compositions = (any Named & Kept) -> Int

/// Every reason that a function's type gives, brought about by a type that has it.
@Suite struct CallRefusalTests {
    struct Row: CustomTestStringConvertible, Sendable {
        var reason: String
        /// Nil where the runtime cannot make it.
        var type: Any.Type?
        var shape = CallShape.function
        var architectures = CallArchitecture.allCases
        var testDescription: String { "\(reason): \(type.map { "\($0)" } ?? "no type")" }

        init(
            _ reason: String, _ type: Any.Type?, _ shape: CallShape = .function,
            on architectures: [CallArchitecture] = CallArchitecture.allCases
        ) {
            (self.reason, self.type, self.shape, self.architectures) = (reason, type, shape, architectures)
        }
    }

    static let borrowed = CallShape(self: .borrowed)
    static let opened = CallShape(self: .opened)

    static let rows: [Row] = [
        Row("notAFunction", Int.self), Row("notAFunction", ((Int, Int)).self),
        Row("convention", CFunction.self),
        Row("differentiable", Differentiable.self),
        Row("typedThrows", Typed.self),
        Row("isolatedAny", Isolated.self),
        Row("nonsending", Nonsending.self),
        Row("sendingResult", Sending.self),
        Row("unknownFlags", Forged.extendedFlags), Row("unknownFlags", Forged.ownership),
        Row("tooManyParameters", TwentyFive.self),

        Row("noncopyable", TakesLock.self), Row("noncopyable", ReturnsLock.self),
        Row("wideInteger", ((Int128) -> Int).self), Row("wideInteger", (() -> UInt128?).self),
        Row("wideInteger", ((Wide) -> Int).self),
        Row("overlappingRegisters", ((Close) -> Int).self), Row("overlappingRegisters", (() -> Close).self),
        Row("overlappingRegisters", ((Before) -> Int).self),
        Row("unusualVector", Compiled.builtins["odd_vector_function"] ?? nil),
        Row("unusualVector", Compiled.builtins["bit_vector_function"] ?? nil),
        Row("overAligned", Forged.takesOverAligned), Row("overAligned", Forged.returnsOverAligned),
        Row("cType", ((victim_union) -> Int).self), Row("cType", (() -> victim_bits).self),
        Row("cType", ((victim_partly_bits) -> Int).self), Row("cType", ((victim_with_union?) -> Int).self),
        Row("cType", (() -> (Int, victim_partly_seen)).self), Row("cType", ((victim_hidden_bits) -> Int).self),
        Row("cType", ((victim_around_hidden_bits) -> Int).self),
        Row("noReflectionMetadata", Compiled.unreflected(0)), Row("noReflectionMetadata", Compiled.unreflected(1)),
        Row("noReflectionMetadata", Compiled.unreflected(2)),
        // (Builtin.Int64) -> Int, which no source can write.
        Row("unknownKind", _typeByName("SiBi64_c")),
        Row("metatypeInside", ((Int.Type?) -> Int).self),
        Row("metatypeInside", ((TypeHolder) -> Int).self), Row("metatypeInside", (() -> TypeHolder).self),
        Row("metatypeInside", ((((Int.Type, Int))?) -> Int).self),
        Row("metatypeResult", (() -> Int.Type).self), Row("metatypeResult", ReturnsTypes.self),
        Row("closureInside", NestedOptional.self), Row("closureInside", OptionalTuple.self),
        Row("closureInside", ReturnsNestedOptional.self),
        // At any depth: what is in optionals and tuples is converted with them.
        Row("closureInside", (((() -> Int)???) -> Int).self),
        Row("closureInside", (((Int, (() -> Int, Int))?) -> Int).self),
        Row("closureInside", ((((() -> Int)?, Int)?) -> Int).self),
        Row("closureInside", ((Int) -> (Int, (() -> Int, Int))?).self),
        Row("inoutClosure", InoutClosure.self), Row("inoutClosure", InoutOptionalClosure.self),
        Row("inoutClosure", InoutTuple.self), Row("inoutClosure", InoutMetatype.self),
        Row("inoutClosure", ((inout (Int, (() -> Int, Int))) -> Int).self),
        Row("inoutClosure", ((inout (() -> Int)??) -> Int).self),
        Row("tupleMember", Observers.self), Row("tupleMember", ReturnsObservers.self),

        Row("noSelf", (() -> Int).self, borrowed),
        Row("selfIsNotInout", ((Counter) -> Int).self, CallShape(self: .inout)),
        Row("selfIsInout", ((inout Counter) -> Int).self, borrowed),
        Row("selfIsInout", ((inout Counter) -> Int).self, CallShape(self: .consuming)),
        Row("selfIsInout", ((inout any Named) -> Int).self, opened),
        Row("selfIsNotMetatype", ((Counter) -> Int).self, CallShape(self: .metatype)),
        Row("existentialSelf", ((Item) -> Int).self, opened), Row("existentialSelf", ((any Error) -> Int).self, opened),
        Row("existentialSelf", ((Any) -> Int).self, opened), Row("existentialSelf", ((AnyObject) -> Int).self, opened),
        Row("existentialSelf", Compositions.self, opened),
        Row("existentialSelf", OwnedNamed.self, opened),

        Row("asyncStackVector", Vectors.self, on: [.x8664]),
        // What a closure that it takes has itself.
        Row("typedThrows", ((@escaping Typed) -> Int).self), Row("wideInteger", (((() -> Int128)?) -> Int).self),
        Row("isolatedAny", (() -> Isolated).self),
    ]

    @Test(arguments: rows) func refuses(_ row: Row) throws {
        let type = try #require(row.type)
        for architecture in row.architectures {
            let error = #expect(throws: CallRefusal.self, "\(architecture)") {
                try CallPlan(type, shape: row.shape, architecture: architecture)
            }
            guard let error else { continue }
            expect(Self.name(error), equals: row.reason, "\(architecture): \(error)")
            try Self.namesTheWayOut(error)
        }
    }

    #if arch(x86_64)
        @Test func wideFloats() throws {
            for type in [((Float80) -> Int).self, (() -> (Float80?)).self] as [Any.Type] {
                let error = try #require(throws: CallRefusal.self) { try CallPlan(type) }
                expect(Self.name(error), equals: "wideFloat")
                try Self.namesTheWayOut(error)
            }
        }
    #endif

    /// Just not too much: what the rows above refuse begins behind these.
    @Test(arguments: [
        Row("", Vectors.self, on: [.arm64]), Row("", MoreVectors.self),
        Row(
            "",
            ((
                Int, Int, Int, Int, Int, Int, Int, Int, Int, Int, Int, Int, Int, Int, Int, Int, Int, Int, Int, Int, Int,
                Int, Int,
                Int
            ) -> Void).self),
        Row("", TakesTypes.self),
        Row("", ((victim_plain) -> victim_packed).self),
        Row("", ((victim_hidden_bits?) -> victim_large_with_bits).self), Row("", ((inout victim_union) -> Int).self),
        Row("", ((victim_single) -> Int).self), Row("", ((inout Lock) -> Int).self),
        Row("", ((inout Observer) -> Int).self),
        Row("", ((Observer) -> Observer).self), Row("", ((Int.Type) -> Int).self),
        Row("", ((Any.Type?) -> Any.Type).self),
        Row("", TakesSending.self), Row("", (@Sendable (Token) async throws -> Int).self),
        Row("", (@MainActor (Int) -> Int).self), Row("", (([() -> Int]) -> [() -> Int]?).self),
        Row("", ((any Named) -> Int).self, opened), Row("", ((any Kept) -> Int).self, opened),
    ])
    func accepts(_ row: Row) throws {
        for architecture in row.architectures {
            _ = try CallPlan(try #require(row.type), shape: row.shape, architecture: architecture)
        }
    }

    /// An async function's code alone does not say how large its context is, and one that is not async has none.
    @Test func asyncRecords() throws {
        let code = UnsafeRawPointer(bitPattern: 16)!
        let later = try Adapter<(Int) async -> Int>()
        let now = try Adapter<(Int) -> Int>()
        for attempt in [
            { _ = try later.original(at: code) }, { _ = try later.original(at: code, asyncContextSize: 0) },
            { _ = try later.unboundOriginal(asyncContextSize: 0) },
            { _ = try now.original(at: code, asyncContextSize: 16) },
            { _ = try now.unboundOriginal(asyncContextSize: 16) },
        ] as [() throws -> Void] {
            let error = try #require(throws: CallRefusal.self) { try attempt() }
            expect(Self.name(error), equals: "asyncRecord")
            #expect(error.description.contains("Tu"))
        }
    }

    /// A reason that no row brings about is not known to work.
    @Test func everyReasonHasARow() throws {
        let elsewhere: Set = [
            "wideFloat", "asyncRecord",
            // Scenario "thunks", a program that has no memory.
            "noMemory",
            // ClosureTests.structsWithOpaquePropertiesAreRefused: the program's symbols tell.
            "opaqueProperty",
        ]
        let reasons = try SourceText.cases(of: "CallRefusal")
        #expect(reasons.count >= 28)
        expect(reasons, equals: Set(Self.rows.map(\.reason)).union(elsewhere))
    }

    static func name(_ refusal: CallRefusal) -> String { Mirror(reflecting: refusal).children.first?.label ?? "" }

    private static func namesTheWayOut(_ refusal: CallRefusal) throws {
        let text = refusal.description
        let ways = ["withSymbol:", "Give a closure", "Leave the convention out", "Write the type that self has"]
        #expect(text.hasSuffix("."))
        #expect(ways.contains { text.contains($0) }, "\(text)")
        // It says which type it is about.
        #expect(text.contains("(") || text.contains("Int"), "\(text)")
    }
}

/// Metadata that no compiler makes yet: that of other types, with something changed.
private enum Forged {
    /// Bit 8 of the extended flags.
    static let extendedFlags = copy(of: Isolated.self) { $0.storeBytes(of: 0x100, toByteOffset: 32, as: UInt32.self) }
    /// An ownership of 9.
    static let ownership = copy(of: ((inout Int) -> Int).self) {
        $0.storeBytes(of: 9, toByteOffset: 32, as: UInt32.self)
    }
    static let takesOverAligned = copy(of: ((Int) -> Int).self) {
        $0.storeBytes(
            of: unsafeBitCast(overAligned, to: UnsafeRawPointer.self), toByteOffset: 24, as: UnsafeRawPointer.self)
    }
    static let returnsOverAligned = copy(of: ((Int) -> Int).self) {
        $0.storeBytes(
            of: unsafeBitCast(overAligned, to: UnsafeRawPointer.self), toByteOffset: 16, as: UnsafeRawPointer.self)
    }

    /// An Int aligned to 32 bytes: the lowest byte of the flags in its value witnesses is 31.
    private static let overAligned = copy(of: Int.self) { record in
        let table = UnsafeMutableRawPointer.allocate(byteCount: 96, alignment: 16)
        table.copyMemory(from: record.load(fromByteOffset: -8, as: UnsafeRawPointer.self), byteCount: 88)
        table.storeBytes(of: 31, toByteOffset: 80, as: UInt8.self)
        record.storeBytes(of: table, toByteOffset: -8, as: UnsafeMutableRawPointer.self)
    }

    private static func copy(of type: Any.Type, _ change: (UnsafeMutableRawPointer) -> Void) -> Any.Type {
        // The address of the value witnesses lies before the record.
        let original = unsafeBitCast(type, to: UnsafeRawPointer.self) - 8
        let record = UnsafeMutableRawPointer.allocate(byteCount: 64, alignment: 16)
        record.copyMemory(from: original, byteCount: 48)
        change(record + 8)
        return unsafeBitCast(UnsafeRawPointer(record + 8), to: Any.Type.self)
    }
}

/// Function types of libraries that are compiled in unusual ways.
private enum Compiled {
    static let builtins: [String: Any.Type] = {
        guard let handle = try? library("builtins", "-parse-stdlib") else { return [:] }
        var types: [String: Any.Type] = [:]
        for name in ["odd_vector_function", "bit_vector_function"] {
            guard let symbol = dlsym(handle, name) else { continue }
            let function = unsafeBitCast(symbol, to: (@convention(c) () -> UnsafeRawPointer).self)
            types[name] = unsafeBitCast(function(), to: Any.Type.self)
        }
        return types
    }()

    nonisolated(unsafe) private static let unreflectedTypes = try? library(
        "unreflected", "-Xfrontend", "-disable-reflection-metadata")

    static func unreflected(_ index: Int) -> Any.Type? {
        guard let handle = unreflectedTypes, let symbol = dlsym(handle, "unreflected_functions") else { return nil }
        let function = unsafeBitCast(symbol, to: (@convention(c) (Int) -> UnsafeRawPointer).self)
        return unsafeBitCast(function(index), to: Any.Type.self)
    }

    private static func library(_ name: String, _ options: String...) throws -> UnsafeMutableRawPointer? {
        let directory = try TemporaryDirectory("refusals")
        let library = "\(directory.path)/lib\(name).so"
        try runTool(
            ["swiftc", "-parse-as-library", "-emit-library", "-module-name", "Refused_\(name)"] + options
                + ["\(SignatureTests.folder)/\(name).swift", "-o", library])
        return dlopen(library, RTLD_NOW)
    }
}

/// What the sources say, for tests that must know of every case.
enum SourceText {
    /// The names of the cases of an enum that has a file of its own name, in HotpatchSwiftCall or in its Signature.
    static func cases(of name: String) throws -> Set<String> {
        let root = #filePath.split(separator: "/").dropLast(3).map { "/" + $0 }.joined()
        let listing = try run(["find", "\(root)/Sources/HotpatchSwiftCall", "-name", "\(name).swift"])
        let file = try run(["cat", listing.output.split(separator: "\n").first.map(String.init) ?? ""])
        var names: Set<String> = []
        // Up to the first extension: those have cases of switches.
        for line in file.output.split(separator: "\n", omittingEmptySubsequences: false) {
            if line.hasPrefix("extension ") { break }
            let words = line.split(separator: " ", maxSplits: 1)
            guard words.count == 2, words[0] == "case" else { continue }
            names.insert(String(words[1].prefix { $0.isLetter || $0.isNumber }))
        }
        return names
    }
}
