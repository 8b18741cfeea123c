import CHotpatchLinux
import CPatchAgent
import Glibc
import HotpatchMemory
import HotpatchPlan
import HotpatchProcFS

extension RemoteRefusal {
    /// Another patcher holds the process at the moment.
    var isByPatcher: Bool {
        switch self {
        case .anotherPatcher: true
        case .alreadyTraced(let pid, let tracer, _): RemoteProcess.isPatcher(tracer, of: pid)
        default: false
        }
    }
}

extension RemoteProcess {
    /// Looks whether a process can be patched from outside. Attaches to nothing.
    ///
    /// - Parameters:
    ///   - pid: of the process, not of one of its threads.
    ///   - allowSeccomp: go on although the process filters its system calls.
    ///   - deadline: how long to wait for another patcher that holds the process at the moment.
    /// - Throws: `RemoteRefusal` with the reason and the mend.
    package static func examine(
        pid: Int32, allowSeccomp: Bool = false, deadline: Deadline
    ) throws(RemoteRefusal) -> RemoteProcess {
        var backoff = Backoff(first: 1000, longest: 20_000)
        while true {
            do throws(RemoteRefusal) { return try examine(pid: pid, allowSeccomp: allowSeccomp) } catch {
                guard error.isByPatcher, !deadline.hasPassed else { throw error }
                backoff.sleep()
            }
        }
    }

    static func examine(pid: Int32, allowSeccomp: Bool = false) throws(RemoteRefusal) -> RemoteProcess {
        guard pid > 0 else { throw .noSuchProcess(pid: pid) }
        if pid == getpid() { throw .oneself(pid: pid) }
        // The pidfd comes first: what is read from /proc afterwards is checked against the start time at the end.
        let descriptor = linux_pidfd_open(pid)
        if descriptor < 0, errno == ESRCH { throw .noSuchProcess(pid: pid) }
        do throws(RemoteRefusal) {
            return try examine(pid: pid, pidDescriptor: descriptor, allowSeccomp: allowSeccomp)
        } catch {
            if descriptor >= 0 { close(descriptor) }
            throw error
        }
    }

    private static func examine(
        pid: Int32, pidDescriptor: Int32, allowSeccomp: Bool
    ) throws(RemoteRefusal) -> RemoteProcess {
        let stat = try readStat(pid)
        let status = try readStatus(pid)
        if let group = status.number("Tgid"), group != Int(pid) { throw .noSuchProcess(pid: pid) }
        if stat.isKernelThread || status.number("Kthread") == 1 { throw .kernelThread(pid: pid) }

        let living = livingThread(of: pid, leader: stat)
        guard let living else { throw .zombie(pid: pid, parent: stat.parent) }
        try refuseIfHeld(pid)
        if isFrozen(pid) { throw .frozen(pid: pid) }

        let executable: String
        do { executable = try ProcText.readLink("/proc/\(pid)/task/\(living)/exe") } catch {
            throw refusal(pid: pid, path: "/proc/\(pid)/exe", code: error.code, status: status)
        }
        let machine = try readMachine(pid: pid, thread: living, status: status)
        if machine != Architecture.current.elfMachine { throw .otherArchitecture(pid: pid, machine: machine) }
        do { _ = try ProcMemory(path: "/proc/\(pid)/task/\(living)/mem", writable: true) } catch {
            throw refusal(pid: pid, path: "/proc/\(pid)/mem", code: error.code, status: status)
        }

        // In strict mode, 1, no call that is needed is allowed, whatever `allowSeccomp` says (seccomp(2)).
        if let mode = status.number("Seccomp"), mode == 1 || (mode != 0 && !allowSeccomp) {
            throw .seccomp(pid: pid, mode: mode)
        }
        guard try readStat(pid).startTime == stat.startTime else { throw .vanished(pid: pid) }
        return RemoteProcess(
            pid: pid, stat: stat, status: status, executable: executable, machine: machine, livingThread: living,
            pidDescriptor: pidDescriptor)
    }

    /// Whether this process may trace another one, as far as that can be told without doing so.
    package static func mayTrace(_ pid: Int32) -> Bool {
        // The kernel asks the same for this as for tracing, a security module too (proc_pid_mem(5)).
        do throws(MemoryError) { _ = try ProcMemory(pid: pid, writable: false) } catch {
            if error.code == EACCES || error.code == EPERM { return false }
        }
        // A filter of system calls forbids tracing a process that does not exist, too.
        if hp_ptrace_seize(0) != 0, errno != ESRCH { return false }
        return (try? ProcStatus(ofProcess: pid))?.number("TracerPid") ?? 0 == 0
    }

    private static func readStat(_ pid: Int32) throws(RemoteRefusal) -> ProcStat {
        do {
            return try ProcStat(ofProcess: pid)
        } catch {
            if error.code == ENOENT || error.code == ESRCH { throw .noSuchProcess(pid: pid) }
            throw .procUnreadable(pid: pid, path: "/proc/\(pid)/stat", code: error.code)
        }
    }

