// Names as bytes.
extension UnsafeRawBufferPointer {
    /// A hash for tables in memory, eight bytes a step. Not keyed: the tables chain equal hashes, so that equal or
    /// chosen names cost a chain, never a scan of the table.
    @inline(__always)
    var nameHash: UInt32 {
        let multiplier: UInt64 = 0x9E37_79B9_7F4A_7C15
        var hash = UInt64(count) &* multiplier
        var offset = 0
        while offset &+ 8 <= count {
            hash = (hash ^ baseAddress!.loadUnaligned(fromByteOffset: offset, as: UInt64.self)) &* multiplier
            hash ^= hash &>> 29
            offset &+= 8
        }
        var tail: UInt64 = 0
        while offset < count {
            tail = tail &<< 8 | UInt64(baseAddress!.load(fromByteOffset: offset, as: UInt8.self))
            offset &+= 1
        }
        hash = (hash ^ tail) &* multiplier
        return UInt32(truncatingIfNeeded: hash &>> 32)
    }
}

extension String {
    /// The UTF-8 bytes of the string, contiguous, for the duration of the call.
    @inlinable
    package func withBytes<R>(_ body: (UnsafeRawBufferPointer) throws -> R) rethrows -> R {
        var copy = self
        return try copy.withUTF8 { try body(UnsafeRawBufferPointer($0)) }
    }
}
