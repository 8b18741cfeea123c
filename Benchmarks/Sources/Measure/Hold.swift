import Hotpatch
import HotpatchEngine
import Subjects
import Workload

/// For how long threads are held by a patch of one function, beside what it takes at least to hold so many and to see where they are: the
/// same system calls and nothing else, in the same rounds.
enum Hold {
    private static let counts = [1, 100, 1000]
    private static let rounds = 15
    private static let goal = 1.25

    /// Measures holds of this process, for which `printSample` runs anew.
    static func measure(_ table: inout Table) throws {
        for call in ["pause", "futex"] {
            for count in counts {
                let figures = try freshSamples(["hold", call, String(count)])
                let way = call == "pause" ? "traced" : "by signal"
                let state = "\(count) threads in \(call)(2)"
                let floor = figures["floor"] ?? Sample()
                table.add("bare hold from inside, \(way)", state, floor, unit: "ms")
                for what in ["apply", "revert"] {
                    table.add(
                        "threads held from inside, \(what)", state, figures[what] ?? Sample(), over: floor, unit: "ms",
                        goal: goal)
                }
            }
        }
    }

    /// A line for each figure of each round.
    static func printSample(_ words: [String]) throws {
        guard words.count == 2, let count = Int(words[1]) else { throw Failure("which call, and how many threads?") }
        let isFutex = words[0] == "futex"
        for _ in 0..<count {
            guard start_blocked_thread(isFutex ? 1 : 0) == 0 else { throw Failure("cannot start \(count) threads") }
        }
        let index = try Workload.index()
        let engine = Workload.engine(index)
        let replacement = try Workload.replacements(from: 0, in: index)[0]
        for round in -2..<rounds {
            let floor = isFutex ? floor_of_signals() : floor_of_own_tracing()
            guard floor > 0 else { throw Failure("cannot hold \(count) threads: errno \(-floor)") }
            let receipt = try engine.apply(Workload.request([replacement]))
            let reverted = try engine.revert([receipt.id])
            // The threads have reached their calls by then.
            guard round >= 0 else { continue }
            print("floor", Double(floor) / 1e6)
            print("apply", receipt.summary.pause / .milliseconds(1))
            print("revert", reverted.summary.pause / .milliseconds(1))
        }
    }

    /// Measures holds of another process, by the command.
    static func measure(_ table: inout Table, command: String, targets: String) throws {
        for count in counts {
            try Apply.with("\(targets)/blocked", [String(count)]) { target in
                var (floors, applied, reverted) = (Sample(), Sample(), Sample())
                for round in -2..<rounds {
                    let floor = floor_of_tracing(target)
                    guard floor > 0 else { throw Failure("cannot trace process \(target): errno \(-floor)") }
                    let apply = try Apply.pause(output(of: command, Apply.apply("\(targets)/idle_patch.so", target)))
                    let revert = try Apply.pause(output(of: command, Apply.revert(target)))
                    guard round >= 0 else { continue }
                    floors.add(Double(floor) / 1e6)
                    applied.add(apply)
                    reverted.add(revert)
                }
                let state = "\(count) threads in pause(2)"
                table.add("bare hold from outside, traced", state, floors, unit: "ms")
                table.add("threads held from outside, apply", state, applied, over: floors, unit: "ms", goal: goal)
                table.add("threads held from outside, revert", state, reverted, over: floors, unit: "ms", goal: goal)
            }
        }
    }
}
