import HotpatchMemory
import HotpatchPlan
import HotpatchSymbols

/// Memory that a request takes.
package struct SegmentRequest: Hashable, Sendable {
    package var kind: MemoryKind
    /// In bytes; a segment takes whole pages.
    package var size: Int
    /// An address in the image that it is to lie near: branches of the architecture reach from there.
    package var near: Address

    package init(kind: MemoryKind, size: Int, near: Address) {
        self.kind = kind
        self.size = size
        self.near = near
    }
}

/// Words of data, or of constants, to be changed.
package struct DataStore: Hashable, Sendable {
    package var address: Address
    /// What must stand there.
    package var expected: [UInt8]
    /// As many, inside one page.
    package var bytes: [UInt8]
    /// For an error.
    package var name: String
    /// It may lie in memory that can be executed: some linkers put constants into the segment of the code.
    package var isBesideCode = false

    package init(address: Address, expected: [UInt8], bytes: [UInt8], name: String) {
        self.address = address
        self.expected = expected
        self.bytes = bytes
        self.name = name
    }
}

/// What is to be changed together: all or nothing.
public struct PatchRequest: Sendable {
    /// What depends on where the segments lie.
    package struct Linked: Sendable {
        /// The contents of each segment; zeros follow.
        package var contents: [[UInt8]] = []
        package var replacements: [Replacement] = []
        package var stores: [DataStore] = []
        package var callsBefore: [Call] = []
        package var callsAfter: [Call] = []
        /// Where things lie that code placed later is to find: `LedgerState.identity`, for as long as the patch is in force.
        package var identities: [(name: String, address: Address)] = []
        /// How the code can be taken away; nil where there is none, or where that is not known.
        package var disposal: Disposal?

        package init() {}
    }

    package var replacements: [Replacement]
    package var stores: [DataStore] = []
    /// Made once everything is mapped and filled, before anything is reachable.
    package var callsBefore: [Call] = []
    /// Made once everything is in force. A failure undoes nothing, and is told in the receipt.
    package var callsAfter: [Call] = []
    package var segments: [SegmentRequest] = []
    /// Says what the segments hold, and what else depends on where they lie. Asked again only where a place was taken meanwhile.
    package var link: @Sendable (_ segments: [Range<Address>]) throws -> Linked = { _ in Linked() }
    /// A function that cannot be patched is left out, and told of, instead of being the request's end.
    package var leavesOutRefused = false
    /// Why functions cannot be patched, where that is known already, by their places in `replacements`.
    package var refusals: [Int: PatchError] = [:]
    package var origin: PatchRecord.Origin
    /// The library or object they come from, or empty.
    package var source: String
    /// Its build-id or digest in hexadecimal, or empty.
    package var digest: String
    /// What dlopen returned for it in the target, or 0.
    package var handle: UInt64
    /// A function to run in the target once the patch is reverted, or null.
    package var onRevert: Address
    /// What the user should know about the replacements, whatever the plan finds.
    package var notes: [String]

    /// Makes a request that replaces functions, and changes nothing else.
    /// - Parameters:
    ///   - replacements: at most one of each function.
    ///   - origin: who asks for it.
    ///   - source: the library that the replacements are in; empty where it was no library.
    ///   - digest: of that library; empty where it was none.
    ///   - handle: what dlopen returned for it in the target, or 0.
    ///   - onRevert: a function to run in the target once the patch is reverted, or null.
    ///   - notes: what the user should know about the replacements.
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
