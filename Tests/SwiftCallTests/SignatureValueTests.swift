import Glibc
import HotpatchExpectations
import HotpatchMemory
import HotpatchProcFS
import HotpatchSymbols
import HotpatchTestSupport
import Testing

@testable import HotpatchSwiftCall

/// Function values, and the functions they come from.
@Suite(.serialized) struct SignatureValueTests {
    private typealias Report = @convention(c) (UnsafePointer<CChar>, UInt, UInt, Bool) -> Void
    private struct Seen {
        var expected: String
        var found: String?
        var why: String?
    }
    nonisolated(unsafe) private static var index: SymbolIndex?
    nonisolated(unsafe) private static var seen: [Seen] = []

    /// What a caller does with a value, while it is alive.
    private static func resolve(_ value: FunctionValue, _ isAsync: Bool) -> (name: String?, why: String?) {
        guard let index else { return (nil, "no index") }
        func text(_ address: UInt) -> String? {
            let found = index.function(containing: Address(UInt64(address)))
            return found?.offset == 0 ? found?.symbol.demangledName : nil
        }
        switch FunctionValueOrigin(entry: text(value.entry(isAsync: isAsync))) {
        case .itself: return value.context == 0 ? (text(value.entry(isAsync: isAsync)), nil) : (nil, "context")
        case .captured:
            guard let captured = value.captured, captured.context == 0 else { return (nil, "captured context") }
            let name = text(captured.entry(isAsync: isAsync))
            switch FunctionValueOrigin(entry: name) {
            case .itself: return (name, nil)
            case .unknown(let why): return (nil, why)
            default: return (nil, name)
            }
        case .named(let name): return (name, nil)
        case .unknown(let why): return (nil, why)
        }
    }

    @Test(arguments: ["-Onone", "-O"])
    func resolves(_ optimisation: String) throws {
        let directory = try TemporaryDirectory("values")
        let library = "\(directory.path)/libvalues\(optimisation).so"
        try runTool(
            "swiftc", "-parse-as-library", "-emit-library", "-module-name", "Values", optimisation,
            "\(SignatureTests.folder)/values.swift", "-o", library)
        let handle = try #require(dlopen(library, RTLD_NOW))
        let symbol = try #require(dlsym(handle, "function_values"))
        let index = try SymbolIndex(map: ProcessMap(pid: getpid()), memory: LocalMemory())
        Self.index = index
        Self.seen = []
        let report: Report = { name, code, context, isAsync in
            let found = SignatureValueTests.resolve(FunctionValue(code: code, context: context), isAsync)
            SignatureValueTests.seen.append(
                Seen(expected: String(cString: name), found: found.name, why: found.why))
        }
        unsafeBitCast(symbol, to: (@convention(c) (Report) -> Void).self)(report)
        expect(Self.seen.count, equals: 16)
        for seen in Self.seen {
            if seen.expected.isEmpty {
                #expect(seen.found == nil && seen.why != nil, "\(seen)")
                continue
            }
            let found = try #require(seen.found, "\(seen)")
            try expect(
                index.function(named: found, in: library), equals: index.function(named: seen.expected, in: library),
                "\(seen)")
        }
        Self.index = nil
    }

    @Test(arguments: [
        ("Shop.price(of: Swift.String) -> Swift.Int", FunctionValueOrigin.itself),
        (
            "partial apply forwarder for reabstraction thunk helper from @escaping @callee_guaranteed (@unowned Swift.Int)"
                + " -> (@unowned Swift.Int) to @escaping @callee_guaranteed (@in_guaranteed Swift.Int) -> (@out Swift.Int)",
            .captured
        ),
        (
            "function signature specialization <Arg[2] = [Constant Propagated Function : Shop.mixed(_: [Swift.Int], b: (Swift.Int)"
                + " -> Swift.Bool) -> (Swift.Int, Swift.Double)]> of reabstraction thunk helper from @escaping",
            .named("Shop.mixed(_: [Swift.Int], b: (Swift.Int) -> Swift.Bool) -> (Swift.Int, Swift.Double)")
        ),
    ])
    func reads(_ text: String, _ expected: FunctionValueOrigin) {
        expect(FunctionValueOrigin(entry: text), equals: expected)
    }

    @Test(arguments: [
        ("implicit closure #1 (Swift.Int) -> Swift.Int in Shop", "is a method"),
        ("partial apply forwarder for implicit closure #6 (Swift.Int) -> Swift.Int in main", "is a method"),
        ("closure #13 (Swift.Int) -> Swift.Int in Shop", "is a closure"),
        (
            "function signature specialization <Arg[2] = [Constant Propagated Function : implicit closure #2 (FV.S) ->"
                + " (Swift.Int) -> Swift.Int in FV]> of reabstraction thunk helper from @escaping", "is a method"
        ),
        (
            "function signature specialization <Arg[0] = [Constant Propagated Function : Shop.a() -> ()], Arg[1] = [Constant"
                + " Propagated Function : Shop.b() -> ()]> of reabstraction thunk helper from @escaping", "does not say"
        ),
        (
            "function signature specialization <Arg[0] = Dead> of Shop.price(of: Swift.String) -> Swift.Int",
            "does not say"
        ),
        ("merged partial apply forwarder for reabstraction thunk helper from x", "does not say"),
        ("reabstraction thunk helper from @escaping", "does not say"), ("malloc", "does not say"),
    ])
    func cannotTell(_ text: String, _ words: String) {
        guard case .unknown(let why) = FunctionValueOrigin(entry: text) else {
            Issue.record("\(text)")
            return
        }
        #expect(why.contains(words), "\(why)")
    }

    @Test func otherValues() {
        expect(FunctionValue(3), equals: nil)
        expect(FunctionValue("sixteen bytes"), equals: nil)
        expect(FunctionValue({ 3 } as @convention(c) () -> Int32), equals: nil)
        #expect(FunctionValue({ (number: Int) in number + 1 }) != nil)
        expect(
            FunctionValueOrigin(entry: nil),
            equals: .unknown("The value's code has no symbol: the program may be stripped. Pass the function's name."))
    }
}
