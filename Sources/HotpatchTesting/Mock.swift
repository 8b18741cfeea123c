import CPatchCall
import Glibc
import Hotpatch
import HotpatchMemory
import HotpatchSwiftCall
import Synchronization

/// What runs instead of a function for one task, its children, and what they call.
final class Mock: @unchecked Sendable {
    /// The innermost one.
    @TaskLocal static var current: Mock?

    /// The function's: it tells functions apart.
    let dispatcher: UnsafePointer<hp_call_dispatcher>
    private let destination: hp_call_destination
    /// What the destination needs.
    private let adapter: CallAdapter?
    private let outer: Mock?
    /// A task that outlives the scope keeps the mock, but it no longer holds.
    private let isOver = Atomic<Bool>(false)
    private let ran = Atomic<Bool>(false)

    init(_ dispatcher: UnsafePointer<hp_call_dispatcher>, _ destination: hp_call_destination, _ adapter: CallAdapter?) {
        self.dispatcher = dispatcher
        self.destination = destination
        self.adapter = adapter
        outer = Self.current
    }

    func end() { isOver.store(true, ordering: .releasing) }

    var hasRun: Bool { ran.load(ordering: .relaxed) }

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
                if !mock.ran.load(ordering: .relaxed) { mock.ran.store(true, ordering: .relaxed) }
                return mock.destination
            }
            next = mock.outer
        }
        CallFlag(of: dispatcher).set()
        return hp_call_destination(code: nil, adapter: nil)
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

/// Whether calls went through a dispatcher to what it calls the original. It lies behind the dispatcher.
struct CallFlag {
    private let flag: UnsafeMutablePointer<Atomic<Bool>>

    init(of dispatcher: UnsafeRawPointer) {
        flag = UnsafeMutableRawPointer(mutating: dispatcher + MemoryLayout<hp_call_dispatcher>.stride)
            .assumingMemoryBound(to: Atomic<Bool>.self)
    }

    var isSet: Bool { flag.pointee.load(ordering: .relaxed) }

    /// Written only once: many threads may share its cache line.
    func set() { if !isSet { flag.pointee.store(true, ordering: .relaxed) } }

    func clear() { flag.pointee.store(false, ordering: .relaxed) }

    /// A dispatcher with its flag, and its code. Both stay for good: a call may be on its way through them at any time.
    static func makeDispatcher(
        _ lookUp: @escaping @convention(c) (UnsafeRawPointer) -> hp_call_destination
    ) throws(PatchError) -> (dispatcher: UnsafeMutablePointer<hp_call_dispatcher>, code: UnsafeRawPointer) {
        let memory = UnsafeMutableRawPointer.allocate(
            byteCount: MemoryLayout<hp_call_dispatcher>.stride + MemoryLayout<Atomic<Bool>>.stride,
            alignment: MemoryLayout<hp_call_dispatcher>.alignment)
        let dispatcher = memory.initializeMemory(
            as: hp_call_dispatcher.self, repeating: hp_call_dispatcher(look_up: lookUp, original: nil), count: 1)
        (memory + MemoryLayout<hp_call_dispatcher>.stride).bindMemory(to: Atomic<Bool>.self, capacity: 1)
            .initialize(to: Atomic(false))
        guard let code = hp_call_make_dispatch_thunk(dispatcher) else {
            memory.deallocate()
            throw .closure(CallRefusal.noMemory(errno))
        }
        return (dispatcher, code)
    }
}
