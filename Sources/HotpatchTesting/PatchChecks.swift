/// What `withMock`, `withPatch` and their traits report as an issue of the test, for a mock that never runs proves nothing.
public struct PatchChecks: OptionSet, Sendable {
    /// One bit for each check.
    public let rawValue: Int
    /// Makes the set that has these checks.
    /// - Parameter rawValue: one bit for each.
    public init(rawValue: Int) { self.rawValue = rawValue }

    /// The scope ended without an error, and the mock, or the replacement, has not run in it: nobody called the function, callers have
    /// it inlined, or read a stored property without its getter; or it was called where the mock does not hold.
    ///
    /// Not asked with a recorder, which tells the test itself; nor of a trait of a suite, whose tests need not all call the function.
    public static let calls = PatchChecks(rawValue: 1)
    /// The program has copies of the function that calls may run instead: inlined into callers, or specialised. Those of a
    /// library's function serve the library itself: they are named where the mock has not run.
    public static let copies = PatchChecks(rawValue: 2)

    /// Both. What `withMock`, `withPatch` and the traits ask unless told otherwise.
    public static let all: PatchChecks = [.calls, .copies]
}
