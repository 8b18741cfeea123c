import HotpatchTestSupport

/// Tables that few objects have, and descriptions (DWARF).
extension HostileObject {
    /// A group of sections (SHT_GROUP): flags, and the numbers of its members.
    mutating func mutateGroup(_ generator: inout SeededGenerator) {
        guard let (section, offset, index) = entry(ofType: 17, 4, &generator) else { return }
        switch Int.random(in: 0..<4, using: &generator) {
        case 0: change("symbol of group \(section.name)", at: section.header + 44, 4, &generator)
        case 1:
            // Itself, or one that another group has.
            let member = sections.indices.randomElement(using: &generator)!
            set(UInt64(member), at: offset, 4)
            changes.append("member \(index) of a group: \(sections[member].name)")
        default: change("member \(index) of a group", at: offset, 4, &generator)
        }
    }

    /// A symbol whose section another table numbers (SHN_XINDEX), and perhaps that table (SHT_SYMTAB_SHNDX), in the place of a section that
    /// nobody reads.
    mutating func mutateSectionNumbers(_ generator: inout SeededGenerator) {
        guard let (symbols, offset, index) = entry(ofType: 2, 24, &generator),
            let table = sections.firstIndex(where: { $0.header == symbols.header })
        else { return }
        let known = number(offset + 6, 2)
        set(0xffff, at: offset + 6, 2)
        changes.append("section of symbol \(index): in another table")
        guard Int.random(in: 0..<4, using: &generator) > 0,
            let spare = sections.first(where: { $0.name == ".comment" || $0.name.hasPrefix(".note") })
        else { return }
        var numbers = [UInt8](repeating: 0, count: symbols.size / 24 * 4)
        let place = value(&generator, near: known)
        for byte in 0..<4 { numbers[index * 4 + byte] = UInt8(truncatingIfNeeded: place >> (8 * UInt64(byte))) }
        if Bool.random(using: &generator) { numbers.removeLast(Int.random(in: 0..<numbers.count, using: &generator)) }
        let start = append(numbers)
        let link = Int.random(in: 0..<8, using: &generator) == 0 ? value(&generator, near: 0) : UInt64(table)
        for (field, number, count) in [
            (4, 18, 4), (8, 0, 8), (24, UInt64(start), 8), (32, UInt64(numbers.count), 8), (40, link, 4), (44, 0, 4),
            (48, 4, 8), (56, 4, 8),
        ] { set(number, at: spare.header + field, count) }
        changes.append("\(spare.name) numbers the sections of symbols; that of symbol \(index) is \(hex(place))")
    }

    /// Abbreviations (DWARF 5, 7.5.3) and units: tags, forms, children; lengths, versions, and which entry stands where.
    mutating func mutateDescriptions(_ generator: inout SeededGenerator) {
        let isTable = Bool.random(using: &generator)
        let name = isTable ? ".debug_abbrev" : ".debug_info"
        guard let section = sections.first(where: { $0.name == name && $0.size > 24 }) else { return }
        if !isTable, Int.random(in: 0..<4, using: &generator) == 0 {
            let fields = [
                ("length", 0, 4), ("version", 4, 2), ("kind", 6, 1), ("address size", 7, 1), ("abbreviations", 8, 4),
            ]
            let (what, offset, count) = fields.randomElement(using: &generator)!
            return change("\(what) of the first unit", at: section.offset + offset, count, &generator)
        }
        let count = [1, 1, 2, 8, 64].randomElement(using: &generator)!
        let offset = Int.random(in: 0..<section.size, using: &generator)
        for index in 0..<count where offset + index < section.size {
            let byte =
                switch Int.random(in: 0..<4, using: &generator) {
                // A small number is an abbreviation, a form or a tag; the highest bit says that a number goes on.
                case 0: UInt64.random(in: 0..<0x30, using: &generator)
                case 1: UInt64(0)
                case 2: number(section.offset + offset + index, 1) ^ 0x80
                default: number(section.offset + offset, 1)
                }
            set(byte, at: section.offset + offset + index, 1)
        }
        changes.append("\(name)+\(offset): \(count) other bytes")
    }
}
