import Glibc
import HotpatchMemory

/// Why a command is not started, or not ended.
package enum SupervisorError: Error, Hashable, Sendable, CustomStringConvertible {
    case notStarted(program: String, code: Int32)
    case alreadyRuns(pid: Int32)
    case cannotSupervise(code: Int32)
    /// They were sent SIGKILL, and are there all the same.
    case notEnded(pids: [Int32])

    package var description: String {
        switch self {
        case .notStarted(let program, ENOENT):
            "cannot start '\(program)'. There is no such program. Give its path, or check PATH."
        case .notStarted(let program, let code):
            "cannot start '\(program)'. \(errorText(code)). Check that it can be executed."
        case .alreadyRuns(let pid): "the command runs already. It is process \(pid). Stop it first."
        case .cannotSupervise(let code):
            "cannot supervise processes. \(errorText(code)). Linux 5.3 or later is needed, and descriptors "
                + "(ulimit -n)."
        case .notEnded(let pids):
            "\(pids.count == 1 ? "process" : "processes") \(pids.map { "\($0)" }.joined(separator: ", ")) did not end. "
                + "SIGKILL was sent; the kernel is waiting for something on \(pids.count == 1 ? "its" : "their") behalf. "
                + "See /proc/\(pids.first ?? 0)/stack as root."
        }
    }
}
