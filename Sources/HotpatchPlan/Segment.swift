import HotpatchMemory

/// Memory that a transaction takes: mapped with its final protection and filled before any thread is held. Nothing leads there before
/// the commit.
public struct Segment: Hashable, Sendable {
    public var kind: MemoryKind
    /// A multiple of the page size, as `size` is.
    public var address: Address
    public var size: Int
    /// What it begins with; zeros follow.
    public var contents: [UInt8]

    public init(kind: MemoryKind, address: Address, size: Int, contents: [UInt8] = []) {
        self.kind = kind
        self.address = address
        self.size = size
        self.contents = contents
    }

    /// The addresses it occupies.
    public var range: Range<Address> { address..<address + size }
}

/// Bytes laid down during the commit in memory that nothing reaches yet: nothing is compared, and nothing needs an undo.
public struct Copy: Hashable, Sendable {
    public enum Purpose: String, Hashable, Sendable {
        /// Where new stubs lead.
        case slot
        /// Records, and the header of what they are in.
        case ledger
    }

    public var address: Address
    public var bytes: [UInt8]
    public var purpose: Purpose

    public init(address: Address, bytes: [UInt8], purpose: Purpose) {
        self.address = address
        self.bytes = bytes
        self.purpose = purpose
    }
}
