import Glibc
import HotpatchTestSupport

/// Deaths of the patcher, and what programs do to themselves.
let processRows: [Row] = [
    Row("patcher killed at a random moment", run: killsPatcher),
    Row("200 processes at once", run: patchesManyAtOnce),
    Row("threads created and joined all the time") { rig in try rig.churn("churn", "threads") },
    Row("coroutines") { rig in try rig.churn("churn", "coroutines") },
    Row("vfork, fork and exit all the time") { rig in try rig.churn("churn", "processes", refusals: true) },
    Row("C++ exceptions") { rig in try rig.churn("unwind", "exceptions") },
    Row("threads cancelled in their sleep") { rig in try rig.churn("unwind", "cancelled", refusals: true) },
    Row("an allocator outside libc") { rig in try rig.churn("allocator", "", refusals: true) },
    Row("memmove, mempcpy and their like, patched in use") { rig in
        try rig.churn("copies", "", library: "copies_fix.so", refusals: true)
    },
    Row("a refused library whose constructor started a thread", run: refusesAfterConstructor),
    Row("other pid namespaces", run: patchesContainers),
    Row("patched from inside and outside at once", run: patchesFromBothSides),
]

extension Rig {
    fileprivate mutating func churn(
        _ program: String, _ kind: String, library: String = "fix.so", refusals: Bool = false
    ) throws -> Figure {
        var figure = Figure()
        let victim = try start(program, kind)
        try patchOverAndOver(
            victim, library: library, times: length.count(6, 200), refusals: refusals, into: &figure)
        return figure
    }
}

private func killsPatcher(_ rig: inout Rig) throws -> Figure {
    var figure = Figure()
    let victim = try rig.start("heart")
    let pid = "\(victim.pid)"
    let whole = try Patcher.run("apply", rig.path("fix.so"), "--pid", pid)
    guard whole.status == 0 else { throw TestFailure("apply: \(whole)") }
    var unfinished = 0
    for kill in 1...rig.length.count(40, 1000) {
        figure.tries += 1
        // Its whole life, and a little beyond.
        let moment = rig.random(below: Int(whole.seconds * 1.1e6))
        let verb = rig.random(below: 3) == 0 ? "revert" : "apply"
        let killed = try Patcher.run(
            verb, verb == "apply" ? rig.path("fix.so") : "--all", "--pid", pid, killedAfter: moment)
        if killed.status == -SIGKILL { unfinished += 1 }
        if try rig.harmed(victim.ask()) != 0 { figure.harm("after \(kill) kills") }
        guard kill % 10 == 0 else { continue }
        for whole in [
            try Patcher.run("revert", "--all", "--pid", pid),
            try Patcher.run("apply", rig.path("fix.so"), "--pid", pid),
        ] where whole.status != 0 { figure.harm("after \(kill) kills: \(whole)") }
    }
    figure.text += (figure.text.isEmpty ? "" : "; ") + "\(unfinished) in the middle of their work"
    return figure
}

private func patchesManyAtOnce(_ rig: inout Rig) throws -> Figure {
    enum Side { static let count = 8 }
    var figure = Figure()
    let nowhere = open("/dev/null", O_WRONLY | O_CLOEXEC)
    defer { close(nowhere) }
    let victims = try (0..<rig.length.count(60, 200)).map { _ in try rig.start("still") }
    let path = rig.path("fix.so")
    for verb in ["apply", "revert"] {
        // So many patchers at work at any time, each in a process of its own.
        var running: [pid_t] = []
        func collect(downTo count: Int) {
            while running.count > count {
                let status = reap(running.removeFirst())
                if status != 0 { figure.harm("\(verb): status \(status)") }
            }
        }
        for victim in victims {
            figure.tries += 1
            running.append(
                try spawn(
                    ["/proc/self/exe", "patch", verb, verb == "apply" ? path : "--all", "--pid", "\(victim.pid)"],
                    output: nowhere))
            collect(downTo: Side.count - 1)
        }
        collect(downTo: 0)
        for victim in victims {
            let answer = try victim.ask()
            if answer != "harmed 0 price \(verb == "apply" ? 42 : 7)" { figure.harm("after \(verb): \(answer)") }
        }
    }
    return figure
}

private func refusesAfterConstructor(_ rig: inout Rig) throws -> Figure {
    var figure = Figure()
    let victim = try rig.start("still")
    for _ in 0..<rig.length.count(3, 30) {
        figure.tries += 1
        let refused = try Patcher.run("apply", rig.path("restless.so"), "--pid", "\(victim.pid)")
        if refused.status != 2 { figure.harm("apply: \(refused)") }
        usleep(20_000)
        let answer = try victim.ask()
        if answer != "harmed 0 price 7" { figure.harm(answer) }
    }
    return figure
}

/// Threads there have other ids than the patcher sees.
private func patchesContainers(_ rig: inout Rig) throws -> Figure {
    var figure = Figure()
    guard geteuid() == 0, access("/usr/bin/unshare", X_OK) == 0 else {
        figure.text = "not run: it takes root and unshare(1)"
        return figure
    }
    for _ in 0..<rig.length.count(4, 100) {
        figure.tries += 1
        let container = try Conversation(["/usr/bin/unshare", "--pid", "--fork", "--mount-proc", rig.path("still")])
        let children = try String(readingFile: "/proc/\(container.pid)/task/\(container.pid)/children")
        guard let child = Int32(children.split(separator: " ").first ?? "") else {
            throw TestFailure("unshare has no child: \(children)")
        }
        for verb in ["apply", "revert"] {
            let outcome = try Patcher.run(verb, verb == "apply" ? rig.path("fix.so") : "--all", "--pid", "\(child)")
            if outcome.status != 0 { figure.harm("\(verb): \(outcome)") }
        }
        usleep(50_000)
        do {
            let answer = try container.ask()
            if answer != "harmed 0 price 7" { figure.harm(answer) }
        } catch { figure.harm("\(error)") }
        kill(child, SIGKILL)
        _ = container.finish()
    }
    return figure
}

/// Each waits for the other: neither gives up, and neither undoes what the other has done.
private func patchesFromBothSides(_ rig: inout Rig) throws -> Figure {
    var figure = Figure()
    let victim = try Conversation(["/proc/self/exe", "inside", rig.path("still.so"), "500"])
    for _ in 0..<rig.length.count(8, 300) {
        for arguments in [["apply", rig.path("fix.so")], ["revert", "--all"], ["list", ""]] {
            figure.tries += 1
            let outcome = try Patcher.run(arguments[0], arguments[1], "--pid", "\(victim.pid)")
            if outcome.status != 0 { figure.harm("\(arguments[0]): \(outcome)") }
        }
        if try rig.harmed(victim.ask()) != 0 { figure.harm("the process") }
    }
    return figure
}
