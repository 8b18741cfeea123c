import Glibc
import HotpatchExpectations
import HotpatchMemory
import HotpatchRemoteSupport
import Testing

@testable import HotpatchRemoteTarget

extension RemoteTargetTests {
    /// The patcher is a forked child that is killed in the middle of its work. The target must live, go on, and take a new
    /// patcher.
    @Suite struct DeathTests {
        /// How long an agent whose patcher has died waits for one that asks it something.
        private static let idle: UInt64 = 500_000_000
        /// What the child came to where its agent left before: it was kept from the processor for that long.
        private static let wasLeft = 31
        private static let random = UInt64.random(in: 0...UInt64.max)

        /// A page shared with the child: how far it came.
        private static func sharedPage() -> UnsafeMutablePointer<Int> {
            mmap(nil, 4096, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0)!.bindMemory(
                to: Int.self, capacity: 512)
        }

        /// What the child does. Never returns.
        private func patch(_ victim: Victim, library: String, progress: UnsafeMutablePointer<Int>, diesAt: AgentPhase?)
            -> Never
        {
            do {
                let agent = try victim.startAgent(idle: Self.idle) { phase in
                    progress[0] = phase.rawValue
                    if phase == diesAt { raise(SIGKILL) }
                }
                _ = try LibraryTests.load(agent, victim, library)
                progress[0] = 20
                try agent.finish()
                progress[0] = 21
                _exit(0)
            } catch {
                if case AgentError.left? = error as? AgentError { progress[0] = Self.wasLeft } else { progress[0] = 30 }
                _exit(1)
            }
        }

        /// - Returns: the status of the child, as of waitpid; nil where it hung.
        private func wait(_ child: Int32) -> Int32? {
            var status: Int32 = 0
            for _ in 0..<15_000 {
                if waitpid(child, &status, WNOHANG) == child { return status }
                usleep(2000)
            }
            kill(child, SIGKILL)
            waitpid(child, &status, 0)
            return nil
        }

        private func checkLife(_ victim: Victim, after what: String) throws {
            #expect(victim.makesProgress(), "\(what)")
            #expect(victim.isAlive, "\(what)")
            let agent = try victim.startAgent(idle: 60_000_000_000)
            try expect(agent.call(victim.beta, deadline: .after(milliseconds: 10_000)), equals: 2, "\(what)")
            try agent.finish()
            #expect(victim.makesProgress(), "\(what)")
            expect(victim.shared.errors, equals: 0, "\(what): \(victim.shared.message)")
            #expect(try victim.isLetGo(), "\(what)")
        }

        @Test(arguments: AgentPhase.allCases, ["rneps", "n"]) func diesAtAPhase(phase: AgentPhase, threads: String)
            throws
        {
            let victim = try Victim(threads)
            let library = try Workshop.library("counted", as: "dying-\(phase)-\(threads).so")
            let progress = Self.sharedPage()
            let descriptors = try victim.descriptors()
            for _ in 0..<3 {
                var status: Int32?
                for _ in 0..<10 {
                    progress[0] = 0
                    let child = Calls.fork()
                    if child == 0 { patch(victim, library: library, progress: progress, diesAt: phase) }
                    status = wait(child)
                    if progress[0] != Self.wasLeft { break }
                }
                expect(status.map { $0 & 0x7f }, equals: SIGKILL, "the child got to \(progress[0])")
                expect(progress[0], equals: phase.rawValue)
                try checkLife(victim, after: "\(phase)")
                try expect(victim.descriptors(), equals: descriptors, "\(phase)")
            }
            munmap(progress, 4096)
        }

        /// After each of its commands: what a call has opened is closed all the same.
        @Test(arguments: 1...6) func diesAfterACommand(number: Int) throws {
            let victim = try Victim("n")
            let library = try Workshop.library("counted", as: "commanded-\(number).so")
            let before = try victim.descriptors()
            var end: Int32?
            // The agent leaves where the child is kept from the processor for that long.
            for _ in 0..<10 where end != SIGKILL {
                let child = Calls.fork()
                if child == 0 {
                    var given = 0
                    let agent = try? victim.startAgent(idle: Self.idle) { phase in
                        if phase == .commandGiven { given += 1 }
                        if given == number { raise(SIGKILL) }
                    }
                    if let agent { _ = try? LibraryTests.load(agent, victim, library) }
                    _exit(1)
                }
                end = wait(child).map { $0 & 0x7f }
            }
            expect(end, equals: SIGKILL)
            try checkLife(victim, after: "command \(number)")
            try expect(victim.descriptors(), equals: before)
        }

        /// No thread may stand in a copy that is not there yet.
        @Test func diesAmongCopies() throws {
            let victim = try Victim("h")
            try victim.losePatcherAmongCopies(move: victim.spin + 1, to: Address(1 << 40))
            usleep(50_000)
            #expect(victim.isAlive)
            #expect(try victim.isLetGo())
        }

        /// A signal that a thread was about to receive reaches it although nobody resumes it.
        @Test func diesBeforeASignal() throws {
            let victim = try Victim("t")
            for round in 0..<5 {
                try victim.losePatcherBeforeASignal()
                #expect(victim.makesProgress(), "round \(round)")
                expect(victim.shared.errors, equals: 0, "round \(round): \(victim.shared.message)")
            }
        }

        @Test func diesAtAnyMoment() throws {
            var generator = SplitMix(state: Self.random)
            let victim = try Victim("rneps")
            let progress = Self.sharedPage()
            let descriptors = try victim.descriptors()
            var reached: [Int: Int] = [:]
            // Torture has more of it, and programs that do more.
            for index in 0..<20 {
                let library = try Workshop.library("counted", as: "random-\(index).so")
                progress[0] = 0
                let child = Calls.fork()
                if child == 0 { patch(victim, library: library, progress: progress, diesAt: nil) }
                // The preparation takes most of the time; what is interesting begins after it.
                if index % 3 != 0 { for _ in 0..<20_000 where progress[0] == 0 { usleep(50) } }
                usleep(UInt32(generator.next() % 12_000))
                kill(child, SIGKILL)
                _ = wait(child)
                reached[progress[0], default: 0] += 1
                try checkLife(victim, after: "kill \(index) at \(progress[0]), seed \(Self.random)")
                try expect(
                    victim.descriptors(), equals: descriptors, "kill \(index) at \(progress[0]), seed \(Self.random)")
            }
            print(
                "killed at random, by phase reached: \(reached.sorted { $0.key < $1.key }.map { "\($0.key): \($0.value)" })"
            )
            #expect(reached.count > 2, "all kills came at the same phase: \(reached)")
            munmap(progress, 4096)
        }
    }

    struct SplitMix {
        var state: UInt64
        mutating func next() -> UInt64 {
            state &+= 0x9e37_79b9_7f4a_7c15
            var z = state
            z = (z ^ (z >> 30)) &* 0xbf58_476d_1ce4_e5b9
            z = (z ^ (z >> 27)) &* 0x94d0_49bb_1331_11eb
            return z ^ (z >> 31)
        }
    }
}
