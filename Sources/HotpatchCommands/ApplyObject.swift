import CHotpatchLinux
import HotpatchELF
import HotpatchEngine
import Glibc
import HotpatchHotLink
import Logging
import HotpatchMemory
import HotpatchPlan
import HotpatchRemoteTarget
import HotpatchSymbols
import HotpatchReload

/// `apply --base`: link edited objects into a process, and let their functions replace those that the edit changed.
public struct ApplyObject: Sendable {
    /// The new object and the one that runs, of each file.
    public var objects: [(new: String, base: String)]
    public var pid: Int32
    public var dryRun: Bool
    public var options: TargetOptions

    public init(
        objects: [(new: String, base: String)], pid: Int32, dryRun: Bool = false,
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
            let linker = try link(session)
            log.debug("\(linker.summary)")
            let plan = try linker.plan()
            if linker.changesNothing { return nothing(plan) }
            let request = request(plan, session)
            if dryRun {
                let planned = try session.engine.plan(
                    request, map: session.inspection.map, state: session.inspection.ledger)
                return dryReport(planned, linker)
            }
            try session.index.time.check()
            let receipt = try session.engine.apply(request)
            log.debug("committed: \(receipt.summary)")
            return report(receipt, linker)
        } catch { throw session.explained(error) }
    }

    // MARK: Linking

    private func link(_ session: Session) throws -> ObjectLinker {
        var edits: [ObjectEdit] = []
        for (new, base) in objects {
            let (after, before) = (try ElfImage(path: new), try ElfImage(path: base))
            guard let image = LiveProgram.image(of: try ObjectFile(before), in: session.index) else {
                throw LinkError.notInProcess(path: base)
            }
            edits.append(try ObjectEdit(before: before, after: after, live: live(image, session)))
        }
        guard let image = edits.first?.image, edits.allSatisfy({ $0.image == image }) else {
            throw CommandError(
                "the objects belong to different images of process \(pid). Apply those of each image by themselves.")
        }
        return try ObjectLinker(edits, into: live(image, session))
    }

    private func live(_ image: LoadedImage, _ session: Session) -> LiveProgram {
        let ledger = session.inspection.ledger
        return LiveProgram(
            architecture: session.target.architecture, index: session.index, image: image,
            memory: ledger.original(of: session.inspection.memory), identity: { ledger.identity($0) },
            replacement: { ledger.replacingCode(of: $0) })
    }

    private func request(_ plan: LinkPlan, _ session: Session) -> PatchRequest {
        let source = objects.map { fullPath($0.new) }.joined(separator: ", ")
        var request = PatchRequest(
            replacements: [], origin: .init(fromOutside: true, pid: getpid(), uid: getuid()), source: source,
            notes: plan.notes)
        request.segments = plan.segments.map { SegmentRequest(kind: $0.kind, size: $0.size, near: plan.near) }
        let index = session.index
        request.link = { segments in
            let linked = try plan.link(segments)
            var result = PatchRequest.Linked()
            result.contents = linked.contents
            result.replacements = try linked.redirects.map { redirect in
                let context = AsyncContext(
                    own: index.asyncContextSize(of: redirect.function), replacement: redirect.contextSize)
                return Replacement(
                    function: redirect.function, extent: index.extent(of: redirect.function),
                    address: redirect.address, name: redirect.name,
                    context: try context.larger(for: redirect.function, by: redirect.name, in: index))
            }
            result.stores = linked.stores.map {
                var store = DataStore(address: $0.address, expected: $0.expected, bytes: $0.bytes, name: $0.name)
                store.isBesideCode = $0.isConstant
                return store
            }
            result.callsBefore = linked.calls
            result.identities = linked.identities
            return result
        }
        return request
    }

    // MARK: Reports

    private func changed(_ linker: ObjectLinker) -> [String] { linker.changedFunctions.map(displayName) }

    private func nothing(_ plan: LinkPlan) -> Report {
        Report(
            text: "nothing to apply to process \(pid): the edit changes no function.",
            json: ["pid": .number(Int(pid)), "functions": .array([]), "notes": .array(plan.notes.map(JSON.string))],
            notices: plan.notes)
    }

    private func dryReport(_ planned: PlannedPatch, _ linker: ObjectLinker) -> Report {
        var lines = ["would be linked into process \(pid):"]
        lines += linker.table
        lines += planned.notes.map { "note: \($0)" }
        lines.append(planned.description)
        return Report(
            text: lines.joined(separator: "\n"),
            json: [
                "pid": .number(Int(pid)), "dry_run": .bool(true),
                "functions": .array(linker.changedFunctions.map(JSON.string)),
                "notes": .array(planned.notes.map(JSON.string)), "plan": .string(planned.description),
            ])
    }

    private func report(_ receipt: Receipt, _ linker: ObjectLinker) -> Report {
        let functions = changed(linker)
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
                "functions": .array(linker.changedFunctions.map(JSON.string)),
                "pause_ns": .number(Int(clamping: receipt.summary.pauseNanoseconds)),
                "holds": .number(receipt.summary.holds),
                "held_ns": .number(Int(clamping: receipt.summary.totalNanoseconds)),
                "threads": .number(receipt.summary.heldThreads), "moved": .number(receipt.summary.movedThreads),
                "notes": .array(notes.map(JSON.string)),
            ])
    }
}
