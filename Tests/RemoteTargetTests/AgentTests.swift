import CPatchAgent
import Glibc
import HotpatchEngine
import HotpatchExpectations
import HotpatchMemory
import HotpatchPlan
import HotpatchProcFS
import HotpatchRemoteSupport
import HotpatchSymbols
import Testing

@testable import HotpatchRemoteTarget

extension RemoteTargetTests {
    @Suite struct AgentTests {
        @Test func callsAndReturns() throws {
            let victim = try Victim("n")
            let agent = try victim.startAgent()
            let deadline = Deadline.after(milliseconds: 20_000)
            try expect(agent.call(victim.beta, deadline: deadline), equals: 2)
            try expect(agent.call(victim.libc("getpid"), deadline: deadline), equals: UInt64(victim.pid))
            try expect(agent.systemCall("getpid", 39, deadline: deadline), equals: UInt64(victim.pid))
            let path = try agent.scratch("/does/not/exist")
            expect(
                Int32(truncatingIfNeeded: try agent.call(victim.libc("open"), path.rawValue, 0, deadline: deadline)),
                equals: -1)
            expect(agent.lastErrno, equals: ENOENT)
            #expect(throws: AgentError.systemCallFailed(pid: victim.pid, name: "close", code: EBADF)) {
                try agent.systemCall("close", 3, 9999, deadline: deadline)
            }
            let thread = try #require(agent.thread)
            expect(thread.name, equals: "hotpatch")
            try agent.finish()
            #expect(try !victim.tasks.contains(thread.tid))
            #expect(victim.makesProgress())
            expect(victim.shared.errors, equals: 0, "\(victim.shared.message)")
        }

        /// In a pid namespace, threads call themselves otherwise than we do: with a /proc of its own, as in a container, or ours.
        @Test(arguments: [[], ["unshare", "--mount", "--mount-proc"]])
        func findsItsThreadInANamespace(wrapper: [String]) throws {
            let victim = try Victim("nr", wrapper: wrapper, isolated: true)
            for round in 0..<8 {
                let agent = try victim.startAgent()
                try expect(agent.call(victim.libc("getpid"), deadline: .after(milliseconds: 20_000)), equals: 1)
                let thread = try #require(agent.thread)
                expect(thread.name, equals: "hotpatch")
                #expect(try agent.memory.value(Int32.self, at: agent.area.field(HP_AREA_AGENT_TID)) != thread.tid)
                try agent.finish()
                #expect(try !victim.tasks.contains(thread.tid), "round \(round)")
                #expect(try victim.stubs().isEmpty, "round \(round): the stub is still there")
            }
            #expect(victim.makesProgress())
            expect(victim.shared.errors, equals: 0, "\(victim.shared.message)")
        }

        /// Fifty starts in threads that check every register, the flags, the red zone and the vector state.
        @Test func preservesRegisters() throws {
            let victim = try Victim("rr", main: "r")
            for _ in 0..<50 {
                let agent = try victim.startAgent()
                try agent.finish()
            }
            #expect(victim.makesProgress(counting: [0, 1, 2]))
            expect(victim.shared.errors, equals: 0, "\(victim.shared.message)")
        }

