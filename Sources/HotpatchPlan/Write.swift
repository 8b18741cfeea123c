import CPatchCore
import HotpatchMemory

/// What memory holds, and so the protection that it has whenever threads run.
package enum MemoryKind: UInt8, Hashable, Sendable, CaseIterable {
    /// r-x: instructions.
    case text = 0
    /// rw-: a retarget slot, a pointer to an original, a variable.
    case data = 1
    /// r--: a constant, or what is read-only since it was relocated (RELRO).
    case constant = 2
}

/// One change of memory.
package struct Write: Hashable, Sendable {
    package typealias Kind = MemoryKind

    package let address: Address
    package let kind: Kind
    /// What must stand there, or the commit is refused; nil: not compared.
    package let expected: [UInt8]?
    package let bytes: [UInt8]

    /// - Precondition: one byte or more, and as many expected ones.
    package init(address: Address, kind: Kind, expected: [UInt8]?, bytes: [UInt8]) {
        precondition(!bytes.isEmpty && bytes.count <= Int32.max, "a write takes 1 to \(Int32.max) bytes")
        precondition(expected == nil || expected?.count == bytes.count, "a write replaces as many bytes as it writes")
        self.address = address
        self.kind = kind
        self.expected = expected
        self.bytes = bytes
    }

    /// A write of one 8-byte word, such as an address.
    package init(word: UInt64, at address: Address, expected: UInt64? = nil) {
        self.init(
            address: address, kind: .data, expected: expected.map(littleEndian), bytes: littleEndian(word))
    }

    /// The addresses it changes.
    package var range: Range<Address> { address..<max(address, address + bytes.count) }

    /// Whether its bytes lie on two pages. What lies inside one page is written whole or not at all.
    /// - Parameter pageSize: in bytes, a power of two; the target's own, which may be 4, 16 or 64 KiB.
    package func crossesPage(pageSize: Int) -> Bool {
        address.roundedDown(to: pageSize) != (address + (bytes.count - 1)).roundedDown(to: pageSize)
    }

    /// The write that undoes this one; nil where it is not known what stood there.
    package var reversed: Write? {
        expected.map { Write(address: address, kind: kind, expected: bytes, bytes: $0) }
    }
}

package func littleEndian(_ word: UInt64) -> [UInt8] { withUnsafeBytes(of: word.littleEndian) { [UInt8]($0) } }
