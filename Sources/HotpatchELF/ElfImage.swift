import CHotpatchElf
import Glibc
import HotpatchMemory

/// One program header (elf(5), Elf64_Phdr). Addresses are link-time addresses; sizes are in bytes.
package struct ElfSegment: Hashable, Sendable {
    /// PT_LOAD, PT_NOTE, …
    package var type: UInt32
    package var permissions: Region.Permissions
    package var fileOffset: UInt64
    package var address: UInt64
    package var fileSize: UInt64
    package var memorySize: UInt64
    package var alignment: UInt64

    package func contains(_ linked: UInt64) -> Bool { linked >= address && linked &- address < memorySize }
}

/// One section header (elf(5), Elf64_Shdr).
package struct ElfSection: Hashable, Sendable {
    package var index: Int
    package var name: String
    /// SHT_PROGBITS, SHT_NOBITS, …
    package var type: UInt32
    /// SHF_ALLOC, SHF_EXECINSTR, …
    package var flags: UInt64
    package var address: UInt64
    package var fileOffset: UInt64
    package var size: UInt64
    package var link: UInt32
    package var info: UInt32
    package var entrySize: UInt64
    /// The alignment of its address, in bytes; 0 and 1: any.
    package var alignment: UInt64

    package var isExecutable: Bool { flags & UInt64(SHF_EXECINSTR) != 0 }
    package func contains(_ linked: UInt64) -> Bool {
        flags & UInt64(SHF_ALLOC) != 0 && linked >= address && linked &- address < size
    }
}

/// One ELF file: program, shared library, object or separate debug file, 64-bit little-endian.
///
/// The file is read as `FileContents` does. Its bytes are hostile: what does not fit throws
/// `ReadError.malformed`, or is left out.
public final class ElfImage: Sendable {
    package let path: String
    /// ET_EXEC, ET_DYN, ET_REL.
    package var fileType: UInt16 { layout.fileType }
    /// EM_X86_64 or EM_AARCH64.
    package var machine: UInt16 { layout.machine }
    /// All program headers, in file order.
    package var segments: [ElfSegment] { layout.segments }
    /// All section headers, in file order; empty where the file has none.
    package var sections: [ElfSection] { layout.sections }
    /// The dynamic linker the program asks for (PT_INTERP).
    package let interpreter: String?
    /// NT_GNU_BUILD_ID; empty where there is none.
    package let buildID: [UInt8]

    private let layout: ElfLayout
    package let dynamic: DynamicSection
    /// `.symtab`, and `.dynsym`; nil where the file has none.
    package let staticTable: SymbolTable?
    package let dynamicTable: SymbolTable?
    /// What libdw reads of it.
    package let debugging: DebugReader

    package var bytes: FileContents { layout.bytes }
    package var identity: FileIdentity? { bytes.identity }
    package var isFromMemory: Bool { layout.isFromMemory }

    package convenience init(path: String) throws(ReadError) {
        let file = try OpenFile(path: path)
        try self.init(file, path: path) { () throws(ReadError) in try OpenFile(path: path) }
    }

    /// Reads a file that is open. The descriptor stays the caller's, and is not needed afterwards: the image keeps one of its own, for by
    /// the time that more is asked for, the path may be another file's.
    package convenience init(descriptor: Int32, path: String) throws(ReadError) {
        let file = try OpenFile(path: "/proc/self/fd/\(descriptor)")
        let contents = try FileContents(file, path: path) { () throws(ReadError) in
            throw .unreadable(path: path, code: EBADF)
        }
        try self.init(ElfLayout(contents, path: path), path: path)
    }

    /// A file by what it holds. The path is for whoever is told of it.
    package convenience init(contents: [UInt8], path: String) throws(ReadError) {
        guard !contents.isEmpty else { throw .malformed(path: path, offset: 0, what: "the file is empty") }
        guard let bytes = FileContents(contents) else { throw .unreadable(path: path, code: ENOMEM) }
        try self.init(ElfLayout(bytes, path: path), path: path)
    }

    /// - Parameter reopen: opens the file once more: symbols are read at once, the rest when it is asked for.
    package convenience init(
        _ file: consuming OpenFile, path: String, reopen: @escaping @Sendable () throws(ReadError) -> OpenFile
    ) throws(ReadError) {
        let contents = try FileContents(file, path: path, reopen: reopen)
        defer { contents.close() }
        try self.init(ElfLayout(contents, path: path), path: path)
    }

    /// An image whose file cannot be read, by what is mapped of it: its exported functions, without sections and without what
    /// only the file has.
    /// - Parameter regions: in ascending order; the first maps the start of the file.
    package convenience init(mapped regions: [Region], memory: any MemoryReader, path: String) throws(ReadError) {
        let contents = try FileContents(mapped: regions, memory: memory, path: path)
        let layout = try ElfLayout(contents, path: path, isFromMemory: true)
        guard let first = layout.loadSegments.first, let header = regions.first else {
            throw .malformed(path: path, offset: 0, what: "no program header says what is loaded")
        }
        let bias = LoadBias(mapped: header.range.lowerBound, linked: first.address &- first.fileOffset)
        try self.init(layout, path: path, bias: bias.rawValue)
    }

