import HotpatchMemory

/// Bytes of the ledger, being written.
struct LedgerWriter {
    private(set) var bytes: [UInt8] = []

    /// - Parameter capacity: bytes expected.
    init(capacity: Int = 0) { bytes.reserveCapacity(capacity) }

    /// Little-endian.
    mutating func integer<T: FixedWidthInteger>(_ value: T) {
        withUnsafeBytes(of: value.littleEndian) { bytes.append(contentsOf: $0) }
    }

    /// LEB128: seven bits a byte, the lowest first, all but the last with the highest bit set.
    mutating func number(_ value: some BinaryInteger) {
        var rest = UInt64(truncatingIfNeeded: value)
        while rest > 0x7f {
            bytes.append(UInt8(truncatingIfNeeded: rest) | 0x80)
            rest >>= 7
        }
        bytes.append(UInt8(rest))
    }

    /// A number with its sign in the lowest bit: what is near takes few bytes either way.
    mutating func offset(_ value: Int) { number(UInt64(bitPattern: Int64(value << 1 ^ value >> 63))) }

    mutating func address(_ address: Address) { number(address.rawValue) }

    mutating func bytes(_ more: some Collection<UInt8>) { bytes.append(contentsOf: more) }

    /// A count, then the bytes.
    mutating func blob(_ blob: some Collection<UInt8>) {
        number(blob.count)
        bytes.append(contentsOf: blob)
    }
}

/// Bytes of a ledger, being read. They come from another process's memory, or a core file, and may be anything: whatever does not
/// fit throws.
struct LedgerReader {
    let bytes: ArraySlice<UInt8>
    private var position: Int

    init(_ bytes: ArraySlice<UInt8>) {
        self.bytes = bytes
        position = bytes.startIndex
    }

    @inline(__always)
    mutating func integer<T: FixedWidthInteger & BitwiseCopyable>(
        _ type: T.Type = T.self
    ) throws(LedgerError) -> T {
        let size = MemoryLayout<T>.size
        guard bytes.endIndex - position >= size else { throw .malformed("a record ends inside a number") }
        let offset = position - bytes.startIndex
        position += size
        return bytes.withUnsafeBytes { T(littleEndian: $0.loadUnaligned(fromByteOffset: offset, as: T.self)) }
    }

    /// As `LedgerWriter.number` writes it.
    mutating func number() throws(LedgerError) -> UInt64 {
        var value: UInt64 = 0
        var shift: UInt64 = 0
        while position < bytes.endIndex {
            let byte = UInt64(bytes[position])
            position += 1
            guard shift < 63 || byte <= 1 else { throw .malformed("a record holds a number of more than 64 bits") }
            value |= (byte & 0x7f) << shift
            if byte <= 0x7f { return value }
            shift += 7
        }
        throw .malformed("a record ends inside a number")
    }

    mutating func number(atMost limit: Int) throws(LedgerError) -> Int {
        let value = try number()
        guard value <= UInt64(limit) else { throw .malformed("a record says \(value) where at most \(limit) can be") }
        return Int(value)
    }

    /// An address of user space, on any machine.
    mutating func address() throws(LedgerError) -> Address { try Self.checked(Address(try number())) }

    mutating func address(from base: Address) throws(LedgerError) -> Address {
        let value = try number()
        return try Self.checked(base + Int(Int64(bitPattern: value >> 1 ^ (0 &- (value & 1)))))
    }

    static func checked(_ address: Address) throws(LedgerError) -> Address {
        guard address.rawValue < 1 << 56 else { throw .malformed("a record names the address \(address)") }
        return address
    }

    mutating func bytes(count: Int) throws(LedgerError) -> [UInt8] { Array(try slice(count: count)) }

    /// A count, then as many bytes.
    mutating func blob(atMost limit: Int) throws(LedgerError) -> [UInt8] {
        Array(try slice(count: try number(atMost: limit)))
    }

    mutating func string(atMost limit: Int) throws(LedgerError) -> String {
        String(decoding: try slice(count: try number(atMost: limit)), as: UTF8.self)
    }

    /// - Parameter count: not negative.
    mutating func slice(count: Int) throws(LedgerError) -> ArraySlice<UInt8> {
        guard count <= bytes.endIndex - position else {
            throw .malformed("a record holds \(count) bytes where \(bytes.endIndex - position) fit")
        }
        defer { position += count }
        return bytes[position..<position + count]
    }
}

/// A ledger that cannot be read.
package enum LedgerError: Error, Hashable, Sendable, CustomStringConvertible {
    case malformed(String)
    case version(UInt32)

    package var description: String {
        switch self {
        case .malformed(let what):
            "the patch ledger is damaged: \(what). Nothing was changed. Restart the process to get rid of its patches."
        case .version(let version):
            "the patch ledger has version \(version), this program knows version \(Ledger.major). "
                + "Use the swift-hotpatch that made the patches."
        }
    }
}
