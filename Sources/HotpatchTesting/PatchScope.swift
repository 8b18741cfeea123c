import CPatchCall
import Hotpatch
import HotpatchMemory

/// A patch of the whole process from where it begins to hold to where it ends.
///
/// Calls come to the replacement through a dispatcher that always leads there: it sees whether there are any.
struct PatchScope {
    private let patch: Patch
    private let calls: CallFlag?
    private let checks: ScopeChecks

    init<F>(
        symbol: String, in image: String?, with replacement: F, selfUse: Patch.SelfUse?, checks: ScopeChecks
    ) throws {
        try self.init(symbol: symbol, in: image, selfUse: selfUse, checks: checks) { (_) in (replacement, nil) }
    }

    init<F>(
        symbol: String, in image: String?, wrapping wrap: (F) -> F, selfUse: Patch.SelfUse?, checks: ScopeChecks
    ) throws {
        try self.init(symbol: symbol, in: image, selfUse: selfUse, checks: checks) {
            (typed: TypedFunction<F>?) throws(PatchError) in
            guard let typed else {
                throw .type(
                    "\(F.self) is not a Swift function type. Only a closure can be made with its original. Use withMock."
                )
            }
            let original = try typed.unboundOriginal()
            return (wrap(original.function), original.code)
        }
    }

    private init<F>(
        symbol: String, in image: String?, selfUse: Patch.SelfUse?, checks: ScopeChecks,
        _ make: (TypedFunction<F>?) throws(PatchError) -> (F, Patch.OriginalPointer?)
    ) throws {
        self.checks = checks
        let isSwift = FunctionConvention(F.self) == .swift
        let typed = try Mock.withoutAny {
            try isSwift ? TypedFunction<F>(symbol: symbol, in: image, selfUse: selfUse) : nil
        }
        let function = try Mock.withoutAny { try typed?.function ?? Patch.function(symbol: symbol, in: image) }
        let (value, original) = try make(typed)
        (patch, calls) = try Mock.withoutAny {
            let code: UnsafeRawPointer
            if let typed {
                code = UnsafeRawPointer(try typed.replacement(value).pointer!)
            } else {
                try requireC(F.self)
                try MockError.refuseReturning(from: function, as: F.self)
                code = unsafeBitCast(value, to: UnsafeRawPointer.self)
            }
            let name = typed == nil ? nil : "closure \(F.self)"
            // Callers of the variants of arm64's convention rely on more than a dispatcher keeps.
            guard !function.isVariantCall else {
                return (try Patch.replace(function, with: code, name: name, original: original), nil)
            }
            let (dispatcher, thunk) = try CallFlag.makeDispatcher { dispatcher in
                CallFlag(of: dispatcher).set()
                return hp_call_destination(code: nil, adapter: nil)
            }
            dispatcher.pointee.original = code
            return (
                try Patch.replace(function, with: thunk, name: name, original: original), CallFlag(of: dispatcher)
            )
        }
        do {
            try Mock.withoutAny { [patch] in try checks.begin(patch.function, "patch") }
        } catch {
            try patch.revertIfInForce()
            throw error
        }
    }

    func run<R>(_ body: () throws -> R) throws -> R { try finish(Result(catching: body)) }

    func run<R>(isolation: isolated (any Actor)?, _ body: () async throws -> R) async throws -> R {
        let result: Result<R, any Error>
        do { result = .success(try await body()) } catch { result = .failure(error) }
        return try finish(result)
    }

    private func finish<R>(_ result: Result<R, any Error>) throws -> R {
        try ended(result) { () throws(PatchError) in
            try patch.revertIfInForce()
            guard case .success = result, let calls, !calls.isSet else { return }
            try Mock.withoutAny { () throws(PatchError) in try checks.end(patch.function, "patch", .none) }
        }
    }
}

extension Patch {
    /// What ran meanwhile may have reverted it.
    func revertIfInForce() throws(PatchError) {
        try Mock.withoutAny { () throws(PatchError) in
            do throws(PatchError) { try revert() } catch {
                guard error.code == .notInForce else { throw error }
            }
        }
    }
}
