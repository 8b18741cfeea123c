import CHotpatchLinux
import Glibc
import HotpatchELF
import HotpatchEngine
import HotpatchMemory
import HotpatchObjects
import HotpatchPlan
import HotpatchProcFS
import HotpatchReload
import HotpatchRemoteTarget
import Logging

/// Applies edited objects to one process, again and again.
///
/// What is costly to read of it, its symbols and what its code refers to, is kept from one time to the next, for as long as it runs the
/// same program with the same files mapped. What may have changed meanwhile is read anew each time: its mappings, its threads, and what is
/// patched in it. Not safe for use by several threads at once.
package final class ObjectSession {
    package let pid: Int32
    package let options: TargetOptions
    /// A process that listens for it is asked to apply them itself, rather than traced. Where this is false, that is only done where it may
    /// not be traced.
    package let prefersAsking: Bool
    /// What was read last.
    private(set) var session: Session?

    package init(pid: Int32, options: TargetOptions = TargetOptions(), prefersAsking: Bool = false) {
        self.pid = pid
        self.options = options
        self.prefersAsking = prefersAsking
    }

    /// What an apply has done.
    package struct Applied: Sendable {
        /// The number of the patch; nil where the edit changes nothing, and of a dry run.
        package var patch: UInt32?
        /// Functions of the process that run new code, or would, by their readable names.
        package var functions: [String]
        /// What the user should know.
        package var notes: [String]
        /// Those of the notes that tell what runs as it did before.
        package var kept: [String] = []
        /// For how long threads were held; nil where none were.
        package var summary: CommitSummary?
        /// What took how long, in order.
        package var steps: [Step]
        /// As the command says it.
        package var report: Report
    }

    package struct Step: Sendable, CustomStringConvertible {
        package var name: String
        package var duration: Duration

        /// "linked in 12.3 ms"
        package var description: String {
            let microseconds =
                duration.components.seconds * 1_000_000 + duration.components.attoseconds / 1_000_000_000_000
            return "\(name) in \(microseconds / 1000).\(microseconds % 1000 / 100) ms"
        }
    }

    /// Reads what an apply needs of the process, so that the first one finds it read.
    package func prepare() throws(CommandError) {
        try perform { () throws(CommandError) in
            let session = try begin()
            let code = session.index.images.first(where: \.isMainProgram)
            do throws(PatchError) { if let code { try session.engine.read(code) } } catch {
                throw session.explained(error)
            }
        } asking: { (process) throws(CommandError) in
            _ = try process.hello(prepares: true)
        }
    }

    /// Links objects into the process, all or none.
    /// - Parameter dryRun: says what would happen, and changes nothing.
    package func apply(_ objects: [ObjectPair], dryRun: Bool = false) throws(CommandError) -> Applied {
        let applied = try perform { () throws(CommandError) in
            try trace(objects, dryRun)
        } asking: { (process) throws(CommandError) in
            try process.apply(objects, dryRun: dryRun)
        }
        return ObjectReports(pid: pid, objects: applied).applied
    }

    private func trace(_ objects: [ObjectPair], _ dryRun: Bool) throws(CommandError) -> AppliedObjects {
        let log = Logger(label: "swift-hotpatch")
        var clock = StepClock(log: log)
        let session = try begin()
        defer { session.target.finish() }
        clock.done("read the process")
        do {
            let linked = try LinkedObjects(
                objects, architecture: session.target.architecture, index: session.index,
                map: session.inspection.map, ledger: session.inspection.ledger, memory: session.inspection.memory)
            clock.done("linked")
            log.debug("\(linked.summary)")
            var applied = AppliedObjects(linked)
            if !linked.changesNothing {
                let request = linked.request(origin: .init(fromOutside: true, pid: getpid(), uid: getuid()))
                if dryRun {
                    applied.note(
                        try session.engine.plan(
                            request, map: session.inspection.map, state: session.inspection.ledger))
                    clock.done("planned")
                } else {
                    try session.index.time.check()
                    let receipt = try session.engine.apply(request)
                    applied.note(receipt)
                    clock.done("committed")
                    log.debug("committed: \(receipt.summary)")
                    if !linked.formerResumptions.isEmpty {
                        applied.notes += suspendedCalls(at: linked.formerResumptions)
                        clock.done("counted suspended calls")
                    }
                    if let gone = try session.disposeOfDeadCode(after: receipt) {
                        applied.disposed = gone
                        clock.done("looked for dead code")
                    }
                }
            }
            applied.steps = clock.steps
            return applied
        } catch { throw session.explained(error) }
    }

    /// How many calls finish in the code that has just been replaced. Nothing, where that takes long: it changes nothing.
    private func suspendedCalls(at resumptions: Set<Address>) -> [String] {
        let deadline = Deadline.after(milliseconds: 50)
        guard let count = try? MemorySearch.count(of: resumptions, in: pid, until: deadline.nanoseconds), count > 0
        else { return [] }
        return ["up to \(count) suspended \(count == 1 ? "call finishes" : "calls finish") in the former code"]
    }

    /// Takes patches out of force, in one transaction.
    package func revert(_ patches: [UInt32]) throws(CommandError) -> CommitSummary {
        try perform { () throws(CommandError) in
            let session = try begin()
            defer { session.target.finish() }
            do throws(PatchError) {
                let summary = try session.engine.revert(patches, callsBack: true).summary
                _ = try session.disposeOfDeadCode()
                return summary
            } catch { throw session.explained(error) }
        } asking: { (process) throws(CommandError) in
            try process.revert(patches)
        }
    }

    /// The path of the image of the process that one of these objects belongs to, the first of which that can be told; that of the program
    /// where it cannot be told of any.
    func image(of objects: [String]) throws(CommandError) -> String {
        try perform { () throws(CommandError) in
            if session == nil { _ = try begin() }
            guard let index = session?.index else { return "" }
            for object in objects {
                if let found = try? imagePath(of: ElfImage(path: object), in: index) { return found }
            }
            return index.images.first(where: \.isMainProgram)?.path ?? ""
        } asking: { (process) throws(CommandError) in
            for object in objects { if let found = try process.image(ofObject: object) { return found } }
            return try process.hello(prepares: false).first(where: \.isMain)?.path ?? ""
        }
    }

    /// Does something by tracing the process, or by asking it.
    private func perform<Result>(
        _ tracing: () throws(CommandError) -> Result, asking: (ReloaderClient) throws(CommandError) -> Result
    ) throws(CommandError) -> Result {
        if prefersAsking, let process = ReloaderClient(pid: pid, options: options) { return try asking(process) }
        do throws(CommandError) { return try tracing() } catch {
            guard error.exitCode == .refused, error.restartReasons.isEmpty, !RemoteProcess.mayTrace(pid) else {
                throw error
            }
            if let process = ReloaderClient(pid: pid, options: options) { return try asking(process) }
            var error = error
            error.description += " " + Self.askingIsPossible
            throw error
        }
    }

    static let askingIsPossible =
        "A program that calls ReloaderLoop.start() of the Hotpatch library can be edited without being traced."

    private func begin() throws(CommandError) -> Session {
        let known = session
        // What goes wrong may have to do with what was kept.
        session = nil
        let new = try Session(pid: pid, options: options, after: known)
        session = new
        return new
    }
}

/// Tells what took how long.
private struct StepClock {
    let log: Logger
    private var last = linux_monotonic_time()
    private(set) var steps: [AppliedObjects.Step] = []

    init(log: Logger) { self.log = log }

    mutating func done(_ name: String) {
        let now = linux_monotonic_time()
        let step = AppliedObjects.Step(name, nanoseconds: now - last)
        last = now
        steps.append(step)
        log.debug("\(ObjectSession.Step(step))")
    }
}

extension ObjectSession.Step {
    init(_ step: AppliedObjects.Step) {
        self.init(name: step.name, duration: .nanoseconds(Int64(clamping: step.nanoseconds)))
    }
}
