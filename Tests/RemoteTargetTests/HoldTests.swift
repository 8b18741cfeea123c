import CPatchMachine
import Glibc
import HotpatchExpectations
import HotpatchMemory
import HotpatchRemoteSupport
import Testing

@testable import HotpatchRemoteTarget

extension RemoteTargetTests {
    /// How long threads are held, and how often: as the budget says, and no longer, whoever is in the way.
    @Suite struct HoldTests {
        @Test func holdsNobodyForAParentInVfork() throws { _ = try HoldChecks.parentInVfork(Victim("HV")) }

        @Test func aThreadThatDoesNotStopIsADeadline() throws { try HoldChecks.threadThatDoesNotStop(Victim("HV")) }

        /// The report is the sum of what was held, in attempts that failed too.
        @Test func addsUpWhatWasHeld() throws {
            let victim = try Victim("H")
            let holds = HoldBudget(maximumPause: .milliseconds(20))
            var attempts = 0
            victim.shared.forgetGap()
            try holds.hold(try victim.process(), deadline: .after(milliseconds: 20_000)) { stopped in
                attempts += 1
                usleep(10_000)
                if attempts < 3 { throw CommitError.busy(thread: 1, address: .null, foundAt: nil) }
            }
            expect(attempts, equals: 3)
            #expect(holds.report.stops >= 3)
            expect(holds.report.threads, equals: 2)
            #expect(holds.report.longest >= 10_000_000)
            #expect(holds.report.total >= 30_000_000)
            #expect(holds.report.total >= holds.report.longest)
            #expect(victim.shared.gap >= 10_000)
        }

        /// Between two holds a process runs nine times as long as it was held, and stops are ever further apart.
        @Test func spacesStops() throws {
            let holds = HoldBudget()
            let deadline = Deadline.after(milliseconds: 100_000)
            var pauses: [UInt64] = []
            for _ in 0..<6 {
                let start = Deadline.now
                #expect(holds.rest(until: deadline))
                pauses.append(Deadline.now - start)
            }
            #expect(pauses[0] >= 1_000_000)
            #expect(pauses[5] >= 7_500_000)
            let pause = PauseReport(
                threads: 1, nanoseconds: 5_000_000, mendedCalls: 0, interruptedCalls: 0, lateThreads: 0,
                wasBoosted: false)
            holds.record(pause, ofOne: false)
            let start = Deadline.now
            #expect(holds.rest(until: deadline))
            #expect(Deadline.now - start >= 45_000_000)
        }

        /// A counter that grows with each attempt has an end, whatever is allowed.
        @Test(arguments: [nil, Duration.milliseconds(1), .seconds(Int64.max)]) func growsWithoutOverflow(
            maximumPause: Duration?
        ) {
            let holds = HoldBudget(maximumPause: maximumPause)
            for _ in 0..<200 {
                holds.grow()
                #expect(!holds.rest(until: Deadline(nanoseconds: 0)))
            }
            #expect(Duration.nanoseconds(Int64(holds.allowance)) <= maximumPause ?? .seconds(1))
            #expect(Deadline.after(milliseconds: .max).remainingNanoseconds > 1 << 62)
            #expect(!Deadline.after(milliseconds: .max).hasPassed)
        }

        /// What has held more than two seconds in all gives up, whatever time is left.
        @Test func hasATotal() {
            let holds = HoldBudget()
            let pause = PauseReport(
                threads: 1, nanoseconds: 1_100_000_000, mendedCalls: 0, interruptedCalls: 0, lateThreads: 0,
                wasBoosted: false)
            holds.record(pause, ofOne: false)
            holds.record(pause, ofOne: false)
            #expect(!holds.rest(until: .after(milliseconds: 1_000_000)))
        }

        @Test func leavesAPredecessorsStubThatIsInUse() throws {
            try HoldChecks.stubInUse(Victim("kH", main: "n"), circle: [0xeb, 0xfe], deadline: 1000)
        }

        /// A search for a thread to borrow that finds none stops a thread a handful of times, so that its tick goes on: a few more where the
        /// machine is busy, and the thread is met on its way into its wait.
        @Test func leavesATickAlone() throws {
            let victim = try Victim("", main: "E")
            // On its way to its first tick it may be borrowed.
            try victim.await { victim.shared.rounds(0) > 0 }
            victim.shared.forgetGap()
            let holds = HoldBudget()
            #expect(throws: AgentError.self) { try victim.startAgent(deadline: 1500, holds: holds) }
            #expect((1...20).contains(holds.report.singleStops), "\(holds.report)")
            #expect(victim.shared.gap < 1_000_000, "a tick of 100 ms took \(victim.shared.gap) µs")
            expect(victim.shared.interrupted, equals: 0)
            expect(victim.shared.errors, equals: 0, "\(victim.shared.message)")
        }

