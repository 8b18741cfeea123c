import CHotpatchElf
import HotpatchMemory

extension LibraryVetting {
    private static let recordSize = UInt64(MemoryLayout<Elf64_Rela>.size)
    private static let relr = 36  // DT_RELR, of gABI 4.3

    /// What the loader calls when the library is loaded, and when the process ends.
    mutating func checkFunctions() throws(ReadError) {
        for (tag, name) in [(DT_INIT, "DT_INIT"), (DT_FINI, "DT_FINI")] {
            guard let (offset, value) = entry(tag) else { continue }
            guard isFunction(value) else {
                throw malformed(offset, "\(name) leads to \(hex(value)), where the file has no function")
            }
        }
        for (tag, sizeTag, name) in [
            (DT_INIT_ARRAY, DT_INIT_ARRAYSZ, "DT_INIT_ARRAY"), (DT_FINI_ARRAY, DT_FINI_ARRAYSZ, "DT_FINI_ARRAY"),
        ] {
            guard let (offset, value) = entry(tag) else { continue }
            let size = try entry(sizeTag, name + "SZ", with: name)
            if size.value == 0 { continue }
            let table = try table(at: value, size: size.value, of: name, from: offset)
            guard table.isWritable, size.value % 8 == 0 else {
                throw malformed(offset, "\(name) has \(size.value) bytes, in memory that the loader cannot write to")
            }
            functionArrays.append(
                FunctionArray(
                    table: table, name: name, isRelocated: [Bool](repeating: false, count: Int(size.value / 8))))
        }
        // What a tunable of newer loaders makes jumps of (DT_X86_64_PLT), and what only lazy binding reads.
        if image.machine == UInt16(EM_X86_64), let (offset, value) = entry(0x7000_0000), !isCode(value) {
            throw malformed(offset, "its procedure linkage table is at \(hex(value)), where the file has no code")
        }
        if let (offset, value) = entry(DT_PLTGOT), !loads.contains(where: { $0.contains(value) }) {
            throw malformed(offset, "its global offset table is at \(hex(value)), where nothing is loaded")
        }
    }

    mutating func checkRelocations() throws(ReadError) {
        try checkPackedRelocations()
        var all: Table?
        if let start = entry(DT_RELA) {
            let size = try entry(DT_RELASZ, "DT_RELASZ", with: "DT_RELA")
            let length = try entry(DT_RELAENT, "DT_RELAENT", with: "DT_RELA")
            guard length.value == Self.recordSize, size.value % Self.recordSize == 0 else {
                throw malformed(length.offset, "its relocations are not of \(Self.recordSize) bytes each")
            }
            let table = try table(at: start.value, size: size.value, of: "the table of relocations", from: start.offset)
            try checkExtent(of: table, from: start.offset)
            try check(table, relative: entry(DT_RELACOUNT)?.value ?? 0)
            all = table
        }
        if let kind = entry(DT_PLTREL) {
            let start = try entry(DT_JMPREL, "DT_JMPREL", with: "DT_PLTREL")
            let size = try entry(DT_PLTRELSZ, "DT_PLTRELSZ", with: "DT_PLTREL")
            guard kind.value == UInt64(DT_RELA), size.value % Self.recordSize == 0 else {
                throw malformed(kind.offset, "its relocations of functions are not of \(Self.recordSize) bytes each")
            }
            let table = try table(
                at: start.value, size: size.value, of: "the table of functions' relocations", from: start.offset)
            try checkExtent(of: table, from: start.offset)
            if let all, all.range.overlaps(table.range) {
                // Counted among the others, at their end: the loader subtracts one from the other.
                guard all.range.contains(table.address), table.range.upperBound == all.range.upperBound else {
                    throw malformed(start.offset, "its two tables of relocations overlap")
                }
            } else {
                try check(table, relative: 0, isOfFunctions: true)
            }
        } else if let (offset, _) = entry(DT_JMPREL) {
            throw malformed(offset, "the dynamic section has DT_JMPREL without DT_PLTREL")
        }
        try checkSlotsOfTables()
        for array in functionArrays {
            guard let word = array.isRelocated.firstIndex(of: false) else { continue }
            throw malformed(
                array.table.fileOffset + UInt64(word) * 8,
                "no relocation makes word \(word) of \(array.name) a function's address")
        }
    }

