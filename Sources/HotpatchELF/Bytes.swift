import Glibc

// Bounds-checked access to bytes of a file. Offsets are 64-bit because they come from the file itself.
extension UnsafeRawBufferPointer {
    /// The value at an offset, in the byte order of this machine; nil where it is not wholly inside.
    @inlinable @inline(__always)
    package func value<T: BitwiseCopyable>(_ type: T.Type, at offset: UInt64) -> T? {
        let size = UInt64(MemoryLayout<T>.size)
        guard offset <= UInt64(count), UInt64(count) &- offset >= size else { return nil }
        return baseAddress!.loadUnaligned(fromByteOffset: Int(offset), as: T.self)
    }

    /// The bytes `offset ..< offset + length`; nil where they are not wholly inside.
    @inlinable
    package func slice(at offset: UInt64, count length: UInt64) -> UnsafeRawBufferPointer? {
        guard offset <= UInt64(count), UInt64(count) &- offset >= length else { return nil }
        return UnsafeRawBufferPointer(rebasing: self[Int(offset)..<Int(offset &+ length)])
    }

    /// The bytes from an offset up to the next NUL; nil where there is none.
    @inlinable @inline(__always)
    package func terminated(at offset: UInt64) -> UnsafeRawBufferPointer? {
        guard offset < UInt64(count) else { return nil }
        let start = baseAddress! + Int(offset)
        guard let end = memchr(start, 0, count &- Int(offset)) else { return nil }
        return UnsafeRawBufferPointer(start: start, count: UnsafeRawPointer(end) - start)
    }

    @inlinable
    package func string(at offset: UInt64) -> String? {
        terminated(at: offset).map { String(decoding: $0, as: UTF8.self) }
    }

    @inlinable @inline(__always)
    package func equals(_ other: UnsafeRawBufferPointer) -> Bool {
        count == other.count && (count == 0 || memcmp(baseAddress!, other.baseAddress!, count) == 0)
    }

    @inlinable
    package func starts(with prefix: StaticString, at offset: Int = 0) -> Bool {
        let length = prefix.utf8CodeUnitCount
        guard offset >= 0, count &- offset >= length else { return false }
        return memcmp(baseAddress! + offset, prefix.utf8Start, length) == 0
    }

    /// Where `byte` first occurs.
    @inlinable @inline(__always)
    package func firstIndex(ofByte byte: UInt8) -> Int? {
        guard count > 0, let found = memchr(baseAddress!, Int32(byte), count) else { return nil }
        return UnsafeRawPointer(found) - baseAddress!
    }

    /// Where `text` first occurs.
    @inlinable
    package func firstIndex(of text: StaticString) -> Int? {
        var start = 0
        while start < count,
            let next = UnsafeRawBufferPointer(rebasing: self[start...]).firstIndex(ofByte: text.utf8Start.pointee)
        {
            if starts(with: text, at: start + next) { return start + next }
            start += next + 1
        }
        return nil
    }

    /// Where `text` first occurs at `start` or behind it. It is found by its second byte, for the first is often a dot, and there are many.
    @inlinable
    package func firstIndex(of text: UnsafeRawBufferPointer, from start: Int) -> Int? {
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
}
