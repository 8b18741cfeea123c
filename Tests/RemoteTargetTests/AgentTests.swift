import CPatch
import Glibc
import Memory
import Testing

@testable import RemoteTarget

extension RemoteTargetTests {
    @Suite struct AgentTests {
        @Test func callsAndReturns() throws {
            let victim = try Victim("n")
            let agent = try victim.startAgent()
            let deadline = Deadline.after(milliseconds: 2000)
            #expect(try agent.call(victim.beta, deadline: deadline) == 2)
            #expect(try agent.call(victim.libc("getpid"), deadline: deadline) == UInt64(victim.pid))
            #expect(try agent.systemCall("getpid", 39, deadline: deadline) == UInt64(victim.pid))
            let path = try agent.scratch("/does/not/exist")
            #expect(Int32(truncatingIfNeeded: try agent.call(victim.libc("open"), path.rawValue, 0, deadline: deadline)) == -1)
            #expect(agent.lastErrno == ENOENT)
            #expect(throws: AgentError.systemCallFailed(pid: victim.pid, name: "close", code: EBADF)) {
                try agent.systemCall("close", 3, 9999, deadline: deadline)
            }
            let name = try ProcText.readString("/proc/\(victim.pid)/task/\(agent.agentThread)/comm")
            #expect(name == "hotpatch\n")
            try agent.finish()
            #expect(access("/proc/\(victim.pid)/task/\(agent.agentThread)", F_OK) != 0)
            #expect(victim.makesProgress())
            #expect(victim.shared.errors == 0, "\(victim.shared.message)")
        }
    }
}
