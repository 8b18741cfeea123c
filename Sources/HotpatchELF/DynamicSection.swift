import CHotpatchElf
import HotpatchMemory

/// A dynamic relocation that names or holds a function (psABI x86-64 §4.4, AArch64 ELF §5.7).
package struct DynamicRelocation: Hashable, Sendable {
    package enum Kind: Hashable, Sendable {
        /// R_*_IRELATIVE: the slot holds what the resolver at the addend returned.
        case indirectRelative
        /// R_*_JUMP_SLOT, R_*_GLOB_DAT, R_X86_64_64, R_AARCH64_ABS64: the slot holds the symbol's address.
        case jumpSlot, globalData, absolute
    }
    package var kind: Kind
    /// Link-time address of the slot.
    package var slot: UInt64
    /// Index into the dynamic symbols, 0 for none.
    package var symbolIndex: UInt32
    package var addend: Int64
}

/// What the dynamic linker reads of a file: the PT_DYNAMIC segment (elf(5), Elf64_Dyn) and the tables it points to.
package struct DynamicSection: Sendable {
    var needed: [String] = []
    var soname: String?
    var runpath: [String] = []
    /// DT_FLAGS_1; DF_1_PIE is what the dynamic linker refuses to load.
    var flags1: UInt64 = 0
    /// Names of versions by their number in `.gnu.version`: defined and needed ones share the numbers.
    package var versionNames: [UInt16: String] = [:]

    private var symbols: (offset: UInt64, size: UInt64) = (0, 0)
    private var strings: (offset: UInt64, size: UInt64) = (0, 0)
    private var versions: UInt64?
    /// File offsets and sizes of the tables of relocations, DT_RELA and DT_JMPREL.
    private(set) var relocationTables: [(offset: UInt64, size: UInt64)] = []
    /// Link-time address of the segment, 0 for none: where DT_DEBUG is found in memory.
    package private(set) var segment: (address: UInt64, size: UInt64) = (0, 0)

    init() {}

    init(_ bytes: FileContents, _ segments: [ElfSegment], _ sections: [ElfSection], bias: UInt64 = 0) {
        guard let segment = segments.first(where: { $0.type == UInt32(PT_DYNAMIC) }) else { return }
        self.segment = (segment.address, segment.memorySize)
        func offset(_ address: UInt64) -> UInt64? {
            for load in segments where load.type == UInt32(PT_LOAD) && load.contains(address) {
                let inside = address &- load.address
                return inside < load.fileSize ? load.fileOffset &+ inside : nil
            }
            return nil
        }

        var values: [Int64: UInt64] = [:]
        var neededOffsets: [UInt64] = []
        var position: UInt64 = 0
        while position < segment.fileSize,
            let tag = bytes.value(Int64.self, at: segment.fileOffset &+ position), tag != Int64(DT_NULL),
            let value = bytes.value(UInt64.self, at: segment.fileOffset &+ position &+ 8)
        {
            if tag == Int64(DT_NEEDED) {
                neededOffsets.append(value)
            } else if values[tag] == nil {
                values[tag] = value
            }
            position &+= UInt64(MemoryLayout<Elf64_Dyn>.size)
        }
        func table(_ tag: Int32) -> UInt64? { values[Int64(tag)].flatMap { offset($0) ?? offset($0 &- bias) } }

        if let start = table(DT_STRTAB), let size = values[Int64(DT_STRSZ)] { strings = (start, size) }
        let text =
            strings.size > SymbolTable.largestStrings
            ? UnsafeRawBufferPointer(start: nil, count: 0)
            : bytes.slice(at: strings.offset, count: strings.size) ?? UnsafeRawBufferPointer(start: nil, count: 0)
        needed = neededOffsets.compactMap { text.string(at: $0) }
        soname = values[Int64(DT_SONAME)].flatMap { text.string(at: $0) }
        flags1 = values[Int64(DT_FLAGS_1)] ?? 0
        let path = (values[Int64(DT_RUNPATH)] ?? values[Int64(DT_RPATH)]).flatMap { text.string(at: $0) }
        runpath = path?.split(separator: ":").map(String.init) ?? []

        if let start = table(DT_SYMTAB) {
            let section = sections.first { $0.type == UInt32(SHT_DYNSYM) && $0.fileOffset == start }
            let count =
                section.map { $0.size / UInt64(SymbolTable.recordSize) }
                ?? table(DT_GNU_HASH).flatMap { Self.count(gnuHash: $0, bytes) }
                ?? table(DT_HASH).flatMap { bytes.value(UInt32.self, at: $0 &+ 4) }.map(UInt64.init) ?? 0
            symbols = (start, count &* UInt64(SymbolTable.recordSize))
        }
        versions = table(DT_VERSYM)
        if let start = table(DT_VERDEF) { readDefinedVersions(bytes, start, text) }
        if let start = table(DT_VERNEED) { readNeededVersions(bytes, start, text) }
        for (start, size) in [(DT_RELA, DT_RELASZ), (DT_JMPREL, DT_PLTRELSZ)] {
            if let start = table(start), let size = values[Int64(size)] { relocationTables.append((start, size)) }
        }
    }

    func symbolTable(_ bytes: FileContents, path: String) throws(ReadError) -> SymbolTable? {
        try SymbolTable.check(symbols.size, strings.size, path: path)
        guard symbols.size > 0, let records = bytes.slice(at: symbols.offset, count: symbols.size),
            let text = bytes.slice(at: strings.offset, count: strings.size)
        else { return nil }
        let numbers = versions.flatMap { bytes.slice(at: $0, count: symbols.size / UInt64(SymbolTable.recordSize) * 2) }
        return SymbolTable(
            records: records, strings: text, versions: numbers ?? UnsafeRawBufferPointer(start: nil, count: 0),
            isDynamic: true, fileOffset: symbols.offset)
    }

    /// The number of symbols that a DT_GNU_HASH table covers: its last chain's end.
    private static func count(gnuHash: UInt64, _ bytes: FileContents) -> UInt64? {
        guard let buckets = bytes.value(UInt32.self, at: gnuHash), buckets <= SymbolTable.largestCount,
            let first = bytes.value(UInt32.self, at: gnuHash &+ 4),
            let bloom = bytes.value(UInt32.self, at: gnuHash &+ 8)
        else { return nil }
        let bucketStart = gnuHash &+ 16 &+ UInt64(bloom) &* 8
        let chainStart = bucketStart &+ UInt64(buckets) &* 4
        var last: UInt32 = 0
        for index in 0..<UInt64(buckets) {
            guard let start = bytes.value(UInt32.self, at: bucketStart &+ index &* 4) else { return nil }
            last = max(last, start)
        }
        guard last >= first else { return UInt64(first) }
        while last <= SymbolTable.largestCount,
            let hash = bytes.value(UInt32.self, at: chainStart &+ UInt64(last &- first) &* 4)
        {
            last &+= 1
            if hash & 1 != 0 { return UInt64(last) }
        }
        return nil
    }

    /// Elf64_Verdef records. Both walks are bounded by the 15 bits of a version number: a chain can point backwards.
    private mutating func readDefinedVersions(
        _ bytes: FileContents, _ start: UInt64, _ text: UnsafeRawBufferPointer
    ) {
        var offset = start
        for _ in 0..<0x8000 {
            guard let record = bytes.value(Elf64_Verdef.self, at: offset) else { return }
            if let name = bytes.value(Elf64_Verdaux.self, at: offset &+ UInt64(record.vd_aux)) {
                versionNames[record.vd_ndx & 0x7FFF] = text.string(at: UInt64(name.vda_name))
            }
            if record.vd_next == 0 { return }
            offset &+= UInt64(record.vd_next)
        }
    }

    private mutating func readNeededVersions(
        _ bytes: FileContents, _ start: UInt64, _ text: UnsafeRawBufferPointer
    ) {
        var offset = start
        var budget = 0x8000
        while budget > 0, let record = bytes.value(Elf64_Verneed.self, at: offset) {
            var inner = offset &+ UInt64(record.vn_aux)
            while budget > 0, let version = bytes.value(Elf64_Vernaux.self, at: inner) {
                budget -= 1
                versionNames[version.vna_other & 0x7FFF] = text.string(at: UInt64(version.vna_name))
                if version.vna_next == 0 { break }
                inner &+= UInt64(version.vna_next)
            }
            budget -= 1
            if record.vn_next == 0 { return }
            offset &+= UInt64(record.vn_next)
        }
    }
}

