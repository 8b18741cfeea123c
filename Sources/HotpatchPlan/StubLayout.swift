import HotpatchMemory

/// The bytes of a stub and the places in it.
///
/// A stub begins with the island, a jump to the address in its slot; the moved prologue follows.
public struct StubLayout: Hashable, Sendable {
    /// Where the island is, and what the detour reaches.
    public var address: Address
    public var bytes: [UInt8]
    /// What calling the original calls.
    public var originalAddress: Address
    /// The 8 writable bytes that hold the replacement's address.
    public var slot: Address

    public init(address: Address, bytes: [UInt8], originalAddress: Address, slot: Address) {
        self.address = address
        self.bytes = bytes
        self.originalAddress = originalAddress
        self.slot = slot
    }

    /// The addresses it occupies.
    public var range: Range<Address> { address..<address + bytes.count }
}
