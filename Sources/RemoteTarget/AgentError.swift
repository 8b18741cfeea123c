import Glibc
import Memory

/// Why the agent could not be started, or could not do what it was asked.
public enum AgentError: Error, Hashable, Sendable {
    case refused(RemoteRefusal)
    case memory(MemoryError)
    /// libdw could not prepare to unwind the process's stacks.
    case unwinder(String)
    case invalidSymbols
    /// `code` is what pthread_create(3) returned in the target.
    case threadNotCreated(pid: Int32, code: Int32)
    /// The stub has mapped nothing, or has gone again before anybody could see why.
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
}

extension AgentError {
    /// What was begun in the target is still at work there, and may yet succeed.
    public var isUnfinished: Bool {
        switch self {
        case .callTimedOut, .notStarted: true
        default: false
        }
    }
}

extension AgentError: CustomStringConvertible {
    public var description: String {
        switch self {
        case .refused(let refusal): refusal.description
        case .memory(let error): "the target's memory failed. \(error). Check that the process still runs."
        case .unwinder(let text):
            "the process's stacks cannot be unwound. Libdw says: \(text). Check that its executable and libraries can be read from here."
        case .invalidSymbols:
            "the agent was not given all of libc's functions. Pthread_create, pthread_detach and __errno_location are needed. Report this as a bug."
        case .threadNotCreated(let pid, let code):
            "process \(pid) could not create a thread. Pthread_create: \(String(cString: strerror(code))). Raise its limit of threads (ulimit -u, pids.max)."
        case .noMemory(let pid, let count):
            "process \(pid) could not map \(count >> 10) KiB for the agent, or not create its thread. Nothing was changed. "
                + "Raise its limits of memory and threads (ulimit -v, ulimit -u, vm.max_map_count, the cgroup's memory.max and pids.max)."
        case .notStarted(let pid, let thread):
            "the agent did not start in process \(pid). Thread \(thread), which was to create it, has not got that far. "
                + "Try again with a longer timeout; if it happens again, check the process's memory limit (ulimit -v)."
        case .callTimedOut(let pid, let what):
            "the agent in process \(pid) has not answered. \(what) is still at work there. Look at the thread named hotpatch with gdb."
        case .left(let pid):
            "the agent in process \(pid) has left. It was asked nothing for two seconds. Start over."
        case .systemCallFailed(let pid, let name, let code):
            "\(name) failed in process \(pid). \(String(cString: strerror(code))). Check the process's limits."
        case .systemCallFailedHere(let name, let code):
            "\(name) failed. \(String(cString: strerror(code))). Check this process's limits and rights."
        case .libraryNotLoaded(let pid, let reason):
            "process \(pid) could not load the library. Its loader says: \(reason). Check the library with ldd."
        case .otherLibraryLoaded(let pid, let path):
            "process \(pid) has loaded \(path) instead of the library. Its loader took the two for the same. Report this as a bug."
        case .tooLong(let what, let count, let limit):
            "\(what) is too long. It has \(count) bytes, the agent's scratch memory \(limit). Shorten it."
        }
    }
}
