import HotpatchTestSupport

/// An object whose bytes are changed where a reader relies on them: headers, tables, names, records. Where things are is read once, of what
/// the compiler wrote.
struct HostileObject {
    private(set) var bytes: [UInt8]
    /// What was done, in words.
    var changes: [String] = []
    let sections: [Section]

    struct Section {
        var name: String
        var type: UInt64
        var flags: UInt64
        /// Where its header lies in the file.
        var header: Int
        var offset: Int
        var size: Int
        var link: Int
        var info: Int

        var hasBytes: Bool { type != 8 && type != 0 && size > 0 }
    }

    /// - Parameter bytes: what a compiler wrote.
    init(_ bytes: [UInt8]) throws {
        self.bytes = bytes
        func number(_ offset: Int, _ count: Int) -> Int {
            (0..<count).reduce(0) { $0 | Int(bytes[offset + $1]) << (8 * $1) }
        }
        guard bytes.count > 64, bytes.starts(with: [0x7f, 0x45, 0x4c, 0x46, 2, 1]) else {
            throw TestFailure("no ELF file")
        }
        let (start, count, names) = (number(40, 8), number(60, 2), number(62, 2))
        let strings = number(start + 64 * names + 24, 8)
        sections = (0..<count).map { index in
            let at = start + 64 * index
            return Section(
                name: String(decoding: bytes[(strings + number(at, 4))...].prefix { $0 != 0 }, as: UTF8.self),
                type: UInt64(number(at + 4, 4)), flags: UInt64(number(at + 8, 8)), header: at,
                offset: number(at + 24, 8), size: number(at + 32, 8), link: number(at + 40, 4),
                info: number(at + 44, 4))
        }
    }

    // MARK: Bytes

    func number(_ offset: Int, _ count: Int) -> UInt64 {
        guard offset >= 0, offset + count <= bytes.count else { return 0 }
        return (0..<count).reduce(0) { $0 | UInt64(bytes[offset + $1]) << (8 * UInt64($1)) }
    }

    mutating func set(_ value: UInt64, at offset: Int, _ count: Int) {
        guard offset >= 0, offset + count <= bytes.count else { return }
        for index in 0..<count { bytes[offset + index] = UInt8(truncatingIfNeeded: value >> (8 * UInt64(index))) }
    }

    /// Bytes behind all others. Objects do not grow without end.
    mutating func append(_ added: [UInt8]) -> Int {
        while bytes.count % 16 != 0 { bytes.append(0) }
        let start = bytes.count
        if start < 8 << 20 { bytes += added }
        return start
    }

    // MARK: Changes

    mutating func mutate(_ generator: inout SeededGenerator) {
        switch Int.random(in: 0..<100, using: &generator) {
        case 0..<16: mutateSection(&generator)
        case 16..<36: mutateRelocation(&generator)
        case 36..<52: mutateSymbol(&generator)
        case 52..<54: mutateGroup(&generator)
        case 54..<57: mutateSectionNumbers(&generator)
        case 57..<66: mutateDescriptions(&generator)
        case 66..<84: mutateContents(&generator)
        case 84..<88: mutateFrames(&generator)
        case 88..<93: mutateName(&generator)
        case 93..<95: mutateHeader(&generator)
        case 95..<97: overlap(&generator)
        case 97..<98: cutOff(&generator)
        default: multiply(&generator)
        }
    }

    /// A number that limits are wrong about.
    func value(_ generator: inout SeededGenerator, near known: UInt64) -> UInt64 {
        switch Int.random(in: 0..<12, using: &generator) {
        case 0: 0
        case 1: 1
        case 2: UInt64.max
        case 3: 1 << 63
        case 4: UInt64(UInt32.max)
        case 5: 1 << UInt64.random(in: 0..<64, using: &generator)
        case 6: UInt64(bytes.count)
        case 7: known &+ 1
        case 8: known &- 1
        case 9: UInt64.random(in: 0..<256, using: &generator)
        case 10: UInt64.random(in: 0..<UInt64(bytes.count), using: &generator)
        default: UInt64.random(in: .min ... .max, using: &generator)
        }
    }

