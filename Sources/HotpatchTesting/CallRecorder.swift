import HotpatchSwiftCall
import Synchronization

/// A `CallRecorder`, whatever function it is for.
public class AnyCallRecorder: @unchecked Sendable {
    let functionType: Any.Type

    fileprivate init(_ type: Any.Type) { functionType = type }

    fileprivate func callBegan(_ arguments: [UnsafeRawPointer]) -> Int { fatalError("a recorder has a type") }
    fileprivate func end(_ call: Int, _ result: UnsafeRawPointer) {}
    fileprivate func end(_ call: Int, _ error: any Error) {}
}

/// A call that a recorder was told of.
public struct RecordedCall<Arguments, Result> {
    /// In the order of the function type, `self` first. A tuple where there are several.
    public let arguments: Arguments
    /// How it ended, or that it has not.
    public internal(set) var outcome: CallOutcome<Result>

    /// What it returned, if it did.
    public var result: Result? { if case .returned(let result) = outcome { result } else { nil } }
    /// What it threw, if it did.
    public var error: (any Error)? { if case .threw(let error) = outcome { error } else { nil } }
}

/// How a recorded call ended.
public enum CallOutcome<Result> {
    /// It has not ended.
    case running
    /// It returned this.
    case returned(Result)
    /// It threw this.
    case threw(any Error)
}

/// The calls of a mock, in the order in which they began, on whichever threads.
///
///     let calls = CallRecorder(((String, Int) throws -> Double).self)
///     try withRecording(symbol: "Shop.total(of:count:)", calls) { … }
///     #expect(calls.all[0].arguments == ("apple", 2))
///
/// It keeps what it recorded, arguments and results, as long as it lives. A function with an `inout` parameter or with a closure
/// that does not escape cannot be recorded.
public final class CallRecorder<Result, each Argument>: AnyCallRecorder, @unchecked Sendable {
    /// A call of the function.
    public typealias Call = RecordedCall<(repeat each Argument), Result>

    private let lock = Mutex(())
    private var calls: [Call] = []

    /// Makes a recorder of a function that neither throws nor is async.
    /// - Parameter type: the function's, as mocks have it. What it is called with and returns is handed from the task that calls to the
    ///   one that asks.
    public init(_ type: ((repeat each Argument) -> Result).Type)
    where Result: Sendable, repeat each Argument: Sendable {
        super.init(type)
    }

    /// Makes a recorder of a function that throws.
    /// - Parameter type: the function's, as mocks have it.
    public init(_ type: ((repeat each Argument) throws -> Result).Type)
    where Result: Sendable, repeat each Argument: Sendable {
        super.init(type)
    }

    /// Makes a recorder of a function that is async.
    /// - Parameter type: the function's, as mocks have it.
    public init(_ type: ((repeat each Argument) async -> Result).Type)
    where Result: Sendable, repeat each Argument: Sendable {
        super.init(type)
    }

    /// Makes a recorder of a function that is async and throws.
    /// - Parameter type: the function's, as mocks have it.
    public init(_ type: ((repeat each Argument) async throws -> Result).Type)
    where Result: Sendable, repeat each Argument: Sendable {
        super.init(type)
    }

    /// Makes a recorder of a function that takes or returns what is not `Sendable`.
    ///
    /// The test must see to it that no other task uses these values while it looks at them.
    /// - Parameter type: the function's, as mocks have it.
    public init(unchecked type: ((repeat each Argument) -> Result).Type) { super.init(type) }

    /// The same of one that throws.
    /// - Parameter type: the function's, as mocks have it.
    public init(unchecked type: ((repeat each Argument) throws -> Result).Type) { super.init(type) }

    /// The same of one that is async.
    /// - Parameter type: the function's, as mocks have it.
    public init(unchecked type: ((repeat each Argument) async -> Result).Type) { super.init(type) }

    /// The same of one that is async and throws.
    /// - Parameter type: the function's, as mocks have it.
    public init(unchecked type: ((repeat each Argument) async throws -> Result).Type) { super.init(type) }

    /// The calls so far.
    public var all: [Call] { lock.withLock { _ in calls } }

    override fileprivate func callBegan(_ arguments: [UnsafeRawPointer]) -> Int {
        var next = arguments.makeIterator()
        func value<T>(_ type: T.Type) -> T { next.next()!.assumingMemoryBound(to: type).pointee }
        let call = Call(arguments: (repeat value((each Argument).self)), outcome: .running)
        return lock.withLock { _ in
            calls.append(call)
            return calls.count - 1
        }
    }

    override fileprivate func end(_ call: Int, _ result: UnsafeRawPointer) {
        end(call, .returned(result.assumingMemoryBound(to: Result.self).pointee))
    }

    override fileprivate func end(_ call: Int, _ error: any Error) { end(call, .threw(error)) }

    private func end(_ call: Int, _ outcome: CallOutcome<Result>) {
        lock.withLock { _ in calls[call].outcome = outcome }
    }
}

/// What an adapter tells, told on to a recorder.
final class RecorderObserver: CallObserver {
    private let recorder: AnyCallRecorder

    init(_ recorder: AnyCallRecorder) { self.recorder = recorder }

    func callBegan(_ arguments: [UnsafeRawPointer]) -> Int { recorder.callBegan(arguments) }
    func call(_ call: Int, returned result: UnsafeRawPointer) { recorder.end(call, result) }
    func call(_ call: Int, threw error: any Error) { recorder.end(call, error) }
}

extension RecordedCall: Sendable where Arguments: Sendable, Result: Sendable {}
extension CallOutcome: Sendable where Result: Sendable {}
