import Synchronization

/// State behind a lock. Unlike `Mutex` it takes state with C handles in it, which the compiler cannot see to be unshared.
@usableFromInline
package final class Locked<State>: @unchecked Sendable {
    @usableFromInline let mutex = Mutex<Void>(())
    @usableFromInline var state: State

    @inlinable
    package init(_ state: State) { self.state = state }

    @inlinable
    package func withLock<R>(_ body: (inout State) throws -> R) rethrows -> R {
        try mutex.withLock { _ in
            nonisolated(unsafe) let result = try body(&state)
            return result
        }
    }
}

/// A value computed at its first use, once, whichever thread is first.
@usableFromInline
package final class Lazy<Value: Sendable>: Sendable {
    @usableFromInline let value = Locked<Value?>(nil)
    @usableFromInline let compute: @Sendable () -> Value

    @inlinable
    package init(_ compute: @escaping @Sendable () -> Value) { self.compute = compute }

    @inlinable
    package func get() -> Value {
        value.withLock { value in
            if let value { return value }
            let computed = compute()
            value = computed
            return computed
        }
    }
}
