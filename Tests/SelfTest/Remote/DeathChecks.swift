import Glibc
import HotpatchMemory
import HotpatchRemoteSupport
import HotpatchTestSupport

@testable import HotpatchRemoteTarget

/// The patcher is a forked child that is killed in the middle of its work. The target must live, go on, and take a new patcher.
let deathChecks: [Check] = [
    Check(name: "the patcher dies at each phase") {
        // One with other threads, and one without: each at every phase, or at every fourth.
        for (index, (threads, main)) in [("rnp", "k"), ("", "n")].enumerated() {
            let victim = try Victim(threads, main: main)
            for phase in AgentPhase.allCases where isLong || phase.rawValue % 4 == index {
                var reached = wasLeft
                for _ in 0..<10 where reached == wasLeft { reached = try patchAndDie(victim, at: phase) }
                try expect(reached == phase.rawValue, "the patcher got to \(reached), not \(phase.rawValue)")
                try mustLive(victim, after: "after \(phase)")
            }
        }
    },
    Check(name: "the patcher dies among the copies it lays down") {
        let victim = try Victim("h")
        try victim.losePatcherAmongCopies(move: victim.spin + 4, to: Address(1 << 40))
        usleep(100_000)
        try victim.mustBeUnharmed()
    },
    Check(name: "the patcher dies before it has handed on a signal") {
        let victim = try Victim("t")
        for round in 0..<times(5, brief: 2) {
            try victim.losePatcherBeforeASignal()
            try victim.mustGoOn(after: "in round \(round)")
        }
    },
    Check(name: "the patcher dies at any moment") {
        var generator = SeededGenerator(seed: testSeed("death"))
        let victim = try Victim("rnp")
        var reached: [Int: Int] = [:]
        for index in 0..<times(10, brief: 2) {
            let delay = UInt32.random(in: 0..<60_000, using: &generator)
            let phase = try patchAndDie(victim, after: delay, waiting: index % 3 != 0)
            reached[phase, default: 0] += 1
            try mustLive(victim, after: "killed at \(phase)")
        }
        let phases = reached.sorted { $0.key < $1.key }.map { "\($0.key): \($0.value)" }.joined(separator: ", ")
        say("    killed at random, by phase: \(phases)")
    },
]

/// How long an agent whose patcher has died waits for one that asks it something.
private let idle: UInt64 = 1_000_000_000
/// What the child came to where its agent left before: it was kept from the processor for that long.
private let wasLeft = 31

/// - Returns: the phase that the child has reached; 20 and more are behind the last.
private func patchAndDie(
    _ victim: Victim, at last: AgentPhase? = nil, after microseconds: UInt32 = 0, waiting: Bool = false
) throws -> Int {
    let library = try Victim.copy("counted.so", as: "dying")
    defer { unlink(library) }
    let page = mmap(nil, 4096, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0)!
    defer { munmap(page, 4096) }
    nonisolated(unsafe) let progress = page.bindMemory(to: Int.self, capacity: 1)
    let child = Calls.fork()
    if child == 0 {
        do {
            let agent = try victim.startAgent(idle: idle) { phase in
                progress[0] = phase.rawValue
                if phase == last { raise(SIGKILL) }
            }
            _ = try victim.load(library, with: agent)
            progress[0] = 20
            try agent.finish()
            progress[0] = 21
            _exit(0)
        } catch AgentError.left {
            progress[0] = wasLeft
            _exit(1)
        } catch {
            progress[0] = 30
            say("    \(error)")
            _exit(1)
        }
    }
    if last == nil {
        // The preparation takes most of the time; what is interesting begins after it.
        if waiting { for _ in 0..<20_000 where progress[0] == 0 { usleep(100) } }
        usleep(microseconds)
        kill(child, SIGKILL)
    }
    reap(child)
    return progress[0]
}

private func mustLive(_ victim: Victim, after what: String) throws {
    let counting: Set<Int> = victim.threads > 0 ? Set(1...victim.threads) : [0]
    try victim.mustGoOn(counting: counting, after: what)
    let agent = try victim.startAgent(idle: 60_000_000_000)
    let answer = try agent.call(victim.beta, deadline: .after(milliseconds: 10_000))
    try expect(answer == 2, "the new agent answers \(answer) \(what)")
    try agent.finish()
    try victim.mustGoOn(counting: counting, after: what)
}
