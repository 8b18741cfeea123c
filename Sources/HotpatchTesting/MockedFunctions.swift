import CPatchCall
import Hotpatch
import HotpatchMemory
import HotpatchSwiftCall
import Synchronization

/// The functions whose calls are looked up: their entries lead to a dispatcher while mocks of them hold anywhere.
final class MockedFunctions: Sendable {
    static let shared = MockedFunctions()

    private struct Entry {
        let dispatcher: UnsafeMutablePointer<hp_call_dispatcher>
        let code: UnsafeRawPointer
        /// While there are uses.
        var patch: Patch?
        var uses = 0

        /// The dispatcher's.
        var original: Patch.OriginalPointer {
            let offset = MemoryLayout<hp_call_dispatcher>.offset(of: \.original)!
            return (UnsafeMutableRawPointer(dispatcher) + offset).assumingMemoryBound(to: UnsafeRawPointer?.self)
        }
    }

    /// By the function's address. Never removed: a call may be on its way through a dispatcher at any time.
    private let entries = Mutex<[UInt64: Entry]>([:])

    /// Leads the function's entry to its dispatcher, if it does not lead there yet, or no longer.
    func begin(_ function: FunctionSymbol) throws -> UnsafePointer<hp_call_dispatcher> {
        try Mock.withoutAny { try entries.withLock { try begin(function, &$0) } }
    }

    private func begin(
        _ function: FunctionSymbol, _ entries: inout [UInt64: Entry]
    ) throws -> UnsafePointer<hp_call_dispatcher> {
        // The search for a mock is written in Swift and C, which keep less than such callers rely on.
        if function.isVariantCall { throw MockError.variantCall(function: function.demangledName) }
        let key = function.address.rawValue
        let entry = try entries[key] ?? Self.makeEntry()
        entries[key] = entry
        // Anybody may have patched the function since, or reverted all patches.
        let active = try Patch.replacement(for: function)
        if active?.address != Address(entry.code) {
            if let active {
                throw MockError.alreadyPatched(function: function.demangledName, by: active.name)
            }
            entries[key]?.patch = try Patch.replace(function, with: entry.code, original: entry.original)
        }
        if entry.uses == 0 { CallFlag(of: entry.dispatcher).clear() }
        entries[key]?.uses += 1
        return UnsafePointer(entry.dispatcher)
    }

    /// The counterpart of `begin`.
    func end(_ function: FunctionSymbol) throws(PatchError) {
        let failure: PatchError? = entries.withLock { entries in
            guard var entry = entries[function.address.rawValue] else { return nil }
            entry.uses -= 1
            var failure: PatchError?
            if entry.uses == 0 {
                do throws(PatchError) { try entry.patch?.revertIfInForce() } catch { failure = error }
                entry.patch = nil
            }
            entries[function.address.rawValue] = entry
            return failure
        }
        if let failure { throw failure }
    }

    private static func makeEntry() throws(PatchError) -> Entry {
        let (dispatcher, code) = try CallFlag.makeDispatcher(Mock.lookUp)
        return Entry(dispatcher: dispatcher, code: code)
    }
}