    /// - Parameter bias: added to the addresses in the dynamic section: the loader does so to those in memory.
    private init(_ layout: ElfLayout, path: String, bias: UInt64 = 0) throws(ReadError) {
        let contents = layout.bytes
        let (segments, sections) = (layout.segments, layout.sections)

        self.path = path
        self.layout = layout
        interpreter = segments.first { $0.type == UInt32(PT_INTERP) }
            .flatMap { contents.slice(at: $0.fileOffset, count: $0.fileSize)?.string(at: 0) }
        buildID = Self.buildID(contents, segments, sections)

        // A separate debug file keeps the headers of what it describes, without the contents.
        let isDebugFile = sections.contains {
            $0.isExecutable && $0.flags & UInt64(SHF_ALLOC) != 0 && $0.type == UInt32(SHT_NOBITS)
        }
        dynamic = isDebugFile ? DynamicSection() : DynamicSection(contents, segments, sections, bias: bias)
        staticTable = try SymbolTable(staticOf: contents, sections, path: path)
        dynamicTable = try dynamic.symbolTable(contents, path: path)
        debugging = DebugReader(layout)
    }

    /// PT_LOAD segments, in file order (ascending by address, elf(5)).
    package var loadSegments: [ElfSegment] { layout.loadSegments }

    /// True of a program without a dynamic linker.
    package var isStatic: Bool {
        fileType != UInt16(ET_REL) && interpreter == nil && dynamic.needed.isEmpty && soname == nil
    }

    /// True of a program, position-independent or not; false of a library, even one that can be run (libc.so.6).
    package var isExecutable: Bool { fileType == UInt16(ET_EXEC) || dynamic.flags1 & 0x0800_0000 != 0 }  // DF_1_PIE
    package var soname: String? { dynamic.soname }
    /// DT_NEEDED, in file order.
    package var needed: [String] { dynamic.needed }
    /// DT_RUNPATH, or DT_RPATH where there is none, split at colons; `$ORIGIN` is not yet replaced.
    package var runpath: [String] { dynamic.runpath }

    /// True where the file itself holds DWARF.
    package var hasDebugInfo: Bool {
        sections.contains { ($0.name == ".debug_info" || $0.name == ".zdebug_info") && $0.type != UInt32(SHT_NOBITS) }
    }

    /// Where the description (DWARF) of an object says that code lies, of which each section is at address 0.
    package func codeAddress(inSection index: Int, _ offset: UInt64) -> UInt64 {
        DebugSections.address(ofSection: index) &+ offset
    }

    package func section(named name: String) -> ElfSection? { sections.first { $0.name == name } }

    /// Tells files of other contents apart, as hexadecimal digits: FNV-1a over 64 bits, which keeps nobody from making two of one digest.
    package var contentsDigest: String {
        var hash: UInt64 = 0xcbf2_9ce4_8422_2325
        for byte in bytes.whole() ?? .init(start: nil, count: 0) { hash = (hash ^ UInt64(byte)) &* 0x100_0000_01b3 }
        let digits = String(hash, radix: 16)
        return String(repeating: "0", count: 16 - digits.count) + digits
    }

    /// The bytes of a section as they lie in the file; empty for SHT_NOBITS.
    package func contents(of section: ElfSection) throws(ReadError) -> [UInt8] {
        if section.type == UInt32(SHT_NOBITS) { return [] }
        guard let slice = bytes.slice(at: section.fileOffset, count: section.size) else {
            throw .malformed(
                path: path, offset: section.fileOffset,
                what: "section \(section.name) reaches beyond the end of the file")
        }
        return Array(slice)
    }

    /// The file's bytes for a range of link-time addresses: what the memory held before anything wrote to it.
    package func readFile(at linked: UInt64, count: Int) throws(ReadError) -> [UInt8] {
        guard let count = UInt64(exactly: count), let slice = layout.slice(linked: linked, count: count) else {
            throw .malformed(
                path: path, offset: 0,
                what: "no segment holds \(count) bytes at link-time address 0x\(String(linked, radix: 16))")
        }
        return Array(slice)
    }

    /// The call frame information, for whoever unwinds with it; nil where there is none.
    package var frameTable: FrameTable? { debugging.frameTable }

    /// The executable segment a link-time address lies in.
    package func executableSegment(containing linked: UInt64) -> ElfSegment? {
        segments.first {
            $0.type == UInt32(PT_LOAD) && $0.permissions.contains(.execute) && $0.contains(linked)
        }
    }

    /// The section a link-time address lies in. NOBITS sections of thread-local data overlap others, and do not count.
    package func section(containing linked: UInt64) -> ElfSection? {
        sections.first { $0.contains(linked) && $0.flags & UInt64(SHF_TLS) == 0 }
    }

    private static func buildID(
        _ bytes: FileContents, _ segments: [ElfSegment], _ sections: [ElfSection]
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
