import CHotpatchElf
import HotpatchMemory

/// The headers of an ELF file, read without trust in any of them (elf(5)), and its bytes.
struct ElfLayout: Sendable {
    /// ET_EXEC, ET_DYN, ET_REL.
    let fileType: UInt16
    /// EM_X86_64 or EM_AARCH64.
    let machine: UInt16
    /// In file order.
    let segments: [ElfSegment]
    /// In file order; empty where the file has none.
    let sections: [ElfSection]
    let bytes: FileContents
    /// Whether the image's file cannot be read: what its program headers lead to is in the process's memory.
    let isFromMemory: Bool

    private static let segmentSize = UInt64(MemoryLayout<Elf64_Phdr>.size)
    private static let sectionSize = UInt64(MemoryLayout<Elf64_Shdr>.size)

    init(_ bytes: FileContents, path: String, isFromMemory: Bool = false) throws(ReadError) {
        self.isFromMemory = isFromMemory
        guard bytes.starts(with: "\u{7F}ELF") else {
            throw .malformed(path: path, offset: 0, what: "it does not start with an ELF header")
        }
        guard let header = bytes.value(Elf64_Ehdr.self, at: 0) else {
            throw .malformed(path: path, offset: UInt64(bytes.count), what: "the ELF header is cut off")
        }
        guard bytes.value(UInt8.self, at: UInt64(EI_CLASS)) == UInt8(ELFCLASS64) else {
            throw .unsupported(path: path, what: "it is a 32-bit ELF file")
        }
        guard bytes.value(UInt8.self, at: UInt64(EI_DATA)) == UInt8(ELFDATA2LSB) else {
            throw .unsupported(path: path, what: "it is a big-endian ELF file")
        }
        guard header.e_machine == UInt16(EM_X86_64) || header.e_machine == UInt16(EM_AARCH64) else {
            throw .unsupported(path: path, what: "it is for machine number \(header.e_machine)")
        }
        fileType = header.e_type
        machine = header.e_machine
        self.bytes = bytes
        // Counts that do not fit the header stand in the first section's.
        let first = header.e_shoff == 0 ? nil : bytes.value(Elf64_Shdr.self, at: header.e_shoff)
        let segmentCount = header.e_phnum == 0xFFFF ? first?.sh_info ?? 0xFFFF : UInt32(header.e_phnum)
        segments = try Self.segments(bytes, at: header.e_phoff, count: UInt64(segmentCount), path: path)
        // Section headers are not mapped.
        if header.e_shoff == 0 || isFromMemory {
            sections = []
        } else {
            sections = try Self.sections(
                bytes, at: header.e_shoff, count: header.e_shnum == 0 ? first?.sh_size ?? 0 : UInt64(header.e_shnum),
                names: header.e_shstrndx == 0xFFFF ? first?.sh_link ?? 0 : UInt32(header.e_shstrndx), path: path)
        }
    }

    private static func segments(
        _ bytes: FileContents, at offset: UInt64, count: UInt64, path: String
    ) throws(ReadError) -> [ElfSegment] {
        guard count > 0 else { return [] }
        guard let table = bytes.slice(at: offset, count: count &* segmentSize) else {
            throw .malformed(path: path, offset: offset, what: "the program headers reach beyond the end of the file")
        }
        return (0..<count).map { index in
            let raw = table.value(Elf64_Phdr.self, at: index &* segmentSize)!
            var permissions: Region.Permissions = []
            if raw.p_flags & UInt32(PF_R) != 0 { permissions.insert(.read) }
            if raw.p_flags & UInt32(PF_W) != 0 { permissions.insert(.write) }
            if raw.p_flags & UInt32(PF_X) != 0 { permissions.insert(.execute) }
            return ElfSegment(
                type: raw.p_type, permissions: permissions, fileOffset: raw.p_offset, address: raw.p_vaddr,
                fileSize: raw.p_filesz, memorySize: raw.p_memsz, alignment: raw.p_align)
        }
    }

    private static func sections(
        _ bytes: FileContents, at offset: UInt64, count: UInt64, names: UInt32, path: String
    ) throws(ReadError) -> [ElfSection] {
        // A truncated file would otherwise just look like a stripped one. The number is bounded by the file's size.
        let (size, overflow) = count.multipliedReportingOverflow(by: sectionSize)
        guard count > 0, !overflow, let table = bytes.slice(at: offset, count: size) else {
            throw .malformed(path: path, offset: offset, what: "the section headers reach beyond the end of the file")
        }
        func header(_ index: UInt64) -> Elf64_Shdr { table.value(Elf64_Shdr.self, at: index &* sectionSize)! }
        var text = UnsafeRawBufferPointer(start: nil, count: 0)
        if names > 0 {
            guard UInt64(names) < count,
                let found = bytes.slice(at: header(UInt64(names)).sh_offset, count: header(UInt64(names)).sh_size)
            else { throw .malformed(path: path, offset: offset, what: "the section names lie outside the file") }
            text = found
        }
        return (0..<count).map { index in
            let raw = header(index)
            return ElfSection(
                index: Int(index), name: text.string(at: UInt64(raw.sh_name)) ?? "", type: raw.sh_type,
                flags: raw.sh_flags, address: raw.sh_addr, fileOffset: raw.sh_offset, size: raw.sh_size,
                link: raw.sh_link, info: raw.sh_info, entrySize: raw.sh_entsize, alignment: raw.sh_addralign)
        }
    }

    /// PT_LOAD segments, in file order (ascending by address).
    var loadSegments: [ElfSegment] { segments.filter { $0.type == UInt32(PT_LOAD) } }

    /// The file's bytes for a range of link-time addresses that one segment holds.
    func slice(linked: UInt64, count: UInt64) -> UnsafeRawBufferPointer? {
        guard let segment = loadSegments.first(where: { $0.contains(linked) }) else { return nil }
        let inside = linked &- segment.address
        guard inside <= segment.fileSize, count <= segment.fileSize &- inside else { return nil }
        return bytes.slice(at: segment.fileOffset &+ inside, count: count)
    }
}
