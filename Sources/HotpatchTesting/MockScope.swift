import CPatchCall
import Hotpatch
import HotpatchMemory
import HotpatchSwiftCall

/// A mock from where it begins to hold to where it ends.
struct MockScope {
    private let function: FunctionSymbol
    private let mock: Mock
    private let checks: ScopeChecks

    /// - Parameter make: is given what makes the original.
    init<F>(
        symbol: String, in image: String?, selfUse: Patch.SelfUse?, recorder: AnyCallRecorder?, checks: ScopeChecks,
        _ make: (() throws -> F) throws -> F
    ) throws {
        if let recorder, recorder.functionType != F.self {
            throw MockError.recorder("\(recorder.functionType)", function: "\(F.self)")
        }
        let typed: TypedFunction<F>?
        if FunctionConvention(F.self) == .swift {
            typed = try Mock.withoutAny { try TypedFunction<F>(symbol: symbol, in: image, selfUse: selfUse) }
            function = typed!.function
        } else {
            typed = nil
            function = try Mock.withoutAny { try Patch.function(symbol: symbol, in: image) }
            try MockError.refuseReturning(from: function, as: F.self)
        }
        let dispatcher = try MockedFunctions.shared.begin(function)
        do {
            let originalAddress = Address(dispatcher.pointee.original!)
            if let typed {
                let mock = try make { try typed.original(at: originalAddress) }
                let adapter = typed.adapter.replacementAdapter(mock, observer: recorder.map(RecorderObserver.init))
                self.mock = Mock(dispatcher, adapter.destination, adapter)
            } else {
                let mock = try make { try cFunction(at: originalAddress, as: F.self) }
                try requireC(F.self)
                let code = unsafeBitCast(mock, to: UnsafeRawPointer.self)
                self.mock = Mock(dispatcher, hp_call_destination(code: code, adapter: nil), nil)
            }
            self.checks = recorder == nil ? checks : checks.without(.calls)
            try Mock.withoutAny { [function] in try checks.begin(function, "mock") }
        } catch {
            try MockedFunctions.shared.end(function)
            throw error
        }
    }

    /// The mock is the function itself.
    init(
        recording symbol: String, in image: String?, selfUse: Patch.SelfUse?, _ recorder: AnyCallRecorder,
        checks: ScopeChecks
    ) throws {
        func scope<F>(_ type: F.Type) throws -> Self {
            try Self(symbol: symbol, in: image, selfUse: selfUse, recorder: recorder, checks: checks) {
                (original: () throws -> F) in try original()
            }
        }
        self = try scope(recorder.functionType)
    }

    func run<R>(_ body: () throws -> R) throws -> R {
        try finish(Result { try Mock.$current.withValue(mock, operation: body) })
    }

    func run<R>(isolation: isolated (any Actor)?, _ body: () async throws -> R) async throws -> R {
        let result: Result<R, any Error>
        do {
            result = .success(try await Mock.$current.withValue(mock, operation: body, isolation: isolation))
        } catch {
            result = .failure(error)
        }
        return try finish(result)
    }

    private func finish<R>(_ result: Result<R, any Error>) throws -> R {
        mock.end()
        return try ended(result) { () throws(PatchError) in
            let wasCalled = CallFlag(of: mock.dispatcher).isSet
            try MockedFunctions.shared.end(function)
            guard case .success = result else { return }
            let calls: ScopeChecks.Calls = mock.hasRun ? .seen : wasCalled ? .elsewhere : .none
            try Mock.withoutAny { () throws(PatchError) in try checks.end(function, "mock", calls) }
        }
    }
}

/// The result of what ran in a scope, unless the scope could not be ended.
func ended<R>(_ result: Result<R, any Error>, _ end: () throws(PatchError) -> Void) throws -> R {
    do throws(PatchError) { try end() } catch {
        guard case .failure(let first) = result else { throw error }
        throw ScopeError(first: first, revert: error)
    }
    return try result.get()
}

/// What ran in a scope threw, and then its patch could not be reverted.
public struct ScopeError: Error, CustomStringConvertible {
    /// What the scope's body threw.
    public let first: any Error
    /// Why the patch could not be reverted after that.
    public let revert: PatchError
    /// Both, in words.
    public var description: String { "\(first). Then the patch could not be reverted: \(revert)" }
}