        /// A thread blocked in each of the calls that restart in a different way.
        @Test(arguments: ["n", "p", "e", "w", "o", "u", "k"]) func restartsSystemCalls(mode: String) throws {
            let victim = try Victim("", main: mode)
            for _ in 0..<10 {
                let agent = try victim.startAgent()
                expect(agent.borrowed.task.tid, equals: victim.pid)
                try agent.finish()
                usleep(3000)
            }
            if mode != "k" { #expect(victim.makesProgress(counting: [0])) }
            #expect(victim.isAlive)
            expect(victim.shared.interrupted, equals: 0)
            expect(victim.shared.errors, equals: 0, "\(victim.shared.message)")
        }

        /// A signal that comes while the thread is in the stub finds what the stub interrupted, and ends the call or does not, as it
        /// would have without us. A cancelled thread is one case: its destructors are found from there.
        @Test(arguments: [("P", 1), ("N", 1), ("F", 1), ("R", 0), ("L", 1)])
        func givesBackItsFrameBeforeASignal(mode: String, interruptions: Int) throws {
            let victim = try Victim("", main: mode)
            for round in 1...5 {
                let agent = try victim.startAgent(deadline: 5000) { phase in
                    if phase == .redirected { Calls.tgkill(victim.pid, victim.pid, SIGUSR1) }
                }
                try victim.await { victim.shared.inHandler == round }
                let pc = Address(UInt64(bitPattern: Int64(victim.shared.value)))
                let path = try LibraryTests.mappings(victim.pid).region(containing: pc)?.path ?? ""
                #expect(path.contains("/libc.so") && !agent.place.range.contains(pc), "\(pc) in \(path)")
                try victim.await { victim.shared.rounds(0) == round * interruptions }
                try agent.finish()
                #expect(try victim.stubs().isEmpty)
            }
            expect(victim.shared.errors, equals: 0, "\(victim.shared.message)")
        }

        /// A signal for which no handler runs ends no call.
        @Test(arguments: ["P", "N", "R"]) func ignoresASignalThatDoesNothing(mode: String) throws {
            let victim = try Victim("", main: mode)
            try victim.startAgent { phase in
                if phase == .redirected { Calls.tgkill(victim.pid, victim.pid, SIGWINCH) }
            }.finish()
            usleep(10_000)
            #expect(victim.shared.rounds(0) == 0 && victim.shared.inHandler == 0)
            #expect(victim.isAlive)
        }

        /// setuid in another thread waits for every thread, with a lock that pthread_create needs.
        @Test func takesTheSignalOfSetuid() throws {
            let victim = try Victim("Ukk")
            for _ in 0..<20 { try victim.startAgent().finish() }
            #expect(victim.makesProgress(counting: [1]))
            expect(victim.shared.errors, equals: 0, "\(victim.shared.message)")
        }

        /// A thread that waits in a signal handler is borrowed where it interrupted what may be interrupted.
        @Test func borrowsAThreadInAHandler() throws {
            let victim = try Victim("", main: "d")
            try victim.await { victim.shared.rounds(0) == 1 }
            Calls.tgkill(victim.pid, victim.pid, SIGUSR1)
            try victim.awaitHandler()
            let agent = try victim.startAgent()
            expect(agent.borrowed.task.tid, equals: victim.pid)
            try agent.finish()
            #expect(victim.isAlive)
            expect(victim.shared.errors, equals: 0, "\(victim.shared.message)")
        }

        /// Also one that cannot be unwound.
        @Test(arguments: ["q", "x"]) func refusesAHandlerThatInterruptedTheAllocator(mode: String) throws {
            let victim = try Victim("", main: mode)
            try victim.awaitHandler()
            let error = #expect(throws: AgentError.self) { try victim.startAgent(deadline: 2000) }
            #expect("\(String(describing: error))".contains("in a signal handler"), "\(error!)")
        }

        @Test func leavesByItselfWhenNobodyAsks() throws {
            let victim = try Victim("n")
            let agent = try victim.startAgent(idle: 2_000_000_000)
            try victim.await { agent.thread?.isThere == false }
            #expect(throws: AgentError.left(pid: victim.pid)) {
                try agent.call(victim.beta, deadline: .after(milliseconds: 100))
            }
            // Its stub is still there: the next one removes it, and the area.
            try agent.finish()
            let second = try victim.startAgent()
            try expect(second.call(victim.beta, deadline: .after(milliseconds: 20_000)), equals: 2)
            try expect(LibraryTests.mappings(victim.pid).region(containing: agent.area.base), equals: nil)
            try second.finish()
            #expect(victim.makesProgress())
        }

