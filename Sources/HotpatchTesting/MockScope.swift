import CSwiftCall
import Hotpatch
import Memory
import SwiftCall

/// A mock from where it begins to hold to where it ends.
struct MockScope {
    private let function: FunctionSymbol
    private let mock: Mock

    /// - Parameter make: is given what makes the original.
    init<F>(
        symbol: String, in image: String?, selfUse: Patch.SelfUse?, recorder: AnyCallRecorder?,
        _ make: (() throws -> F) throws -> F
    ) throws {
        if let recorder, recorder.functionType != F.self {
            throw MockError.recorder("\(recorder.functionType)", function: "\(F.self)")
        }
        guard FunctionConvention(F.self) == .swift else {
            function = try Patch.function(symbol: symbol, in: image)
            let dispatcher = try MockedFunctions.shared.begin(function)
            do {
                let mock = try make { try cFunction(at: dispatcher.originalAddress, as: F.self) }
                try requireC(F.self)
                let code = unsafeBitCast(mock, to: UnsafeRawPointer.self)
                self.mock = Mock(dispatcher, hp_call_destination(code: code, box: nil), nil)
            } catch {
                try MockedFunctions.shared.end(function)
                throw error
            }
            return
        }
        let typed = try TypedFunction<F>(symbol: symbol, in: image, selfUse: selfUse)
        function = typed.function
        let dispatcher = try MockedFunctions.shared.begin(function)
        do {
            let mock = try make { try typed.original(at: dispatcher.originalAddress) }
            let box = typed.adapter.replacementBox(mock, observer: recorder.map(RecorderObserver.init))
            self.mock = Mock(dispatcher, box.destination, box)
        } catch {
            try MockedFunctions.shared.end(function)
            throw error
        }
    }

    /// The mock is the function itself.
    init(recording symbol: String, in image: String?, selfUse: Patch.SelfUse?, _ recorder: AnyCallRecorder) throws {
        func scope<F>(_ type: F.Type) throws -> Self {
            try Self(symbol: symbol, in: image, selfUse: selfUse, recorder: recorder) { (original: () throws -> F) in
                try original()
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
        return try ended(result) { () throws(PatchError) in try MockedFunctions.shared.end(function) }
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
    public let first: any Error
    public let revert: PatchError
    public var description: String { "\(first). Then the patch could not be reverted: \(revert)" }
}

extension UnsafePointer<hp_call_dispatcher> {
    fileprivate var originalAddress: Address { Address(pointee.original!) }
}
