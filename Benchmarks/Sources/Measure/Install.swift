import HotpatchEngine
import Hotpatch
import HotpatchSymbols
import Workload

/// 2,000 functions in one transaction. The first time is the first only once a process, so each round is a process.
enum Install {
    static let rounds = 15
    static let threads = 4

    static func measure(_ table: inout Table) throws {
        var figures: [String: Sample] = [:]
        for _ in 0..<rounds {
            for (name, value) in try freshProcess(["install"]) { figures[name, default: Sample()].add(value) }
        }
        let state = "2,000 C functions, \(threads) sleeping threads, index built"
        func add(_ what: String, _ name: String, _ state: String, unit: String, goal: Double? = nil) {
            table.add(what, state, figures[name] ?? Sample(), unit: unit, goal: goal)
        }
        add("install, look-up excluded, first time", "first", state + ", stubs made", unit: "µs each", goal: 3)
        add("install, look-up excluded, second time", "second", state + ", stubs reused", unit: "µs each", goal: 3)
        add("install, look-up included, first time", "named-first", state + ", stubs made", unit: "µs each", goal: 10)
        add(
            "install, look-up included, second time", "named-second", state + ", stubs reused", unit: "µs each",
            goal: 10)
        add("revert of the 2,000", "revert", state, unit: "µs each")
        add("pause of that install, first time", "pause-first", state, unit: "ms", goal: 1.4)
        add("pause of that install, second time", "pause-second", state, unit: "ms", goal: 1.4)
        add("pause of that revert", "pause-revert", state, unit: "ms")
    }

    static func printSample() throws {
        Workload.startThreads(threads)
        let index = try Workload.index()
        let engine = Workload.engine(index)
        let replacements = try Workload.replacements(from: 0, in: index)
        func report(_ name: String, _ nanoseconds: Double) { print(name, nanoseconds / 1000 / Double(Workload.batch)) }
        func pause(_ name: String, _ summary: CommitSummary) { print(name, summary.pause / .milliseconds(1)) }

        // The code and the ledger of a process that has been patched before.
        try Patch.replace(symbol: "subject_plain", withSymbol: "subject_replacement").revert()

        var receipt: Receipt?
        report("first", try nanoseconds { receipt = try engine.apply(Workload.request(replacements)) })
        pause("pause-first", receipt!.summary)
        var reverted: PatchEngine.Reverted?
        report("revert", try nanoseconds { reverted = try engine.revert([receipt!.id]) })
        pause("pause-revert", reverted!.summary)
        report("second", try nanoseconds { receipt = try engine.apply(Workload.request(replacements)) })
        pause("pause-second", receipt!.summary)

        report("named-first", try nanoseconds { try Workload.install(from: Workload.batch) })
        try Patch.revertAll()
        report("named-second", try nanoseconds { try Workload.install(from: Workload.batch) })
    }
}
