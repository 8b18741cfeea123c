import HotpatchMemory
import HotpatchPlan
import HotpatchSymbols

/// A request, planned against the state of a process at one moment. Nothing has been changed yet.
package struct PlannedPatch: Sendable {
    package var id: UInt32
    /// All that is done to the process, the ledger included.
    package var plan: PatchPlan
    /// The new ones; their parts are segments of the plan.
    var pools: [SegmentRecord]
    /// The request's segments; nil where it has none.
    var linked: LinkedSegments?
    /// The site of each replacement that is not refused, in the order of the request.
    package var sites: [SiteRecord]
    /// What was left out.
    package var refused: [RefusedReplacement]
    /// Notes for the user: indirect jumps that could not be checked, and the like.
    package var notes: [String]
    /// What the note of such a jump ends with, behind the function's name.
    package static let uncheckedJump =
        "has a computed jump that could not be checked: it must not lead into its first bytes"
    var stores: [DataStore]
}

/// A function that cannot be patched, left out of a larger request.
package struct RefusedReplacement: Sendable {
    /// Its place among the request's replacements, those of its segments behind the others.
    package var index: Int
    package var function: FunctionSymbol
    package var error: PatchError
}

extension PlannedPatch: CustomStringConvertible {
    public var description: String { plan.description }
}
