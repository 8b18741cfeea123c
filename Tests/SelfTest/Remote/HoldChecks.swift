import CPatchCore
import Glibc
import HotpatchRemoteSupport
import HotpatchTestSupport

@testable import HotpatchRemoteTarget

/// How long threads are held, and how often, whoever is in the way.
let holdChecks: [Check] = [
    Check(name: "nobody is held for a parent in vfork") {
        let victim = try Victim("HV")
        let report = try HoldChecks.parentInVfork(victim)
        say("    longest hold \(report.longest / 1000) µs of \(report.stops); gap \(victim.shared.gap) µs")
    },
    Check(name: "a thread that does not stop is a deadline, as from inside") {
        try HoldChecks.threadThatDoesNotStop(Victim("HV"))
    },
    Check(name: "a predecessor's stub that is in use is left, and the others run") {
        try HoldChecks.stubInUse(Victim("kH", main: "n"), circle: branchToItself, deadline: 3000)
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
