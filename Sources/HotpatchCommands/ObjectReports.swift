import HotpatchEngine
import HotpatchObjects
import HotpatchReload

/// What is said of applied objects.
struct ObjectReports {
    let pid: Int32
    let linked: LinkedObjects

    private var functions: [String] { linked.functions.map(displayName) }

    func nothing(_ steps: [ObjectSession.Step]) -> ObjectSession.Applied {
        let report = Report(
            text: "nothing to apply to process \(pid): the edit changes no function.",
            json: ["pid": .number(Int(pid)), "functions": .array([]), "notes": .array(linked.notes.map(JSON.string))],
            notices: linked.notes)
        return .init(functions: [], notes: linked.notes, steps: steps, report: report)
    }

    func planned(_ planned: PlannedPatch, _ steps: [ObjectSession.Step]) -> ObjectSession.Applied {
        var lines = ["would be linked into process \(pid):"]
        lines += linked.table
        lines += planned.notes.map { "note: \($0)" }
        lines.append(planned.description)
        let report = Report(
            text: lines.joined(separator: "\n"),
            json: [
                "pid": .number(Int(pid)), "dry_run": .bool(true),
                "functions": .array(linked.functions.map(JSON.string)),
                "notes": .array(planned.notes.map(JSON.string)), "plan": .string(planned.description),
            ])
        return .init(functions: functions, notes: planned.notes, steps: steps, report: report)
    }

    func applied(_ receipt: Receipt, _ steps: [ObjectSession.Step]) -> ObjectSession.Applied {
        let functions = functions
        var lines = [
            "patch \(receipt.id) applied to process \(pid): \(functions.count) function\(functions.count == 1 ? "" : "s"), "
                + pauseText(receipt.summary)
        ]
        lines += functions.map { "  \($0)" }
        let notes = receipt.notes + receipt.problems + (interruptionText(receipt.summary).map { [$0] } ?? [])
        lines += notes.map { "note: \($0)" }
        let report = Report(
            text: lines.joined(separator: "\n"),
            json: [
                "pid": .number(Int(pid)), "patch": .number(Int(receipt.id)),
                "objects": .array(linked.paths.map(JSON.string)),
                "functions": .array(linked.functions.map(JSON.string)),
                "pause_ns": .number(Int(clamping: receipt.summary.pauseNanoseconds)),
                "holds": .number(receipt.summary.holds),
                "held_ns": .number(Int(clamping: receipt.summary.totalNanoseconds)),
                "threads": .number(receipt.summary.heldThreads), "moved": .number(receipt.summary.movedThreads),
                "notes": .array(notes.map(JSON.string)),
            ])
        return .init(
            patch: receipt.id, functions: functions, notes: notes, kept: linked.notes, summary: receipt.summary,
            steps: steps,
            report: report)
    }
}
