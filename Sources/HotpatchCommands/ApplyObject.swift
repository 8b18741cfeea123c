import HotpatchEngine
import Glibc
import HotpatchMemory
import HotpatchObjects
import HotpatchPlan
import HotpatchRemoteTarget
import HotpatchReload
import Logging

/// `apply --base`: link edited objects into a process, and let their functions replace those that the edit changed.
public struct ApplyObject: Sendable {
    /// The new object and the one that runs, of each file.
    public var objects: [ObjectPair]
    public var pid: Int32
    public var dryRun: Bool
    public var options: TargetOptions

    public init(
        objects: [ObjectPair], pid: Int32, dryRun: Bool = false,
        options: TargetOptions = TargetOptions()
    ) {
        self.objects = objects
        self.pid = pid
        self.dryRun = dryRun
        self.options = options
    }

    public func run() throws(CommandError) -> Report {
        let log = Logger(label: "swift-hotpatch")
        let session = try Session(pid: pid, options: options)
        defer { session.target.finish() }
        do {
            let linked = try LinkedObjects(
                objects, architecture: session.target.architecture, index: session.index,
                map: session.inspection.map, ledger: session.inspection.ledger, memory: session.inspection.memory)
            log.debug("\(linked.summary)")
            if linked.changesNothing { return nothing(linked) }
            let request = linked.request(
                origin: .init(fromOutside: true, pid: getpid(), uid: getuid()),
                source: objects.map { fullPath($0.new) }.joined(separator: "\n"))
            if dryRun {
                let planned = try session.engine.plan(
                    request, map: session.inspection.map, state: session.inspection.ledger)
                return dryReport(planned, linked)
            }
            try session.index.time.check()
            let receipt = try session.engine.apply(request)
            log.debug("committed: \(receipt.summary)")
            return report(receipt, linked)
        } catch { throw session.explained(error) }
    }

    // MARK: Reports

    private func nothing(_ linked: LinkedObjects) -> Report {
        Report(
            text: "nothing to apply to process \(pid): the edit changes no function.",
            json: ["pid": .number(Int(pid)), "functions": .array([]), "notes": .array(linked.notes.map(JSON.string))],
            notices: linked.notes)
    }

    private func dryReport(_ planned: PlannedPatch, _ linked: LinkedObjects) -> Report {
        var lines = ["would be linked into process \(pid):"]
        lines += linked.table
        lines += planned.notes.map { "note: \($0)" }
        lines.append(planned.description)
        return Report(
            text: lines.joined(separator: "\n"),
            json: [
                "pid": .number(Int(pid)), "dry_run": .bool(true),
                "functions": .array(linked.functions.map(JSON.string)),
                "notes": .array(planned.notes.map(JSON.string)), "plan": .string(planned.description),
            ])
    }

    private func report(_ receipt: Receipt, _ linked: LinkedObjects) -> Report {
        let functions = linked.functions.map(displayName)
        var lines = [
            "patch \(receipt.id) applied to process \(pid): \(functions.count) function\(functions.count == 1 ? "" : "s"), "
                + pauseText(receipt.summary)
        ]
        lines += functions.map { "  \($0)" }
        let notes = receipt.notes + receipt.problems + (interruptionText(receipt.summary).map { [$0] } ?? [])
        lines += notes.map { "note: \($0)" }
        return Report(
            text: lines.joined(separator: "\n"),
            json: [
                "pid": .number(Int(pid)), "patch": .number(Int(receipt.id)),
                "objects": .array(objects.map { .string(fullPath($0.new)) }),
                "functions": .array(linked.functions.map(JSON.string)),
                "pause_ns": .number(Int(clamping: receipt.summary.pauseNanoseconds)),
                "holds": .number(receipt.summary.holds),
                "held_ns": .number(Int(clamping: receipt.summary.totalNanoseconds)),
                "threads": .number(receipt.summary.heldThreads), "moved": .number(receipt.summary.movedThreads),
                "notes": .array(notes.map(JSON.string)),
            ])
    }
}
