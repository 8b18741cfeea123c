import CPatchAgent
import Glibc
import HotpatchMemory
import HotpatchProcFS

// Until the agent serves.
extension AgentStarter {
    private func isMapped() -> Bool {
        (try? memory.value(UInt64.self, at: area.field(HP_AREA_MAGIC))) == AgentStub.magic
    }

    /// Whether the process is about to end, one of its threads having done so: what kills it ends them one by one.
    private func endsSoon() -> Bool {
        let deadline = Deadline.after(milliseconds: 500)
        while process.end(of: memory) == nil {
            if deadline.hasPassed { return false }
            usleep(1000)
        }
        return true
    }

    func awaitAgent(_ loan: Loan, interruptedCalls: Int) throws -> Agent {
        let pid = process.pid
        var backoff = Backoff(first: 20, longest: 500)
        // The thread is looked at, which may stop it, where the stub gives no sign for so long.
        var patience = Deadline.after(milliseconds: 20)
        var failure: Int32?
        let agentThread: Int32
        while true {
            func word<T: BitwiseCopyable>(_ field: Int32, _ type: T.Type) -> T? {
                try? memory.value(type, at: area.field(field))
            }
            if isMapped() {
                // It can be gone again between two looks: where no thread could be created.
                if let state = word(HP_AREA_STATE, UInt32.self), let result = word(HP_AREA_CREATE_RESULT, Int64.self),
                    let agentState = word(HP_AREA_AGENT_STATE, UInt32.self),
                    let tid = word(HP_AREA_AGENT_TID, Int32.self)
                {
                    if state >= HP_STUB_CREATED.rawValue, result != 0 { failure = Int32(clamping: result) }
                    if agentState == HP_AGENT_SERVING.rawValue, state == HP_STUB_LEAVING.rawValue {
                        agentThread = tid
                        break
                    }
                    if agentState == HP_AGENT_LEFT.rawValue { throw AgentError.left(pid: pid) }
                    if state < HP_STUB_LEAVING.rawValue, !loan.thread.task.isThere,
                        word(HP_AREA_STATE, UInt32.self) ?? 0 < HP_STUB_LEAVING.rawValue, process.end(of: memory) == nil
                    {
                        if !endsSoon() {
                            throw AgentError.borrowedThreadEnded(pid: pid, thread: loan.thread.task.tid)
                        }
                    }
                }
            } else if failure != nil || patience.hasPassed {
                patience = .after(milliseconds: 20)
                if loan.thread.hasLeft(), !isMapped(), process.end(of: memory) == nil {
                    guard loan.thread.task.isThere || failure != nil else {
                        if endsSoon() { continue }
                        throw AgentError.borrowedThreadEnded(pid: pid, thread: loan.thread.task.tid)
                    }
                    // The stub has done all it could.
                    loan.place.vacate(process, memory, area: area)
                    if let failure { throw AgentError.threadNotCreated(pid: pid, code: failure) }
                    throw AgentError.noMemory(pid: pid, count: area.count)
                }
            }
            if let end = process.end(of: memory) {
                throw AgentError.targetEnded(
                    pid: pid, end, doing: "its thread \(loan.thread.task.tid) created the agent")
            }
            if deadline.hasPassed { throw AgentError.notStarted(pid: pid, thread: loan.thread.task.tid) }
            backoff.sleep()
        }
        let agent = Agent(
            process: process, memory: memory, area: area, place: loan.place, borrowed: loan.thread,
            thread: KnownTask(pid: pid, callingItself: agentThread), borrowedNanoseconds: loan.nanoseconds,
            interruptedCalls: interruptedCalls, holds: holds, phase: phase)
        phase(.serving)
        for area in abandonedAreas {
            try agent.systemCall("munmap", SystemCall.munmap, area.address, area.count, deadline: deadline)
        }
        return agent
    }
}
