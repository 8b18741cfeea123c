import Glibc
import HotpatchProcFS
import HotpatchRemoteSupport
import HotpatchTestSupport

@testable import HotpatchRemoteTarget

let stopChecks: [Check] = [
    Check(name: "every thread is stopped, and goes on") {
        for (threads, count) in [("", 1), ("n", 2), ("bnnnkkkkkkkkbpn", 16)] {
            let victim = try Victim(threads)
            var pauses: [UInt64] = []
            for _ in 0..<times(20, brief: 6) {
                let report = try stop(victim)
                try expect(report.threads == count, "stopped \(report.threads) of \(count)")
                pauses.append(report.nanoseconds)
                usleep(3000)
            }
            say("    \(count) threads stopped for \(medianAndWorst(of: pauses))")
            let counting = Set(threads.enumerated().filter { $0.element != "k" }.map { $0.offset + 1 })
            try victim.mustGoOn(counting: counting)
        }
    },
    Check(name: "a stopped thread does nothing") {
        let victim = try Victim("bbpn")
        let stopped = try StoppedProcess(try victim.process(), deadline: .after(milliseconds: 10_000))
        let before = (1...4).map { victim.shared.rounds($0) }
        usleep(50_000)
        try expect((1...4).map { victim.shared.rounds($0) } == before, "a thread ran")
        _ = stopped.resume()
        try victim.mustGoOn()
    },
    Check(name: "threads born during a stop are caught") {
        let victim = try Victim("cccc")
        for _ in 0..<times(20, brief: 5) {
            let stopped = try StoppedProcess(try victim.process(), deadline: .after(milliseconds: 10_000))
            let births = victim.shared.births
            let tasks = try victim.tasks.filter { TaskGlance(pid: victim.pid, tid: $0).stat?.state != "Z" }
            usleep(2000)
            try expect(victim.shared.births == births, "a thread was born during the stop")
            try expect(Set(stopped.threads.map(\.tid)).isSuperset(of: tasks), "a thread was missed")
            _ = stopped.resume()
            usleep(2000)
        }
        try victim.mustGoOn()
    },
    Check(name: "a signal that comes with the stop is delivered") {
        let victim = try Victim("h")
        let stopped = try StoppedProcess(try victim.process(), deadline: .after(milliseconds: 10_000))
        let thread = try victim.tasks[1]
        Calls.tgkill(victim.pid, thread, SIGUSR1)
        usleep(5000)
        try expect(victim.shared.inHandler == 0, "delivered to a stopped thread")
        _ = stopped.resume()
        for _ in 0..<1000 where victim.shared.inHandler == 0 { usleep(10_000) }
        try expect(victim.shared.inHandler == Int(SIGUSR1), "lost")
    },
    Check(name: "a stop fails no call that the kernel restarts, and lengthens no wait") {
        let victim = try Victim("npkfyg")
        var interrupted = 0
        for _ in 0..<times(20, brief: 8) {
            interrupted += try stop(victim).interruptedCalls
            usleep(100_000)
        }
        try expect(interrupted == 0, "\(interrupted) calls are said to have failed")
        try expect(victim.shared.interrupted == 0, "\(victim.shared.interrupted) calls have failed")
        try victim.mustGoOn(counting: [1, 2, 5, 6])
    },
    // The kernel has the result in x0 before anybody can look (do_signal in arch/arm64/kernel/signal.c).
    Check(name: "a call that a stop makes fail is counted") {
        let victim = try Victim("ewou")
        var counted = 0
        let rounds = times(40, brief: 15)
        for _ in 0..<rounds {
            counted += try stop(victim).interruptedCalls
            usleep(15_000)
        }
        try victim.mustGoOn()
        let seen = victim.shared.interrupted
        try expect(counted == seen && seen > rounds / 2, "counted \(counted), the program saw \(seen)")
    },
    Check(name: "so is one that a stop for a signal nobody handles makes fail") {
        let victim = try Victim("I", main: "e")
        var counted = 0
        let rounds = times(40, brief: 15)
        for _ in 0..<rounds {
            counted += try stop(victim).interruptedCalls
            usleep(15_000)
        }
        try victim.mustGoOn(counting: [0, 1])
        let seen = victim.shared.interrupted
        try expect(counted == seen && seen > rounds / 4, "counted \(counted), the program saw \(seen)")
    },
]

private func stop(_ victim: Victim) throws -> PauseReport {
    try StoppedProcess(try victim.process(), deadline: .after(milliseconds: 10_000)).resume()
}
