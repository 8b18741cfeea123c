import CHotpatchElf
import CHotpatchLinux
import HotpatchMemory

/// The call frame information of an image (`.eh_frame`), as a small ELF file of our own making: what libdw unwinds with.
///
/// libdw gets no header, no section and no size that the file, and so perhaps the target's user, has written: libelf and libdwfl
/// trust more of them than they check, and would decompress, or read from the target's memory, what they are told to. What remains
/// of the file is the frame information itself, and the sorted table that leads into it (LSB Core, "The .eh_frame_hdr section").
package final class FrameTable: Sendable {
    /// More than any image has; one that claims more has none.
    static let largestSize: UInt64 = 256 << 20

    private static let headerSize = MemoryLayout<Elf64_Ehdr>.size
    private static let segmentSize = MemoryLayout<Elf64_Phdr>.size

    /// Allocated with room for nothing else, and never written again.
    nonisolated(unsafe) private let bytes: UnsafeRawBufferPointer
    private let descriptions: FrameDescriptions

    /// Nil where the file has no frame information, or is not known to be the mapped one.
    init?(of file: ElfLayout) {
        guard !file.isFromMemory, let lowest = file.loadSegments.map(\.address).min(),
            let source = Self.frames(of: file)
        else {
            return nil
        }
        let start = 2 * Self.segmentSize + Self.headerSize
        let end = start + source.front.count
        let buffer = UnsafeMutableRawBufferPointer.allocate(byteCount: end + source.bytes.count, alignment: 16)
        UnsafeMutableRawBufferPointer(rebasing: buffer[start...]).copyBytes(from: source.front)
        UnsafeMutableRawBufferPointer(rebasing: buffer[end...]).copyBytes(from: source.bytes)

        var header = Elf64_Ehdr()
        withUnsafeMutableBytes(of: &header.e_ident) { identity in
            identity.copyBytes(from: [0x7F, 0x45, 0x4C, 0x46, UInt8(ELFCLASS64), UInt8(ELFDATA2LSB), UInt8(EV_CURRENT)])
        }
        header.e_type = UInt16(ET_DYN)
        header.e_machine = file.machine
        header.e_version = UInt32(EV_CURRENT)
        header.e_phoff = UInt64(Self.headerSize)
        header.e_ehsize = UInt16(Self.headerSize)
        header.e_phentsize = UInt16(Self.segmentSize)
        header.e_phnum = 2
        buffer.storeBytes(of: header, as: Elf64_Ehdr.self)
        // By its first segment libdwfl finds out by how much an image was moved.
        var load = Elf64_Phdr()
        load.p_type = UInt32(PT_LOAD)
        load.p_vaddr = Address(lowest).roundedDown(to: 4096).rawValue
        load.p_align = 4096
        var frames = Elf64_Phdr()
        frames.p_type = UInt32(PT_GNU_EH_FRAME)
        frames.p_offset = UInt64(start)
        frames.p_vaddr = source.address
        frames.p_filesz = UInt64(source.tableSize)
        buffer.storeBytes(of: load, toByteOffset: Self.headerSize, as: Elf64_Phdr.self)
        buffer.storeBytes(of: frames, toByteOffset: Self.headerSize + Self.segmentSize, as: Elf64_Phdr.self)
        bytes = UnsafeRawBufferPointer(buffer)
        descriptions = FrameDescriptions(
            UnsafeRawBufferPointer(rebasing: bytes[start...]), at: source.address, headerSize: source.tableSize)
    }

    /// The kernel's functions in a process (vdso(7)); nil where they are not the same as in this process. Those are read then: no
    /// process can have written to the ones of another.
    package convenience init?(ofSharedObject region: Region, memory: any MemoryReader) {
        guard let start = linux_vdso(), region.count <= 1 << 16,
            let theirs = try? memory.bytes(at: region.range.lowerBound, count: region.count),
            // The memory of this process may end before the other's.
            let own = try? LocalMemory().bytes(at: Address(start), count: region.count), own == theirs
        else { return nil }
        guard let contents = FileContents(own), let layout = try? ElfLayout(contents, path: region.path) else {
            return nil
        }
        self.init(of: layout)
    }

    deinit { bytes.deallocate() }

    /// The range of link-time addresses of the frame description entry (FDE) that covers an address; nil where none does.
    package func range(containing linked: UInt64) -> Range<UInt64>? {
        descriptions.range(containing: linked)
    }

    /// Whether it holds a table by which an entry is found at once.
    var hasSearchTable: Bool { descriptions.hasTable }

    /// A handle of libelf, which this value must outlive. Whoever gets it ends it.
    package func handle() -> OpaquePointer? { LibElf.open(bytes) }

    /// What follows one another in memory and in the result: the header of the table, the table, the frame information.
    private struct Source {
        /// Link-time address of the first byte.
        var address: UInt64
        /// The size of the header with its table.
        var tableSize: Int
        /// The header and the table, where they are not the file's.
        var front: [UInt8] = []
        /// The rest, in the file's bytes: a quarter of a megabyte for libc.
        var bytes: UnsafeRawBufferPointer
    }

    private static func frames(of file: ElfLayout) -> Source? {
        if let segment = file.segments.first(where: { $0.type == UInt32(PT_GNU_EH_FRAME) }),
            let found = withTable(segment, file)
        {
            return found
        }
        // The linker was not asked for a table (-static, with some), or it is of another form: libdw goes through all of it.
        guard let section = file.sections.first(where: { $0.name == ".eh_frame" }),
            section.flags & UInt64(SHF_ALLOC) != 0
        else { return nil }
        return withoutTable(section.address, file)
    }

    /// With the table as the linkers write it: version 1; 4-byte pointer, relative to itself; 4-byte count; pairs of 4-byte offsets
    /// from the table's start.
    private static func withTable(_ segment: ElfSegment, _ file: ElfLayout) -> Source? {
        guard let header = file.bytes.slice(at: segment.fileOffset, count: segment.fileSize),
            header.value(UInt8.self, at: 0) == 1, header.value(UInt8.self, at: 1) == 0x1B,
            let pointer = header.value(Int32.self, at: 4)
        else { return nil }
        let start = segment.address &+ 4 &+ UInt64(bitPattern: Int64(pointer))
        let distance = start &- segment.address
        guard header.value(UInt16.self, at: 2) == 0x3B03, let count = header.value(UInt32.self, at: 8),
            12 + UInt64(count) * 8 <= segment.fileSize
        else { return withoutTable(start, file) }
        if start < segment.address {
            return tableInFront(of: start, header, count: UInt64(count), at: segment.address, file)
                ?? withoutTable(start, file)
        }
        guard 12 + UInt64(count) * 8 <= distance, distance < largestSize,
            let end = frameEnd(from: start, file),
            let bytes = file.slice(linked: segment.address, count: distance &+ (end &- start))
        else { return withoutTable(start, file) }
        return Source(address: segment.address, tableSize: 12 + Int(count) * 8, bytes: bytes)
    }

    /// Where the linker (gold) has put the table behind what it leads into, it is moved to where libdw looks for it: in front, as if it
    /// lay there. Else libdw would go through all entries, and keep each, while a thread is held.
    /// - Parameter address: of the header, link-time.
    private static func tableInFront(
        of start: UInt64, _ header: UnsafeRawBufferPointer, count: UInt64, at address: UInt64, _ file: ElfLayout
    ) -> Source? {
        let size = 12 + count * 8
        guard start >= size, size < largestSize, let shift = Int32(exactly: address &- (start - size)),
            let end = frameEnd(from: start, file), let frames = file.slice(linked: start, count: end &- start)
        else { return nil }
        var bytes: [UInt8] = [1, 0x1B, 0x03, 0x3B]
        bytes.reserveCapacity(Int(size))
        func append(_ value: UInt32) { withUnsafeBytes(of: value.littleEndian) { bytes += $0 } }
        append(UInt32(size - 4))
        append(UInt32(count))
        for offset in stride(from: 12, to: size, by: 4) {
            guard let value = header.value(Int32.self, at: offset) else { return nil }
            let (moved, overflow) = value.addingReportingOverflow(shift)
            if overflow { return nil }
            append(UInt32(bitPattern: moved))
        }
        return Source(address: start - size, tableSize: Int(size), front: bytes, bytes: frames)
    }

    private static func withoutTable(_ start: UInt64, _ file: ElfLayout) -> Source? {
        // Version 1; a 4-byte pointer, relative to itself; no count, no table.
        let header: [UInt8] = [1, 0x1B, 0xFF, 0xFF, 4, 0, 0, 0]
        guard start >= UInt64(header.count), let end = frameEnd(from: start, file),
            let bytes = file.slice(linked: start, count: end &- start)
        else { return nil }
        return Source(address: start &- UInt64(header.count), tableSize: header.count, front: header, bytes: bytes)
    }

    /// Where the frame information that starts at a link-time address ends: with its section, or else with its segment's bytes.
    private static func frameEnd(from start: UInt64, _ file: ElfLayout) -> UInt64? {
        guard let segment = file.loadSegments.first(where: { $0.contains(start) }) else { return nil }
        let inside = start &- segment.address
        guard inside < segment.fileSize else { return nil }
        var size = segment.fileSize &- inside
        if let section = file.sections.first(where: { $0.name == ".eh_frame" }), section.address == start {
            size = min(size, section.size)
        }
        let (end, overflow) = start.addingReportingOverflow(size)
        return overflow || size > largestSize ? nil : end
    }
}
