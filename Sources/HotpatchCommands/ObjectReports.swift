import HotpatchEngine
import HotpatchObjects
import HotpatchReload

/// What is said of applied objects.
struct ObjectReports {
    let pid: Int32
    let objects: AppliedObjects

    private var functions: [String] { objects.functions.map(displayName) }

    var applied: ObjectSession.Applied {
        if objects.plan != nil { return planned }
        guard let patch = objects.patch, let summary = objects.summary else { return nothing }
        let functions = functions
        let reached = functions.filter { !FirstFunction.isName($0) }
        var lines = [
            "patch \(patch) applied to process \(pid): \(reached.count) function\(reached.count == 1 ? "" : "s"), "
                + pauseText(summary)
        ]
        lines += reached.map { "  \($0)" }
        let notes = objects.notes + firstNotes + (interruptionText(summary).map { [$0] } ?? [])
        lines += notes.map { "note: \($0)" }
        let report = Report(
            text: lines.joined(separator: "\n"),
            json: [
                "pid": .number(Int(pid)), "patch": .number(Int(patch)),
                "objects": .array(objects.paths.map(JSON.string)),
                "functions": .array(objects.functions.map(JSON.string)),
                "pause_ns": .number(Int(clamping: summary.pauseNanoseconds)), "holds": .number(summary.holds),
                "held_ns": .number(Int(clamping: summary.totalNanoseconds)),
                "threads": .number(summary.heldThreads), "moved": .number(summary.movedThreads),
                "notes": .array(notes.map(JSON.string)), "freed": (objects.disposed ?? .init()).json,
            ])
        return .init(
            patch: patch, functions: functions, notes: notes, kept: objects.kept, summary: summary, steps: steps,
            report: report)
    }

    private var firstNotes: [String] { functions.filter(FirstFunction.isName).map(FirstFunction.note) }

    private var steps: [ObjectSession.Step] { objects.steps.map { .init($0) } }

    private var nothing: ObjectSession.Applied {
        let notes = objects.kept
        let report = Report(
            text: "nothing to apply to process \(pid): the edit changes no function.",
            json: ["pid": .number(Int(pid)), "functions": .array([]), "notes": .array(notes.map(JSON.string))],
            notices: notes)
        return .init(functions: [], notes: notes, steps: steps, report: report)
    }

    private var planned: ObjectSession.Applied {
        let plan = objects.plan ?? ""
        var lines = ["would be linked into process \(pid):"]
        lines += objects.table
        let notes = objects.notes + firstNotes
        lines += notes.map { "note: \($0)" }
        lines.append(plan)
        let report = Report(
            text: lines.joined(separator: "\n"),
            json: [
                "pid": .number(Int(pid)), "dry_run": .bool(true),
                "functions": .array(objects.functions.map(JSON.string)),
                "notes": .array(notes.map(JSON.string)), "plan": .string(plan),
            ])
        return .init(functions: functions, notes: notes, steps: steps, report: report)
    }
}
