import CHotpatchLinux
import CPatchAgent
import Glibc
import HotpatchMemory
import HotpatchProcFS

/// Keeps two patchers from putting stubs into one process at once: who looks whether there is room, and who writes or clears a stub,
/// traces one certain thread of the process meanwhile, without stopping it. The kernel lets one tracer only (ptrace(2)), whatever namespaces
/// the patchers live in, lets nobody who may not change the process, and frees what a dead one has claimed.
///
/// What keeps them apart for longer is the stub itself, and the agent that lives in it.
enum TargetClaim {
    /// Claims a process for the calling thread, until that ends.
    /// - Parameter held: threads that it traces already.
    /// - Returns: false where somebody else has claimed it.
    static func take(_ process: RemoteProcess, holding held: some Sequence<Int32> = []) -> Bool {
        let tasks = (try? TaskList(pid: process.pid))?.scan() ?? []
        // The oldest. The main thread last: while it is traced, signals that nobody handles wake others (Tracees). One that has ended
        // alone stays in the list, and cannot be traced.
        let ordered = tasks.filter { $0 != process.pid } + tasks.filter { $0 == process.pid }
        let first = ordered.first { tid in
            TaskGlance(pid: process.pid, tid: tid).stat.map { !"ZX".contains($0.state) } ?? false
        }
        guard let first else { return false }
        return held.contains(first) || hp_ptrace_seize(first) == 0
    }

    /// Does something, quickly, while the process is claimed.
    /// - Throws: `anotherPatcher` where it was not free until the deadline.
    static func hold<Result>(
        _ process: RemoteProcess, deadline: Deadline, _ body: () -> Result
    ) throws(RemoteRefusal) -> Result {
        var backoff = Backoff(first: 100, longest: 2000)
        while true {
            let tracer: TracerThread
            do { tracer = try TracerThread() } catch {
                throw .procUnreadable(pid: process.pid, path: "a new thread of the patcher", code: error.code)
            }
            let result: Result? = tracer.run { take(process) ? body() : nil }
            tracer.end()
            if let result { return result }
            if deadline.hasPassed { throw .anotherPatcher(pid: process.pid) }
            backoff.sleep()
        }
    }
}

extension StubPlace {
    /// Removes a stub that nobody is in, unless another one stands there by now.
    /// - Parameter area: of the stub, by which it is known.
    func vacate(_ process: RemoteProcess, _ memory: ProcMemory, area: AgentArea) {
        try? TargetClaim.hold(process, deadline: .after(milliseconds: 200)) {
            let header = try? memory.value(hp_agent_stub.self, at: range.lowerBound)
            guard header?.magic == AgentStub.magic, header?.area == area.base.rawValue else { return }
            try? memory.write(vacant, at: range.lowerBound)
        }
    }
}