    private static func readStatus(_ pid: Int32) throws(RemoteRefusal) -> ProcStatus {
        do { return try ProcStatus(ofProcess: pid) } catch {
            if error.code == ENOENT || error.code == ESRCH { throw .vanished(pid: pid) }
            throw .procUnreadable(pid: pid, path: "/proc/\(pid)/status", code: error.code)
        }
    }

    /// The leader, or where it has ended alone (pthread_exit in main) another thread; nil where all have.
    private static func livingThread(of pid: Int32, leader: ProcStat) -> Int32? {
        if leader.state != "Z", leader.state != "X" { return pid }
        guard let list = try? TaskList(pid: pid) else { return nil }
        return list.scan().first { tid in
            guard let state = TaskGlance(pid: pid, tid: tid).stat?.state else { return false }
            return state != "Z" && state != "X"
        }
    }

    /// Refuses a process a thread of which is traced, or stopped by job control.
    static func refuseIfHeld(_ pid: Int32) throws(RemoteRefusal) {
        let list: TaskList
        do { list = try TaskList(pid: pid) } catch { throw .vanished(pid: pid) }
        for tid in list.scan() {
            guard let status = try? ProcStatus(of: tid, in: pid) else { continue }
            if let tracer = status.number("TracerPid"), tracer != 0 {
                let name = try? ProcText.readString("/proc/\(tracer)/comm")
                throw .alreadyTraced(
                    pid: pid, tracer: Int32(clamping: tracer), tracerName: ProcText.trimmed(name ?? "a tracer"))
            }
            if status.text("State")?.first == "T" { throw .stopped(pid: pid) }
        }
    }

    /// Whether a process is stopped, or somebody traces it: nothing can be done to it as long as that lasts.
    package static func isHeld(_ pid: Int32) -> Bool {
        do throws(RemoteRefusal) { try refuseIfHeld(pid) } catch {
            switch error {
            case .alreadyTraced, .stopped: return true
            default: return false
            }
        }
        return false
    }

    /// Whether a tracer is a patcher, which will be gone in a moment: this very program, or the process's own (a commit from inside).
    static func isPatcher(_ tracer: Int32, of pid: Int32) -> Bool {
        let program: String
        do { program = try ProcText.readLink("/proc/\(tracer)/exe") } catch {
            return error.code == ENOENT || error.code == ESRCH  // gone already, or a zombie
        }
        return ["self", "\(pid)"].contains { (try? ProcText.readLink("/proc/\($0)/exe")) == program }
    }

    /// cgroup v2's `cgroup.events` of the process's group, which counts a frozen ancestor too; best effort.
    private static func isFrozen(_ pid: Int32) -> Bool {
        guard let groups = try? ProcText.readString("/proc/\(pid)/cgroup") else { return false }
        for line in groups.split(separator: "\n") where line.hasPrefix("0::") {
            for root in ["/sys/fs/cgroup", "/sys/fs/cgroup/unified"] {
                if let events = try? ProcText.readString(root + line.dropFirst(3) + "/cgroup.events"),
                    events.split(separator: "\n").contains("frozen 1")
                {
                    return true
                }
            }
        }
        return false
    }

    private static func readMachine(pid: Int32, thread: Int32, status: ProcStatus) throws(RemoteRefusal) -> UInt16 {
        let path = "/proc/\(pid)/task/\(thread)/exe"
        let header: [UInt8]
        do { header = try ProcText.prefix(of: path, count: 64) } catch {
            throw refusal(pid: pid, path: path, code: error.code, status: status)
        }
        // e_ident: magic, class (2 is 64-bit), data (1 is little-endian); e_machine at 18.
        guard header.count >= 20, header[0..<4].elementsEqual([0x7f, 0x45, 0x4c, 0x46]) else { throw .notELF(pid: pid) }
        guard header[4] == 2 else { throw .not64Bit(pid: pid) }
        let machine = UInt16(header[18]) | UInt16(header[19]) << 8
        return header[5] == 1 ? machine : machine.byteSwapped
    }

    static func refusal(pid: Int32, path: String, code: Int32, status: ProcStatus?) -> RemoteRefusal {
        switch code {
        case EPERM, EACCES:
            let yama = try? ProcText.readString("/proc/sys/kernel/yama/ptrace_scope")
            let ours = try? ProcText.readLink("/proc/self/ns/user")
            let theirs = try? ProcText.readLink("/proc/\(pid)/ns/user")
            return .notPermitted(
                pid: pid,
                RemoteRefusal.PermissionHint(
                    code: code, ownUser: geteuid(), targetUser: status?.number("Uid").flatMap { UInt32(exactly: $0) },
                    yamaScope: yama.flatMap { Int(ProcText.trimmed($0)) },
                    targetInOtherUserNamespace: ours != nil && theirs != nil && ours != theirs))
        case ENOENT, ESRCH: return .vanished(pid: pid)
        default: return .procUnreadable(pid: pid, path: path, code: code)
        }
    }
}
