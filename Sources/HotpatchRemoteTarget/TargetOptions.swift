/// How another process is patched.
package struct TargetOptions: Sendable {
    /// For everything that waits for the target.
    package var timeout: Duration
    /// For how long all threads may be held before the first write; nil for as long as it takes.
    package var maximumPause: Duration?
    /// Go on though a seccomp filter may kill the target for a system call it has to make.
    package var allowSeccomp: Bool

    package init(timeout: Duration = .seconds(10), maximumPause: Duration? = nil, allowSeccomp: Bool = false) {
        self.timeout = timeout
        self.maximumPause = maximumPause
        self.allowSeccomp = allowSeccomp
    }
}
