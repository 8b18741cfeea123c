/// A shared library whose bytes are changed where a dynamic linker relies on them. Where things are is read once, of what the linker wrote.
public struct HostileLibrary: Sendable {
    public private(set) var bytes: [UInt8]
    /// What was done, in words.
    public private(set) var changes: [String] = []
    private let tables: [String: Range<Int>]
    private let segments: Range<Int>

    /// What a linker wrote, whole; sections say where things are.
    public init(_ bytes: [UInt8]) throws {
        self.bytes = bytes
        func number(_ offset: Int, _ count: Int) -> Int {
            (0..<count).reduce(0) { $0 | Int(bytes[offset + $1]) << (8 * $1) }
        }
        guard bytes.count > 64, bytes.starts(with: [0x7f, 0x45, 0x4c, 0x46, 2, 1]) else {
            throw TestFailure("no ELF file")
        }
        let (start, count, names) = (number(40, 8), number(60, 2), number(62, 2))
        let strings = number(start + 64 * names + 24, 8)
        var tables: [String: Range<Int>] = [:]
        for header in (0..<count).map({ start + 64 * $0 }) where number(header + 4, 4) != 8 {
            let name = String(decoding: bytes[(strings + number(header, 4))...].prefix { $0 != 0 }, as: UTF8.self)
            let offset = number(header + 24, 8)
            tables[name] = offset..<offset + number(header + 32, 8)
        }
        self.tables = tables
        segments = number(32, 8)..<number(32, 8) + 56 * number(56, 2)
    }

    // MARK: Changes

    public mutating func mutate(_ generator: inout SeededGenerator) {
        switch Int.random(in: 0..<100, using: &generator) {
        case 0..<28: mutateDynamic(&generator)
        case 28..<48: mutateRecord([".rela.dyn", ".rela.plt"], Self.relocationFields, &generator)
        case 48..<60: mutateRecord([".dynsym"], Self.symbolFields, &generator)
        case 60..<72: mutateWords([".gnu.hash", ".hash"], 4, &generator)
        case 72..<84: mutateWords([".gnu.version", ".gnu.version_r", ".gnu.version_d"], 2, &generator)
        case 84..<90: mutateSegment(&generator)
        case 90..<92: mutateWords([".relr.dyn", ".init_array", ".fini_array", ".eh_frame_hdr"], 8, &generator)
        case 92..<94: mutateWords([".note.gnu.build-id", ".note.gnu.property"], 4, &generator)
        case 94..<96: mutateNames(&generator)
        case 96..<98: mutateHeader(&generator)
        case 98: flip(&generator)
        default:
            bytes.removeLast(Int.random(in: 0..<bytes.count - 64, using: &generator))
            changes.append("cut off at \(bytes.count)")
        }
    }

    private static let relocationFields = [("place", 0, 8), ("type", 8, 4), ("symbol", 12, 4), ("addend", 16, 8)]
    private static let symbolFields = [
        ("name", 0, 4), ("kind", 4, 1), ("visibility", 5, 1), ("section", 6, 2), ("value", 8, 8), ("size", 16, 8),
    ]
    private static let segmentFields = [
        ("type", 0, 4), ("flags", 4, 4), ("offset", 8, 8), ("address", 16, 8), ("file size", 32, 8),
        ("memory size", 40, 8), ("alignment", 48, 8),
    ]
    private static let headerFields = [
        ("type", 16, 2), ("program headers", 32, 8), ("size of a program header", 54, 2), ("program headers", 56, 2),
    ]
    /// The tags of the dynamic section that loaders know.
    private static let tags: [UInt64] =
        Array(0...37) + [
            0x6FFF_FEF5, 0x6FFF_FFF0, 0x6FFF_FFF9, 0x6FFF_FFFB, 0x6FFF_FFFC, 0x6FFF_FFFD, 0x6FFF_FFFE, 0x6FFF_FFFF,
            0x7000_0000, 0x7FFF_FFFD, 0x7FFF_FFFF,
        ]

    private mutating func mutateDynamic(_ generator: inout SeededGenerator) {
        guard let table = tables[".dynamic"] else { return }
        let entry = table.lowerBound + 16 * Int.random(in: 0..<table.count / 16, using: &generator)
        guard Int.random(in: 0..<3, using: &generator) == 0 else {
            return change("value of tag \(hex(number(entry, 8)))", at: entry + 8, 8, &generator)
        }
        let known = number(entry, 8)
        set(Self.tags.randomElement(using: &generator)!, at: entry, 8)
        changes.append("tag \(hex(known)) is \(hex(number(entry, 8)))")
    }

    private mutating func mutateRecord(
        _ names: [String], _ fields: [(String, Int, Int)], _ generator: inout SeededGenerator
    ) {
        guard let (name, table) = choose(names, &generator), table.count >= 24 else { return }
        let row = Int.random(in: 0..<table.count / 24, using: &generator)
        let (field, offset, count) = fields.randomElement(using: &generator)!
        let place = table.lowerBound + 24 * row + offset
        // Small numbers are types and symbols that there are.
        if count < 8, Bool.random(using: &generator) {
            let known = number(place, count)
            set(UInt64.random(in: 0..<40, using: &generator), at: place, count)
            changes.append("\(field) of \(name) \(row): \(hex(known)) is \(hex(number(place, count)))")
        } else {
            change("\(field) of \(name) \(row)", at: place, count, &generator)
        }
    }

