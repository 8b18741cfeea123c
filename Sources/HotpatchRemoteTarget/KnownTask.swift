import Glibc

/// A thread of another process, as this process's /proc names it: its id is not used again unnoticed.
struct KnownTask: Hashable {
    let pid: Int32
    let tid: Int32
    /// In clock ticks (proc_pid_stat(5)).
    private let startTime: UInt64

    init?(pid: Int32, tid: Int32) {
        guard let stat = TaskGlance(pid: pid, tid: tid).stat else { return nil }
        self.pid = pid
        self.tid = tid
        startTime = stat.startTime
    }

    /// The thread that calls itself `id`, as gettid(2) does: in a pid namespace of its own that is another number than here. The
    /// kernel gives the ids of all namespaces, the innermost last (NSpid, proc_pid_status(5); before Linux 4.1, Pid).
    init?(pid: Int32, callingItself id: Int32) {
        // What was started last comes last.
        let tasks = (try? TaskList(pid: pid))?.scan() ?? []
        let tid = tasks.last { tid in
            guard let text = try? ProcText.readString("/proc/\(pid)/task/\(tid)/status") else { return false }
            let status = ProcStatus(parsing: text)
            return (status.words("NSpid").last ?? status.words("Pid").last).flatMap { Int32($0) } == id
        }
        guard let tid else { return nil }
        self.init(pid: pid, tid: tid)
    }

    /// Whether it has not ended. One that has is in nobody's list of threads any more, and runs nothing.
    var isThere: Bool { Self(pid: pid, tid: tid) == self }

    /// Its name (proc_pid_comm(5)).
    var name: String { ProcText.trimmed((try? ProcText.readString("/proc/\(pid)/task/\(tid)/comm")) ?? "") }
}
