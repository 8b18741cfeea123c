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
    /// The context of an async function that needs a larger one than callers allocate; else nil.
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

/// Memory that a request takes.
public struct SegmentRequest: Hashable, Sendable {
    public var kind: MemoryKind
    /// In bytes; a segment takes whole pages.
    public var size: Int
    /// An address in the image that it is to lie near: branches of the architecture reach from there.
    public var near: Address

    public init(kind: MemoryKind, size: Int, near: Address) {
        self.kind = kind
        self.size = size
        self.near = near
    }
}

/// Words of data, or of constants, to be changed.
public struct DataStore: Hashable, Sendable {
    public var address: Address
    /// What must stand there.
    public var expected: [UInt8]
    /// As many, inside one page.
    public var bytes: [UInt8]
    /// For an error.
    public var name: String
    /// It may lie in memory that can be executed: some linkers put constants into the segment of the code.
    public var isBesideCode = false

    public init(address: Address, expected: [UInt8], bytes: [UInt8], name: String) {
        self.address = address
        self.expected = expected
        self.bytes = bytes
        self.name = name
    }
}

/// What is to be changed together: all or nothing.
public struct PatchRequest: Sendable {
    /// What depends on where the segments lie.
    public struct Linked: Sendable {
        /// The contents of each segment; zeros follow.
        public var contents: [[UInt8]] = []
        public var replacements: [Replacement] = []
        public var stores: [DataStore] = []
        public var callsBefore: [Call] = []
        public var callsAfter: [Call] = []
        /// Where things lie that code placed later is to find: `LedgerState.identity`, for as long as the patch is in force.
        public var identities: [(name: String, address: Address)] = []
        /// How the code can be taken away; nil where there is none, or where that is not known.
        public var disposal: Disposal?

        public init() {}
    }

    public var replacements: [Replacement]
    public var stores: [DataStore] = []
    /// Made once everything is mapped and filled, before anything is reachable.
    public var callsBefore: [Call] = []
    /// Made once everything is in force. A failure undoes nothing, and is told in the receipt.
    public var callsAfter: [Call] = []
    public var segments: [SegmentRequest] = []
    /// Says what the segments hold, and what else depends on where they lie. Asked again only where a place was taken meanwhile.
    public var link: @Sendable (_ segments: [Range<Address>]) throws -> Linked = { _ in Linked() }
    /// A function that cannot be patched is left out, and told of, instead of being the request's end.
    public var leavesOutRefused = false
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
    /// The new ones; their parts are segments of the plan.
    var pools: [SegmentRecord]
    /// The request's segments; nil where it has none.
    var linked: LinkedSegments?
    /// The site of each replacement that is not refused, in the order of the request.
    public var sites: [SiteRecord]
    /// What was left out.
    public var refused: [RefusedReplacement]
    /// Notes for the user: indirect jumps that could not be checked, and the like.
    public var notes: [String]
    /// What the note of such a jump ends with, behind the function's name.
    public static let uncheckedJump =
        "has a computed jump that could not be checked: it must not lead into its first bytes"
    var stores: [DataStore]
    /// The texts of the ledger so far.
    var texts: [String]
    var records: [LedgerRecord]
}

/// A function that cannot be patched, left out of a larger request.
public struct RefusedReplacement: Sendable {
    /// Its place among the request's replacements, those of its segments behind the others.
    public var index: Int
    public var function: FunctionSymbol
    public var error: PatchError
}

/// The whole plan, and the records that the commit adds to the ledger: where, is known once there is room for them.
extension PlannedPatch: CustomStringConvertible {
    public var description: String {
        let bytes = LedgerEncoder(records, behind: texts).bytes
        let rows = stride(from: 0, to: bytes.count, by: 16).map {
            "\n    \(bytes[$0..<min($0 + 16, bytes.count)].hexadecimal())"
        }
        return plan.description + "\nrecords, \(bytes.count) bytes" + rows.joined()
    }
}

/// A patch that has been committed: undoes it, lists it, calls the original.
public struct Receipt: Sendable {
    public var id: UInt32
    public var sites: [SiteRecord]
    /// Where the request's segments lie.
    public var segments: [Range<Address>]
    /// What was left out.
    public var refused: [RefusedReplacement]
    public var notes: [String]
    /// Calls that were to be made afterwards, and failed.
    public var problems: [String]
    public var summary: CommitSummary
}
