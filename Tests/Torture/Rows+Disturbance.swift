import Glibc
import HotpatchPlan
import HotpatchTestSupport

/// What other threads are in while a process is patched: calls that wait, and signals that come.
let disturbanceRows: [Row] = [
    Row("31 calls that wait, patched from outside", run: outsideOfCalls),
    Row("31 calls that wait, patched from inside", run: insideOfCalls),
    Row("signals that nobody handles", run: outsideOfStorm),
    Row("signals that nobody handles, patched from inside", run: insideOfStorm),
    Row("signals with handlers") { rig in try rig.storm("handled") },
    Row("a handler that jumps out of its signal") { rig in try rig.storm("jumping", refusals: true) },
    Row("seteuid all the time") { rig in try rig.storm("users") },
    Row("stopped and continued all the time", run: stopsAndContinues),
]

/// Those of which a stop by ptrace or a signal makes EINTR, and that nobody can mend there.
private let unmendable: Set<Substring> =
    Architecture.current == .arm64 ? ["epoll_wait", "epoll_pwait", "sigtimedwait", "semtimedop", "recv"] : []

extension Figure {
    /// Calls that failed with EINTR because of signals that nobody handles.
    fileprivate mutating func judge(_ failed: Int) {
        if failed == 0 { return }
        let what = "\(failed) failed with EINTR"
        if unmendable.isEmpty { harm(what) } else { text = what }
    }
}

extension Rig {
    /// - Returns: how many of the calls were harmed that need not be.
    fileprivate func judge(_ answer: String, into figure: inout Figure) throws {
        _ = try harmed(answer)
        figure.tries += 31
        guard let list = answer.split(separator: ":", maxSplits: 1).dropFirst().first else { return }
        for entry in list.split(separator: ",") {
            let words = entry.split(separator: " ")
            if let name = words.first, unmendable.contains(name), words.last == "failed" { continue }
            figure.harm(entry.drop { $0 == " " }.description)
        }
    }

    fileprivate mutating func storm(_ kind: String, refusals: Bool = false) throws -> Figure {
        var figure = Figure()
        let victim = try start("storm", kind)
        try patchOverAndOver(victim, times: length.count(6, 200), refusals: refusals, into: &figure)
        return figure
    }
}

private func outsideOfCalls(_ rig: inout Rig) throws -> Figure {
    var figure = Figure()
    let victim = try rig.start("calls")
    for _ in 0..<rig.length.count(2, 30) {
        try victim.say()
        usleep(UInt32(100_000 + rig.random(below: 200_000)))
        for _ in 0..<2 {
            for arguments in [["apply", rig.path("fix.so")], ["revert", "--all"]] {
                let outcome = try Patcher.run(arguments[0], arguments[1], "--pid", "\(victim.pid)")
                if outcome.status != 0 { figure.harm("\(outcome)") }
            }
        }
        try rig.judge(victim.readLine(seconds: 30), into: &figure)
    }
    _ = victim.finish()
    return figure
}

private func insideOfCalls(_ rig: inout Rig) throws -> Figure {
    var figure = Figure()
    let victim = try Conversation("/proc/self/exe", "inside", rig.path("calls.so"), "1500000")
    for _ in 0..<rig.length.count(2, 30) { try rig.judge(victim.ask(seconds: 30), into: &figure) }
    _ = victim.finish()
    return figure
}

/// Amid thousands of signals a second no call fails; without precautions there were up to thirty an apply. Where a stop ends such calls
/// for good, there is nothing to hope for.
private func outsideOfStorm(_ rig: inout Rig) throws -> Figure {
    var figure = Figure()
    let victim = try rig.start("storm", "ignored")
    var failed = 0
    for _ in 0..<rig.length.count(6, 200) {
        figure.tries += 1
        for arguments in [["apply", rig.path("fix.so")], ["revert", "--all"]] {
            let outcome = try Patcher.run(arguments[0], arguments[1], "--pid", "\(victim.pid)")
            if outcome.status != 0 { figure.harm("\(outcome)") }
        }
        failed = try rig.harmed(victim.ask())
    }
    figure.judge(failed)
    return figure
}

private func insideOfStorm(_ rig: inout Rig) throws -> Figure {
    var figure = Figure()
    let victim = try Conversation("/proc/self/exe", "inside", rig.path("storm.so"), "150000", "ignored")
    var failed = 0
    for _ in 0..<rig.length.count(4, 60) {
        figure.tries += 1
        usleep(500_000)
        failed = try rig.harmed(victim.ask())
    }
    figure.judge(failed)
    return figure
}

/// Job control beside the patcher: what it cannot patch it refuses, and a stop that the user wanted stays one.
private func stopsAndContinues(_ rig: inout Rig) throws -> Figure {
    var figure = Figure()
    let victim = try rig.start("churn", "threads")
    try rig.patchOverAndOver(victim, times: rig.length.count(6, 200), refusals: true, into: &figure) { rig in
        // Into the middle of what comes next.
        let pauses = (0..<20).map { _ in "\(Double(rig.random(below: 8)) / 1000)" }
        let commands = pauses.map { "kill -STOP \(victim.pid); sleep \($0); kill -CONT \(victim.pid); sleep \($0)" }
        reap(try spawn(["/bin/sh", "-c", "(" + commands.joined(separator: ";") + ") 2>/dev/null &"]))
    }
    return figure
}
