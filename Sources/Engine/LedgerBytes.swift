/// Little-endian bytes of the ledger, being written.
struct LedgerWriter {
    private(set) var bytes: [UInt8] = []

    mutating func integer<T: FixedWidthInteger>(_ value: T) {
        withUnsafeBytes(of: value.littleEndian) { bytes.append(contentsOf: $0) }
    }

    /// A count of 4 bytes, then the bytes.
    mutating func blob(_ blob: some Collection<UInt8>) {
        integer(UInt32(blob.count))
        bytes.append(contentsOf: blob)
    }

    mutating func string(_ string: String) { blob(string.utf8) }

    mutating func pad(to alignment: Int) {
        while bytes.count % alignment != 0 { bytes.append(0) }
    }
}

/// Little-endian bytes of a ledger, being read. They come from another process's memory, or a core file, and may be anything:
/// whatever does not fit throws.
struct LedgerReader {
    let bytes: ArraySlice<UInt8>
    private var position: Int

    init(_ bytes: ArraySlice<UInt8>) {
        self.bytes = bytes
        position = bytes.startIndex
    }

    mutating func integer<T: FixedWidthInteger>(_ type: T.Type = T.self) throws(LedgerError) -> T {
        let size = MemoryLayout<T>.size
        guard bytes.endIndex - position >= size else { throw .malformed("a record ends inside a number") }
        var value: T = 0
        for index in 0..<size { value |= T(truncatingIfNeeded: UInt64(bytes[position + index]) << (8 * index)) }
        position += size
        return value
    }

    mutating func blob(atMost limit: Int) throws(LedgerError) -> [UInt8] {
        let count = Int(try integer(UInt32.self))
        guard count <= limit, count <= bytes.endIndex - position else {
            throw .malformed("a record holds \(count) bytes where at most \(min(limit, bytes.endIndex - position)) fit")
        }
        defer { position += count }
        return Array(bytes[position..<position + count])
    }

    mutating func string() throws(LedgerError) -> String {
        String(decoding: try blob(atMost: 1 << 16), as: UTF8.self)
    }
}

/// A ledger that cannot be read.
public enum LedgerError: Error, Hashable, Sendable, CustomStringConvertible {
    case malformed(String)
    case version(UInt32)

    public var description: String {
        switch self {
        case .malformed(let what):
            "the patch ledger is damaged: \(what). Nothing was changed. Restart the process to get rid of its patches."
        case .version(let version):
            "the patch ledger has version \(version), this program knows version \(Ledger.version). "
                + "Use the swift-hotpatch that made the patches."
        }
    }
}
