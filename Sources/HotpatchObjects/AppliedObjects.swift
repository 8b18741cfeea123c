import HotpatchEngine

/// What has come of objects that were to be applied, as whoever applied them tells it: from outside, or in the process.
package struct AppliedObjects: Hashable, Sendable {
    /// What took how long.
    package struct Step: Hashable, Sendable {
        package var name: String
        package var nanoseconds: UInt64

        package init(_ name: String, nanoseconds: UInt64) {
            self.name = name
            self.nanoseconds = nanoseconds
        }
    }

    /// The number of the patch; nil where the edits change nothing, and where nothing was to be changed.
    package var patch: UInt32?
    /// Full paths of the new objects, in order.
    package var paths: [String]
    /// Functions of the process that run new code, or would, mangled.
    package var functions: [String]
    /// What becomes of each symbol, a line each.
    package var table: [String]
    /// What runs as it did before though the edits say otherwise.
    package var kept: [String]
    /// What else the user should know; `kept` is among them once something was applied or planned.
    package var notes: [String]
    /// For how long threads were held; nil where none were.
    package var summary: CommitSummary?
    /// What became of code of former patches; nil where it was not looked at.
    package var disposed: PatchEngine.Disposed?
    /// The plan in words, where nothing was to be changed.
    package var plan: String?
    /// In order.
    package var steps: [Step] = []

    /// What was linked, and not applied so far.
    package init(_ linked: LinkedObjects) {
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

    package mutating func note(_ receipt: Receipt) {
        patch = receipt.id
        notes = receipt.notes + receipt.problems
        summary = receipt.summary
    }
}
