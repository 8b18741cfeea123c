import Hotpatch
import Synchronization

/// Lets tasks sleep for no time, while `body` runs: the current task and its children.
///
///     try await withoutDelays {
///         try await poller.untilReady()       // Task.sleep(for:) in it returns at once
///     }
///
/// A sleep still suspends its task, and throws where that is cancelled. The time that clocks tell does not pass.
///
/// Where code takes a clock, give it one of your own: that needs no mock. Functions that sleep can be mocked like any
/// (`Shop.Poller.pause()`). `Task.sleep` and the clocks' `sleep` themselves cannot: callers have them inlined or specialised, and the
/// runtime's own calls pass them by. So this mocks what all of them come to, `dispatch_after_f` and `dispatch_source_set_timer` of
/// libdispatch, by which the default executors wait (Swift 6.0 to 6.3). Timers of Dispatch that the tasks themselves set
/// fire at once too. An executor of your own that waits by other means goes on doing so.
///
/// - Parameters:
///   - isolation: the actor that `body` runs on: the caller's.
///   - body: what runs without delays.
/// - Returns: what `body` returns.
/// - Throws: `PatchError` where the process has no libdispatch, and then `body` has not run; what `body` throws.
@discardableResult
public func withoutDelays<R>(
    isolation: isolated (any Actor)? = #isolation, _ body: () async throws -> R
) async throws -> R {
    let library = "libdispatch.so"
    let now = try Mock.withoutAny { try Patch.function(symbol: "dispatch_async_f", in: library) }.address
    Dispatch.now.store(UInt(now.rawValue), ordering: .relaxed)
    return try await withMock(
        symbol: "dispatch_after_f", in: library,
        with: { _, queue, context, work in
            Dispatch.call(Dispatch.now, as: Dispatch.Async.self)?(queue, context, work)
        } as Dispatch.After, checks: []
    ) {
        try await withMock(
            symbol: "dispatch_source_set_timer", in: library,
            wrapping: { (original: @escaping Dispatch.SetTimer) in
                Dispatch.setTimer.store(unsafeBitCast(original, to: UInt.self), ordering: .relaxed)
                return { source, _, interval, _ in
                    // DISPATCH_TIME_NOW is 0.
                    Dispatch.call(Dispatch.setTimer, as: Dispatch.SetTimer.self)?(source, 0, interval, 0)
                }
            }, checks: []
        ) { try await body() }
    }
}

/// Functions of libdispatch, which the module does not import: it would bring much along. C functions capture nothing.
private enum Dispatch {
    typealias Work = @convention(c) (UnsafeMutableRawPointer?) -> Void
    typealias After = @convention(c) (UInt64, OpaquePointer, UnsafeMutableRawPointer?, Work) -> Void
    typealias Async = @convention(c) (OpaquePointer, UnsafeMutableRawPointer?, Work) -> Void
    typealias SetTimer = @convention(c) (OpaquePointer, UInt64, UInt64, UInt64) -> Void

    /// Addresses.
    static let now = Atomic<UInt>(0)
    static let setTimer = Atomic<UInt>(0)

    static func call<F>(_ address: borrowing Atomic<UInt>, as type: F.Type) -> F? {
        let address = address.load(ordering: .relaxed)
        return address == 0 ? nil : unsafeBitCast(address, to: type)
    }
}