extension ElfImage {
    /// The dynamic relocations that concern functions, in file order.
    package func functionRelocations(_ time: ReadingTime = ReadingTime()) -> [DynamicRelocation] {
        var result: [DynamicRelocation] = []
        forEachFunctionRelocation(time) { result.append($0) }
        return result
    }

    package func forEachFunctionRelocation(_ time: ReadingTime, _ body: (DynamicRelocation) -> Void) {
        let isArm = machine == UInt16(EM_AARCH64)
        func visit(_ table: UnsafeRawBufferPointer) {
            var offset: UInt64 = 0
            var row = 0
            while !time.isOver(at: row, "the relocations of \(path)"),
                let raw = table.value(Elf64_Rela.self, at: offset)
            {
                offset &+= UInt64(MemoryLayout<Elf64_Rela>.size)
                row &+= 1
                let kind: DynamicRelocation.Kind
                switch Int32(truncatingIfNeeded: raw.r_info) {
                case isArm ? R_AARCH64_IRELATIVE : R_X86_64_IRELATIVE: kind = .indirectRelative
                case isArm ? R_AARCH64_JUMP_SLOT : R_X86_64_JUMP_SLOT: kind = .jumpSlot
                case isArm ? R_AARCH64_GLOB_DAT : R_X86_64_GLOB_DAT: kind = .globalData
                case isArm ? R_AARCH64_ABS64 : R_X86_64_64: kind = .absolute
                default: continue
                }
                body(
                    DynamicRelocation(
                        kind: kind, slot: raw.r_offset, symbolIndex: UInt32(truncatingIfNeeded: raw.r_info >> 32),
                        addend: raw.r_addend))
            }
        }
        // A static program has no PT_DYNAMIC; its IRELATIVE relocations lie in a section of their own.
        if dynamic.relocationTables.isEmpty {
            for section in sections where section.type == UInt32(SHT_RELA) && section.flags & UInt64(SHF_ALLOC) != 0 {
                if let table = bytes.slice(at: section.fileOffset, count: section.size) { visit(table) }
            }
        }
        for table in dynamic.relocationTables {
            if let slice = bytes.slice(at: table.offset, count: table.size) { visit(slice) }
        }
    }
}
