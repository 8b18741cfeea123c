import CLibElf
import Glibc
import Memory

/// The calls to libelf: headers and the tables of headers. Contents are read from the mapping, bounds-checked.
enum LibElf {
    private static let isUsable: Bool = elf_version(UInt32(EV_CURRENT)) != UInt32(EV_NONE)

    static func malformed(_ path: String, _ offset: UInt64, _ what: String) -> SymbolError {
        let why = elf_errmsg(-1).map { String(cString: $0) }
        return .malformed(path: path, offset: offset, what: what + (why.map { " (libelf: \($0))" } ?? ""))
    }

    /// A handle over mapped bytes, which must outlive it. Close it with `elf_end`.
    static func open(_ bytes: UnsafeRawBufferPointer, path: String) throws(SymbolError) -> OpaquePointer {
        guard isUsable else { throw .unsupported(path: path, what: "libelf is too old") }
        guard bytes.starts(with: "\u{7F}ELF") else {
            throw .malformed(path: path, offset: 0, what: "it does not start with an ELF header")
        }
        guard bytes.count >= MemoryLayout<Elf64_Ehdr>.size else {
            throw .malformed(path: path, offset: UInt64(bytes.count), what: "the ELF header is cut off")
        }
        guard bytes[Int(EI_CLASS)] == UInt8(ELFCLASS64) else {
            throw .unsupported(path: path, what: "it is a 32-bit ELF file")
        }
        guard bytes[Int(EI_DATA)] == UInt8(ELFDATA2LSB) else {
            throw .unsupported(path: path, what: "it is a big-endian ELF file")
        }
        // libelf writes to the headers of compressed sections only, and only when it decompresses them: see DebugReader.
        let start = UnsafeMutableRawPointer(mutating: bytes.baseAddress!).assumingMemoryBound(to: CChar.self)
        guard let elf = elf_memory(start, bytes.count), elf_kind(elf) == ELF_K_ELF else {
            throw malformed(path, 0, "the ELF header")
        }
        return elf
    }

    static func segments(
        _ elf: OpaquePointer, _ header: GElf_Ehdr, path: String
    ) throws(SymbolError) -> [ElfSegment] {
        var count = 0
        guard elf_getphdrnum(elf, &count) == 0 else { throw malformed(path, header.e_phoff, "the program headers") }
        var segments: [ElfSegment] = []
        for index in 0..<min(count, 1 << 16) {
            var raw = GElf_Phdr()
            guard gelf_getphdr(elf, Int32(index), &raw) != nil else {
                throw malformed(path, header.e_phoff, "program header \(index)")
            }
            var permissions: Region.Permissions = []
            if raw.p_flags & UInt32(PF_R) != 0 { permissions.insert(.read) }
            if raw.p_flags & UInt32(PF_W) != 0 { permissions.insert(.write) }
            if raw.p_flags & UInt32(PF_X) != 0 { permissions.insert(.execute) }
            segments.append(
                ElfSegment(
                    type: raw.p_type, permissions: permissions, fileOffset: raw.p_offset, address: raw.p_vaddr,
                    fileSize: raw.p_filesz, memorySize: raw.p_memsz, alignment: raw.p_align))
        }
        return segments
    }

    static func sections(
        _ elf: OpaquePointer, _ header: GElf_Ehdr, _ bytes: UnsafeRawBufferPointer, path: String
    ) throws(SymbolError) -> [ElfSection] {
        guard header.e_shoff != 0 else { return [] }
        var count = 0
        guard elf_getshdrnum(elf, &count) == 0 else { throw malformed(path, header.e_shoff, "the section headers") }
        // A truncated file would otherwise just look like a stripped one.
        let size = UInt64(MemoryLayout<Elf64_Shdr>.size)
        guard count > 0, bytes.slice(at: header.e_shoff, count: UInt64(count) &* size) != nil else {
            throw .malformed(
                path: path, offset: header.e_shoff, what: "the section headers reach beyond the end of the file")
        }
        var sections: [ElfSection] = []
        var nameOffsets: [UInt32] = []
        for index in 0..<count {
            var raw = GElf_Shdr()
            guard let section = elf_getscn(elf, index), gelf_getshdr(section, &raw) != nil else {
                throw malformed(path, header.e_shoff &+ UInt64(index) &* size, "section header \(index)")
            }
            nameOffsets.append(raw.sh_name)
            sections.append(
                ElfSection(
                    index: index, name: "", type: raw.sh_type, flags: raw.sh_flags, address: raw.sh_addr,
                    fileOffset: raw.sh_offset, size: raw.sh_size, link: raw.sh_link, info: raw.sh_info,
                    entrySize: raw.sh_entsize))
        }
        var namesIndex = 0
        guard elf_getshdrstrndx(elf, &namesIndex) == 0 else {
            throw malformed(path, header.e_shoff, "the index of the section names")
        }
        guard namesIndex > 0 else { return sections }
        guard namesIndex < count,
            let names = bytes.slice(at: sections[namesIndex].fileOffset, count: sections[namesIndex].size)
        else { throw .malformed(path: path, offset: header.e_shoff, what: "the section names lie outside the file") }
        for index in sections.indices { sections[index].name = names.string(at: UInt64(nameOffsets[index])) ?? "" }
        return sections
    }
}