        /// A signal that nobody handles leaves no trace in the program, as it would not without us.
        @Test func hidesIgnoredSignals() throws {
            let victim = try Victim("I", main: "e")
            var mended = 0
            // On a busy machine the thread is met on its way into its call as often as in it.
            for _ in 0..<2000 where mended < 50 {
                mended += try StoppedProcessTests.stop(victim).mendedCalls
                usleep(2000)
            }
            #expect(mended >= 50)
            expect(victim.shared.interrupted, equals: 0)
            #expect(victim.makesProgress(counting: [0, 1]))
            expect(victim.shared.errors, equals: 0, "\(victim.shared.message)")
        }

        /// Stops that come more often than a wait lasts: it ends nevertheless, when its time is over.
        @Test(.enabled(if: hp_calls_can_be_mended(), "a stop ends such calls")) func letsWaitsEnd() throws {
            let victim = try Victim("ewo")
            let before = (1...3).map { victim.shared.rounds($0) }
            for _ in 0..<100 {
                _ = try StoppedProcessTests.stop(victim)
                usleep(5000)
            }
            for thread in 1...3 {
                let ended = victim.shared.rounds(thread) - before[thread - 1]
                #expect(ended >= 5, "of waits of 20 ms \(ended) ended within half a second")
            }
            expect(victim.shared.interrupted, equals: 0)
            expect(victim.shared.errors, equals: 0, "\(victim.shared.message)")
        }

        #if arch(x86_64)
            /// Half of a word that no patcher has marked, or that the other kind has, ends no wait.
            @Test func takesNothingForAMark() {
                for half in [0, 1, 0x3500_0000, 0x5a00_0000, 0x7fff_ffff, 0xffff_ffff, 0x8000_0000] as [UInt64] {
                    for timeout in [0, 1, 1000, 1 << 22, 1 << 23, .max] as [UInt64] {
                        var registers = hp_registers()
                        registers.orig_rax = half << 32 | UInt64(SYS_epoll_wait)
                        registers.rax = UInt64(bitPattern: Int64(-EINTR))
                        #expect(hp_mend(&registers, timeout, half == 0x5a00_0000 ? false : true))
                        expect(Int64(bitPattern: registers.rax), equals: -514, "\(half), \(timeout)")
                        expect(UInt32(truncatingIfNeeded: registers.orig_rax), equals: UInt32(SYS_epoll_wait))
                        expect(hp_registers_call_number(&registers), equals: Int(SYS_epoll_wait))
                    }
                }
            }

            /// A wait ends at the first stop after its time, with what a timeout returns.
            @Test func endsAWaitOnce() {
                var registers = hp_registers()
                registers.orig_rax = UInt64(SYS_rt_sigtimedwait)
                for round in 0..<1000 {
                    registers.rax = UInt64(bitPattern: Int64(-EINTR))
                    #expect(hp_mend(&registers, 30, false))
                    if Int64(bitPattern: registers.rax) == -Int64(EAGAIN) {
                        #expect(round > 0)
                        return
                    }
                    expect(Int64(bitPattern: registers.rax), equals: -514)
                    usleep(10_000)
                }
                Issue.record("it has not ended")
            }
        #endif

        static let canServeFaults = {
            let descriptor = Calls.syscall(323, Int(O_CLOEXEC))
            if descriptor >= 0 { close(Int32(descriptor)) }
            return descriptor >= 0
        }()

        /// Pages above a stack that a thread would have to bring (userfaultfd(2)), which is held too: they end the search.
        @Test(.enabled(if: canServeFaults, "userfaultfd is not permitted")) func waitsForNoHandlerOfFaults() throws {
            let victim = try Victim("", main: "M")
            try victim.await { victim.shared.rounds(0) == 1 || victim.shared.errors > 0 }
            let place = victim.spin.rawValue
            for _ in 0..<3 {
                let report = try CommitTests.commit(
                    victim, [CommitTests.write(victim.spin, from: nil, to: [0x90])],
                    hazards: [.init(start: place + 1, end: place + 3)])
                #expect(report.scannedBytes > 0)
            }
            #expect(victim.isAlive)
            expect(victim.shared.errors, equals: 0, "\(victim.shared.message)")
        }

        /// A target that is killed while the agent starts: untouched up to the moment when a thread is sent away, and then told as
        /// what it is, at once. Once the thread runs, the agent may be there before the signal is.
        @Test(arguments: [AgentPhase.prepared, .stopped, .vetted, .written, .redirected])
        func tellsAnEndByItsPhase(phase: AgentPhase) throws {
            let victim = try Victim("n")
            let error = #expect(throws: AgentError.self) {
                try victim.startAgent(deadline: 60_000) { reached in
                    if reached == phase { kill(victim.pid, SIGKILL) }
                }
            }
            if phase.rawValue < AgentPhase.redirected.rawValue {
                expect(error, equals: .refused(.vanished(pid: victim.pid)))
                expect(error?.outcome, equals: .refused)
            } else {
                guard case .targetEnded(victim.pid, .killed(signal: SIGKILL), _)? = error else {
                    Issue.record("\(String(describing: error))")
                    return
                }
                expect(error?.outcome, equals: .inconsistent)
            }
        }
    }
}