    /// With too few the library's words lead to where it was linked: as far as the file has sections, they say how many there are.
    private func checkExtent(of table: Table, from offset: UInt64) throws(ReadError) {
        let known = image.sections.filter { $0.type == UInt32(SHT_RELA) && $0.flags & UInt64(SHF_ALLOC) != 0 }
        guard !known.isEmpty else { return }
        let (start, end) = (table.address, table.address + table.size)
        guard known.contains(where: { $0.address == start }),
            known.contains(where: { $0.address >= start && $0.address &+ $0.size == end })
        else {
            throw malformed(offset, "a table of \(table.size / Self.recordSize) relocations is not one of its sections")
        }
    }

    private mutating func check(
        _ table: Table, relative: UInt64, isOfFunctions: Bool = false
    ) throws(ReadError) {
        guard let bytes = image.bytes.slice(at: table.fileOffset, count: table.size) else {
            throw malformed(table.fileOffset, "the table of relocations cannot be read")
        }
        noteRead(table, size: table.size)
        let count = table.size / Self.recordSize
        guard relative <= count else {
            throw malformed(table.fileOffset, "\(relative) of \(count) relocations are said to be relative")
        }
        for row in 0..<count {
            if time.isOver(at: Int(row), "the relocations of \(image.path)") { return }
            guard let record = bytes.value(Elf64_Rela.self, at: row * Self.recordSize) else { return }
            let place = table.fileOffset + row * Self.recordSize
            let number = Int32(truncatingIfNeeded: record.r_info)
            guard let type = DynamicRelocationType(number, machine: image.machine) else {
                throw malformed(place, "a relocation of type \(number) is not one of a library")
            }
            // The loader asserts it.
            if row < relative, type.effect != .relative {
                throw malformed(place, "relocation \(row) is said to be relative, and is of type \(number)")
            }
            let index = UInt32(truncatingIfNeeded: record.r_info >> 32)
            // Its version is looked at whatever the type.
            try checkSymbol(index)
            if type.effect == .nothing {
                guard !isOfFunctions else { throw malformed(place, "a function's relocation does nothing") }
                continue
            }
            let symbol = try symbol(index)
            try check(record, type, index == 0 ? nil : symbol, from: place)
            let addend = UInt64(bitPattern: record.r_addend)
            let word: Word =
                switch type.effect {
                case .relative: .address(addend)
                // Where the library defines it, it is code.
                case .symbol where addend == 0 && symbol.isDefined: .symbol(isCalled: symbol.type == UInt8(STT_FUNC))
                case .symbol: .symbol(isCalled: addend == 0 && symbol.binding == .global)
                default: .symbol(isCalled: false)
                }
            try take(record.r_offset, size: type.size, word, from: place)
        }
    }

    /// What a relocation makes of a word.
    private enum Word {
        /// An address of the library.
        case address(UInt64)
        /// Another, which may be called or not.
        case symbol(isCalled: Bool)
    }

    private func isFunction(_ word: Word) -> Bool {
        switch word {
        case .address(let address): isFunction(address)
        case .symbol(let isCalled): isCalled
        }
    }

    private func check(
        _ record: Elf64_Rela, _ type: DynamicRelocationType, _ symbol: Elf64_Sym?, from place: UInt64
    ) throws(ReadError) {
        switch type.effect {
        case .symbol, .function:
            guard let symbol else { throw malformed(place, "a relocation names no symbol") }
            guard type.effect == .symbol || symbol.type != UInt8(STT_OBJECT) else {
                throw malformed(place, "\(name(of: symbol)) is a variable, and its relocation is a function's")
            }
            guard symbol.type != UInt8(STT_TLS) else {
                throw malformed(place, "\(name(of: symbol)) is thread-local, and its relocation is not")
            }
        case .resolver:
            let resolver = UInt64(bitPattern: record.r_addend)
            guard isFunction(resolver) else {
                throw malformed(place, "a resolver is at \(hex(resolver)), where the file has no function")
            }
        case .threadLocal:
            if let symbol, symbol.type != UInt8(STT_TLS), symbol.type != UInt8(STT_SECTION) {
                throw malformed(place, "\(name(of: symbol)) is not thread-local, and its relocation is")
            }
            let isElsewhere = symbol.map { !$0.isDefined && $0.binding != .local } ?? false
            guard isElsewhere || threadLocal != nil else {
                throw malformed(place, "a relocation is of thread-local memory, and the library has none")
            }
        case .size:
            // The loader looks at the definition, and whether there is one it does not ask.
            guard symbol?.isDefined != false || symbol?.binding != .weak else {
                throw malformed(place, "a relocation is of the size of what may be nowhere")
            }
        case .nothing, .relative: break
        }
    }

