import HotpatchMemory
import HotpatchPlan
import HotpatchSymbols

/// A patch that has been committed: undoes it, lists it, calls the original.
public struct Receipt: Sendable {
    /// The number of the patch in the ledger of its process; 1, 2, …
    public var id: UInt32
    package var sites: [SiteRecord]
    /// Where the request's segments lie.
    package var segments: [Range<Address>]
    /// What was left out.
    package var refused: [RefusedReplacement]
    package var notes: [String]
    /// Calls that were to be made afterwards, and failed.
    package var problems: [String]
    /// What the commit did.
    public var summary: CommitSummary
}
