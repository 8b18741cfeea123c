import CSwiftCall
import Glibc
import Hotpatch
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
    }

    /// By the function's address. Never removed: a call may be on its way through a dispatcher at any time.
    private let entries = Mutex<[UInt64: Entry]>([:])

    /// Leads the function's entry to its dispatcher, if it does not lead there yet.
    func begin(_ function: FunctionSymbol) throws -> UnsafePointer<hp_call_dispatcher> {
        try entries.withLock { entries in
            var entry = try entries[function.address.rawValue] ?? Self.makeEntry()
            if entry.patch == nil {
                if let other = try Patch.replacement(for: function.name, in: function.image.path) {
                    throw MockError.alreadyPatched(function: function.demangledName, by: other.name)
                }
                let original = UnsafeMutableRawPointer(entry.dispatcher) + Int(HP_CALL_DISPATCHER_ORIGINAL)
                entry.patch = try Patch.replace(
                    symbol: function.name, in: function.image.path, with: entry.code,
                    original: original.assumingMemoryBound(to: UnsafeRawPointer?.self))
            }
            entry.uses += 1
            entries[function.address.rawValue] = entry
            return UnsafePointer(entry.dispatcher)
        }
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
}

extension MockError: CustomStringConvertible {
    public var description: String {
        switch self {
        case .alreadyPatched(let function, let other):
            "\(function) is patched for the whole process, and \(other) runs. Revert that first, or use withPatch."
        case .recorder(let type, let function):
            "the recorder is for \(type), and the mock is of type \(function). Make it with the mock's type."
        }
    }
}
