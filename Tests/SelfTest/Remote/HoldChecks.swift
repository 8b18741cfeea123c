import CPatchCore
import Glibc
import HotpatchEngine
import HotpatchMemory
import HotpatchPlan
import HotpatchProcFS
import HotpatchRemoteSupport
import HotpatchSymbols
import HotpatchTestSupport

@testable import HotpatchRemoteTarget

/// How long threads are held, and how often, whoever is in the way.
let holdChecks: [Check] = [
    Check(name: "nobody is held for a parent in vfork") {
        let victim = try Victim("HV")
        let process = try victim.process()
        var holds = HoldBudget()
        var text = "it was always held in time"
        // On a busy machine the child may have ended in time, and the next one not have begun.
        for _ in 0..<20 {
            let round = victim.shared.rounds(2)
            try victim.await { victim.shared.rounds(2) != round }
            usleep(50_000)
            victim.shared.forgetGap()
            holds = HoldBudget()
            do {
                try holds.hold(process, deadline: .after(milliseconds: 500)) { _ in }
            } catch let refusal as RemoteRefusal {
                text = "\(refusal)"
                break
            }
        }
        try expect(text.contains("vfork"), text)
        try expect(victim.shared.gap < generous, "the heart stood still for \(victim.shared.gap) µs")
        try holds.hold(process, deadline: .after(milliseconds: 60_000)) { stopped in
            try expect(stopped.threadCount == 3, "\(stopped.threadCount) threads")
        }
        say("    longest hold \(holds.report.longest / 1000) µs of \(holds.report.stops); gap \(victim.shared.gap) µs")
        try victim.mustGoOn(counting: [1])
    },
    Check(name: "a thread that does not stop is a deadline, as from inside") {
        let victim = try Victim("HV")
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
                try expect(try victim.tasks.contains(thread) && text.contains("vfork"), "thread \(thread): \(text)")
                return try victim.mustGoOn(counting: [1])
            }
        }
        throw TestFailure("it was always held in time")
    },
    Check(name: "a predecessor's stub that is in use is left, and the others run") {
        let victim = try Victim("kH", main: "n")
        let thread = try victim.leaveAThreadInAStub(circle: branchToItself)
        victim.shared.forgetGap()
        var holds = HoldBudget()
        // Beside other work the last look may find that a thread has not stopped when the time is over.
        var isFound = false
        for _ in 0..<3 where !isFound {
            holds = HoldBudget()
            do {
                try victim.startAgent(deadline: 3000, holds: holds).finish()
                throw TestFailure("started")
            } catch AgentError.refused(.stubInUse(_, thread)) {
                isFound = true
            } catch AgentError.refused(.deadline) {}
        }
        try expect(isFound, "nobody was found in the stub")
        try expect(victim.shared.gap < generous, "the heart stood still for \(victim.shared.gap) µs")
        try expect((1...25).contains(holds.report.stops), "\(holds.report)")
        try victim.mustGoOn(counting: [2])
    },
    Check(name: "a search for a thread to borrow stops one a handful of times, and counts what that makes fail") {
        let victim = try Victim("", main: "E")
        let holds = HoldBudget()
        do {
            try victim.startAgent(deadline: 3000, holds: holds).finish()
            throw TestFailure("started")
        } catch is AgentError {}
        let report = holds.report
        try expect((1...15).contains(report.singleStops), "\(report)")
        try victim.mustGoOn(counting: [0])
        let seen = victim.shared.interrupted
        try expect(report.interruptedCalls == seen, "counted \(report.interruptedCalls), seen \(seen)")
    },
    Check(name: "pages that a held thread would have to bring end the search of a stack") {
        let victim = try Victim("", main: "M")
        for _ in 0..<1000 where victim.shared.rounds(0) == 0 && victim.shared.errors == 0 { usleep(10_000) }
        if victim.shared.errors > 0 { return say("    \(victim.shared.message): not tried") }
        let hazard = hp_hazard(start: victim.spin.rawValue + 1, end: victim.spin.rawValue + 3)
        let bytes = try victim.process().memory().bytes(at: victim.spin, count: 4)
        let report = try commit(victim, [text(victim.spin, bytes, bytes)], hazards: [hazard])
        try expect(report.scannedBytes > 0, "nothing was searched")
        try victim.mustBeUnharmed()
    },
]

/// Ten times what the first hold may last, on an emulated machine.
private let generous = 500_000
