import Glibc
import HotpatchProcFS

/// How a process has ended.
package enum ChildEnd: Hashable, Sendable {
    case exited(code: Int32)
    /// - `core`: the kernel has handed over a core dump.
    case killed(signal: Int32, core: Bool)
    /// It has, and only its parent knows how.
    case unknown

    /// - Parameter status: as wait(2) gives it.
    init(waitStatus status: Int32) {
        switch WaitStatus(status) {
        case .exited(let code): self = .exited(code: code)
        case .killed(let signal, let core): self = .killed(signal: signal, core: core)
        }
    }

    /// It was ended by a fault of its own, or ended itself with one.
    package var isCrash: Bool {
        guard case .killed(let signal, _) = self else { return false }
        return [SIGSEGV, SIGBUS, SIGILL, SIGTRAP, SIGABRT, SIGFPE, SIGSYS].contains(signal)
    }
}

extension ChildEnd: CustomStringConvertible {
    /// "exited with code 1", "crashed with SIGSEGV (core dumped)".
    package var description: String {
        switch self {
        case .exited(let code):
            // A shell and others say so of a child of theirs (sh(1)).
            let signal = code > 128 ? WaitStatus.name(of: code - 128).map { ", as after \($0)" } : nil
            return "exited with code \(code)" + (signal ?? "")
        case .killed(let signal, let core):
            return (isCrash ? "crashed with " : "was killed by ") + Self.name(of: signal)
                + (core ? " (core dumped)" : "")
        case .unknown: return "ended"
        }
    }

    /// "SIGTERM"; "signal 40" where it has no name.
    package static func name(of signal: Int32) -> String { WaitStatus.name(of: signal) ?? "signal \(signal)" }
}
