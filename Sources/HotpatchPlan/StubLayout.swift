import HotpatchMemory

/// The bytes of a stub and the places in it.
///
/// A stub begins with the island, a jump to the address in its slot; the moved prologue follows.
package struct StubLayout: Hashable, Sendable {
    /// Where the island is, and what the detour reaches.
    package var address: Address
    package var bytes: [UInt8]
    /// What calling the original calls.
    package var originalAddress: Address
    /// The 8 writable bytes that hold the replacement's address.
    package var slot: Address

    package init(address: Address, bytes: [UInt8], originalAddress: Address, slot: Address) {
        self.address = address
        self.bytes = bytes
        self.originalAddress = originalAddress
        self.slot = slot
    }

    /// The addresses it occupies.
    package var range: Range<Address> { address..<address + bytes.count }
}
