import HotpatchMemory
import HotpatchPlan
import HotpatchProcFS
import HotpatchSymbols

/// The process whose functions are patched, as the engine sees it: this one (`LocalTarget`) or another (`RemoteTarget`).
///
/// The engine computes; a target has the effects. Each call either does all it says or throws and leaves the process as it was.
package protocol Target: AnyObject {
    var pid: Int32 { get }
    var architecture: Architecture { get }
    /// In bytes.
    var pageSize: Int { get }
    var memory: any MemoryReader { get }

    /// Whether the kernel keeps a shadow stack for its threads: then a return address must have been pushed by a call.
    var hasShadowStack: Bool { get }

    /// Begins an operation, whose time counts from here, until `endOperation`. One inside another is part of that.
    func beginOperation()

    func endOperation()

    /// Whether the operation's time is over.
    var isOutOfTime: Bool { get }

    /// What the words of a commit that say that one is under way (`CommitBlock.underway`) hold meanwhile: the id of the thread
    /// that commits, as the process knows it; 0 for a commit from outside, while which no thread runs.
    var committer: UInt64 { get }

    /// Whether the process has a thread with this id, as it knows it.
    func hasThread(_ id: UInt64) -> Bool

    /// The mappings as they are now.
    func processMap() throws -> ProcessMap

    /// Maps private, zeroed memory exactly there, with the protection of its kind from the first moment. Both ends are multiples of the
    /// page size.
    /// - Throws: `PatchError.addressTaken` where something is mapped there already.
    func map(_ range: Range<Address>, _ kind: MemoryKind) throws

    /// Writes into memory that was mapped so, and that no thread uses yet.
    func fill(_ bytes: [UInt8], at address: Address, _ kind: MemoryKind) throws

    /// Calls a function of the process, while no thread is held.
    /// - Parameter isCleanup: it ends an operation, also where the time is over.
    /// - Returns: its result register.
    func call(_ call: Call, isCleanup: Bool) throws -> UInt64

    /// Maps a private, zeroed memfd called `hotpatch-ledger` exactly there, rw-. Both ends are multiples of the page size.
    /// - Throws: `PatchError.addressTaken` where something is mapped there already.
    func mapLedger(_ range: Range<Address>) throws

    /// Takes away a mapping made by `map` or `mapLedger` that nothing uses: no commit has made it reachable, or one has made sure that
    /// nothing leads there any more.
    func unmap(_ range: Range<Address>)

    /// Whether `giveBack` does anything. What is to be given back must not be used again meanwhile.
    var givesMemoryBack: Bool { get }

    /// Empties all pages of a range but the first, and then writes the range's first word, which nobody else writes.
    func giveBack(_ range: Range<Address>, then word: UInt64)

    /// Holds all threads, checks, writes, releases.
    /// - Throws: `CommitMismatch`, or `PatchError`; unless that is `.inconsistent`, the process is as it was.
    func commit(_ block: CommitBlock) throws -> CommitSummary

    /// Whether `commit(_:unlessReached:)` does anything.
    var searchesMemory: Bool { get }

    /// As `commit`, where no word in memory or in a register leads into any of the code.
    /// - Throws: `CodeIsReached`, `SearchIsImpossible`, and as `commit`.
    func commit(_ block: CommitBlock, unlessReached code: [SearchedCode]) throws -> CommitSummary
}
