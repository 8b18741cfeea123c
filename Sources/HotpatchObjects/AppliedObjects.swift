import HotpatchEngine

/// What has come of objects that were to be applied, as whoever applied them tells it: from outside, or in the process.
public struct AppliedObjects: Hashable, Sendable {
    /// What took how long.
    public struct Step: Hashable, Sendable {
        public var name: String
        public var nanoseconds: UInt64

        public init(_ name: String, nanoseconds: UInt64) {
            self.name = name
            self.nanoseconds = nanoseconds
        }
    }

    /// The number of the patch; nil where the edits change nothing, and where nothing was to be changed.
    public var patch: UInt32?
    /// Full paths of the new objects, in order.
    public var paths: [String]
    /// Functions of the process that run new code, or would, mangled.
    public var functions: [String]
    /// What becomes of each symbol, a line each.
    public var table: [String]
    /// What runs as it did before though the edits say otherwise.
    public var kept: [String]
    /// What else the user should know; `kept` is among them once something was applied or planned.
    public var notes: [String]
    /// For how long threads were held; nil where none were.
    public var summary: CommitSummary?
    /// What became of code of former patches; nil where it was not looked at.
    package var disposed: PatchEngine.Disposed?
    /// The plan in words, where nothing was to be changed.
    public var plan: String?
    /// In order.
    public var steps: [Step] = []

    /// What was linked, and not applied so far.
    public init(_ linked: LinkedObjects) {
        paths = linked.paths
        functions = linked.functions
        table = linked.table
        kept = linked.notes
        notes = linked.notes
    }

    package mutating func note(_ planned: PlannedPatch) {
        notes = planned.notes
        plan = planned.description
    }

    public mutating func note(_ receipt: Receipt) {
        patch = receipt.id
        notes = receipt.notes + receipt.problems
        summary = receipt.summary
    }
}