        /// Where no time is left, the agent is asked for nothing: an answer that came too late would leave open whether it was done.
        @Test func isAskedForNothingWhenTheTimeIsOver() throws {
            let victim = try Victim("n")
            let process = try victim.process()
            let index = try SymbolIndex(
                map: ProcessMap(pid: victim.pid), memory: process.memory(), root: "/proc/\(victim.pid)/root")
            let target = try RemoteTarget(
                process: process, symbols: index, options: TargetOptions(), deadline: .after(milliseconds: 30_000))
            try expect(target.call(Call(victim.libc("rand"), name: "rand")), equals: Self.random[0])
            target.deadline = .after(milliseconds: 0)
            for request in [
                { try target.mapLedger(Address(0x10_0000_0000)..<Address(0x10_0000_1000)) },
                { try target.map(Address(0x10_0000_0000)..<Address(0x10_0000_1000), .text) },
                { _ = try target.call(Call(victim.libc("rand"), name: "rand")) },
            ] {
                let error = #expect(throws: PatchError.self) { try request() }
                #expect(error?.code == .deadline && error?.process == victim.pid && error?.thread == nil)
                expect(error?.message, equals: RemoteRefusal.outOfTime(pid: victim.pid).description)
            }
            // What puts things back has its second.
            try expect(target.call(Call(victim.libc("rand"), name: "rand"), isCleanup: true), equals: Self.random[1])
            target.finish()
            #expect(victim.makesProgress())
        }

