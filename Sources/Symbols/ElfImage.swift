import CLibElf
import Glibc
import Memory

/// One program header (elf(5), Elf64_Phdr). Addresses are link-time addresses; sizes are in bytes.
public struct ElfSegment: Hashable, Sendable {
    /// PT_LOAD, PT_NOTE, …
    public var type: UInt32
    public var permissions: Region.Permissions
    public var fileOffset: UInt64
    public var address: UInt64
    public var fileSize: UInt64
    public var memorySize: UInt64
    public var alignment: UInt64

    public func contains(_ linked: UInt64) -> Bool { linked >= address && linked &- address < memorySize }
}

/// One section header (elf(5), Elf64_Shdr).
public struct ElfSection: Hashable, Sendable {
    public var index: Int
    public var name: String
    /// SHT_PROGBITS, SHT_NOBITS, …
    public var type: UInt32
    /// SHF_ALLOC, SHF_EXECINSTR, …
    public var flags: UInt64
    public var address: UInt64
    public var fileOffset: UInt64
    public var size: UInt64
    public var link: UInt32
    public var info: UInt32
    public var entrySize: UInt64

    public var isExecutable: Bool { flags & UInt64(SHF_EXECINSTR) != 0 }
    public func contains(_ linked: UInt64) -> Bool {
        flags & UInt64(SHF_ALLOC) != 0 && linked >= address && linked &- address < size
    }
}

/// One ELF file: program, shared library, object or separate debug file, 64-bit little-endian.
///
/// The file is mapped for as long as the value lives. Its bytes are hostile: what does not fit throws
/// `SymbolError.malformed`, or is left out.
public final class ElfImage: Sendable {
    public let path: String
    /// ET_EXEC, ET_DYN, ET_REL.
    public var fileType: UInt16 { layout.fileType }
    /// EM_X86_64 or EM_AARCH64.
    public var machine: UInt16 { layout.machine }
    public var is64Bit: Bool { true }
    public var isLittleEndian: Bool { true }
    /// All program headers, in file order.
    public var segments: [ElfSegment] { layout.segments }
    /// All section headers, in file order; empty where the file has none.
    public var sections: [ElfSection] { layout.sections }
    /// The dynamic linker the program asks for (PT_INTERP).
    public let interpreter: String?
    /// NT_GNU_BUILD_ID; empty where there is none.
    public let buildID: [UInt8]

    let mapping: FileMapping
    nonisolated(unsafe) private let layout: ElfLayout
    let dynamic: DynamicSection
    /// `.symtab`, and `.dynsym`; nil where the file has none.
    let staticTable: SymbolTable?
    let dynamicTable: SymbolTable?
    /// What libdw reads of it.
    let debugging: DebugReader

    var bytes: UnsafeRawBufferPointer { mapping.bytes }
    var identity: FileIdentity { mapping.identity }

    public convenience init(path: String) throws(SymbolError) {
        let file = try OpenFile(path: path)
        try self.init(descriptor: file.descriptor, path: path)
    }

    /// Maps an open file. The descriptor stays the caller's, and is not needed afterwards.
    public init(descriptor: Int32, path: String) throws(SymbolError) {
        let mapping = try FileMapping(descriptor: descriptor, path: path)
        let layout = try ElfLayout(mapping.bytes, path: path)
        let (segments, sections) = (layout.segments, layout.sections)

        self.path = path
        self.mapping = mapping
        self.layout = layout
        interpreter = segments.first { $0.type == UInt32(PT_INTERP) }
            .flatMap { mapping.bytes.slice(at: $0.fileOffset, count: $0.fileSize)?.string(at: 0) }
        buildID = Self.buildID(mapping.bytes, segments, sections)

        // A separate debug file keeps the headers of what it describes, without the contents.
        let isDebugFile = sections.contains {
            $0.isExecutable && $0.flags & UInt64(SHF_ALLOC) != 0 && $0.type == UInt32(SHT_NOBITS)
        }
        dynamic = isDebugFile ? DynamicSection() : DynamicSection(mapping.bytes, segments, sections)
        staticTable = try SymbolTable(staticOf: mapping.bytes, sections, path: path)
        dynamicTable = dynamic.symbolTable(mapping.bytes)
        debugging = DebugReader(mapping, layout)
    }

