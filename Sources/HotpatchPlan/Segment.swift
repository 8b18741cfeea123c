import HotpatchMemory

/// Memory that a transaction takes: mapped with its final protection and filled before any thread is held. Nothing leads there before
/// the commit.
package struct Segment: Hashable, Sendable {
    package var kind: MemoryKind
    /// A multiple of the page size, as `size` is.
    package var address: Address
    package var size: Int
    /// What it begins with; zeros follow.
    package var contents: [UInt8]

    package init(kind: MemoryKind, address: Address, size: Int, contents: [UInt8] = []) {
        self.kind = kind
        self.address = address
        self.size = size
        self.contents = contents
    }

    /// The addresses it occupies.
    package var range: Range<Address> { address..<address + size }
}

/// Memory that a transaction takes for the patch ledger: zeros, in a mapping by which a ledger is found.
package struct LedgerMapping: Hashable, Sendable {
    package var range: Range<Address>
    /// Another patcher that begins at the same moment uses it, too, so that it stays whatever comes of the commit.
    package var isShared: Bool

    package init(_ range: Range<Address>, isShared: Bool) {
        self.range = range
        self.isShared = isShared
    }
}

/// Bytes laid down during the commit in memory that nothing reaches yet: nothing is compared, and nothing needs an undo.
package struct Copy: Hashable, Sendable {
    package enum Purpose: String, Hashable, Sendable {
        /// Where new stubs lead.
        case slot
        /// Records, and the header of what they are in.
        case ledger
    }

    package var address: Address
    package var bytes: [UInt8]
    package var purpose: Purpose

    package init(address: Address, bytes: [UInt8], purpose: Purpose) {
        self.address = address
        self.bytes = bytes
        self.purpose = purpose
    }
}