    mutating func change(_ what: String, at offset: Int, _ count: Int, _ generator: inout SeededGenerator) {
        let known = number(offset, count)
        let value = value(&generator, near: known)
        set(value, at: offset, count)
        changes.append("\(what): \(hex(known)) is \(hex(number(offset, count)))")
    }

    private static let sectionFields = [
        ("name", 0, 4), ("type", 4, 4), ("flags", 8, 8), ("address", 16, 8), ("offset", 24, 8), ("size", 32, 8),
        ("link", 40, 4), ("info", 44, 4), ("alignment", 48, 8), ("entry size", 56, 8),
    ]

    private mutating func mutateSection(_ generator: inout SeededGenerator) {
        let section = sections.randomElement(using: &generator)!
        let (name, offset, count) = Self.sectionFields.randomElement(using: &generator)!
        if Bool.random(using: &generator) {
            return change("\(name) of section \(section.name)", at: section.header + offset, count, &generator)
        }
        let other = sections.randomElement(using: &generator)!
        set(number(other.header + offset, count), at: section.header + offset, count)
        changes.append("\(name) of section \(section.name) is that of \(other.name)")
    }

    /// The section of a kind, and one of its entries, of so many bytes.
    func entry(
        ofType type: UInt64, _ size: Int, _ generator: inout SeededGenerator,
        where isWanted: (Section) -> Bool = { _ in true }
    ) -> (section: Section, offset: Int, index: Int)? {
        let found = sections.filter { $0.type == type && $0.size >= size && isWanted($0) }
        guard let section = found.randomElement(using: &generator) else { return nil }
        let index = Int.random(in: 0..<section.size / size, using: &generator)
        return (section, section.offset + index * size, index)
    }

    private mutating func mutateRelocation(_ generator: inout SeededGenerator) {
        // Those of what is linked more often than those of debugging information.
        let anyway = Int.random(in: 0..<6, using: &generator) == 0
        guard
            let (section, offset, index) = entry(
                ofType: 4, 24, &generator, where: { anyway || !$0.name.contains("debug") })
        else { return }
        let what = "relocation \(index) of \(section.name)"
        switch Int.random(in: 0..<8, using: &generator) {
        case 0: change(what + ", offset", at: offset, 8, &generator)
        case 1:
            let type = UInt64.random(in: 0..<1100, using: &generator)
            set(type, at: offset + 8, 4)
            changes.append("\(what), type: \(type)")
        case 2: change(what + ", symbol", at: offset + 12, 4, &generator)
        case 3: change(what + ", addend", at: offset + 16, 8, &generator)
        case 4:
            // Anything that there is, by any other's rules.
            guard let other = entry(ofType: 4, 24, &generator) else { return }
            set(number(other.offset + 8, 4), at: offset + 8, 4)
            changes.append("\(what), type: that of relocation \(other.index) of \(other.section.name)")
        case 5:
            guard let other = entry(ofType: 4, 24, &generator) else { return }
            set(number(other.offset + 12, 12) & 0xffff_ffff, at: offset + 12, 4)
            changes.append("\(what), symbol: that of relocation \(other.index) of \(other.section.name)")
        case 6:
            let near = Int64.random(in: -64...64, using: &generator)
            set(UInt64(bitPattern: Int64(bitPattern: number(offset + 16, 8)) &+ near), at: offset + 16, 8)
            changes.append("\(what), addend: \(near) more")
        default:
            let near = Int64.random(in: -9...9, using: &generator)
            set(UInt64(bitPattern: Int64(bitPattern: number(offset, 8)) &+ near), at: offset, 8)
            changes.append("\(what), offset: \(near) more")
        }
    }

