import HotpatchEngine
import HotpatchMemory
import HotpatchRemoteTarget
import HotpatchReload

/// `revert`: takes patches out of force, those made from code too.
package struct Revert: Sendable {
    package enum Choice: Sendable {
        case patches([UInt32])
        case all
    }

    package var pid: Int32
    package var choice: Choice
    package var dryRun: Bool
    package var options: TargetOptions

    package init(pid: Int32, choice: Choice, dryRun: Bool = false, options: TargetOptions = TargetOptions()) {
        self.pid = pid
        self.choice = choice
        self.dryRun = dryRun
        self.options = options
    }

    package func run() throws(CommandError) -> Report {
        let session = try Session(pid: pid, options: options)
        defer { session.target.finish() }
        do throws(PatchError) {
            if dryRun { return try plan(in: session) }
            let reverted: PatchEngine.Reverted?
            switch choice {
            case .patches(let ids): reverted = try session.engine.revert(ids, callsBack: true)
            case .all: reverted = try session.engine.revert(callsBack: true) { (_, _) in true }
            }
            guard let reverted else {
                return Report(text: nothing, json: ["pid": .number(Int(pid)), "reverted": .array([])])
            }
            return report(reverted, try session.disposeOfDeadCode())
        } catch { throw session.explained(error) }
    }

    private var nothing: String { "process \(pid) has no patches to revert" }

    private func plan(in session: Session) throws(PatchError) -> Report {
        let planned: PlannedRevert?
        switch choice {
        case .patches(let ids): planned = try session.engine.plan(reverting: ids, callsBack: true)
        case .all: planned = try session.engine.planRevert(callsBack: true) { (_, _) in true }
        }
        let ids = planned?.patches.map(\.id) ?? []
        let functions = planned?.functions ?? []
        var lines = [nothing]
        if planned != nil {
            lines = [
                "would revert patch \(ids.map { "\($0)" }.joined(separator: ", ")) of process \(pid): \(functions.count) "
                    + "function\(functions.count == 1 ? "" : "s")"
            ]
        }
        lines += functions.map { function in
            let code = function.next.map { "\(displayName($0.name)) of patch \($0.patch)" } ?? "its own code"
            return "  \(displayName(function.site.name)) at \(function.site.entry) in \(function.site.imagePath)\n"
                + "    → \(code)"
        }
        let notes = notes(planned?.vanished ?? [], planned?.vanishedData ?? [], "would be written there")
        lines += notes.map { "note: \($0)" }
        if let planned { lines.append(planned.description) }
        return Report(
            text: lines.joined(separator: "\n"),
            json: [
                "pid": .number(Int(pid)), "dry_run": .bool(true), "patches": .array(ids.map { .number(Int($0)) }),
                "functions": .array(functions.map(\.json)), "notes": .array(notes.map(JSON.string)),
                "plan": planned.map { .string($0.description) } ?? .null,
            ])
    }

    private func notes(_ functions: [SiteRecord], _ data: [DataRecord], _ written: String) -> [String] {
        functions.map { "\(displayName($0.name)) is no longer loaded; nothing \(written)" }
            + data.map { "\(displayName($0.name)) at \($0.address) is no longer loaded; nothing \(written)" }
    }

    private func report(_ reverted: PatchEngine.Reverted, _ disposed: PatchEngine.Disposed) -> Report {
        let ids = reverted.patches.map { "\($0.id)" }.joined(separator: ", ")
        let count = reverted.patches.reduce(0) { $0 + $1.members.count }
        var lines = [
            "reverted patch \(ids): \(count) function\(count == 1 ? "" : "s"), \(pauseText(reverted.summary))"
        ]
        let notes =
            notes(reverted.vanished, reverted.vanishedData, "was written there")
            + (interruptionText(reverted.summary).map { [$0] } ?? [])
        lines += notes.map { "note: \($0)" }
        lines += reverted.problems.map { "warning: \($0)" }
        return Report(
            text: lines.joined(separator: "\n"),
            json: [
                "pid": .number(Int(pid)), "reverted": .array(reverted.patches.map { .number(Int($0.id)) }),
                "pause_ns": .number(Int(clamping: reverted.summary.pauseNanoseconds)),
                "holds": .number(reverted.summary.holds),
                "held_ns": .number(Int(clamping: reverted.summary.totalNanoseconds)),
                "threads": .number(reverted.summary.heldThreads),
                "interrupted": .number(reverted.summary.interruptedCalls),
                "warnings": .array(reverted.problems.map(JSON.string)), "freed": disposed.json,
            ])
    }
}

extension PlannedRevert.Function {
    /// The function, and what runs then: of which patch, and its symbol; both null for the function's own code.
    fileprivate var json: JSON {
        .object([
            "symbol": .string(site.name), "name": .string(displayName(site.name)), "image": .string(site.imagePath),
            "address": .string(site.entry.description), "patch": next.map { .number(Int($0.patch)) } ?? .null,
            "replacement": next.map { .string($0.name) } ?? .null,
        ])
    }
}

extension PatchEngine.Disposed {
    /// Patches whose code was taken away, its bytes, for how long threads were held for that, and why other code waits.
    var json: JSON {
        .object([
            "patches": .array(patches.map { .number(Int($0)) }), "code": .number(bytes),
            "held_ns": .number(Int(clamping: summary?.totalNanoseconds ?? 0)),
            "waits": obstacle.map(JSON.string) ?? .null,
        ])
    }
}

/// "4 threads held for 0.21 ms", or "4 threads held 3 times, for 50.21 ms at most and 52.03 ms in all".
func pauseText(_ summary: CommitSummary) -> String {
    func milliseconds(_ nanoseconds: UInt64) -> String {
        let hundredths = (nanoseconds + 5000) / 10000
        let fraction = hundredths % 100
        return "\(hundredths / 100).\(fraction < 10 ? "0" : "")\(fraction) ms"
    }
    let threads = "\(summary.heldThreads) thread\(summary.heldThreads == 1 ? "" : "s") held "
    let longest = milliseconds(summary.pauseNanoseconds)
    guard summary.holds > 1 else { return threads + "for " + longest }
    let total = milliseconds(summary.totalNanoseconds)
    return threads + "\(summary.holds) times, for \(longest) at most and \(total) in all"
}

/// "2 system calls returned EINTR …"; nil where none did.
func interruptionText(_ summary: CommitSummary) -> String? {
    let count = summary.interruptedCalls
    guard count > 0 else { return nil }
    return
        "\(count) system call\(count == 1 ? "" : "s") of the process returned EINTR for being held: epoll_wait and its like "
        + "cannot be restarted on this architecture"
}
