/// What a thread is doing, for an error that must name who blocks a patch: from `/proc/PID/task/TID/{stat,wchan,syscall}`.
package struct TaskState: Sendable, CustomStringConvertible {
    package var name: String
    /// R running, S sleeping, D in uninterruptible sleep, T stopped, t traced, Z zombie (proc_pid_stat(5)).
    package var letter: Character
    /// The kernel function it sleeps in, or empty.
    package var waitsIn: String
    /// Number of the system call it is in, or nil.
    package var systemCall: Int?

    /// Nil where it is gone.
    package init?(pid: Int32, thread: Int32) {
        let glance = TaskGlance(pid: pid, tid: thread)
        guard let stat = glance.stat else { return nil }
        name = stat.name
        letter = stat.state
        let channel = (try? ProcText.readString(TaskList.directory(of: thread, in: pid) + "/wchan")) ?? ""
        waitsIn = ProcText.trimmed(channel) == "0" ? "" : ProcText.trimmed(channel)
        systemCall = glance.systemCall
    }

    package var description: String {
        let states: [Character: String] = [
            "R": "running", "S": "sleeping", "D": "in uninterruptible sleep", "T": "stopped", "t": "traced",
            "Z": "a zombie",
        ]
        var text = "\"\(name)\" is \(states[letter] ?? "in state \(letter)")"
        if !waitsIn.isEmpty { text += " in \(waitsIn)" }
        if let systemCall { text += ", system call \(systemCall)" }
        return text
    }
}
