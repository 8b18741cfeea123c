import HotpatchEngine
import Glibc
import HotpatchMemory

/// Why the agent could not be started, or could not do what it was asked.
package enum AgentError: Error, Hashable, Sendable {
    case refused(RemoteRefusal)
    case memory(MemoryError)
    /// All threads could not be held long enough to look for a predecessor's stub.
    case notHeld(CommitError)
    /// libdw could not prepare to unwind the process's stacks.
    case unwinder(String)
    case invalidSymbols
    /// `code` is what pthread_create(3) returned in the target.
    case threadNotCreated(pid: Int32, code: Int32)
    /// The stub has mapped nothing, or has unmapped it before anybody could see why: the thread went on as if nothing had been.
    case noMemory(pid: Int32, count: Int)
    case notStarted(pid: Int32, thread: Int32)
    case callTimedOut(pid: Int32, what: String)
    /// It leaves when it is asked nothing for about two seconds.
    case left(pid: Int32)
    case systemCallFailed(pid: Int32, name: String, code: Int32)
    case systemCallFailedHere(name: String, code: Int32)
    /// What dlerror(3) said in the target.
    case libraryNotLoaded(pid: Int32, reason: String)
    /// The loader gave back another file than the one handed over.
    case otherLibraryLoaded(pid: Int32, path: String)
    case tooLong(what: String, count: Int, limit: Int)
    /// It ended, or executed another program, after it had been touched; `doing` says what went on in it.
    case targetEnded(pid: Int32, ProcessEnd, doing: String)
    /// The thread that was borrowed has ended in the stub, alone.
    case borrowedThreadEnded(pid: Int32, thread: Int32)
    /// The agent's own thread has ended, alone, while it was at work on `what`.
    case threadEnded(pid: Int32, what: String)
}

extension AgentError {
    /// Whether the target is as it was, or what was begun in it may have left it otherwise.
    package var outcome: PatchError.Outcome {
        switch self {
        // Still at work there, and may yet succeed.
        case .callTimedOut, .notStarted: .inconsistent
        case .targetEnded(_, let end, _): end.outcome
        case .borrowedThreadEnded, .threadEnded: .inconsistent
        default: .refused
        }
    }
}

extension AgentError: CustomStringConvertible {
    package var description: String {
        switch self {
        case .refused(let refusal): refusal.description
        case .notHeld(let error): error.description
        case .memory(let error): "the target's memory failed. \(error). Check that the process still runs."
        case .unwinder(let text):
            "the process's stacks cannot be unwound. Libdw says: \(text). Check that its executable and libraries can be read from here."
        case .invalidSymbols:
            "the agent was not given all of libc's functions. It needs pthread_create, pthread_detach and __errno_location. Report this as a bug."
        case .threadNotCreated(let pid, let code):
            "process \(pid) could not create a thread. Its pthread_create says: \(errorText(code)). "
                + (code == EAGAIN ? Self.threadLimits : "\(Self.limits(code)).")
        case .notStarted(let pid, let thread):
            "the agent did not start in process \(pid). Thread \(thread), which was to create it, has not got that far. "
                + "Try again with a longer timeout; if it happens again, check the process's memory limit (ulimit -v)."
        case .callTimedOut(let pid, let what):
            "the agent in process \(pid) has not answered. \(what) is still at work there. Look at the thread named hotpatch with gdb."
        case .left(let pid):
            "the agent in process \(pid) has left. It was asked nothing for too long. Try again: an agent starts anew."
        case .systemCallFailed(let pid, let name, let code):
            "\(name) failed in process \(pid). \(errorText(code)). "
                + (code == ENOMEM ? "\(Self.memoryLimits)." : "\(Self.limits(code)).")
        case .systemCallFailedHere(let name, let code):
            "\(name) failed. \(errorText(code)). Check this process's limits and rights."
        case .libraryNotLoaded(let pid, let reason):
            "process \(pid) could not load the library. Its loader says: \(reason). \(Self.mend(forLoader: reason))."
        case .otherLibraryLoaded(let pid, let path):
            "process \(pid) has loaded \(path) instead of the library. Its loader took the two for the same. Report this as a bug."
        case .tooLong(let what, let count, let limit):
            "\(what) is too long. It has \(count) bytes, the agent's scratch memory \(limit). Shorten it."
        case .targetEnded(let pid, .executed(let program), let doing):
            "process \(pid) executed \(program) while \(doing). Nothing of the patch is left, and the new program was not touched. "
                + "Apply again if it is to be patched."
        case .targetEnded(let pid, let end, let doing):
            "process \(pid) \(end) while \(doing). " + (end == .killed(signal: SIGSYS) ? Self.filter : Self.atFault)
        case .borrowedThreadEnded(let pid, let thread):
            "thread \(thread) of process \(pid) ended in the agent's stub. The process runs on without it. "
                + "If a filter of system calls (seccomp) has killed it, restart the process, and patch it from inside."
        case .threadEnded(let pid, let what):
            "the agent's thread in process \(pid) has ended. It was at work on \(what), and the process runs on without it. "
                + "If a filter of system calls (seccomp) has killed it, restart the process, and patch it from inside."
        case .noMemory(let pid, let count):
            "process \(pid) could not map \(count >> 10) KiB of memory for the agent, or not create its thread. Nothing was changed. "
                + "\(Self.memoryLimits), or its limit of threads (ulimit -u, pids.max)."
        }
    }

    private static let memoryLimits =
        "Raise its limit of memory (ulimit -v, vm.max_map_count, memory.max of its cgroup), or free some"
    private static let threadLimits = "Raise its limit of threads (ulimit -u, pids.max) or of memory (ulimit -v)."
    private static let filter =
        "Its filter of system calls (seccomp) forbids one that the patch needs. Restart it, and patch it from inside."
    private static let atFault =
        "The patch may have had a part in it. See the process's own log, and try the library in a copy of it first."
}

extension AgentError {
    /// What of a process's limits an error number speaks of.
    private static func limits(_ code: Int32) -> String {
        switch code {
        case EMFILE: "It has as many files open as it may: raise RLIMIT_NOFILE (prlimit --nofile), or close some"
        case ENFILE: "The system has as many files open as it may: raise fs.file-max"
        case EAGAIN:
            "It, or its user, may have no more threads, or lock no more memory: raise RLIMIT_NPROC (prlimit --nproc), pids.max of its "
                + "cgroup, or RLIMIT_MEMLOCK (prlimit --memlock)"
        case EFBIG: "It may not make files so long: raise RLIMIT_FSIZE (prlimit --fsize)"
        case EPERM, EACCES: "A seccomp filter or a security module forbids it"
        default: "Check the process's limits"
        }
    }

    /// What helps where the loader of the target refuses a library, by its own words.
    private static func mend(forLoader reason: String) -> String {
        func says(_ words: String) -> Bool {
            reason.utf8.indices.contains { reason.utf8[$0...].starts(with: words.utf8) }
        }
        if says("static TLS block") {
            return "Build it without -ftls-model=initial-exec, or load it at the start (LD_PRELOAD)"
        }
        if says("failed to map segment") {
            return
                "Its file system may be mounted noexec: apply a copy on another; or the process may have no more memory: raise "
                + "RLIMIT_AS (prlimit --as)"
        }
        // The library itself goes by no name: the process opens the descriptor that it was given.
        guard reason.hasPrefix("cannot open shared object file") else { return "Check the library with ldd" }
        if says("Permission denied") {
            return
                "The process opens it by its own rights: let its user read the file (chmod a+r), or apply a copy that it can read"
        }
        return limits(says("Too many open files") ? EMFILE : 0)
    }
}
