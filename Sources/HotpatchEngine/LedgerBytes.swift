import Glibc

/// Little-endian bytes of the ledger, being written.
struct LedgerWriter {
    private(set) var bytes: [UInt8] = []

    /// - Parameter capacity: bytes expected.
    init(capacity: Int = 0) { bytes.reserveCapacity(capacity) }

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
    private let texts: LedgerTexts?

    init(_ bytes: ArraySlice<UInt8>, texts: LedgerTexts? = nil) {
        self.bytes = bytes
        self.texts = texts
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

    mutating func blob(atMost limit: Int) throws(LedgerError) -> [UInt8] { Array(try slice(atMost: limit)) }

    private mutating func slice(atMost limit: Int) throws(LedgerError) -> ArraySlice<UInt8> {
        let count = Int(try integer(UInt32.self))
        guard count <= limit, count <= bytes.endIndex - position else {
            throw .malformed("a record holds \(count) bytes where at most \(min(limit, bytes.endIndex - position)) fit")
        }
        defer { position += count }
        return bytes[position..<position + count]
    }

    mutating func string() throws(LedgerError) -> String {
        String(decoding: try slice(atMost: 1 << 16), as: UTF8.self)
    }

    /// A text that the record before is likely to have too: an image's path, a replacement's name.
    mutating func repeatedString() throws(LedgerError) -> String {
        let bytes = try slice(atMost: 1 << 16)
        return texts?.string(bytes) ?? String(decoding: bytes, as: UTF8.self)
    }

    /// Bytes that the record before is likely to have too: an image's build-id.
    mutating func repeatedBlob(atMost limit: Int) throws(LedgerError) -> [UInt8] {
        let bytes = try slice(atMost: limit)
        return texts?.blob(bytes) ?? Array(bytes)
    }
}

/// What the records of a ledger have in common is kept once. A ledger of thousands of sites knows a handful of images.
final class LedgerTexts {
    private var lastText: (bytes: ArraySlice<UInt8>, text: String) = ([], "")
    private var lastBlob: [UInt8] = []

    func string(_ bytes: ArraySlice<UInt8>) -> String {
        if !Self.equal(bytes, lastText.bytes) { lastText = (bytes, String(decoding: bytes, as: UTF8.self)) }
        return lastText.text
    }

    func blob(_ bytes: ArraySlice<UInt8>) -> [UInt8] {
        if !Self.equal(bytes, lastBlob[...]) { lastBlob = Array(bytes) }
        return lastBlob
    }

    private static func equal(_ left: ArraySlice<UInt8>, _ right: ArraySlice<UInt8>) -> Bool {
        left.count == right.count
            && left.withUnsafeBytes { left in
                right.withUnsafeBytes { right in
                    left.isEmpty || memcmp(left.baseAddress!, right.baseAddress!, left.count) == 0
                }
            }
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
