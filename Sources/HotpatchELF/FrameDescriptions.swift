/// Which code the call frame information of a file describes: the ranges of its frame description entries (FDE), and nothing of what is
/// in them (LSB Core, "Exception Frames"; DWARF 5, 6.4.1).
///
/// The bytes are what a file holds: whatever does not fit in them describes nothing.
struct FrameDescriptions: Sendable {
    /// The header of the table, the table, then the frame information. Whoever has this value keeps them.
    nonisolated(unsafe) private let bytes: UnsafeRawBufferPointer
    /// The link-time address of the first byte.
    private let address: UInt64
    /// Pairs of the table: from its start, the first address of an entry's code and the entry itself, ascending.
    private let tableCount: UInt64?
    /// Where there is no table.
    private let sorted: Lazy<[Range<UInt64>]>

    private static let tableHeaderSize = 12
    /// A file with more has the others left out.
    private static let largestCount = 8 << 20

    /// - Parameters:
    ///   - bytes: a header of version 1, its table if it has one, and the frame information.
    ///   - address: the link-time address of the first.
    ///   - headerSize: bytes of the header with its table.
    init(_ bytes: UnsafeRawBufferPointer, at address: UInt64, headerSize: Int) {
        self.bytes = bytes
        self.address = address
        let hasTable = headerSize >= Self.tableHeaderSize
        tableCount = hasTable ? UInt64(headerSize - Self.tableHeaderSize) / 8 : nil
        nonisolated(unsafe) let bytes = bytes
        sorted = Lazy { hasTable ? [] : Self.all(bytes, address, from: UInt64(headerSize)) }
    }

    var hasTable: Bool { tableCount != nil }

    /// The range of the entry that covers an address; nil where none does.
    func range(containing linked: UInt64) -> Range<UInt64>? {
        let found: Range<UInt64>?
        if let tableCount {
            let next = Self.partition(tableCount) { pair($0).start <= linked }
            found = next > 0 ? Self.range(ofEntryAt: pair(next - 1).entry &- address, bytes, address) : nil
        } else {
            let ranges = sorted.get()
            let next = Self.partition(UInt64(ranges.count)) { ranges[Int($0)].lowerBound <= linked }
            found = next > 0 ? ranges[Int(next) - 1] : nil
        }
        return found.flatMap { $0.contains(linked) ? $0 : nil }
    }

    /// A pair of the table, as link-time addresses.
    private func pair(_ index: UInt64) -> (start: UInt64, entry: UInt64) {
        let offset = UInt64(Self.tableHeaderSize) &+ index &* 8
        func place(_ offset: UInt64) -> UInt64 {
            address &+ UInt64(bitPattern: Int64(bytes.value(Int32.self, at: offset) ?? 0))
        }
        return (place(offset), place(offset &+ 4))
    }

    /// How many of the first numbers are in the first part; all of them are before those that are not.
    private static func partition(_ count: UInt64, _ isFirst: (UInt64) -> Bool) -> UInt64 {
        var (low, high) = (UInt64(0), count)
        while low < high {
            let middle = low + (high - low) / 2
            if isFirst(middle) { low = middle + 1 } else { high = middle }
        }
        return low
    }

    /// The ranges of all entries, ascending.
    private static func all(
        _ bytes: UnsafeRawBufferPointer, _ address: UInt64, from start: UInt64
    ) -> [Range<UInt64>] {
        var ranges: [Range<UInt64>] = []
        var offset = start
        while let length = bytes.value(UInt32.self, at: offset), length != 0, length != .max,
            ranges.count < largestCount
        {
            if let range = range(ofEntryAt: offset, bytes, address) { ranges.append(range) }
            offset &+= 4 &+ UInt64(length)
        }
        return ranges.sorted { $0.lowerBound < $1.lowerBound }
    }

    // MARK: Entries

