import CHotpatchLinux
import Glibc
import HotpatchMemory
import HotpatchProcFS
import Synchronization

/// A process as seen from outside, without touching it.
///
/// Holds a pidfd, and the start time: a pid that is used again is not taken for the same process.
package final class RemoteProcess: Sendable {
    package let pid: Int32
    /// Clock ticks after boot (field 22 of /proc/PID/stat).
    package let startTime: UInt64
    package let name: String
    /// What /proc/PID/exe points to, as the kernel prints it.
    package let executable: String
    /// `e_machine` of the executable: 62 x86_64, 183 arm64.
    package let machine: UInt16
    package let userID: UInt32
    package let groupID: UInt32
    package let threadCount: Int
    /// Seccomp of /proc/PID/status: 0 none, 1 strict, 2 filter.
    package let seccompMode: Int
    package let hasNoNewPrivileges: Bool
    /// A user-mode shadow stack is on (x86_Thread_features: shstk).
    package let hasShadowStack: Bool
    /// Lives in another mount or pid namespace: its paths and thread ids differ from ours.
    package let isInOtherNamespace: Bool
    /// pidfd_open(2); -1 before Linux 5.3.
    let pidDescriptor: Int32
    /// A thread that lives: the leader may be a zombie, and then has no memory to show.
    let livingThread: Int32
    /// How it ended, as wait(2) told whoever held its threads: where that is its parent too, nobody is told twice.
    let statusAtEnd = Mutex<Int32?>(nil)

    init(
        pid: Int32, stat: ProcStat, status: ProcStatus, executable: String, machine: UInt16, livingThread: Int32,
        pidDescriptor: Int32
    ) {
        self.pid = pid
        self.startTime = stat.startTime
        self.name = stat.name
        self.executable = executable
        self.machine = machine
        userID = status.number("Uid").flatMap { UInt32(exactly: $0) } ?? 0
        groupID = status.number("Gid").flatMap { UInt32(exactly: $0) } ?? 0
        threadCount = status.number("Threads") ?? 1
        seccompMode = status.number("Seccomp") ?? 0
        hasNoNewPrivileges = status.number("NoNewPrivs") == 1
        hasShadowStack = status.hasShadowStack
        isInOtherNamespace = ["mnt", "pid"].contains { kind in
            let ours = try? ProcText.readLink("/proc/self/ns/\(kind)")
            let theirs = try? ProcText.readLink("/proc/\(pid)/ns/\(kind)")
            return ours != nil && theirs != nil && ours != theirs
        }
        self.livingThread = livingThread
        self.pidDescriptor = pidDescriptor
    }

    deinit { if pidDescriptor >= 0 { close(pidDescriptor) } }

    /// Whether this very process still runs.
    package var isAlive: Bool {
        guard let stat = try? ProcStat(ofProcess: pid), stat.startTime == startTime, stat.state != "X" else {
            return false
        }
        // A leader that has ended alone is a zombie too.
        return stat.state != "Z" || hasLivingThread
    }

    private var hasLivingThread: Bool {
        guard let tasks = try? TaskList(pid: pid) else { return false }
        return tasks.scan().contains { tid in
            guard let state = TaskGlance.state(pid: pid, tid: tid) else { return false }
            return state != UInt8(ascii: "Z") && state != UInt8(ascii: "X")
        }
    }

    /// Its memory, readable and writable.
    package func memory() throws(MemoryError) -> ProcMemory {
        try ProcMemory(path: "/proc/\(pid)/task/\(livingThread)/mem", writable: true)
    }

    /// The directory in /proc of a thread that lives.
    var livingDirectory: String { "/proc/\(pid)/task/\(livingThread)" }
}
