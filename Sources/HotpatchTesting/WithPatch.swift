import Hotpatch

/// Replaces a function for the whole process while `body` runs, and reverts it then, also where `body` throws.
///
///     try withPatch(symbol: "Shop.price(of:)", with: { (item: String) -> Int in 42 }) {
///         #expect(cart.total == 84)
///     }
///
/// Tests that run at the same time see it too: see `withMock`, or Swift Testing's `.serialized`. What the closure captures is kept for
/// good, as `Patch.replace` does.
///
/// - Parameters: as `Patch.replace(symbol:in:with:original:selfUse:)` takes them.
/// - Throws: `PatchError`, and then `body` has not run; what `body` throws; `ScopeError`, where after that the patch could not be
///   reverted.
@discardableResult
public func withPatch<F, R>(
    symbol: String, in image: String? = nil, with function: F, selfUse: Patch.SelfUse? = nil, _ body: () throws -> R
) throws -> R {
    try Mock.withoutAny { try Patch.replace(symbol: symbol, in: image, with: function, selfUse: selfUse) }.during(body)
}

/// The same for an async `body`.
@discardableResult
public func withPatch<F, R>(
    symbol: String, in image: String? = nil, with function: F, selfUse: Patch.SelfUse? = nil,
    isolation: isolated (any Actor)? = #isolation, _ body: () async throws -> R
) async throws -> R {
    try await Mock.withoutAny { try Patch.replace(symbol: symbol, in: image, with: function, selfUse: selfUse) }
        .during(isolation: isolation, body)
}

/// The same with a closure that is made with the original, which it may call.
@discardableResult
public func withPatch<F, R>(
    symbol: String, in image: String? = nil, wrapping wrap: (F) -> F, selfUse: Patch.SelfUse? = nil,
    _ body: () throws -> R
) throws -> R {
    try Mock.withoutAny { try Patch.replace(symbol: symbol, in: image, wrapping: wrap, selfUse: selfUse) }.during(body)
}

/// The same for an async `body`.
@discardableResult
public func withPatch<F, R>(
    symbol: String, in image: String? = nil, wrapping wrap: (F) -> F, selfUse: Patch.SelfUse? = nil,
    isolation: isolated (any Actor)? = #isolation, _ body: () async throws -> R
) async throws -> R {
    try await Mock.withoutAny { try Patch.replace(symbol: symbol, in: image, wrapping: wrap, selfUse: selfUse) }
        .during(isolation: isolation, body)
}

extension Patch {
    fileprivate func during<R>(_ body: () throws -> R) throws -> R {
        try ended(Result(catching: body)) { () throws(PatchError) in try revertIfInForce() }
    }

    fileprivate func during<R>(
        isolation: isolated (any Actor)?, _ body: () async throws -> R
    ) async throws -> R {
        let result: Result<R, any Error>
        do { result = .success(try await body()) } catch { result = .failure(error) }
        return try ended(result) { () throws(PatchError) in try revertIfInForce() }
    }

    /// What ran meanwhile may have reverted it.
    func revertIfInForce() throws(PatchError) {
        try Mock.withoutAny { () throws(PatchError) in
            do throws(PatchError) { try revert() } catch {
                guard case .notInForce = error else { throw error }
            }
        }
    }
}
