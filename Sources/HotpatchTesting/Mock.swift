import CSwiftCall
import Glibc
import Hotpatch
import Memory
import SwiftCall
import Synchronization

/// What runs instead of a function for one task, its children, and what they call.
final class Mock: @unchecked Sendable {
    /// The innermost one.
    @TaskLocal static var current: Mock?

    /// The function's: it tells functions apart.
    let dispatcher: UnsafePointer<hp_call_dispatcher>
    private let destination: hp_call_destination
    /// What the destination needs.
    private let box: CallBox?
    private let outer: Mock?
    /// A task that outlives the scope keeps the mock, but it no longer holds.
    private let isOver = Atomic<Bool>(false)

    init(_ dispatcher: UnsafePointer<hp_call_dispatcher>, _ destination: hp_call_destination, _ box: CallBox?) {
        self.dispatcher = dispatcher
        self.destination = destination
        self.box = box
        outer = Self.current
    }

    func end() { isOver.store(true, ordering: .releasing) }

    /// What the library itself needs is not mocked.
    static func withoutAny<R, E>(_ body: () throws(E) -> R) throws(E) -> R {
        let result = $current.withValue(nil) { Result { () throws(E) in try body() } }
        return try result.get()
    }

    /// For dispatchers. It allocates nothing and takes no lock: a call of any function may lead here.
    ///
    /// What it finds stays as long as the call needs it: the task that calls has the mock bound until the call returns.
    static let lookUp: @convention(c) (UnsafeRawPointer) -> hp_call_destination = { dispatcher in
        var next = current
        while let mock = next {
            if UnsafeRawPointer(mock.dispatcher) == dispatcher, !mock.isOver.load(ordering: .acquiring) {
                return mock.destination
            }
            next = mock.outer
        }
        return hp_call_destination(code: nil, box: nil)
    }
}

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

    private static func makeEntry() throws -> Entry {
        let dispatcher = UnsafeMutablePointer<hp_call_dispatcher>.allocate(capacity: 1)
        dispatcher.initialize(to: hp_call_dispatcher(look_up: Mock.lookUp, original: nil))
        guard let code = hp_call_make_dispatch_thunk(dispatcher) else {
            dispatcher.deallocate()
            throw PatchError.closure(CallRefusal.noMemory(errno))
        }
        return Entry(dispatcher: dispatcher, code: code)
    }
}

/// Why a function cannot be mocked.
public enum MockError: Error, Hashable, Sendable {
    /// It is patched for the whole process. Its calls would lead there, or that patch would be left out.
    case alreadyPatched(function: String, by: String)
    /// The recorder is for functions of another type.
    case recorder(String, function: String)
    /// Its callers rely on vector registers that the search for a mock does not keep.
    case variantCall(function: String)
}

extension MockError: CustomStringConvertible {
    public var description: String {
        switch self {
        case .alreadyPatched(let function, let other):
            "\(function) is patched for the whole process, and \(other) runs. Revert that first, or use withPatch."
        case .recorder(let type, let function):
            "the recorder is for \(type), and the mock is of type \(function). Make it with the mock's type."
        case .variantCall(let function):
            "\(function) cannot be mocked for one task. Its callers rely on vector or SVE registers that other functions do not keep "
                + "(a variant of the procedure call standard). Use withPatch, with a C function of the same convention."
        }
    }
}
