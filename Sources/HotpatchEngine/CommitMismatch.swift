import HotpatchMemory

/// Other bytes stand there than a commit was planned for, and nothing was changed. What they mean the engine knows, which has planned it:
/// the ledger has moved on, or somebody else has written into a function's entry.
package struct CommitMismatch: Error, Hashable, Sendable {
    /// The address of the write.
    package var address: Address
    /// Where in it the bytes below stand: of a long one they are what differs first.
    package var offset: Int
    package var expected: [UInt8]
    package var found: [UInt8]

    package init(address: Address, offset: Int, expected: [UInt8], found: [UInt8]) {
        self.address = address
        self.offset = offset
        self.expected = expected
        self.found = found
    }

    /// - Parameters:
    ///   - write: its address.
    ///   - expected: all its bytes, and
    ///   - found: as many.
    package init(write: Address, expected: [UInt8], found: [UInt8]) {
        let first = zip(expected, found).enumerated().first { $0.element.0 != $0.element.1 }?.offset ?? 0
        let offset = first / Self.shown * Self.shown
        self.init(
            address: write, offset: offset, expected: Array(expected.dropFirst(offset).prefix(Self.shown)),
            found: Array(found.dropFirst(offset).prefix(Self.shown)))
    }

    private static let shown = 16
}
