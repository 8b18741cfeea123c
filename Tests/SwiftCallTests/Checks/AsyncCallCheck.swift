import HotpatchCalls
import Glibc
import Hotpatch
import HotpatchProcFS
import HotpatchTesting
import HotpatchMemory
import HotpatchSwiftCall
import HotpatchSymbols
import Synchronization
import HotpatchTestSupport

/// A `CallCheck` of an async function.
public struct AsyncCallCheck: Sendable, CustomStringConvertible {
    public let description: String
    public let run: @Sendable () async throws -> Void

    /// Runs it from where nothing is async.
    public func runAndWait() throws {
        let outcome = Outcome()
        let run = run
        Task {
            do {
                try await run()
                outcome.set(.success(()))
            } catch { outcome.set(.failure(error)) }
        }
        while true {
            if let result = outcome.get() { return try result.get() }
            usleep(1000)
        }
    }
}

private final class Outcome: Sendable {
    private let result = Mutex<Result<Void, any Error>?>(nil)
    func set(_ value: Result<Void, any Error>) { result.withLock { $0 = value } }
    func get() -> Result<Void, any Error>? { result.withLock { $0 } }
}

/// As for functions that are not async.
/// - Parameter isTheSame: the replacement comes to the same, and the call does not go through a function value.
func check<F>(
    _ symbol: String, _ shape: CallShape, _ natural: @escaping @Sendable () async -> String, as type: F.Type = F.self,
    _ call: @escaping @Sendable (F) async -> String, isTheSame: Bool = false,
    replacement: @autoclosure @escaping @Sendable () -> F
) -> AsyncCallCheck {
    AsyncCallCheck(description: symbol) {
        try await balanced {
            let adapter = try Adapter<F>(shape: shape)
            func original(_ address: Address, _ name: String) throws -> F {
                guard let code = UnsafeRawPointer(bitPattern: UInt(address.rawValue)) else {
                    throw TestFailure("\(symbol) has no address")
                }
                return try adapter.original(at: code, asyncContextSize: try asyncContextSize(of: name))
            }
            let expected = await natural()
            let unpatched = try Patch.originalAddress(symbol: symbol)
            let replaced = await call(replacement())
            guard isTheSame || replaced != expected else { throw TestFailure("the replacement makes no difference") }

            let patch = try Patch.replace(symbol: symbol, with: try adapter.replacement(replacement()))
            defer { try? patch.revert() }
            try equal(await natural(), replaced, "replaced")
            try equal(
                await call(try original(patch.originalAddress, patch.function.name)), expected, "the patch's original")
            try patch.revert()
            try equal(await natural(), expected, "reverted")
            try equal(await call(try original(unpatched, patch.function.name)), expected, "an original")

            guard shape == .function else { return }
            try await withMock(symbol: symbol, with: replacement()) {
                try equal(await natural(), replaced, "mocked")
                try equal(await Task.detached { await natural() }.value, expected, "a detached task, mocked")
            }
            try equal(await natural(), expected, "no longer mocked")
        }
    }
}

func check<F>(
    _ symbol: String, _ natural: @escaping @Sendable () async -> String, as type: F.Type = F.self,
    _ call: @escaping @Sendable (F) async -> String, isTheSame: Bool = false,
    replacement: @autoclosure @escaping @Sendable () -> F
) -> AsyncCallCheck {
    check(symbol, .function, natural, as: type, call, isTheSame: isTheSame, replacement: replacement())
}

/// From the function's async record (swift/include/swift/ABI/Task.h, AsyncFunctionPointer).
private func asyncContextSize(of name: String) throws -> Int {
    let memory = LocalMemory()
    let index = try symbols.get()
    let record = try index.dataSymbol(named: name + "Tu")
    return Int(try memory.value(UInt32.self, at: record.address + 4))
}

/// The symbols of this process.
let symbols = Result { () throws -> SymbolIndex in
    try SymbolIndex(map: ProcessMap(pid: getpid()), memory: LocalMemory(), root: "")
}

func balanced(_ body: () async throws -> Void) async throws {
    let before = Token.living
    for _ in 0..<3 { try await body() }
    // What a task held is let go of by its thread, which may be a moment behind.
    for _ in 0..<1000 where Token.living != before { usleep(1000) }
    guard Token.living == before else { throw TestFailure("\(Token.living - before) objects are left over") }
}