    /// The range of link-time addresses that an entry describes; nil where there is none, as for the information that entries share.
    private static func range(
        ofEntryAt offset: UInt64, _ bytes: UnsafeRawBufferPointer, _ address: UInt64
    ) -> Range<UInt64>? {
        guard let length = bytes.value(UInt32.self, at: offset), length != 0, length != .max,
            let entry = bytes.slice(at: offset, count: 4 &+ UInt64(length)),
            // Backwards from here to what it shares with others; those have 0 here.
            let distance = entry.value(UInt32.self, at: 4), distance != 0, offset &+ 4 >= UInt64(distance),
            let encoding = encoding(ofSharedAt: offset &+ 4 &- UInt64(distance), bytes)
        else { return nil }
        var cursor = Cursor(bytes: entry, offset: 8)
        let place = address &+ offset &+ 8
        guard let value = cursor.pointer(encoding), let size = cursor.pointer(encoding & 0x0F) else { return nil }
        let start: UInt64
        switch encoding & 0xF0 {
        case 0x00: start = value  // DW_EH_PE_absptr
        case 0x10: start = place &+ value  // DW_EH_PE_pcrel
        default: return nil
        }
        let (end, overflow) = start.addingReportingOverflow(size)
        return overflow || size == 0 ? nil : start..<end
    }

    /// How entries that share a common information entry (CIE) write addresses: the letter R of its augmentation.
    private static func encoding(ofSharedAt offset: UInt64, _ bytes: UnsafeRawBufferPointer) -> UInt8? {
        guard let length = bytes.value(UInt32.self, at: offset), length != 0, length != .max,
            let entry = bytes.slice(at: offset, count: 4 &+ UInt64(length)), entry.value(UInt32.self, at: 4) == 0,
            let version = entry.value(UInt8.self, at: 8), [1, 3, 4].contains(version),
            let augmentation = entry.terminated(at: 9)
        else { return nil }
        var cursor = Cursor(bytes: entry, offset: 9 &+ UInt64(augmentation.count) &+ 1)
        // Version 4 has the sizes of addresses and of segment selectors.
        if version == 4 { guard cursor.skip(2) else { return nil } }
        // The alignments of code and data, and the register that holds the return address.
        guard cursor.skipNumber(), cursor.skipNumber(), version == 1 ? cursor.skip(1) : cursor.skipNumber() else {
            return nil
        }
        guard let first = augmentation.first else { return 0 }
        guard first == UInt8(ascii: "z"), cursor.skipNumber() else { return nil }
        for letter in augmentation.dropFirst() {
            switch letter {
            case UInt8(ascii: "R"): return cursor.byte()
            case UInt8(ascii: "P"):
                // Aligned pointers begin anywhere.
                guard let encoding = cursor.byte(), encoding & 0x70 != 0x50, cursor.pointer(encoding & 0x0F) != nil
                else { return nil }
            case UInt8(ascii: "L"): guard cursor.skip(1) else { return nil }
            case UInt8(ascii: "S"), UInt8(ascii: "B"), UInt8(ascii: "G"): break
            default: return nil
            }
        }
        return 0
    }

    private struct Cursor {
        let bytes: UnsafeRawBufferPointer
        var offset: UInt64

        mutating func read<T: FixedWidthInteger & BitwiseCopyable>(_ type: T.Type) -> T? {
            guard let value = bytes.value(type, at: offset) else { return nil }
            offset += UInt64(MemoryLayout<T>.size)
            return value
        }

        mutating func byte() -> UInt8? { read(UInt8.self) }

        mutating func skip(_ count: UInt64) -> Bool {
            guard bytes.slice(at: offset, count: count) != nil else { return false }
            offset += count
            return true
        }

        /// Past a LEB128 number, signed or not.
        mutating func skipNumber() -> Bool {
            while let byte = byte() { if byte & 0x80 == 0 { return true } }
            return false
        }

        /// A number in one of the formats of DW_EH_PE, which are its low four bits; nil in those of varying length.
        mutating func pointer(_ format: UInt8) -> UInt64? {
            switch format & 0x0F {
            case 0x00, 0x04: read(UInt64.self)
            case 0x02: read(UInt16.self).map(UInt64.init)
            case 0x03: read(UInt32.self).map(UInt64.init)
            case 0x0A: read(Int16.self).map { UInt64(bitPattern: Int64($0)) }
            case 0x0B: read(Int32.self).map { UInt64(bitPattern: Int64($0)) }
            case 0x0C: read(Int64.self).map(UInt64.init(bitPattern:))
            default: nil
            }
        }
    }
}
