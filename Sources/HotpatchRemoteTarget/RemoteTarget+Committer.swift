import HotpatchEngine
import HotpatchProcFS

extension RemoteTarget {
    /// Nothing of the process runs while it is changed.
    package var committer: UInt64 { 0 }

    /// A thread's id in the process's own namespace is the last of the line `NSpid` of its status (pid_namespaces(7)).
    package func hasThread(_ id: UInt64) -> Bool {
        Int32(exactly: id).map { KnownTask(pid: pid, callingItself: $0) != nil } ?? false
    }
}
