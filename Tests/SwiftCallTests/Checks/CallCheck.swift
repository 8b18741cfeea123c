import HotpatchCalls
import Glibc
import Hotpatch
import HotpatchTesting
import HotpatchMemory
import HotpatchSwiftCall
import Synchronization
import HotpatchTestSupport

/// A function of Calls, called four ways: as it is, through an original, replaced, and through the original of the patch.
public struct CallCheck: Sendable, CustomStringConvertible {
    public let description: String
    public let run: @Sendable () throws -> Void
}

/// - Parameters:
///   - symbol: the function.
///   - natural: calls it, compiled beside it.
///   - call: does the same through a function value.
///   - replacement: runs instead of it. It must come to something else.
func check<F>(
    _ symbol: String, _ shape: CallShape, _ natural: @escaping @Sendable () -> String,
    as type: F.Type = F.self, _ call: @escaping @Sendable (F) -> String,
    replacement: @autoclosure @escaping @Sendable () -> F
) -> CallCheck {
    CallCheck(description: symbol) {
        try balanced {
            let adapter = try Adapter<F>(shape: shape)
            func original(_ address: Address) throws -> F {
                guard let code = UnsafeRawPointer(bitPattern: UInt(address.rawValue)) else {
                    throw TestFailure("\(symbol) has no address")
                }
                return try adapter.original(at: code)
            }
            let expected = natural()
            try equal(call(try original(Patch.originalAddress(symbol: symbol))), expected, "an original")

            let replaced = call(replacement())
            guard replaced != expected else { throw TestFailure("\(symbol): the replacement makes no difference") }
            let patch = try Patch.replace(symbol: symbol, with: try adapter.replacement(replacement()))
            defer { try? patch.revert() }
            try equal(natural(), replaced, "replaced")
            try equal(call(try original(patch.originalAddress)), expected, "the patch's original")
            try patch.revert()
            try equal(natural(), expected, "reverted")

            // DWARF must tell what is known here of members.
            guard shape == .function else { return }
            try withMock(symbol: symbol, with: replacement()) {
                try equal(natural(), replaced, "mocked")
                try equal(onAnotherThread(natural), expected, "another thread, mocked")
            }
            try equal(natural(), expected, "no longer mocked")
        }
    }
}

func check<F>(
    _ symbol: String, _ natural: @escaping @Sendable () -> String, as type: F.Type = F.self,
    _ call: @escaping @Sendable (F) -> String, replacement: @autoclosure @escaping @Sendable () -> F
) -> CallCheck { check(symbol, .function, natural, as: type, call, replacement: replacement()) }

/// Where no task is.
func onAnotherThread(_ body: @escaping @Sendable () -> String) -> String {
    final class Call: Sendable {
        let body: @Sendable () -> String
        let result = Mutex("")
        init(_ body: @escaping @Sendable () -> String) { self.body = body }
    }
    let call = Call(body)
    var thread = pthread_t()
    let error = pthread_create(
        &thread, nil,
        { argument in
            let call = Unmanaged<Call>.fromOpaque(argument!).takeRetainedValue()
            let result = call.body()
            call.result.withLock { $0 = result }
            return nil
        }, Unmanaged.passRetained(call).toOpaque())
    guard error == 0 else { return "no thread: \(error)" }
    pthread_join(thread, nil)
    return call.result.withLock { $0 }
}

func equal(_ found: String, _ expected: String, _ what: String) throws {
    guard found == expected else { throw TestFailure("\(what): \(found) instead of \(expected)") }
}

/// Runs it again and again: no object must be left over, and none be gone too early.
func balanced(_ body: () throws -> Void) throws {
    let before = Token.living
    for _ in 0..<3 { try body() }
    guard Token.living == before else { throw TestFailure("\(Token.living - before) objects are left over") }
}
