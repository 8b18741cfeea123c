import Hotpatch

/// Mocks a function for the current task and its children, while `body` runs.
///
///     try withMock(symbol: "Shop.price(of:)", with: { (item: String) -> Int in 42 }) {
///         #expect(cart.total == 84)
///     }
///
/// Detached tasks, other threads and dispatch queues run the original, so that tests that mock the same function may run at the
/// same time. So do tasks that outlive `body`, once it has ended. The innermost mock of a function holds. What the mock captures is
/// released after `body`.
///
/// The function's entry is patched while mocks of it hold anywhere, once for all of them; each call then looks its task's mock up.
/// What the library itself calls meanwhile is not mocked. `swift_retain` and its like cannot be: their callers keep values in registers
/// that a C function may use.
///
/// - Parameters:
///   - symbol: the function, as `Patch.replace(symbol:in:with:original:selfUse:)` takes it.
///   - image: the executable or library that defines it, where several do.
///   - mock: what runs instead; its type is checked against the function's.
///   - selfUse: what a method does with `self`, where the program has no DWARF to tell.
///   - recorder: is told of each call of the mock.
///   - checks: what is reported as an issue of the test, as a mock that never ran is.
///   - fileID: where issues of the test are recorded.
///   - filePath: likewise.
///   - line: likewise.
///   - column: likewise.
///   - body: what runs with the mock.
/// - Returns: what `body` returns.
/// - Throws: `PatchError`, and then `body` has not run; `MockError`; what `body` throws.
@discardableResult
public func withMock<F, R>(
    symbol: String, in image: String? = nil, with mock: sending F, selfUse: Patch.SelfUse? = nil,
    recorder: AnyCallRecorder? = nil, checks: PatchChecks = .all,
    fileID: StaticString = #fileID, filePath: StaticString = #filePath, line: UInt = #line, column: UInt = #column,
    _ body: () throws -> R
) throws -> R {
    try MockScope(
        symbol: symbol, in: image, selfUse: selfUse, recorder: recorder,
        checks: .init(checks, fileID, filePath, line, column)
    ) { _ in mock }.run(body)
}

/// The same for an async `body`.
@discardableResult
public func withMock<F, R>(
    symbol: String, in image: String? = nil, with mock: sending F, selfUse: Patch.SelfUse? = nil,
    recorder: AnyCallRecorder? = nil, checks: PatchChecks = .all, isolation: isolated (any Actor)? = #isolation,
    fileID: StaticString = #fileID, filePath: StaticString = #filePath, line: UInt = #line, column: UInt = #column,
    _ body: () async throws -> R
) async throws -> R {
    try await MockScope(
        symbol: symbol, in: image, selfUse: selfUse, recorder: recorder,
        checks: .init(checks, fileID, filePath, line, column)
    ) { _ in mock }
    .run(isolation: isolation, body)
}

/// The same with a mock that is made with the original, which it may call.
///
///     try withMock(symbol: "Shop.price(of:)", wrapping: { (original: @escaping (String) -> Int) in
///         { item in original(item) + 1 }
///     }) { … }
@discardableResult
public func withMock<F, R>(
    symbol: String, in image: String? = nil, wrapping wrap: @Sendable (F) throws -> F, selfUse: Patch.SelfUse? = nil,
    recorder: AnyCallRecorder? = nil, checks: PatchChecks = .all,
    fileID: StaticString = #fileID, filePath: StaticString = #filePath, line: UInt = #line, column: UInt = #column,
    _ body: () throws -> R
) throws -> R {
    try MockScope(
        symbol: symbol, in: image, selfUse: selfUse, recorder: recorder,
        checks: .init(checks, fileID, filePath, line, column)
    ) { try wrap($0()) }.run(body)
}

/// The same for an async `body`.
@discardableResult
public func withMock<F, R>(
    symbol: String, in image: String? = nil, wrapping wrap: @Sendable (F) throws -> F, selfUse: Patch.SelfUse? = nil,
    recorder: AnyCallRecorder? = nil, checks: PatchChecks = .all, isolation: isolated (any Actor)? = #isolation,
    fileID: StaticString = #fileID, filePath: StaticString = #filePath, line: UInt = #line, column: UInt = #column,
    _ body: () async throws -> R
) async throws -> R {
    try await MockScope(
        symbol: symbol, in: image, selfUse: selfUse, recorder: recorder,
        checks: .init(checks, fileID, filePath, line, column)
    ) { try wrap($0()) }
    .run(isolation: isolation, body)
}

/// Records the calls that the current task and its children make to a Swift function, while `body` runs.
///
///     let calls = CallRecorder(((String) -> Int).self)
///     try withRecording(symbol: "Shop.price(of:)", calls) { _ = cart.total }
///     #expect(calls.all.map(\.arguments) == ["apple", "pear"])
///
/// - Parameters:
///   - symbol: the function, as `Patch.replace(symbol:in:with:original:selfUse:)` takes it.
///   - image: the executable or library that defines it, where several do.
///   - recorder: is told of each call. It is made with the function's type, which is checked.
///   - selfUse: what a method does with `self`, where the program has no DWARF to tell.
///   - checks: what is reported as an issue of the test.
///   - fileID: where issues of the test are recorded.
///   - filePath: likewise.
///   - line: likewise.
///   - column: likewise.
///   - body: what runs while calls are recorded.
/// - Returns: what `body` returns.
/// - Throws: `PatchError`, or `MockError`, and then `body` has not run; what `body` throws.
@discardableResult
public func withRecording<R>(
    symbol: String, in image: String? = nil, _ recorder: AnyCallRecorder, selfUse: Patch.SelfUse? = nil,
    checks: PatchChecks = .all,
    fileID: StaticString = #fileID, filePath: StaticString = #filePath, line: UInt = #line, column: UInt = #column,
    _ body: () throws -> R
) throws -> R {
    try MockScope(
        recording: symbol, in: image, selfUse: selfUse, recorder, checks: .init(checks, fileID, filePath, line, column)
    ).run(body)
}

/// The same for an async `body`.
@discardableResult
public func withRecording<R>(
    symbol: String, in image: String? = nil, _ recorder: AnyCallRecorder, selfUse: Patch.SelfUse? = nil,
    checks: PatchChecks = .all, isolation: isolated (any Actor)? = #isolation,
    fileID: StaticString = #fileID, filePath: StaticString = #filePath, line: UInt = #line, column: UInt = #column,
    _ body: () async throws -> R
) async throws -> R {
    try await MockScope(
        recording: symbol, in: image, selfUse: selfUse, recorder, checks: .init(checks, fileID, filePath, line, column)
    ).run(isolation: isolation, body)
}
