import Glibc
import HotpatchMemory
import HotpatchProcFS
import HotpatchRemoteSupport
import HotpatchTestSupport

@testable import HotpatchRemoteTarget

let agentChecks: [Check] =
    [
        Check(name: "an agent calls functions and makes system calls") {
            let victim = try Victim("n")
            let agent = try victim.startAgent(idle: longIdle)
            let deadline = Deadline.after(milliseconds: 20_000)
            try expect(try agent.call(victim.beta, deadline: deadline) == 2, "beta")
            try expect(try agent.call(victim.libc("getpid"), deadline: deadline) == UInt64(victim.pid), "getpid")
            let path = try agent.scratch("/does/not/exist")
            let opened = try agent.call(victim.libc("open"), path.rawValue, 0, deadline: deadline)
            try expect(Int32(truncatingIfNeeded: opened) == -1 && agent.lastErrno == ENOENT, "errno \(agent.lastErrno)")
            do {
                try agent.systemCall("close", SystemCall.close, 9999, deadline: deadline)
                throw TestFailure("closed nothing")
            } catch AgentError.systemCallFailed(_, _, EBADF) {}
            guard let thread = agent.thread else { throw TestFailure("the agent's thread is not found") }
            try expect(thread.name == "hotpatch", thread.name)
            try agent.finish()
            try expect(!thread.isThere, "the agent is still there")
            try victim.mustGoOn()
        },
        Check(name: "an agent's thread is found in another pid namespace") {
            let victim = try Victim("nr", isolated: true)
            for _ in 0..<times(5, brief: 2) {
                let agent = try victim.startAgent(idle: longIdle)
                let deadline = Deadline.after(milliseconds: 20_000)
                try expect(try agent.call(victim.libc("getpid"), deadline: deadline) == 1, "getpid")
                guard let thread = agent.thread else { throw TestFailure("the agent's thread is not found") }
                try expect(thread.name == "hotpatch", thread.name)
                try agent.finish()
                try expect(!thread.isThere, "the agent is still there")
                try expect(try victim.stubs().isEmpty, "the stub is still there")
            }
            try victim.mustGoOn()
        },
        Check(name: "registers, flags and vectors survive being borrowed") {
            let victim = try Victim("r", main: "r")
            for _ in 0..<times(12, brief: 4) { try victim.startAgent(idle: longIdle).finish() }
            try victim.mustGoOn(counting: [0, 1])
        },
    ]
    // Blocked in calls that restart in different ways; y and g check how long they wait.
    + ["k", "n", "p", "f", "y", "g"].map { mode in
        Check(name: "a thread is borrowed from its call, and goes back into it: \(mode)") {
            let victim = try Victim("", main: mode)
            var nanoseconds: [UInt64] = []
            for _ in 0..<times(10, brief: 3) {
                let agent = try victim.startAgent(idle: longIdle)
                try expect(agent.borrowed.task.tid == victim.pid, "borrowed another thread")
                try expect(agent.interruptedCalls == 0, "\(agent.interruptedCalls) calls are said to have failed")
                nanoseconds.append(agent.borrowedNanoseconds)
                try agent.finish()
                usleep(20_000)
            }
            say("    stopped for \(medianAndWorst(of: nanoseconds))")
            if ["k", "f"].contains(mode) { try victim.mustBeUnharmed() } else { try victim.mustGoOn(counting: [0]) }
            try expect(victim.shared.interrupted == 0, "\(victim.shared.interrupted) calls have failed")
        }
    }
    // Paused, asleep, reading: with a handler that ends the call, or does not, or never returns.
    + [("P", 1), ("N", 1), ("F", 1), ("R", 0), ("L", 1)].map { mode, interruptions in
        Check(name: "a signal finds what the stub has interrupted: \(mode)") {
            let victim = try Victim("", main: mode)
            for round in 1...times(5, brief: 2) {
                let agent = try victim.startAgent { phase in
                    if phase == .redirected { Calls.tgkill(victim.pid, victim.pid, SIGUSR1) }
                }
                try victim.await { victim.shared.inHandler == round }
                let pc = Address(UInt64(bitPattern: Int64(victim.shared.value)))
                let path = try mappings(victim).region(containing: pc)?.path ?? ""
                try expect(path.contains("/libc.so") && !agent.place.range.contains(pc), "\(pc) in \(path)")
                try victim.await { victim.shared.rounds(0) == round * interruptions }
                try agent.finish()
                try expect(try victim.stubs().isEmpty, "the stub is still there")
            }
            try victim.mustBeUnharmed()
        }
    }
    + [
        Check(name: "a signal that does nothing ends no call") {
            for mode in ["P", "N", "R"] {
                let victim = try Victim("", main: mode)
                try victim.startAgent { phase in
                    if phase == .redirected { Calls.tgkill(victim.pid, victim.pid, SIGWINCH) }
                }.finish()
                usleep(50_000)
                try expect(victim.shared.rounds(0) == 0 && victim.shared.inHandler == 0, "\(mode) was interrupted")
                try victim.mustBeUnharmed()
            }
        },
        Check(name: "setuid in another thread reaches a borrowed one") {
            let victim = try Victim("Ukk")
            for _ in 0..<times(8, brief: 3) { try victim.startAgent(idle: longIdle).finish() }
            try victim.mustGoOn(counting: [1])
        },
    ]
    + ["e", "w", "o", "u"].map { mode in
        Check(name: "the only thread is borrowed from a call that fails for it, and that is counted: \(mode)") {
            let victim = try Victim("", main: mode)
            var counted = 0
            for _ in 0..<5 {
                let agent = try victim.startAgent(idle: longIdle)
                counted += agent.interruptedCalls
                try agent.finish()
                usleep(20_000)
            }
            try victim.mustGoOn(counting: [0])
            // Looking whether the thread has left the stub may stop it once more.
            let seen = victim.shared.interrupted
            try expect(counted > 0 && (counted...counted + 5).contains(seen), "counted \(counted), seen \(seen)")
        }
    } + [
        Check(name: "a thread in such a call is left alone where there is another") {
            let victim = try Victim("k", main: "e")
            for _ in 0..<5 {
                let agent = try victim.startAgent()
                try expect(agent.borrowed.task.tid != victim.pid, "borrowed the thread in epoll_wait")
                try expect(agent.interruptedCalls == 0, "\(agent.interruptedCalls) calls are said to have failed")
                try agent.finish()
            }
            try victim.mustGoOn(counting: [0])
            try expect(victim.shared.interrupted == 0, "\(victim.shared.interrupted) calls have failed")
        },
        Check(name: "a thread in a handler is borrowed, where it interrupted what may be") {
            let victim = try Victim("", main: "d")
            try victim.await { victim.shared.rounds(0) == 1 }
            Calls.tgkill(victim.pid, victim.pid, SIGUSR1)
            for _ in 0..<500 where victim.shared.inHandler == 0 { usleep(10_000) }
            let agent = try victim.startAgent()
            try expect(agent.borrowed.task.tid == victim.pid, "borrowed another thread")
            try agent.finish()
            try victim.mustBeUnharmed()
        },
        Check(name: "a thread in a handler that interrupted malloc is not") {
            // With call frame information, and without.
            for mode in ["q", "x"] {
                let victim = try Victim("", main: mode)
                for _ in 0..<500 where victim.shared.inHandler == 0 { usleep(10_000) }
                try mustNotStart(victim, because: "in a signal handler")
            }
        },
        Check(name: "vector registers that the stub cannot keep are left alone") {
            for (mode, reason) in [("j", "SVE"), ("J", "SME")] {
                let victim = try Victim("", main: mode)
                if victim.shared.rounds(0) == 1 {
                    try mustNotStart(victim, because: reason)
                } else {
                    say("    this processor has no \(reason): not tried")
                }
            }
        },
        Check(name: "libraries load into threads that allocate all the time") {
            for threads in isLong ? ["mmsen", "mmmmsserp"] : ["mser"] {
                let victim = try Victim(threads, main: "m")
                var nanoseconds: [UInt64] = []
                for index in 1...times(3, brief: 2) {
                    let library = try Victim.copy("counted.so", as: "counted-\(threads)-\(index)")
                    let agent = try victim.startAgent(idle: longIdle)
                    nanoseconds.append(agent.borrowedNanoseconds)
                    let loaded = try victim.load(library, with: agent)
                    unlink(library)
                    try expect(victim.shared.loaded == index, "\(victim.shared.loaded) constructors ran")
                    let name = try agent.scratch("replacement")
                    let deadline = Deadline.after(milliseconds: 20_000)
                    let function = try agent.call(
                        victim.libc("dlsym"), loaded.handle.rawValue, name.rawValue, deadline: deadline)
                    try expect(try agent.call(Address(function), deadline: deadline) == 42, "replacement")
                    try agent.finish()
                }
                say("    stopped for \(medianAndWorst(of: nanoseconds))")
                try victim.mustGoOn()
            }
        },
        Check(name: "what the loader says is reported") {
            let victim = try Victim("n")
            let agent = try victim.startAgent()
            do {
                _ = try victim.load(Victim.directory + "/broken.so", with: agent)
                throw TestFailure("loaded")
            } catch AgentError.libraryNotLoaded(_, let reason) {
                try expect(reason.contains("nobody_has_this_function"), reason)
            }
            try agent.finish()
            try victim.mustGoOn()
        },
        Check(name: "an agent leaves nothing behind") {
            let victim = try Victim("n")
            let process = try victim.process()
            let memory = try process.memory()
            let slack = try ExecutableSlack.find(in: process, memory: memory)
            func contents() throws -> [[UInt8]] {
                try slack.map { try memory.bytes(at: $0.lowerBound, count: $0.upperBound - $0.lowerBound) }
            }
            let unused = try contents()
            try victim.startAgent().finish()  // glibc keeps the first stack, and an arena
            let before = try mappings(victim).regions.count
            for _ in 0..<5 { try victim.startAgent().finish() }
            try expect(try mappings(victim).regions.count <= before, "mappings were left")
            try expect(try contents() == unused, "bytes were left in the slack")
        },
        Check(name: "without memory for an agent, nothing is left behind, and that is said") {
            // Where the stub has come and gone between two looks, the patcher cannot tell which it was, and says both.
            for (room, reason) in [(1 << 20, "create"), (4096, "could not map")] {
                let victim = try Victim("n")
                let before = try mappings(victim).regions
                try victim.limitMemory(toMore: room)
                try mustNotStart(victim, because: reason)
                try expect(try mappings(victim).regions == before, "\(reason): mappings are left")
                try expect(try victim.stubs().isEmpty, "\(reason): the stub is left")
                try victim.limitMemory(toMore: nil)
                try victim.startAgent().finish()
                try victim.mustGoOn()
            }
        },
        Check(name: "an agent that is asked nothing leaves by itself") {
            let victim = try Victim("n")
            let agent = try victim.startAgent(idle: 1_500_000_000)
            try victim.await { agent.thread?.isThere == false }
            do {
                _ = try agent.call(victim.beta, deadline: .after(milliseconds: 1000))
                throw TestFailure("it answers")
            } catch AgentError.left {}
            try agent.finish()
            // Its stub is still there: the next one removes it, and the area.
            let second = try victim.startAgent()
            try expect(try second.call(victim.beta, deadline: .after(milliseconds: 20_000)) == 2, "beta")
            try expect(try mappings(victim).region(containing: agent.area.base) == nil, "its area is still there")
            try second.finish()
            try victim.mustGoOn()
        },
    ]

/// How long an agent waits to be asked something, where that is not what is looked at: the patcher may be kept from the processor.
private let longIdle: UInt64 = 20_000_000_000

private func mappings(_ victim: Victim) throws -> ProcessMap {
    try ProcessMap(pid: victim.pid)
}

private func mustNotStart(_ victim: Victim, because reason: String, line: Int = #line) throws {
    do {
        try victim.startAgent(deadline: 3000).finish()
        throw TestFailure("line \(line): started")
    } catch let error as AgentError {
        try expect("\(error)".contains(reason), "\(error)", line: line)
    }
    try victim.mustBeUnharmed(line: line)
}
