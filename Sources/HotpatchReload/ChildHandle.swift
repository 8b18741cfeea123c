import CHotpatchLinux
import Glibc
import HotpatchProcFS

/// A process, by a descriptor: nothing reaches another one that has got its number.
final class ChildHandle {
    let pid: Int32
    let startTime: UInt64
    /// Readable when the process has ended (pidfd_open(2)).
    let descriptor: Int32

    /// - Parameter startTime: of the process that is meant; nil for a child that nobody has waited for.
    /// - Returns: nil where it is gone.
    init?(pid: Int32, startTime: UInt64? = nil) {
        descriptor = linux_pidfd_open(pid)
        // It is read after the descriptor was opened: then it is of the same process.
        let stat = try? ProcStat(ofProcess: pid)
        self.pid = pid
        self.startTime = stat?.startTime ?? 0
        if descriptor < 0 { return nil }
        if let startTime, startTime != stat?.startTime { return nil }
    }

    deinit { if descriptor >= 0 { close(descriptor) } }

    var hasEnded: Bool {
        var polled = pollfd(fd: descriptor, events: Int16(POLLIN), revents: 0)
        return poll(&polled, 1, 0) > 0
    }

    func send(_ signal: Int32) { _ = linux_pidfd_send_signal(descriptor, signal) }

    /// How it has ended, which takes it from the table of processes if it is a child of this one; nil where nobody knows yet.
    func end() -> ChildEnd? {
        guard hasEnded else { return nil }
        var status: Int32 = 0
        if waitpid(pid, &status, WNOHANG) == pid { return ChildEnd(waitStatus: status) }
        // Another has waited for it, as its parent does, or as its tracer has.
        return linux_pidfd_wait_status(descriptor, &status) == 0 ? ChildEnd(waitStatus: status) : nil
    }
}