        /// A process that ends while it is looked at has no images: that is an error, and what libdw was given is taken back once.
        @Test func unwindsNothingOfAProcessThatHasEnded() throws {
            let victim = try Victim("n")
            let process = try victim.process()
            let memory = try process.memory()
            let symbols = try victim.symbols(process, memory)
            kill(victim.pid, SIGKILL)
            try victim.await { !victim.isAlive }
            for _ in 0..<20 {
                #expect(throws: UnwinderError.self) {
                    _ = try StackUnwinder(
                        of: process, mapping: ProcessMap(parsing: "", pid: victim.pid), memory: memory,
                        symbols: symbols.index)
                }
            }
        }

        /// What was asked in time is waited for: a system call is over soon, and the answer says what was done.
        @Test func waitsForASystemCallThatWasAskedInTime() throws {
            let victim = try Victim("n")
            let process = try victim.process()
            let index = try SymbolIndex(
                map: ProcessMap(pid: victim.pid), memory: process.memory(), root: "/proc/\(victim.pid)/root")
            let target = try RemoteTarget(
                process: process, symbols: index, options: TargetOptions(), deadline: .after(milliseconds: 30_000))
            try expect(target.call(Call(victim.libc("rand"), name: "rand")), equals: Self.random[0])
            kill(victim.pid, SIGSTOP)
            let waker = Calls.fork()
            if waker == 0 {
                usleep(600_000)
                kill(victim.pid, SIGCONT)
                _exit(0)
            }
            target.deadline = .after(milliseconds: 300)
            let ledger = Result { try target.mapLedger(Address(0x10_0000_0000)..<Address(0x10_0000_1000)) }
            waitpid(waker, nil, 0)
            #expect(throws: Never.self) { try ledger.get() }
            #expect(target.isOutOfTime)
            target.finish()
            #expect(victim.makesProgress())
        }

        /// An agent that has left is replaced, and what it was asked at that moment is done once.
        @Test func replacesAnAgentThatHasLeft() throws {
            let victim = try Victim("n")
            let process = try victim.process()
            let index = try SymbolIndex(
                map: ProcessMap(pid: victim.pid), memory: process.memory(), root: "/proc/\(victim.pid)/root")
            let target = try RemoteTarget(
                process: process, symbols: index, options: TargetOptions(), deadline: .after(milliseconds: 30_000))
            target.agentIdle = 300_000
            for call in 1...6 {
                try expect(target.call(Call(victim.libc("rand"), name: "rand")), equals: Self.random[call - 1])
                usleep(UInt32.random(in: 0...1000))
            }
            target.finish()
            #expect(victim.makesProgress())
        }

        /// The first numbers of rand(3), which counts its calls.
        static let random: [UInt64] = {
            srand(1)
            return (0..<6).map { _ in UInt64(rand()) }
        }()

        /// Room for the area but not for a thread, or not even for the area: said at once, and nothing is left behind. Where the stub
        /// has come and gone between two looks of the patcher, it cannot tell which, and says both.
        @Test(arguments: [(1 << 20, "create"), (4096, "could not map")])
        func leavesNothingWithoutMemory(room: Int, reason: String) throws {
            let victim = try Victim("n")
            let before = try LibraryTests.mappings(victim.pid).regions
            try victim.limitMemory(toMore: room)
            let began = Deadline.now
            let error = #expect(throws: AgentError.self) { try victim.startAgent(deadline: 60_000) }
            #expect("\(error!)".contains(reason) && "\(error!)".contains("thread"), "\(error!)")
            #expect(Deadline.now - began < 30_000_000_000)
            try expect(LibraryTests.mappings(victim.pid).regions, equals: before)
            #expect(try victim.stubs().isEmpty)
            try victim.limitMemory(toMore: nil)
            try victim.startAgent().finish()
            #expect(victim.makesProgress())
        }

        @Test func keepsOthersOut() throws {
            let victim = try Victim("n")
            let agent = try victim.startAgent()
            #expect(throws: AgentError.refused(.anotherPatcher(pid: victim.pid))) {
                try victim.startAgent(deadline: 300)
            }
            try agent.finish()
            try victim.startAgent().finish()
        }

        /// Patchers that come at the same time take turns: no stub is overwritten, and none is left.
        @Test func takesTurns() throws {
            let victim = try Victim("np")
            let children = (0..<3).map { _ in
                let child = Calls.fork()
                if child == 0 {
                    for _ in 0..<4 {
                        do {
                            let agent = try victim.startAgent(deadline: 30_000)
                            let answer = try agent.call(victim.beta, deadline: .after(milliseconds: 20_000))
                            try agent.finish()
                            if answer != 2 { _exit(1) }
                        } catch {
                            let text = "a patcher failed: \(error)\n"
                            write(STDERR_FILENO, text, text.utf8.count)
                            _exit(1)
                        }
                    }
                    _exit(0)
                }
                return child
            }
            for child in children {
                var status: Int32 = 0
                #expect(waitpid(child, &status, 0) == child && status == 0, "\(status)")
            }
            #expect(try victim.stubs().isEmpty)
            #expect(victim.makesProgress())
            expect(victim.shared.errors, equals: 0, "\(victim.shared.message)")
        }

        @Test func givesUpOnACallThatDoesNotReturn() throws {
            let victim = try Victim("n")
            let agent = try victim.startAgent()
            let error = #expect(throws: AgentError.self) {
                try agent.call(victim.libc("sleep"), 60, deadline: .after(milliseconds: 500))
            }
            guard case .callTimedOut? = error else {
                Issue.record("\(String(describing: error))")
                return
            }
            #expect(throws: AgentError.left(pid: victim.pid)) {
                try agent.call(victim.beta, deadline: .after(milliseconds: 50))
            }
            #expect(victim.makesProgress())
        }

        /// No thread but one that only ever allocates, and it is not met outside malloc in time: then a reason is given.
        @Test func saysWhyNoThreadCouldBeBorrowed() throws {
            let victim = try Victim("", main: "h")
            Calls.tgkill(victim.pid, victim.pid, SIGSTOP)
            try victim.await { TaskGlance(pid: victim.pid, tid: victim.pid).stat?.state == "T" }
            let error = #expect(throws: (any Error).self) { try victim.startAgent(deadline: 1000) }
            #expect("\(error!)".contains("stopped by job control"), "\(error!)")
            kill(victim.pid, SIGCONT)
        }
    }
}