    /// Takes note of where a relocation is written to.
    private mutating func take(
        _ slot: UInt64, size: UInt64, _ word: Word, from place: UInt64
    ) throws(ReadError) {
        let isInside = loads.contains {
            $0.permissions.contains(.write) && $0.contains(slot)
                && size <= $0.memorySize - (slot - $0.address)
        }
        guard isInside else {
            throw malformed(place, "a relocation is of \(size) bytes at \(hex(slot)), which are not in its data")
        }
        slots.append((slot..<slot + size, place))
        for index in functionArrays.indices {
            let array = functionArrays[index]
            guard array.table.range.overlaps(slot..<slot + size) else { continue }
            let offset = slot &- array.table.address
            guard array.table.range.contains(slot), offset % 8 == 0, size == 8, isFunction(word),
                !array.isRelocated[Int(offset / 8)]
            else {
                throw malformed(
                    place, "a relocation makes the word at \(hex(slot)), of \(array.name), no function's address")
            }
            functionArrays[index].isRelocated[Int(offset / 8)] = true
        }
    }

    /// The loader reads its tables while it relocates, and afterwards.
    private mutating func checkSlotsOfTables() throws(ReadError) {
        let last = UInt64(checkedSymbols.max() ?? 0) + 1
        noteRead(symbols, size: last * UInt64(SymbolTable.recordSize))
        if let versions { noteRead(versions, size: last * 2) }
        for (slot, place) in slots {
            guard readInData.contains(where: { $0.overlaps(slot) }) else { continue }
            throw malformed(place, "a relocation is of a table that the loader reads, at \(hex(slot.lowerBound))")
        }
    }

    /// Addresses, each followed by maps of the 63 words behind it (gABI, "Relocation", SHT_RELR).
    private mutating func checkPackedRelocations() throws(ReadError) {
        guard let start = entry(Self.relr) else { return }
        // Loaders before glibc 2.36 know nothing of them, and refuse what needs that.
        guard needsVersion("GLIBC_ABI_DT_RELR") else {
            throw unloadable(
                "its packed relocations do not need the version GLIBC_ABI_DT_RELR, and older loaders would do without them",
                remedy: "Link it with -z pack-relative-relocs")
        }
        guard let size = entries[35], let length = entries[37] else {  // DT_RELRSZ, DT_RELRENT
            throw malformed(start.offset, "the dynamic section has DT_RELR without DT_RELRSZ or DT_RELRENT")
        }
        guard length.value == 8, size.value % 8 == 0 else {
            throw malformed(length.offset, "its packed relocations are not of 8 bytes each")
        }
        let table = try table(
            at: start.value, size: size.value, of: "the table of packed relocations", from: start.offset)
        noteRead(table, size: table.size)
        var next: UInt64?
        for row in 0..<size.value / 8 {
            if time.isOver(at: Int(row), "the relocations of \(image.path)") { return }
            let place = table.fileOffset + row * 8
            var word = try value(UInt64.self, at: row * 8, of: table, "a packed relocation")
            if word & 1 == 0 {
                try takePacked(word, from: place)
                next = word &+ 8
                continue
            }
            guard let first = next else { throw malformed(place, "the packed relocations begin with no address") }
            word >>= 1
            for bit in 0..<63 as Range<UInt64> where word >> bit & 1 != 0 {
                try takePacked(first &+ bit &* 8, from: place)
            }
            next = first &+ 63 &* 8
        }
    }

    private mutating func takePacked(_ slot: UInt64, from place: UInt64) throws(ReadError) {
        let addend = (try? table(at: slot, size: 8, of: "a word", from: place)).flatMap {
            image.bytes.value(UInt64.self, at: $0.fileOffset)
        }
        try take(slot, size: 8, addend.map(Word.address) ?? .symbol(isCalled: false), from: place)
    }
}
