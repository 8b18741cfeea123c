/// A thread of a process, as this process's /proc names it: its id is not used again unnoticed.
package struct KnownTask: Hashable {
    package let pid: Int32
    package let tid: Int32
    /// In clock ticks (proc_pid_stat(5)).
    private let startTime: UInt64

    package init?(pid: Int32, tid: Int32) {
        guard let stat = TaskGlance(pid: pid, tid: tid).stat else { return nil }
        self.pid = pid
        self.tid = tid
        startTime = stat.startTime
    }

    /// The thread that calls itself `id`, as gettid(2) does: in a pid namespace of its own that is another number than here. The
    /// kernel gives the ids of all namespaces, the innermost last (NSpid, proc_pid_status(5); before Linux 4.1, Pid).
    package init?(pid: Int32, callingItself id: Int32) {
        // What was started last comes last.
        let tasks = (try? TaskList(pid: pid))?.scan() ?? []
        let tid = tasks.last { tid in
            guard let status = try? ProcStatus(of: tid, in: pid) else { return false }
            return (status.words("NSpid").last ?? status.words("Pid").last).flatMap { Int32($0) } == id
        }
        guard let tid else { return nil }
        self.init(pid: pid, tid: tid)
    }

    /// Whether it has not ended. One that has is in nobody's list of threads any more, and runs nothing.
    package var isThere: Bool { Self(pid: pid, tid: tid) == self }

    /// Its name (proc_pid_comm(5)).
    package var name: String {
        ProcText.trimmed((try? ProcText.readString(TaskList.directory(of: tid, in: pid) + "/comm")) ?? "")
    }
}
