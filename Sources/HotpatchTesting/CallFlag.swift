import CPatchCall
import Glibc
import Hotpatch
import HotpatchSwiftCall
import Synchronization

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
