import HotpatchEngine

extension RemoteTarget {
    /// Nothing of the process runs while it is changed.
    public var committer: UInt64 { 0 }

    /// A thread's id in the process's own namespace is the last of the line `NSpid` of its status (pid_namespaces(7)).
    public func hasThread(_ id: UInt64) -> Bool {
        guard let list = try? TaskList(pid: pid) else { return false }
        return list.scan().contains { tid in
            guard let text = try? ProcText.readString("/proc/\(pid)/task/\(tid)/status") else { return false }
            return ProcStatus(parsing: text).words("NSpid").last.flatMap { UInt64($0) } == id
        }
    }
}
