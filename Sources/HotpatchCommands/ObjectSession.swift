import Glibc
import HotpatchEngine
import HotpatchMemory
import HotpatchObjects
import HotpatchPlan
import HotpatchReload
import HotpatchRemoteTarget
import Logging

/// Applies edited objects to one process, again and again.
///
/// What is costly to read of it, its symbols and what its code refers to, is kept from one time to the next, for as long as it runs the
/// same program with the same files mapped. What may have changed meanwhile is read anew each time: its mappings, its threads, and what is
/// patched in it. Not safe for use by several threads at once.
public final class ObjectSession {
    public let pid: Int32
    public let options: TargetOptions
    /// What was read last.
    private(set) var session: Session?

    public init(pid: Int32, options: TargetOptions = TargetOptions()) {
        self.pid = pid
        self.options = options
    }

    /// What an apply has done.
    public struct Applied: Sendable {
        /// The number of the patch; nil where the edit changes nothing, and of a dry run.
        public var patch: UInt32?
        /// Functions of the process that run new code, or would, by their readable names.
        public var functions: [String]
        /// What the user should know.
        public var notes: [String]
        /// Those of the notes that tell what runs as it did before.
        public var kept: [String] = []
        /// For how long threads were held; nil where none were.
        public var summary: CommitSummary?
        /// What took how long, in order.
        public var steps: [Step]
        /// As the command says it.
        public var report: Report
    }

    public struct Step: Sendable, CustomStringConvertible {
        public var name: String
        public var duration: Duration

        /// "linked in 12.3 ms"
        public var description: String {
            let microseconds =
                duration.components.seconds * 1_000_000 + duration.components.attoseconds / 1_000_000_000_000
            return "\(name) in \(microseconds / 1000).\(microseconds % 1000 / 100) ms"
        }
    }

    /// Reads what an apply needs of the process, so that the first one finds it read.
    public func prepare() throws(CommandError) {
        let session = try begin()
        let code = session.index.images.first(where: \.isMainProgram)
        do throws(PatchError) { if let code { try session.engine.read(code) } } catch { throw session.explained(error) }
    }

    /// Links objects into the process, all or none.
    /// - Parameter dryRun: says what would happen, and changes nothing.
    public func apply(_ objects: [ObjectPair], dryRun: Bool = false) throws(CommandError) -> Applied {
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
            let reports = ObjectReports(pid: pid, linked: linked)
            if linked.changesNothing { return reports.nothing(clock.steps) }
            let request = linked.request(origin: .init(fromOutside: true, pid: getpid(), uid: getuid()))
            if dryRun {
                let planned = try session.engine.plan(
                    request, map: session.inspection.map, state: session.inspection.ledger)
                clock.done("planned")
                return reports.planned(planned, clock.steps)
            }
            try session.index.time.check()
            let receipt = try session.engine.apply(request)
            clock.done("committed")
            log.debug("committed: \(receipt.summary)")
            return reports.applied(receipt, clock.steps)
        } catch { throw session.explained(error) }
    }

    /// Takes patches out of force, in one transaction.
    public func revert(_ patches: [UInt32]) throws(CommandError) -> CommitSummary {
        let session = try begin()
        defer { session.target.finish() }
        do throws(PatchError) { return try session.engine.revert(patches, callsBack: true).summary } catch {
            throw session.explained(error)
        }
    }

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
    private let clock = ContinuousClock()
    private var last: ContinuousClock.Instant
    private(set) var steps: [ObjectSession.Step] = []

    init(log: Logger) {
        self.log = log
        last = clock.now
    }

    mutating func done(_ name: String) {
        let now = clock.now
        let step = ObjectSession.Step(name: name, duration: last.duration(to: now))
        last = now
        steps.append(step)
        log.debug("\(step)")
    }
}
