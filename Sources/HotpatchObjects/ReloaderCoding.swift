/// Bytes of a message: numbers of fixed sizes, little-endian; texts and lists behind their counts.
package struct ReloaderWriter {
    package private(set) var bytes: [UInt8] = []

    package init() {}

    package mutating func put(_ value: some FixedWidthInteger) {
        withUnsafeBytes(of: value.littleEndian) { bytes.append(contentsOf: $0) }
    }

    package mutating func put(_ value: Bool) { put(UInt8(value ? 1 : 0)) }

    package mutating func put(_ value: [UInt8]) {
        put(UInt64(value.count))
        bytes.append(contentsOf: value)
    }

    package mutating func put(_ value: String) { put(Array(value.utf8)) }

    /// Nil and the empty text differ.
    package mutating func put(_ value: String?) {
        put(value != nil)
        if let value { put(value) }
    }

    package mutating func put<Element>(_ values: [Element], each: (inout ReloaderWriter, Element) -> Void) {
        put(UInt32(values.count))
        for value in values { each(&self, value) }
    }

    package mutating func put(_ values: [String]) { put(values) { $0.put($1) } }
}

/// Reads such bytes, which may be anything.
package struct ReloaderReader {
    private let bytes: [UInt8]
    private var offset = 0

    package init(_ bytes: [UInt8]) { self.bytes = bytes }

    private mutating func take(_ count: UInt64, _ what: String) throws(ReloaderError) -> Range<Int> {
        guard count <= UInt64(bytes.count - offset) else {
            throw .malformed("\(what) of \(count) bytes, of which \(bytes.count - offset) are there")
        }
        defer { offset += Int(count) }
        return offset..<offset + Int(count)
    }

    package mutating func number<T: FixedWidthInteger>(_ type: T.Type = T.self) throws(ReloaderError) -> T {
        let range = try take(UInt64(MemoryLayout<T>.size), "a number")
        return T(
            littleEndian: bytes.withUnsafeBytes { $0.loadUnaligned(fromByteOffset: range.lowerBound, as: T.self) })
    }

    package mutating func flag() throws(ReloaderError) -> Bool {
        let value = try number(UInt8.self)
        guard value <= 1 else { throw .malformed("\(value) where 0 or 1 is expected") }
        return value == 1
    }

    package mutating func blob() throws(ReloaderError) -> [UInt8] {
        let count = try number(UInt64.self)
        return Array(bytes[try take(count, "a text")])
    }

    package mutating func text() throws(ReloaderError) -> String { String(decoding: try blob(), as: UTF8.self) }

    package mutating func optionalText() throws(ReloaderError) -> String? { try flag() ? try text() : nil }

    /// - Parameter each: reads at least one byte.
    package mutating func list<Element>(
        _ each: (inout ReloaderReader) throws(ReloaderError) -> Element
    ) throws(ReloaderError) -> [Element] {
        let count = try number(UInt32.self)
        guard count <= bytes.count - offset else {
            throw .malformed("a list of \(count), with \(bytes.count - offset) bytes to it")
        }
        var elements: [Element] = []
        for _ in 0..<count { elements.append(try each(&self)) }
        return elements
    }

    package mutating func texts() throws(ReloaderError) -> [String] {
        try list { (reader) throws(ReloaderError) in try reader.text() }
    }

    /// All was read.
    package func end() throws(ReloaderError) {
        guard offset == bytes.count else { throw .malformed("\(bytes.count - offset) bytes too many") }
    }
}
