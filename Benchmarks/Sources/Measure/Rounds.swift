import Hotpatch
import HotpatchEngine
import HotpatchSymbols
import Workload

/// Whether the ten-thousandth patch costs what the tenth did: of one function that is patched and reverted again and again, and of
/// functions whose patches all stay in force.
enum Rounds {
    private static let count = 10_000
    private static let threads = 4

    static func measure(_ table: inout Table) throws {
        let figures = try freshProcess("rounds")
        for (what, name) in [("patched and reverted", "turn"), ("patched, all in force", "force")] {
            let state = "one function at a time \(what), \(threads) sleeping threads, medians of 11 · 101"
            let (tenth, last) = (figures[name + "-10"] ?? .nan, figures[name + "-\(count)"] ?? .nan)
            table.add("patch 10, from code", state, Sample([tenth]), unit: "µs")
            table.add("patch 10,000, from code", state, Sample([last]), unit: "µs")
            table.add("patch 10,000 : patch 10", state, Sample([last / tenth]), unit: "times", goal: 1.2)
        }
    }

    static func printSample() throws {
        Workload.startThreads(threads)
        let index = try Workload.index()
        let engine = Workload.engine(index)
        let replacements =
            try Workload.replacements(from: 0, in: index) + Workload.replacements(from: Workload.batch, in: index)
        func report(_ name: String, _ body: (Int) throws -> Void) throws {
            var times: [Double] = []
            for number in 0..<count { times.append(try nanoseconds { try body(number) } / 1000) }
            print(name + "-10", times[5..<16].sorted()[5])
            print(name + "-\(count)", times[(count - 101)...].sorted()[50])
        }
        try report("turn") { number in
            _ = try engine.revert([engine.apply(Workload.request([replacements[number % 8]])).id])
        }
        try report("force") { number in
            _ = try engine.apply(Workload.request([replacements[number % replacements.count]]))
        }
    }
}
