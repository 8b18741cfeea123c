import CHotpatchLinux
import HotpatchEngine
import Glibc
import HotpatchMemory
import HotpatchProcFS

/// What has become of a process while it was being changed.
package enum ProcessEnd: Hashable, Sendable {
    case exited(code: Int32)
    case killed(signal: Int32)
    /// It has ended; how, only its parent knows.
    case unknown
    /// It has executed another program, of which nothing was touched.
    case executed(program: String)

    /// - Parameter status: as wait(2) gives it.
    init(waitStatus status: Int32) {
        switch WaitStatus(status) {
        case .exited(let code): self = .exited(code: code)
        case .killed(let signal, _): self = .killed(signal: signal)
        }
    }

    /// What the target is for whoever had begun to change it.
    var outcome: PatchError.Outcome {
        if case .executed = self { .rolledBack } else { .inconsistent }
    }
}

extension ProcessEnd: CustomStringConvertible {
    /// "was killed by signal 31 (SIGSYS)"
    package var description: String {
        switch self {
        case .exited(let code): "exited with code \(code)"
        case .killed(let signal): "was killed by signal \(signal) (\(Self.name(of: signal)))"
        case .unknown: "ended"
        case .executed(let program): "executed \(program)"
        }
    }

    private static func name(of signal: Int32) -> String {
        WaitStatus.name(of: signal) ?? String(cString: strsignal(signal))
    }
}

extension RemoteProcess {
    /// What has become of the process, if it does not run the program any more whose memory was opened.
    func end(of memory: ProcMemory) -> ProcessEnd? {
        guard memory.isGone || !isAlive else { return nil }
        // The memory goes first, and some moments later the process, or the new program comes.
        let deadline = Deadline.after(milliseconds: 2000)
        var backoff = Backoff(first: 100, longest: 10_000)
        while isAlive {
            if let new = try? self.memory(), !new.isGone {
                return .executed(program: (try? ProcText.readLink(livingDirectory + "/exe")) ?? "another program")
            }
            if deadline.hasPassed { return .unknown }
            backoff.sleep()
        }
        return waitStatus.map { ProcessEnd(waitStatus: $0) } ?? .unknown
    }

    /// exit_code of /proc/PID/stat as long as nobody has waited for it (proc_pid_stat(5)), and after that of the pidfd (Linux 6.15),
    /// unless that was this process.
    private var waitStatus: Int32? {
        if let status = statusAtEnd.withLock({ $0 }) { return status }
        if let stat = try? ProcStat(ofProcess: pid), stat.startTime == startTime, let status = stat.exitStatus,
            status != 0 || userIsRoot
        {
            return status
        }
        var status: Int32 = 0
        return linux_pidfd_wait_status(pidDescriptor, &status) == 0 ? status : nil
    }

    /// To others the kernel shows 0, whatever it was.
    private var userIsRoot: Bool { geteuid() == 0 }
}
