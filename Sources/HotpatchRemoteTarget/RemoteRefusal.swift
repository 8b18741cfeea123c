import Glibc
import HotpatchMemory
import HotpatchProcFS

/// Why a process is not touched. Its description reads `what. why. try this.`
package enum RemoteRefusal: Error, Hashable, Sendable {
    case noSuchProcess(pid: Int32)
    /// The process ended, or its pid belongs to another process now.
    case vanished(pid: Int32)
    case oneself(pid: Int32)
    case kernelThread(pid: Int32)
    case zombie(pid: Int32, parent: Int32)
    case not64Bit(pid: Int32)
    /// `machine` is `e_machine` of the executable's ELF header.
    case otherArchitecture(pid: Int32, machine: UInt16)
    case notELF(pid: Int32)
    case alreadyTraced(pid: Int32, tracer: Int32, tracerName: String)
    case stopped(pid: Int32)
    case frozen(pid: Int32)
    case notPermitted(pid: Int32, PermissionHint)
    /// `mode` is the Seccomp field of /proc/PID/status: 1 strict, 2 filter.
    case seccomp(pid: Int32, mode: Int)
    case staticallyLinked(pid: Int32)
    case unsupportedLibrary(pid: Int32, name: String)
    case noVectorState(pid: Int32)
    /// A thread did not stop in time.
    case deadline(pid: Int32, BlockingThread)
    /// Every thread was looked at, none could be borrowed.
    case noThreadToBorrow(pid: Int32, [ThreadVerdict])
    case noRoomForStub(pid: Int32, needed: Int)
    case anotherPatcher(pid: Int32)
    /// A predecessor's stub still holds a thread: it cannot be overwritten.
    case stubInUse(pid: Int32, thread: Int32)
    case procUnreadable(pid: Int32, path: String, code: Int32)
    /// The time was over before anything could be done.
    case outOfTime(pid: Int32)

    /// Why ptrace is denied, as far as can be seen.
    package struct PermissionHint: Hashable, Sendable {
        package var code: Int32
        package var ownUser: UInt32
        package var targetUser: UInt32?
        /// /proc/sys/kernel/yama/ptrace_scope; nil where there is no Yama.
        package var yamaScope: Int?
        package var targetInOtherUserNamespace: Bool
    }

    /// A thread that did not stop.
    package struct BlockingThread: Hashable, Sendable {
        package var tid: Int32
        package var name: String
        /// As in /proc/PID/stat: R, S, D, T, t, Z…; `?` where unknown.
        package var state: Character
        /// The kernel function it sleeps in; empty where the kernel does not say.
        package var waitChannel: String
        /// The number of the system call it is in; nil where it runs.
        package var systemCall: Int?

        package init(tid: Int32, name: String, state: Character, waitChannel: String, systemCall: Int?) {
            self.tid = tid
            self.name = name
            self.state = state
            self.waitChannel = waitChannel
            self.systemCall = systemCall
        }
    }

    /// Why a thread could not be borrowed.
    package struct ThreadVerdict: Hashable, Sendable {
        package var tid: Int32
        package var reason: String

        package init(tid: Int32, reason: String) {
            self.tid = tid
            self.reason = reason
        }
    }
}

