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
/// - Parameters:
///   - symbol: the function, as `Patch.replace(symbol:in:with:original:selfUse:)` takes it.
///   - image: the executable or library that defines it, where several do.
///   - function: what runs instead; its type is checked against the function's.
///   - selfUse: what a method does with `self`, where the program has no DWARF to tell.
///   - checks: what is reported as an issue of the test, as a replacement that never ran is.
///   - fileID: where issues of the test are recorded.
///   - filePath: likewise.
///   - line: likewise.
///   - column: likewise.
///   - body: what runs with the replacement.
/// - Returns: what `body` returns.
/// - Throws: `PatchError`, and then `body` has not run; what `body` throws; `ScopeError`, where after that the patch could not be
///   reverted.
@discardableResult
public func withPatch<F, R>(
    symbol: String, in image: String? = nil, with function: sending F, selfUse: Patch.SelfUse? = nil,
    checks: PatchChecks = .all,
    fileID: StaticString = #fileID, filePath: StaticString = #filePath, line: UInt = #line, column: UInt = #column,
    _ body: () throws -> R
) throws -> R {
    try PatchScope(
        symbol: symbol, in: image, with: function, selfUse: selfUse,
        checks: .init(checks, fileID, filePath, line, column)
    )
    .run(body)
}

/// The same for an async `body`.
@discardableResult
public func withPatch<F, R>(
    symbol: String, in image: String? = nil, with function: sending F, selfUse: Patch.SelfUse? = nil,
    checks: PatchChecks = .all, isolation: isolated (any Actor)? = #isolation,
    fileID: StaticString = #fileID, filePath: StaticString = #filePath, line: UInt = #line, column: UInt = #column,
    _ body: () async throws -> R
) async throws -> R {
    try await PatchScope(
        symbol: symbol, in: image, with: function, selfUse: selfUse,
        checks: .init(checks, fileID, filePath, line, column)
    )
    .run(isolation: isolation, body)
}

/// The same with a closure that is made with the original, which it may call.
@discardableResult
public func withPatch<F, R>(
    symbol: String, in image: String? = nil, wrapping wrap: @Sendable (F) -> F, selfUse: Patch.SelfUse? = nil,
    checks: PatchChecks = .all,
    fileID: StaticString = #fileID, filePath: StaticString = #filePath, line: UInt = #line, column: UInt = #column,
    _ body: () throws -> R
) throws -> R {
    try PatchScope(
        symbol: symbol, in: image, wrapping: wrap, selfUse: selfUse,
        checks: .init(checks, fileID, filePath, line, column)
    )
    .run(body)
}

/// The same for an async `body`.
@discardableResult
public func withPatch<F, R>(
    symbol: String, in image: String? = nil, wrapping wrap: @Sendable (F) -> F, selfUse: Patch.SelfUse? = nil,
    checks: PatchChecks = .all, isolation: isolated (any Actor)? = #isolation,
    fileID: StaticString = #fileID, filePath: StaticString = #filePath, line: UInt = #line, column: UInt = #column,
    _ body: () async throws -> R
) async throws -> R {
    try await PatchScope(
        symbol: symbol, in: image, wrapping: wrap, selfUse: selfUse,
        checks: .init(checks, fileID, filePath, line, column)
    )
    .run(isolation: isolation, body)
}
