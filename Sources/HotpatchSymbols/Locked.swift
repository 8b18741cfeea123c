import Synchronization

/// State behind a lock. Unlike `Mutex` it takes state with C handles in it, which the compiler cannot see to be unshared.
final class Locked<State>: @unchecked Sendable {
    private let mutex = Mutex<Void>(())
    private var state: State

    init(_ state: State) { self.state = state }

    func withLock<R>(_ body: (inout State) throws -> R) rethrows -> R {
        try mutex.withLock { _ in
            nonisolated(unsafe) let result = try body(&state)
            return result
        }
    }
}

/// A value computed at its first use, once, whichever thread is first.
final class Lazy<Value: Sendable>: Sendable {
    private let value = Locked<Value?>(nil)
    private let compute: @Sendable () -> Value

    init(_ compute: @escaping @Sendable () -> Value) { self.compute = compute }

    func get() -> Value {
        value.withLock { value in
            if let value { return value }
            let computed = compute()
            value = computed
            return computed
        }
    }
}
