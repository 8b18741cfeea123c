import CHotpatchElf
import CHotpatchLinux
import HotpatchMemory

/// The DWARF of a file, as an ELF file of our own making: what libdw reads.
///
/// As with `FrameTable`, libdw gets no header that the file has written. It gets the sections that hold DWARF, where their bytes, and their
/// size once they are decompressed, stay within a budget. It does not get the names of other files (`.gnu_debugaltlink`), which it would
/// open wherever they lead.
enum DebugSections {
    /// All sections of a file together, in bytes, as they lie in it and decompressed. A file with more counts as one without DWARF.
    static let largestSize: UInt64 = 2 << 30
    /// zlib makes at most 1032 bytes of one.
    private static let largestRatio: UInt64 = 1100

    /// Nil where there is none, or too much.
    static func elfFile(of file: ElfLayout) -> UnsafeMutableRawBufferPointer? {
        let wanted = file.sections.filter { section in
            section.type == UInt32(SHT_PROGBITS)
                && (section.name.hasPrefix(".debug_") || section.name.hasPrefix(".zdebug_"))
        }
        var total: UInt64 = 0
        var decompressed: UInt64 = 0
        for section in wanted {
            guard let size = decompressedSize(section, file), section.size <= largestSize, size <= largestSize else {
                return nil
            }
            total += section.size
            decompressed += size
            guard total <= largestSize, decompressed <= largestSize else { return nil }
        }
        // Hundreds are of objects with a section for each type.
        guard !wanted.isEmpty, wanted.count <= 256 else { return nil }

        let headerSize = MemoryLayout<Elf64_Ehdr>.size
        let sectionSize = MemoryLayout<Elf64_Shdr>.size
        var names: [UInt8] = [0]
        var offset = headerSize
        var headers = [Elf64_Shdr()]
        for section in wanted {
            offset = offset.rounded(to: 16)
            var header = Elf64_Shdr()
            header.sh_name = UInt32(names.count)
            header.sh_type = UInt32(SHT_PROGBITS)
            header.sh_flags = section.flags & UInt64(SHF_COMPRESSED)
            header.sh_offset = UInt64(offset)
            header.sh_size = section.size
            header.sh_addralign = 1
            headers.append(header)
            names += Array(section.name.utf8) + [0]
            offset += Int(section.size)
        }
        var nameHeader = Elf64_Shdr()
        nameHeader.sh_name = UInt32(names.count)
        names += Array(".shstrtab".utf8) + [0]
        nameHeader.sh_type = UInt32(SHT_STRTAB)
        nameHeader.sh_offset = UInt64(offset)
        nameHeader.sh_size = UInt64(names.count)
        nameHeader.sh_addralign = 1
        headers.append(nameHeader)
        let tableOffset = (offset + names.count).rounded(to: 16)

        let result = UnsafeMutableRawBufferPointer.allocate(
            byteCount: tableOffset + headers.count * sectionSize, alignment: 16)
        var header = Elf64_Ehdr()
        withUnsafeMutableBytes(of: &header.e_ident) { identity in
            identity.copyBytes(from: [0x7F, 0x45, 0x4C, 0x46, UInt8(ELFCLASS64), UInt8(ELFDATA2LSB), UInt8(EV_CURRENT)])
        }
        header.e_type = UInt16(ET_DYN)
        header.e_machine = file.machine
        header.e_version = UInt32(EV_CURRENT)
        header.e_shoff = UInt64(tableOffset)
        header.e_ehsize = UInt16(headerSize)
        header.e_shentsize = UInt16(sectionSize)
        header.e_shnum = UInt16(headers.count)
        header.e_shstrndx = UInt16(headers.count - 1)
        result.storeBytes(of: header, as: Elf64_Ehdr.self)
        for (section, header) in zip(wanted, headers.dropFirst()) {
            let place = UnsafeMutableRawBufferPointer(
                rebasing: result[Int(header.sh_offset)..<Int(header.sh_offset + header.sh_size)])
            guard file.bytes.read(at: section.fileOffset, into: place) else {
                result.deallocate()
                return nil
            }
        }
        if file.fileType == UInt16(ET_REL), !relocate(result, wanted, headers, file) {
            result.deallocate()
            return nil
        }
        UnsafeMutableRawBufferPointer(rebasing: result[offset...]).copyBytes(from: names)
        for (index, header) in headers.enumerated() {
            result.storeBytes(of: header, toByteOffset: tableOffset + index * sectionSize, as: Elf64_Shdr.self)
        }
        return result
    }

