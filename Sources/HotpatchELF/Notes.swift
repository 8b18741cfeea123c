import CHotpatchElf

/// Note records (elf(5), Elf64_Nhdr).
package enum Notes {
    static func buildID(in notes: UnsafeRawBufferPointer, alignment: UInt64) -> [UInt8]? {
        let mask: UInt64 = alignment == 8 ? 7 : 3
        var offset: UInt64 = 0
        while let name = notes.value(UInt32.self, at: offset), let size = notes.value(UInt32.self, at: offset &+ 4),
            let type = notes.value(UInt32.self, at: offset &+ 8)
        {
            let description = (offset &+ 12 &+ UInt64(name) &+ mask) & ~mask
            if type == UInt32(NT_GNU_BUILD_ID), name == 4,
                notes.slice(at: offset &+ 12, count: 4)?.starts(with: "GNU\0") == true,
                size > 0, size <= 64, let id = notes.slice(at: description, count: UInt64(size))
            {
                return Array(id)
            }
            offset = (description &+ UInt64(size) &+ mask) & ~mask
        }
        return nil
    }

    /// The build-id of the image whose first page this is; empty where it has none, or it cannot be read.
    /// - Parameter read: of so many bytes at an offset of the file.
    package static func buildID(
        ofImage page: UnsafeRawBufferPointer, read: (_ offset: UInt64, _ size: Int) -> [UInt8]?
    ) -> [UInt8] {
        // Each segment once: memory may be gone at a second look.
        for (offset, size, alignment) in segments(page) where size <= 64 << 10 {
            guard let bytes = read(offset, Int(size)) else { continue }
            if let found = bytes.withUnsafeBytes({ buildID(in: $0, alignment: alignment) }) { return found }
        }
        return []
    }

    /// File offset, size and alignment of the PT_NOTE segments whose headers lie in the first page of an image.
    private static func segments(_ page: UnsafeRawBufferPointer) -> [(offset: UInt64, size: UInt64, alignment: UInt64)]
    {
        guard let header = page.value(Elf64_Ehdr.self, at: 0), page[Int(EI_CLASS)] == UInt8(ELFCLASS64) else {
            return []
        }
        var result: [(UInt64, UInt64, UInt64)] = []
        for index in 0..<UInt64(header.e_phnum) {
            let offset = header.e_phoff &+ index &* UInt64(MemoryLayout<Elf64_Phdr>.size)
            guard let segment = page.value(Elf64_Phdr.self, at: offset) else { break }
            if segment.p_type == UInt32(PT_NOTE), segment.p_filesz > 0 {
                result.append((segment.p_offset, segment.p_filesz, segment.p_align))
            }
        }
        return result
    }
}
