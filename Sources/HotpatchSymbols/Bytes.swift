import Glibc

// Bounds-checked access to bytes of a file. Offsets are 64-bit because they come from the file itself.
extension UnsafeRawBufferPointer {
    /// The value at an offset, in the byte order of this machine; nil where it is not wholly inside.
    @inline(__always)
    func value<T: BitwiseCopyable>(_ type: T.Type, at offset: UInt64) -> T? {
        let size = UInt64(MemoryLayout<T>.size)
        guard offset <= UInt64(count), UInt64(count) &- offset >= size else { return nil }
        return baseAddress!.loadUnaligned(fromByteOffset: Int(offset), as: T.self)
    }

    /// The bytes `offset ..< offset + length`; nil where they are not wholly inside.
    func slice(at offset: UInt64, count length: UInt64) -> UnsafeRawBufferPointer? {
        guard offset <= UInt64(count), UInt64(count) &- offset >= length else { return nil }
        return UnsafeRawBufferPointer(rebasing: self[Int(offset)..<Int(offset &+ length)])
    }

    /// The bytes from an offset up to the next NUL; nil where there is none.
    @inline(__always)
    func terminated(at offset: UInt64) -> UnsafeRawBufferPointer? {
        guard offset < UInt64(count) else { return nil }
        let start = baseAddress! + Int(offset)
        guard let end = memchr(start, 0, count &- Int(offset)) else { return nil }
        return UnsafeRawBufferPointer(start: start, count: UnsafeRawPointer(end) - start)
    }

    func string(at offset: UInt64) -> String? {
        terminated(at: offset).map { String(decoding: $0, as: UTF8.self) }
    }

    @inline(__always)
    func equals(_ other: UnsafeRawBufferPointer) -> Bool {
        count == other.count && (count == 0 || memcmp(baseAddress!, other.baseAddress!, count) == 0)
    }

    func starts(with prefix: StaticString, at offset: Int = 0) -> Bool {
        let length = prefix.utf8CodeUnitCount
        guard offset >= 0, count &- offset >= length else { return false }
        return memcmp(baseAddress! + offset, prefix.utf8Start, length) == 0
    }

    /// Where `byte` first occurs.
    @inline(__always)
    func firstIndex(ofByte byte: UInt8) -> Int? {
        guard count > 0, let found = memchr(baseAddress!, Int32(byte), count) else { return nil }
        return UnsafeRawPointer(found) - baseAddress!
    }

    /// Where `text` first occurs.
    func firstIndex(of text: StaticString) -> Int? {
        var start = 0
        while start < count,
            let next = UnsafeRawBufferPointer(rebasing: self[start...]).firstIndex(ofByte: text.utf8Start.pointee)
        {
            if starts(with: text, at: start + next) { return start + next }
            start += next + 1
        }
        return nil
    }

    /// Where `text` first occurs at `start` or behind it. By its second byte: the first is often a dot, of which there are many.
    func firstIndex(of text: UnsafeRawBufferPointer, from start: Int) -> Int? {
        guard text.count >= 2 else { return nil }
        var position = start + 1
        while position < count,
            let next = UnsafeRawBufferPointer(rebasing: self[position...]).firstIndex(ofByte: text[1])
        {
            let found = position + next - 1
            guard text.count <= count - found else { return nil }
            if memcmp(baseAddress! + found, text.baseAddress!, text.count) == 0 { return found }
            position += next + 1
        }
        return nil
    }

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
    func withBytes<R>(_ body: (UnsafeRawBufferPointer) throws -> R) rethrows -> R {
        var copy = self
        return try copy.withUTF8 { try body(UnsafeRawBufferPointer($0)) }
    }
}
