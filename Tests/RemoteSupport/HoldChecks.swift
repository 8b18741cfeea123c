import Glibc
import HotpatchEngine
import HotpatchMemory
import HotpatchPlan
import HotpatchProcFS
import HotpatchSymbols
import HotpatchTestSupport

@testable import HotpatchRemoteTarget

/// How long threads are held, and how often, whoever is in the way: for RemoteTargetTests and SelfTest. Each takes a victim that has just
/// been started.
public enum HoldChecks {
    /// In microseconds, ten times what the first hold may last: a heart on a busy machine stands still for some of it without us.
    public static let generous = 500_000

    private static func require(_ condition: Bool, _ what: @autoclosure () -> String, line: Int = #line) throws {
        if !condition { throw TestFailure("\(#fileID):\(line): \(what())") }
    }

    private static func requireUnharmed(_ victim: Victim, counting: Set<Int>, line: Int = #line) throws {
        try require(
            victim.makesProgress(counting: counting), "a thread stands still, or the victim has ended", line: line)
        try require(victim.shared.errors == 0, victim.shared.message, line: line)
        try require(try victim.isLetGo(), "a thread is still traced", line: line)
    }

    private static func requireHeart(of victim: Victim, line: Int = #line) throws {
        try require(
            victim.shared.gap < generous, "the heart stood still for \(victim.shared.gap) µs", line: line)
    }

    /// The parent in vfork cannot stop; nobody is held for it meanwhile. With more time it is waited for.
    /// - Parameter victim: with the threads "HV".
    /// - Returns: what was held once it was waited for.
    public static func parentInVfork(_ victim: Victim) throws -> HoldBudget.Report {
        let process = try victim.process()
        var holds = HoldBudget()
        var refusal: RemoteRefusal?
        // On a busy machine the child may have ended in time, and the next one not have begun.
        for _ in 0..<20 where refusal == nil {
            let round = victim.shared.rounds(2)
            try victim.await { victim.shared.rounds(2) != round }
            usleep(50_000)
            victim.shared.forgetGap()
            holds = HoldBudget()
            do { try holds.hold(process, deadline: .after(milliseconds: 500)) { _ in } } catch {
                guard let error = error as? RemoteRefusal else { throw error }
                refusal = error
            }
        }
        let text = refusal.map { "\($0)" } ?? "it was always held in time"
        try require(text.contains("vfork"), text)
        try requireHeart(of: victim)
        try require(holds.report.total < 300_000_000, "\(holds.report)")
        victim.shared.forgetGap()
        try holds.hold(process, deadline: .after(milliseconds: 60_000)) {
            try require($0.threadCount == 3, "\($0.threadCount) threads")
        }
        try requireHeart(of: victim)
        try requireUnharmed(victim, counting: [1])
        return holds.report
    }

    /// Who waits for a commit learns of a thread that does not stop as from inside, and which it is.
    /// - Parameter victim: with the threads "HV".
    public static func threadThatDoesNotStop(_ victim: Victim) throws {
        let process = try victim.process()
        let index = try SymbolIndex(map: ProcessMap(pid: victim.pid), memory: process.memory(), root: "")
        let target = try RemoteTarget(
            process: process, symbols: index, options: TargetOptions(), deadline: .after(milliseconds: 0))
        // Between two of its children it stops.
        for _ in 0..<100 {
            target.deadline = .after(milliseconds: 300)
            do { _ = try target.commit(CommitBlock(PatchPlan(architecture: .current))) } catch {
                guard let error = error as? PatchError, error.code == .deadline, error.process == victim.pid,
                    let thread = error.thread
                else { throw error }
                let text = error.message
                try require(
                    try victim.tasks.contains(thread) && text.contains("vfork"), "thread \(thread): \(text)")
                return try requireUnharmed(victim, counting: [1])
            }
        }
        throw TestFailure("it was always held in time")
    }

    /// A thread that stays in the stub of a predecessor: refused in time, and the others run.
    /// - Parameters:
    ///   - victim: with the threads "kH", and a main thread that waits ("n").
    ///   - circle: a branch to itself.
    ///   - deadline: in milliseconds, for each try.
    public static func stubInUse(_ victim: Victim, circle: [UInt8], deadline: Int) throws {
        let thread = try victim.leaveAThreadInAStub(circle: circle)
        victim.shared.forgetGap()
        let inUse = AgentError.refused(.stubInUse(pid: victim.pid, thread: thread))
        var holds = HoldBudget()
        var found: AgentError?
        // Beside other work the last look may find that a thread has not stopped when the time is over.
        for _ in 0..<5 where found != inUse {
            holds = HoldBudget()
            do {
                try victim.startAgent(deadline: deadline, holds: holds).finish()
                throw TestFailure("started")
            } catch let error as AgentError { found = error }
        }
        try require(found == inUse, "\(found.map { "\($0)" } ?? "nobody was found in the stub")")
        try requireHeart(of: victim)
        try require((1...25).contains(holds.report.stops), "\(holds.report)")
        try requireUnharmed(victim, counting: [2])
    }
}