extension RemoteRefusal: CustomStringConvertible {
    package var description: String {
        switch self {
        case .noSuchProcess(let pid):
            "there is no process \(pid). /proc/\(pid) does not exist. Check the pid with ps."
        case .vanished(let pid):
            "process \(pid) ended. Its pid is free or belongs to another process now. Look the pid up again."
        case .oneself(let pid):
            "process \(pid) is the patcher itself. A process cannot stop and trace itself. Use the library from inside it."
        case .kernelThread(let pid):
            "\(pid) is a kernel thread. It has no user code. Give the pid of a program."
        case .zombie(let pid, let parent):
            "process \(pid) is a zombie. It has ended and waits for its parent \(parent) to collect it. Nothing is left to patch."
        case .not64Bit(let pid):
            "process \(pid) is a 32-bit program. Only 64-bit code is supported. Rebuild it for 64 bits."
        case .otherArchitecture(let pid, let machine):
            "process \(pid) runs code of another architecture (ELF machine \(machine)). It runs under an emulator. Patch it on its own machine."
        case .notELF(let pid):
            "the executable of process \(pid) is not an ELF file. Its header could not be understood. Give the pid of a native program."
        case .alreadyTraced(let pid, let tracer, let name):
            "process \(pid) is being traced by \(name) (pid \(tracer)). A process has one tracer at a time. Detach \(name) and try again."
        case .stopped(let pid):
            "process \(pid) is stopped by job control. Its threads do not run and cannot be checked. Continue it with kill -CONT \(pid) and try again."
        case .frozen(let pid):
            "process \(pid) is frozen. Its cgroup's freezer is on, so its threads cannot reach a stop. Write 0 into its cgroup.freeze and try again."
        case .notPermitted(let pid, let hint):
            "process \(pid) may not be traced. \(sentence(hint.reason)) \(sentence(hint.mend))"
        case .seccomp(let pid, 1):
            "process \(pid) is in strict seccomp mode. The kernel kills it for any call but read, write and exit, and the patch needs others. "
                + "Patch it before it enters that mode, or from inside."
        case .seccomp(let pid, let mode):
            "process \(pid) filters its system calls (seccomp mode \(mode)). A call the patch needs, mmap or clone3, may kill it. "
                + "If its filter allows them, repeat with --allow-seccomp."
        case .staticallyLinked(let pid):
            "process \(pid) is statically linked. It has no dynamic loader to load a library with. Link it dynamically, or patch it from inside."
        case .unsupportedLibrary(let pid, let name):
            "process \(pid) runs on \(name). The agent knows glibc's thread and loader rules only. Run it on glibc, or patch it from inside."
        case .noVectorState(let pid):
            "process \(pid) cannot be given an agent. This processor or kernel has no instruction that keeps all vector registers (xsave). Patch it from inside."
        case .deadline(let pid, let thread):
            "thread \(thread.tid) (\(thread.name)) of process \(pid) did not stop in time. \(sentence(thread.reason)) "
                + sentence(thread.mend)
        case .noThreadToBorrow(let pid, let verdicts):
            "no thread of process \(pid) was in a safe place before the deadline. "
                + verdicts.map { "thread \($0.tid): \($0.reason)" }.joined(separator: "; ")
                + ". Try again, with a longer timeout."
        case .noRoomForStub(let pid, let needed):
            "process \(pid) has no room for the agent's stub. No executable image ends \(needed) unused bytes before its page does. Patch it from inside."
        case .anotherPatcher(let pid):
            "another patcher is at work in process \(pid). Two at once would overwrite each other. Wait for it and try again."
        case .stubInUse(let pid, let thread):
            "thread \(thread) of process \(pid) is still in the stub of an earlier patcher. Overwriting it would crash the process. Try again later."
        case .procUnreadable(let pid, let path, let code):
            "\(path) cannot be read. \(errorText(code)). Check that /proc is mounted and shows process \(pid)."
        case .outOfTime(let pid):
            "the time was over before process \(pid) could be changed. Reading it took too long: it is large, or the machine is busy. "
                + "Try again with a longer timeout, or with more of the processor (nice)."
        }
    }
}

/// What also stands behind a colon, as a sentence of its own.
private func sentence(_ text: String) -> String { text.prefix(1).uppercased() + text.dropFirst() + "." }

extension RemoteRefusal.PermissionHint {
    var reason: String {
        if let targetUser, targetUser != ownUser, ownUser != 0 {
            return "it belongs to user \(targetUser) and this is user \(ownUser)"
        }
        if let yamaScope, yamaScope > 0, ownUser != 0 || yamaScope == 3 {
            return "kernel.yama.ptrace_scope is \(yamaScope), which "
                + (yamaScope == 1
                    ? "allows tracing descendants only"
                    : yamaScope == 2 ? "allows tracing by CAP_SYS_PTRACE only" : "forbids tracing")
        }
        if targetInOtherUserNamespace { return "it lives in another user namespace" }
        return
            "the kernel says: \(errorText(code)) (it may be set-uid or not dumpable, or a security module forbids it)"
    }

    var mend: String {
        if let targetUser, targetUser != ownUser, ownUser != 0 {
            return "run this as root or as user \(targetUser), or with CAP_SYS_PTRACE"
        }
        if let yamaScope, yamaScope == 3 { return "ptrace_scope 3 can only be changed by a reboot" }
        if let yamaScope, yamaScope > 0, ownUser != 0 {
            return "run this as root, or sysctl kernel.yama.ptrace_scope=0"
        }
        return "run this as root with CAP_SYS_PTRACE (in a container: --cap-add SYS_PTRACE)"
    }
}

extension RemoteRefusal.BlockingThread {
    var reason: String {
        var text = "it is in state \(state)"
        if let systemCall { text += ", in " + SystemCall.name(systemCall) }
        if !waitChannel.isEmpty, waitChannel != "0" { text += ", waiting in \(waitChannel)" }
        if isInVfork { text += ": until the child of its vfork execs or exits, it cannot stop" }
        return text
    }

    var isInVfork: Bool {
        guard state == "D" || state == "S", let systemCall else { return false }
        return SystemCall.startsProcess(systemCall)
    }

    var mend: String {
        switch state {
        case "D":
            isInVfork
                ? "try again when the child has started, or with a longer timeout"
                : "try again when its disk or network wait is over"
        case "T": "continue it with kill -CONT and try again"
        default: "try again with a longer timeout"
        }
    }
}

extension RemoteRefusal.BlockingThread {
    init(pid: Int32, tid: Int32) {
        let state = TaskState(pid: pid, thread: tid)
        self.init(
            tid: tid, name: state?.name ?? "?", state: state?.letter ?? "?", waitChannel: state?.waitsIn ?? "",
            systemCall: state?.systemCall)
    }
}
