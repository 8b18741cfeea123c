/// How another process is patched.
public struct TargetOptions: Sendable {
    /// For everything that waits for the target, in milliseconds.
    public var timeout: Int
    /// Milliseconds for which all threads may be held before the first write; nil for as long as it takes.
    public var maximumPause: Int?
    /// Go on though a seccomp filter may kill the target for a system call it has to make.
    public var allowSeccomp: Bool

    public init(timeout: Int = 10_000, maximumPause: Int? = nil, allowSeccomp: Bool = false) {
        self.timeout = timeout
        self.maximumPause = maximumPause
        self.allowSeccomp = allowSeccomp
    }
}
