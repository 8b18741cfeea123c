import HotpatchMemory
import HotpatchPlan
import HotpatchSymbols

/// One function to be replaced.
public struct Replacement: Sendable {
    public var function: FunctionSymbol
    /// Bytes of the function, and bytes up to the next one: `SymbolIndex.extent(of:)`.
    public var extent: (length: Int, available: Int)
    /// Where calls of the function lead from now on.
    public var address: Address
    /// For `list`: the replacement's symbol, or where it comes from.
    public var name: String
    /// A variable of 8 bytes in the target that receives the address of the original, or nil.
    public var originalPointer: Address?
    /// Of an async function that needs a larger one than callers allocate; else nil.
    public var context: AsyncContext.Larger?

    public init(
        function: FunctionSymbol, extent: (length: Int, available: Int), address: Address, name: String,
        originalPointer: Address? = nil, context: AsyncContext.Larger? = nil
    ) {
        self.function = function
        self.extent = extent
        self.address = address
        self.name = name
        self.originalPointer = originalPointer
        self.context = context
    }
}

/// Functions to be replaced together: all or none.
public struct PatchRequest: Sendable {
    public var replacements: [Replacement]
    public var origin: PatchRecord.Origin
    /// The library or object they come from, or empty.
    public var source: String
    /// Its build-id or digest in hexadecimal, or empty.
    public var digest: String
    /// What dlopen returned for it in the target, or 0.
    public var handle: UInt64
    /// A function to run in the target once the patch is reverted, or null.
    public var onRevert: Address
    /// What the user should know about the replacements, whatever the plan finds.
    public var notes: [String]

    public init(
        replacements: [Replacement], origin: PatchRecord.Origin, source: String = "", digest: String = "",
        handle: UInt64 = 0, onRevert: Address = .null, notes: [String] = []
    ) {
        self.replacements = replacements
        self.origin = origin
        self.source = source
        self.digest = digest
        self.handle = handle
        self.onRevert = onRevert
        self.notes = notes
    }
}

/// A request, planned against the state of a process at one moment. Nothing has been changed yet.
public struct PlannedPatch: Sendable {
    public var id: UInt32
    public var plan: PatchPlan
    /// What is to be mapped before the commit.
    public var pools: [SegmentRecord]
    /// The site of each replacement, in the order of the request.
    public var sites: [SiteRecord]
    /// Notes for the user: indirect jumps that could not be checked, and the like.
    public var notes: [String]
    var records: [LedgerRecord]
    /// Words of new slots, and the like: memory that nothing reaches yet.
    var fresh: [(address: Address, bytes: [UInt8])]
}

/// A patch that has been committed: undoes it, lists it, calls the original.
public struct Receipt: Sendable {
    public var id: UInt32
    public var sites: [SiteRecord]
    public var notes: [String]
    public var summary: CommitSummary
}