    private mutating func mutateSymbol(_ generator: inout SeededGenerator) {
        guard let (_, offset, index) = entry(ofType: 2, 24, &generator) else { return }
        let what = "symbol \(index)"
        switch Int.random(in: 0..<8, using: &generator) {
        case 0: change(what + ", name", at: offset, 4, &generator)
        case 1:
            let info = UInt64.random(in: 0..<256, using: &generator)
            set(info, at: offset + 4, 1)
            changes.append("\(what), type and binding: \(hex(info))")
        case 2: change(what + ", section", at: offset + 6, 2, &generator)
        case 3: change(what + ", value", at: offset + 8, 8, &generator)
        case 4: change(what + ", size", at: offset + 16, 8, &generator)
        case 5:
            guard let other = entry(ofType: 2, 24, &generator) else { return }
            set(number(other.offset, 4), at: offset, 4)
            changes.append("\(what), name: that of symbol \(other.index)")
        case 6:
            guard let other = entry(ofType: 2, 24, &generator) else { return }
            for field in stride(from: 0, to: 24, by: 8) {
                let (mine, theirs) = (number(offset + field, 8), number(other.offset + field, 8))
                set(theirs, at: offset + field, 8)
                set(mine, at: other.offset + field, 8)
            }
            changes.append("\(what) and \(other.index) are swapped")
        default:
            let near = Int64.random(in: -17...17, using: &generator)
            let field = Bool.random(using: &generator) ? 8 : 16
            set(UInt64(bitPattern: Int64(bitPattern: number(offset + field, 8)) &+ near), at: offset + field, 8)
            changes.append("\(what), \(field == 8 ? "value" : "size"): \(near) more")
        }
    }

    /// Records and code: a byte, a word, several bytes.
    private mutating func mutateContents(_ generator: inout SeededGenerator) {
        let kinds: [(Section) -> Bool] = [
            { $0.flags & 4 != 0 }, { $0.name.hasPrefix("swift5_") || $0.name.hasPrefix(".data.rel.ro") },
            { $0.name.contains("rodata") }, { $0.name.hasPrefix(".debug_") && $0.type == 1 }, { $0.type == 3 },
            { _ in true },
        ]
        let kind = kinds.randomElement(using: &generator)!
        guard let section = sections.filter({ $0.hasBytes && kind($0) }).randomElement(using: &generator) else {
            return
        }
        let offset = Int.random(in: 0..<section.size, using: &generator)
        let what = "\(section.name)+\(offset)"
        switch Int.random(in: 0..<4, using: &generator) {
        case 0: change(what, at: section.offset + offset, 4, &generator)
        case 1: change(what, at: section.offset + offset & ~3, 4, &generator)
        case 2: change(what, at: section.offset + offset, 1, &generator)
        default:
            for index in 0..<Int.random(in: 2..<24, using: &generator) where offset + index < section.size {
                set(UInt64.random(in: 0..<256, using: &generator), at: section.offset + offset + index, 1)
            }
            changes.append("\(what): other bytes")
        }
    }

    private mutating func mutateFrames(_ generator: inout SeededGenerator) {
        guard let section = sections.first(where: { $0.name == ".eh_frame" }) else { return }
        var records: [Int] = []
        var position = section.offset
        while position + 8 <= section.offset + section.size, number(position, 4) != 0 {
            records.append(position)
            position += 4 + Int(number(position, 4))
        }
        guard let record = records.randomElement(using: &generator) else { return }
        let field = [0, 4, 8, 12, 16].randomElement(using: &generator)!
        change(".eh_frame+\(record - section.offset), field \(field)", at: record + field, 4, &generator)
    }

    private mutating func mutateHeader(_ generator: inout SeededGenerator) {
        let fields = [
            ("class", 4, 1), ("type", 16, 2), ("machine", 18, 2), ("section headers", 40, 8), ("flags", 48, 4),
            ("header size", 52, 2), ("size of section headers", 58, 2), ("number of sections", 60, 2),
            ("section of names", 62, 2), ("program headers", 32, 8), ("number of program headers", 56, 2),
        ]
        let (name, offset, count) = fields.randomElement(using: &generator)!
        change("\(name) of the file", at: offset, count, &generator)
    }

    private mutating func overlap(_ generator: inout SeededGenerator) {
        let (one, other) = (
            sections.randomElement(using: &generator)!, sections.randomElement(using: &generator)!
        )
        set(UInt64(other.offset), at: one.header + 24, 8)
        set(UInt64(other.size), at: one.header + 32, 8)
        changes.append("\(one.name) lies over \(other.name)")
    }

