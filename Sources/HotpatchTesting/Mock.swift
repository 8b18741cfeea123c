import CPatchCall
import Hotpatch
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