    /// Where an object's code lies for libdw: each section elsewhere, so that an address tells which function it belongs to.
    static func address(ofSection index: Int) -> UInt64 { UInt64(index) << 40 }

    /// Writes into the sections of an object what a linker would if all but its code were at address 0: libdw reads numbers as they stand.
    ///
    /// - Returns: false where an object is malformed, or compresses what is to be changed.
    private static func relocate(
        _ copy: UnsafeMutableRawBufferPointer, _ wanted: [ElfSection], _ headers: [Elf64_Shdr], _ file: ElfLayout
    ) -> Bool {
        let places = Dictionary(zip(wanted.map(\.index), headers.dropFirst()), uniquingKeysWith: { first, _ in first })
        for section in file.sections where section.type == UInt32(SHT_RELA) {
            guard let header = places[Int(section.info)] else { continue }
            guard header.sh_flags & UInt64(SHF_COMPRESSED) == 0, Int(section.link) < file.sections.count,
                let table = file.bytes.slice(at: section.fileOffset, count: section.size)
            else { return false }
            let symbolTable = file.sections[Int(section.link)]
            guard let symbols = file.bytes.slice(at: symbolTable.fileOffset, count: symbolTable.size) else {
                return false
            }
            for index in 0..<section.size / UInt64(MemoryLayout<Elf64_Rela>.size) {
                let raw = table.value(Elf64_Rela.self, at: index &* UInt64(MemoryLayout<Elf64_Rela>.size))!
                guard let width = width(of: UInt32(truncatingIfNeeded: raw.r_info), file.machine) else { continue }
                let entry = (raw.r_info >> 32) &* UInt64(MemoryLayout<Elf64_Sym>.size)
                guard let symbol = symbols.value(Elf64_Sym.self, at: entry), raw.r_offset <= header.sh_size,
                    header.sh_size &- raw.r_offset >= UInt64(width)
                else { return false }
                var value = symbol.st_value &+ UInt64(bitPattern: raw.r_addend)
                let owner = Int(symbol.st_shndx)
                if width == 8, file.sections.indices.contains(owner), file.sections[owner].isExecutable {
                    value &+= address(ofSection: owner)
                }
                let place = Int(header.sh_offset &+ raw.r_offset)
                if width == 8 {
                    copy.storeBytes(of: value, toByteOffset: place, as: UInt64.self)
                } else {
                    copy.storeBytes(of: UInt32(truncatingIfNeeded: value), toByteOffset: place, as: UInt32.self)
                }
            }
        }
        return true
    }

    /// How many bytes a relocation of an absolute address or offset changes; nil for any other relocation, such as a thread-local's.
    private static func width(of type: UInt32, _ machine: UInt16) -> Int? {
        if machine == UInt16(EM_X86_64) {
            switch Int32(bitPattern: type) {
            case R_X86_64_64: return 8
            case R_X86_64_32, R_X86_64_32S: return 4
            default: return nil
            }
        }
        switch Int32(bitPattern: type) {
        case R_AARCH64_ABS64: return 8
        case R_AARCH64_ABS32: return 4
        default: return nil
        }
    }

    /// What a section says it holds: Elf64_Chdr, or `ZLIB` and eight bytes, the highest first. Nil where that cannot be.
    private static func decompressedSize(_ section: ElfSection, _ file: ElfLayout) -> UInt64? {
        var size = section.size
        if section.flags & UInt64(SHF_COMPRESSED) != 0 {
            guard let stated = file.bytes.value(Elf64_Chdr.self, at: section.fileOffset)?.ch_size else { return nil }
            size = stated
        } else if section.name.hasPrefix(".z") {
            guard let header = file.bytes.slice(at: section.fileOffset, count: 12), header.starts(with: "ZLIB") else {
                return nil
            }
            size = UInt64(bigEndian: header.loadUnaligned(fromByteOffset: 4, as: UInt64.self))
        }
        return size / largestRatio <= section.size ? size : nil
    }
}

extension Int {
    /// The least multiple of `alignment` not below this number.
    fileprivate func rounded(to alignment: Int) -> Int { (self + alignment - 1) / alignment * alignment }
}