    private mutating func cutOff(_ generator: inout SeededGenerator) {
        let count = Int.random(in: 0..<bytes.count, using: &generator)
        bytes.removeLast(bytes.count - count)
        changes.append("cut off after \(count) bytes")
    }

    // MARK: Names and numbers

    /// What name readers look for, and much of it.
    private static let words = [
        "$s", "fU_", "fU0_", "U_", "TA", "Tu", "TY0_", "TQ1_", ".resume.0", ".1", "Mn", "MF", "WP", "vau", "Wz", "vp",
        "symbolic ", "_____", "_ZTV", "_ZTI", "_Z", "N", "I", "E", "Qr", "y", "yy", "c", "S_", "A", "0", "9", "Q", "_",
        ".L", "got.", "l_", " ", "\u{e9}", "999999999999999999999", "1", "5Items", "4Shop", "QO", "w", "WO", "(", ")",
        "<",
    ]

    /// Another name for a symbol, in a table of names at the end of the file.
    private mutating func mutateName(_ generator: inout SeededGenerator) {
        guard let (symbols, offset, index) = entry(ofType: 2, 24, &generator), symbols.link < sections.count else {
            return
        }
        let strings = sections[symbols.link]
        let known = Array(bytes[min(strings.offset, bytes.count)..<min(strings.offset + strings.size, bytes.count)])
        let old = known.dropFirst(Int(number(offset, 4))).prefix { $0 != 0 }
        var name: [UInt8] = []
        var text = ""
        switch Int.random(in: 0..<4, using: &generator) {
        case 0:
            // The same again and again.
            let word = Self.words.randomElement(using: &generator)!
            let count = [3, 100, 5000, 60000].randomElement(using: &generator)!
            name = Array("$s4Shop".utf8) + Array(word.utf8).repeated(count)
            text = "$s4Shop and \(count) times \(word)"
        case 1:
            for _ in 0..<Int.random(in: 1..<12, using: &generator) {
                name += Self.words.randomElement(using: &generator)!.utf8
            }
            text = String(decoding: name, as: UTF8.self)
        case 2:
            name = Array(old)
            name += Self.words.randomElement(using: &generator)!.utf8
            text = String(decoding: name, as: UTF8.self)
        default:
            name = Array(old)
            for _ in 0..<3 where !name.isEmpty {
                name[Int.random(in: 0..<name.count, using: &generator)] = UInt8.random(in: 1...255, using: &generator)
            }
            text = String(decoding: name, as: UTF8.self)
        }
        let start = append(known + [0] + name + [0])
        set(UInt64(start), at: strings.header + 24, 8)
        set(UInt64(known.count + name.count + 2), at: strings.header + 32, 8)
        set(UInt64(known.count + 1), at: offset, 4)
        changes.append("symbol \(index) is called \(text.count > 200 ? String(text.prefix(200)) + "…" : text)")
    }

    /// A table with all of its entries many times.
    private mutating func multiply(_ generator: inout SeededGenerator) {
        guard
            let section = sections.filter({ ($0.type == 4 || $0.type == 2) && $0.size > 0 }).randomElement(
                using: &generator), section.offset + section.size <= bytes.count
        else { return }
        let times = [2, 7, 40].randomElement(using: &generator)!
        let entries = Array(bytes[section.offset..<section.offset + section.size])
        guard entries.count * times < 4 << 20 else { return }
        let start = append(entries.repeated(times))
        set(UInt64(start), at: section.header + 24, 8)
        set(UInt64(entries.count * times), at: section.header + 32, 8)
        changes.append("\(section.name) \(times) times")
    }

    func hex(_ number: UInt64) -> String { "0x" + String(number, radix: 16) }
}

extension [UInt8] {
    /// `joined` takes a hundred times as long where nothing is optimised.
    fileprivate func repeated(_ times: Int) -> [UInt8] {
        var result: [UInt8] = []
        result.reserveCapacity(count * times)
        for _ in 0..<times { result += self }
        return result
    }
}
