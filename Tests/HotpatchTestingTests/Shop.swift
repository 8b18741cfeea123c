import Foundation
import Synchronization

// What the tests mock. Nobody else patches these.

struct SoldOut: Error, Equatable { var item: String }

@inline(never) @_optimize(none) func price(of item: String) -> Int { item.count }
@inline(never) @_optimize(none) func discount(_ percent: Double, on item: String) throws -> Double {
    if item.isEmpty { throw SoldOut(item: item) }
    return Double(price(of: item)) * (1 - percent / 100)
}
@inline(never) @_optimize(none) func stock(of item: String) async throws -> Int {
    await Task.yield()
    if item.isEmpty { throw SoldOut(item: item) }
    return item.count * 10
}
@inline(never) @_optimize(none) func stamp(_ a: Int, _ b: Float, _ c: Double, _ d: String, _ e: [Int]) -> String {
    "\(a) \(b) \(c) \(d) \(e)"
}

struct Till {
    var amount = 0
    @inline(never) @_optimize(none) mutating func put(_ coins: Int) { amount += coins }
    @inline(never) @_optimize(none) func counted(_ times: Int) -> Int { amount * times }
}

actor Warehouse {
    private let id: Int
    init(_ id: Int) { self.id = id }
    func shelf(_ number: Int) -> Int { id * 100 + number }
}

/// Counts those that live.
final class Counted: Sendable {
    static let living = Atomic<Int>(0)
    let value: Int
    init(_ value: Int) {
        self.value = value
        Self.living.add(1, ordering: .sequentiallyConsistent)
    }
    deinit { Self.living.subtract(1, ordering: .sequentiallyConsistent) }
}

struct Stopped: Error {}

/// Runs on a thread without a task.
func onAThread<T: Sendable>(_ body: @escaping @Sendable () -> T) async -> T {
    await withCheckedContinuation { continuation in
        Thread.detachNewThread { continuation.resume(returning: body()) }
    }
}
