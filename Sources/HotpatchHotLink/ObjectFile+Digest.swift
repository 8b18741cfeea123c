extension ObjectFile {
    /// A digest of what a program gets of it: the contents of its sections and what they refer to. It is the same whatever the object
    /// says to debuggers and linkers.
    package var loadedDigest: String {
        var hash: UInt64 = 0xcbf2_9ce4_8422_2325
        func add(_ bytes: some Sequence<UInt8>) {
            // FNV-1a.
            for byte in bytes { hash = (hash ^ UInt64(byte)) &* 0x100_0000_01b3 }
        }
        func add(_ number: UInt64) { hash = (hash ^ number) &* 0x100_0000_01b3 }
        for section in sections where section.isAllocated && section.name != ".swift_modhash" {
            add(section.name.utf8)
            add(UInt64(section.bytes.count))
            if !section.holdsZeros { add(section.bytes) }
            for relocation in section.relocations {
                add(UInt64(relocation.offset))
                add(UInt64(relocation.type))
                add(UInt64(bitPattern: relocation.addend))
                guard symbols.indices.contains(relocation.symbol) else { continue }
                let symbol = symbols[relocation.symbol]
                add(symbol.name.utf8)
                if symbol.name.isEmpty, let place = symbol.section {
                    add(sections[place].name.utf8)
                    add(UInt64(symbol.value))
                }
            }
        }
        return String(hash, radix: 16)
    }
}
