import CHotpatchElf
import HotpatchMemory

extension ElfImage {
    /// PT_GNU_RELRO: what is not written to once the dynamic linker is done (LSB Core, "Program Header").
    private static let relro: UInt32 = 0x6474_E552
    /// Relocations that are compared at most.
    private static let enough = 4096

    /// Whether memory at a bias is what the dynamic linker makes of this file. It is not where the file was written over after it was
    /// loaded: the linker still knows the old one by what the pages show of the new one, which nobody has relocated.
    ///
    /// Compared are the dynamic section, whose pointers it moves, and pointers to the image itself in memory that nobody writes to
    /// afterwards (gABI, "Dynamic Section"; R_*_RELATIVE of the psABIs). Unreadable memory differs.
    package func isLoaded(at bias: LoadBias, in memory: any MemoryReader) -> Bool {
        hasDynamicSection(at: bias, in: memory) && hasRelocations(at: bias, in: memory)
    }

    /// Whether nobody writes to what a linked address is of, once the dynamic linker is done.
    package func isConstant(_ address: UInt64) -> Bool {
        if segments.contains(where: { $0.type == Self.relro && $0.contains(address) }) { return true }
        let loaded = segments.first { $0.type == UInt32(PT_LOAD) && $0.contains(address) }
        return loaded.map { !$0.permissions.contains(.write) } ?? false
    }

    private func hasDynamicSection(at bias: LoadBias, in memory: any MemoryReader) -> Bool {
        guard let segment = segments.first(where: { $0.type == UInt32(PT_DYNAMIC) }) else { return true }
        let isMoved = segment.permissions.contains(.write)
        var position: UInt64 = 0
        while position < min(segment.fileSize, 16 << 10),
            let tag = bytes.value(Int64.self, at: segment.fileOffset &+ position),
            let value = bytes.value(UInt64.self, at: segment.fileOffset &+ position &+ 8)
        {
            let place = bias.address(ofLinked: segment.address &+ position)
            guard let found = try? (memory.value(Int64.self, at: place), memory.value(UInt64.self, at: place + 8)),
                found.0 == tag
            else { return false }
            if tag == Int64(DT_NULL) { return true }
            let moved = bias.address(ofLinked: value).rawValue
            switch tag {
            case Int64(DT_STRTAB), Int64(DT_SYMTAB): guard found.1 == (isMoved ? moved : value) else { return false }
            default: guard found.1 == value || found.1 == moved else { return false }
            }
            position &+= UInt64(MemoryLayout<Elf64_Dyn>.size)
        }
        return true
    }

    private func hasRelocations(at bias: LoadBias, in memory: any MemoryReader) -> Bool {
        guard let constant = segments.first(where: { $0.type == Self.relro }) else { return true }
        let relative = machine == UInt16(EM_AARCH64) ? R_AARCH64_RELATIVE : R_X86_64_RELATIVE
        var compared = 0
        for table in dynamic.relocationTables {
            guard let table = bytes.slice(at: table.offset, count: table.size) else { return false }
            var offset: UInt64 = 0
            while compared < Self.enough, let record = table.value(Elf64_Rela.self, at: offset) {
                offset &+= UInt64(MemoryLayout<Elf64_Rela>.size)
                guard Int32(truncatingIfNeeded: record.r_info) == relative, constant.contains(record.r_offset) else {
                    continue
                }
                compared += 1
                let expected = bias.address(ofLinked: UInt64(bitPattern: record.r_addend)).rawValue
                guard (try? memory.value(UInt64.self, at: bias.address(ofLinked: record.r_offset))) == expected else {
                    return false
                }
            }
        }
        return true
    }
}