    private mutating func mutateWords(_ names: [String], _ size: Int, _ generator: inout SeededGenerator) {
        guard let (name, table) = choose(names, &generator), table.count >= size else { return }
        let word = Int.random(in: 0..<table.count / size, using: &generator)
        change("word \(word) of \(name)", at: table.lowerBound + size * word, size, &generator)
    }

    private mutating func mutateSegment(_ generator: inout SeededGenerator) {
        let count = segments.count / 56
        let row = Int.random(in: 0..<count, using: &generator)
        let (field, offset, size) = Self.segmentFields.randomElement(using: &generator)!
        let place = segments.lowerBound + 56 * row + offset
        guard Bool.random(using: &generator) else {
            return change("\(field) of segment \(row)", at: place, size, &generator)
        }
        let other = Int.random(in: 0..<count, using: &generator)
        set(number(segments.lowerBound + 56 * other + offset, size), at: place, size)
        changes.append("\(field) of segment \(row) is that of \(other)")
    }

    private mutating func mutateNames(_ generator: inout SeededGenerator) {
        guard let table = tables[".dynstr"] else { return }
        for _ in 0..<Int.random(in: 1...8, using: &generator) {
            let place = table.randomElement(using: &generator)!
            set([0, 0x41, 0x24, 0x2f, 0x2e, 0xff].randomElement(using: &generator)!, at: place, 1)
        }
        if Bool.random(using: &generator) { set(0x41, at: table.upperBound - 1, 1) }
        changes.append("names")
    }

    private mutating func mutateHeader(_ generator: inout SeededGenerator) {
        let (field, offset, count) = Self.headerFields.randomElement(using: &generator)!
        change("\(field) of the header", at: offset, count, &generator)
    }

    /// Bits of any table, but for code and data.
    private mutating func flip(_ generator: inout SeededGenerator) {
        let names = [
            ".dynamic", ".rela.dyn", ".rela.plt", ".gnu.hash", ".hash", ".dynsym", ".dynstr", ".gnu.version",
            ".gnu.version_r", ".gnu.version_d", ".relr.dyn",
        ]
        for _ in 0..<Int.random(in: 1...16, using: &generator) {
            guard let (name, table) = choose(names, &generator), !table.isEmpty else { continue }
            let place = table.randomElement(using: &generator)!
            let bit = UInt64.random(in: 0..<8, using: &generator)
            set(number(place, 1) ^ 1 << bit, at: place, 1)
            changes.append("bit \(bit) of byte \(place - table.lowerBound) of \(name)")
        }
    }

    // MARK: Bytes

    private func choose(_ names: [String], _ generator: inout SeededGenerator) -> (String, Range<Int>)? {
        let known = names.filter { tables[$0] != nil }
        return known.randomElement(using: &generator).map { ($0, tables[$0]!) }
    }

    private func number(_ offset: Int, _ count: Int) -> UInt64 {
        guard offset >= 0, offset + count <= bytes.count else { return 0 }
        return (0..<count).reduce(0) { $0 | UInt64(bytes[offset + $1]) << (8 * UInt64($1)) }
    }

    private mutating func set(_ value: UInt64, at offset: Int, _ count: Int) {
        guard offset >= 0, offset + count <= bytes.count else { return }
        for index in 0..<count { bytes[offset + index] = UInt8(truncatingIfNeeded: value >> (8 * UInt64(index))) }
    }

    /// A number that limits are wrong about.
    private mutating func change(_ what: String, at offset: Int, _ count: Int, _ generator: inout SeededGenerator) {
        let known = number(offset, count)
        let value: UInt64 =
            switch Int.random(in: 0..<14, using: &generator) {
            case 0: 0
            case 1: 1
            case 2: UInt64.max
            case 3: 1 << 63
            case 4: UInt64(UInt32.max)
            case 5: 1 << UInt64.random(in: 0..<64, using: &generator)
            case 6: UInt64(bytes.count)
            case 7: known &+ [1, 2, 4, 8, 16, 24, 0x1000].randomElement(using: &generator)!
            case 8: known &- [1, 2, 4, 8, 16, 24, 0x1000].randomElement(using: &generator)!
            case 9: known ^ 1 << UInt64.random(in: 0..<UInt64(count) * 8, using: &generator)
            case 10: UInt64.random(in: 0..<256, using: &generator)
            case 11, 12: UInt64.random(in: 0..<UInt64(bytes.count), using: &generator)
            default: UInt64.random(in: .min ... .max, using: &generator)
            }
        set(value, at: offset, count)
        changes.append("\(what): \(hex(known)) is \(hex(number(offset, count)))")
    }

    private func hex(_ number: UInt64) -> String { "0x" + String(number, radix: 16) }
}