    /// PT_LOAD segments, in file order (ascending by address, elf(5)).
    public var loadSegments: [ElfSegment] { layout.loadSegments }

    /// True of a program without a dynamic linker.
    public var isStatic: Bool {
        fileType != UInt16(ET_REL) && interpreter == nil && dynamic.needed.isEmpty && soname == nil
    }

    /// True of a program, position-independent or not; false of a library, even one that can be run (libc.so.6).
    public var isExecutable: Bool { fileType == UInt16(ET_EXEC) || dynamic.flags1 & 0x0800_0000 != 0 }  // DF_1_PIE
    public var soname: String? { dynamic.soname }
    /// DT_NEEDED, in file order.
    public var needed: [String] { dynamic.needed }
    /// DT_RUNPATH, or DT_RPATH where there is none, split at colons; `$ORIGIN` is not yet replaced.
    public var runpath: [String] { dynamic.runpath }

    /// True where the file itself holds DWARF.
    public var hasDebugInfo: Bool {
        sections.contains { ($0.name == ".debug_info" || $0.name == ".zdebug_info") && $0.type != UInt32(SHT_NOBITS) }
    }

    public func section(named name: String) -> ElfSection? { sections.first { $0.name == name } }

    /// The bytes of a section as they lie in the file; empty for SHT_NOBITS.
    public func contents(of section: ElfSection) throws(SymbolError) -> [UInt8] {
        if section.type == UInt32(SHT_NOBITS) { return [] }
        guard let slice = bytes.slice(at: section.fileOffset, count: section.size) else {
            throw .malformed(
                path: path, offset: section.fileOffset,
                what: "section \(section.name) reaches beyond the end of the file")
        }
        return Array(slice)
    }

    /// Link-time addresses of `.text`, or of the first executable segment where there are no sections.
    public var textRange: Range<UInt64>? {
        if let text = section(named: ".text") {
            let end = text.address.addingReportingOverflow(text.size)
            return end.overflow ? nil : text.address..<end.partialValue
        }
        guard let segment = loadSegments.first(where: { $0.permissions.contains(.execute) }) else { return nil }
        let end = segment.address.addingReportingOverflow(segment.memorySize)
        return end.overflow ? nil : segment.address..<end.partialValue
    }

    /// The file's bytes for a range of link-time addresses: what the memory held before anything wrote to it.
    public func readFile(at linked: UInt64, count: Int) throws(SymbolError) -> [UInt8] {
        guard let count = UInt64(exactly: count), let slice = layout.slice(linked: linked, count: count) else {
            throw .malformed(
                path: path, offset: 0,
                what: "no segment holds \(count) bytes at link-time address 0x\(String(linked, radix: 16))")
        }
        return Array(slice)
    }

    /// The call frame information, for whoever unwinds with it; nil where there is none.
    public var frameTable: FrameTable? { debugging.frameTable }

    /// The executable segment a link-time address lies in.
    func executableSegment(containing linked: UInt64) -> ElfSegment? {
        segments.first {
            $0.type == UInt32(PT_LOAD) && $0.permissions.contains(.execute) && $0.contains(linked)
        }
    }

    /// The section a link-time address lies in. NOBITS sections of thread-local data overlap others, and do not count.
    func section(containing linked: UInt64) -> ElfSection? {
        sections.first { $0.contains(linked) && $0.flags & UInt64(SHF_TLS) == 0 }
    }

    private static func buildID(
        _ bytes: UnsafeRawBufferPointer, _ segments: [ElfSegment], _ sections: [ElfSection]
    ) -> [UInt8] {
        for section in sections where section.type == UInt32(SHT_NOTE) {
            if let notes = bytes.slice(at: section.fileOffset, count: section.size),
                let id = Notes.buildID(in: notes, alignment: 4)
            {
                return id
            }
        }
        for segment in segments where segment.type == UInt32(PT_NOTE) {
            if let notes = bytes.slice(at: segment.fileOffset, count: segment.fileSize),
                let id = Notes.buildID(in: notes, alignment: segment.alignment)
            {
                return id
            }
        }
        return []
    }
}

/// Note records (elf(5), Elf64_Nhdr).
enum Notes {
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
}
