import CHotpatchElf
import Glibc
import HotpatchMemory

extension ElfImage {
    /// Checks what a dynamic linker reads of a shared library, and what it will run: it trusts the file, and a mangled one ends the
    /// process that loads it. An address that leads out of a segment, a chain without an end, a version that no table has: glibc's ld.so
    /// follows them all, and an assertion of it ends the process too.
    ///
    /// Followed is what it follows: memory by the PT_LOAD segments, and not by sections.
    ///
    /// - Throws: `ReadError.malformed`, with the offset in the file; `.unloadable`, where no loader minds, and the process would.
    package func vetForLoading(_ time: ReadingTime = ReadingTime()) throws(ReadError) {
        var vetting = try LibraryVetting(self, time)
        try vetting.run()
        try time.check()
    }
}

/// The tables of a library, as the dynamic linker finds them; checked in the order in which it reads them.
struct LibraryVetting {
    let image: ElfImage
    let time: ReadingTime
    /// PT_LOAD, ascending, no two in one page.
    let loads: [ElfSegment]
    /// Entries of the dynamic section by tag, but for DT_NEEDED: where the entry lies in the file, and what it says.
    private(set) var entries: [UInt64: (offset: UInt64, value: UInt64)] = [:]
    private(set) var needed: [(offset: UInt64, value: UInt64)] = []
    private(set) var threadLocal: ElfSegment?

    // Filled as the tables are checked.
    var strings = Table()
    var symbols = Table()
    var versions: Table?
    var highestVersion: UInt16 = 0
    /// Names of versions that it needs, by their places in the table of names.
    var neededVersions: Set<UInt64> = []
    /// Symbols that are known to be right, by index.
    var checkedSymbols: Set<UInt32> = []
    /// Arrays of functions that the loader calls, and what relocations make of them.
    var functionArrays: [FunctionArray] = []
    /// Where relocations are written to: link-time addresses, and which they are in the file.
    var slots: [(range: Range<UInt64>, place: UInt64)] = []
    /// What the loader reads of the memory that relocations may change: link-time addresses.
    private(set) var readInData: [Range<UInt64>] = []

    /// A part of a segment, in memory as in the file.
    struct Table {
        var address: UInt64 = 0
        var fileOffset: UInt64 = 0
        /// In bytes. Where nobody says the end, it reaches up to the end of what the segment has of the file.
        var size: UInt64 = 0
        var isWritable = false

        var range: Range<UInt64> { address..<address + size }
    }

    struct FunctionArray {
        var table: Table
        var name: String
        var isRelocated: [Bool]
    }

    /// What libraries have at most: the loader keeps that many headers on its stack.
    private static let mostSegments = 128
    /// How many bytes of the address space a library may take: code reaches no further.
    private static let largestSpan: UInt64 = 4 << 30
    /// In bytes, for each thread; the loader ends the process that has no more.
    private static let largestThreadLocal: UInt64 = 64 << 20
    private static let relro: UInt32 = 0x6474_E552  // PT_GNU_RELRO
    private static let property: UInt32 = 0x6474_E553  // PT_GNU_PROPERTY

    init(_ image: ElfImage, _ time: ReadingTime) throws(ReadError) {
        self.image = image
        self.time = time
        loads = image.loadSegments
    }

    mutating func run() throws(ReadError) {
        try checkHeaders()
        try checkLoads()
        try checkOtherSegments()
        try checkDynamicSegment()
        try readDynamicSection()
        try checkStrings()
        try checkVersions()
        try checkHashTables()
        try checkFunctions()
        try checkRelocations()
    }

    // MARK: Errors

    func malformed(_ offset: UInt64, _ what: String) -> ReadError {
        .malformed(path: image.path, offset: offset, what: what)
    }

    func unloadable(_ what: String, remedy: String) -> ReadError {
        .unloadable(path: image.path, what: what, remedy: remedy)
    }

    func hex(_ number: UInt64) -> String { "0x" + String(number, radix: 16) }

    // MARK: Memory

    /// What the loader reads at a link-time address: bytes of the file, in a segment that can be read.
    /// - Parameter size: nil for all up to the end of the segment.
    func table(at address: UInt64, size: UInt64?, of what: String, from offset: UInt64) throws(ReadError) -> Table {
        guard let load = loads.first(where: { $0.contains(address) && address &- $0.address < $0.fileSize }) else {
            throw malformed(offset, "\(what) is at \(hex(address)), where nothing of the file is loaded")
        }
        guard load.permissions.contains(.read) else {
            throw malformed(offset, "\(what) is at \(hex(address)), in memory that cannot be read")
        }
        let inside = address &- load.address
        let rest = load.fileSize &- inside
        guard size ?? 0 <= rest else {
            throw malformed(
                offset, "\(what), \(size ?? 0) bytes at \(hex(address)), reaches beyond the end of its segment")
        }
        return Table(
            address: address, fileOffset: load.fileOffset &+ inside, size: size ?? rest,
            isWritable: load.permissions.contains(.write))
    }

    /// A value of a table.
    func value<T: BitwiseCopyable>(
        _ type: T.Type, at offset: UInt64, of table: Table, _ what: @autoclosure () -> String
    ) throws(ReadError) -> T {
        let size = UInt64(MemoryLayout<T>.size)
        guard offset <= table.size, table.size &- offset >= size,
            let value = image.bytes.value(type, at: table.fileOffset &+ offset)
        else { throw malformed(table.fileOffset, "\(what()) lies outside of its segment") }
        return value
    }

    /// Remembers how much of a table the loader reads.
    mutating func noteRead(_ table: Table, size: UInt64) {
        if table.isWritable { readInData.append(table.address..<table.address + min(size, table.size)) }
    }

    /// Whether code of the file is loaded at a link-time address.
    func isCode(_ address: UInt64) -> Bool {
        guard let segment = image.executableSegment(containing: address) else { return false }
        return address &- segment.address < segment.fileSize
    }

    /// Whether what the loader calls may begin there: in code, and not amid what the table of frames says is one function, or in the middle
    /// of those that compilers put together from pieces, which no table has.
    func isFunction(_ address: UInt64) -> Bool {
        guard isCode(address) else { return false }
        if let function = image.frameTable?.range(containing: address) { return function.lowerBound == address }
        guard let section = image.section(containing: address), [".init", ".fini"].contains(section.name) else {
            return true
        }
        return section.address == address
    }

    // MARK: Headers and segments

    private func checkHeaders() throws(ReadError) {
        guard let header = image.bytes.value(Elf64_Ehdr.self, at: 0),
            header.e_phentsize == UInt16(MemoryLayout<Elf64_Phdr>.size)
        else { throw malformed(54, "its program headers are not of 56 bytes each") }
        guard image.segments.count <= Self.mostSegments, Int(header.e_phnum) == image.segments.count else {
            throw malformed(56, "it has \(header.e_phnum) program headers, and a library at most \(Self.mostSegments)")
        }
        // The loader looks at them in memory once more, and so does who unwinds.
        let size = UInt64(header.e_phnum) * UInt64(MemoryLayout<Elf64_Phdr>.size)
        let isLoaded = loads.contains {
            $0.permissions.contains(.read) && $0.fileOffset <= header.e_phoff
                && header.e_phoff &- $0.fileOffset <= $0.fileSize
                && size <= $0.fileSize &- (header.e_phoff &- $0.fileOffset)
        }
        guard isLoaded else { throw malformed(32, "no segment loads its program headers") }
        for segment in image.segments where segment.type == UInt32(PT_PHDR) {
            let table = try table(at: segment.address, size: size, of: "the table of program headers", from: 32)
            guard table.fileOffset == header.e_phoff else {
                throw malformed(header.e_phoff, "PT_PHDR leads to other bytes than the program headers")
            }
        }
    }

    private func checkLoads() throws(ReadError) {
        guard let first = loads.first, let last = loads.last else {
            throw malformed(0, "it has no segment that is loaded")
        }
        let page = UInt64(getpagesize())
        let fileSize = UInt64(image.bytes.count)
        var end: UInt64 = 0
        for load in loads {
            let (place, what) = (load.fileOffset, "the segment at \(hex(load.address))")
            guard load.address < 1 << 47, load.memorySize < 1 << 47, load.fileSize <= load.memorySize else {
                throw malformed(
                    place, "\(what) has \(load.fileSize) bytes of the file and \(load.memorySize) of memory")
            }
            guard place <= fileSize, load.fileSize <= fileSize &- place else {
                throw malformed(place, "\(what) reaches beyond the end of the file")
            }
            guard load.alignment.nonzeroBitCount == 1, load.alignment >= page, load.alignment <= 1 << 30,
                (load.address &- place) % load.alignment == 0
            else { throw malformed(place, "\(what) is not aligned to \(hex(load.alignment))") }
            // The page of which the rest is filled with zeros.
            guard load.memorySize == 0 || load.address % page == 0 || place & ~(page - 1) < fileSize else {
                throw malformed(place, "\(what) begins behind the end of the file")
            }
            guard load.address & ~(page - 1) >= end else {
                throw malformed(place, "\(what) overlaps the one before, or comes before it")
            }
            end = (load.address + load.memorySize + page - 1) & ~(page - 1)
            guard !load.permissions.isSuperset(of: [.write, .execute]) else {
                throw unloadable(
                    "\(what) would be writable and executable",
                    remedy: "Link it without -N or --omagic, and without a script that joins code and data")
            }
        }
        guard last.address + last.memorySize - first.address <= Self.largestSpan else {
            throw malformed(first.fileOffset, "its segments span more than \(Self.largestSpan >> 30) GiB")
        }
    }

    private mutating func checkDynamicSegment() throws(ReadError) {
        let segments = image.segments.filter { $0.type == UInt32(PT_DYNAMIC) }
        guard segments.count == 1, let segment = segments.first, segment.fileSize > 0 else {
            throw malformed(32, "it has \(segments.count) dynamic sections that are loaded, not one")
        }
        let found = try table(
            at: segment.address, size: segment.fileSize, of: "the dynamic section", from: segment.fileOffset)
        guard found.fileOffset == segment.fileOffset else {
            throw malformed(segment.fileOffset, "PT_DYNAMIC leads to other bytes in memory than in the file")
        }
        // The loader moves its pointers; before glibc 2.35 it did so without asking.
        guard found.isWritable else {
            throw unloadable(
                "its dynamic section is in memory that cannot be written to", remedy: "Link it without -z rodynamic")
        }
        noteRead(found, size: found.size)
    }

    /// Until DT_NULL: the loader knows no other end.
    private mutating func readDynamicSection() throws(ReadError) {
        guard let segment = image.segments.first(where: { $0.type == UInt32(PT_DYNAMIC) }) else { return }
        var offset = segment.fileOffset
        let end = segment.fileOffset + segment.fileSize
        while true {
            guard end - offset >= UInt64(MemoryLayout<Elf64_Dyn>.size),
                let tag = image.bytes.value(UInt64.self, at: offset),
                let value = image.bytes.value(UInt64.self, at: offset + 8)
            else { throw malformed(offset, "the dynamic section has no end (DT_NULL)") }
            if tag == UInt64(DT_NULL) { return }
            // Loaders look at the low half of some.
            guard tag <= 0x7FFF_FFFF else { throw malformed(offset, "the dynamic section has a tag \(hex(tag))") }
            if tag == UInt64(DT_NEEDED) {
                needed.append((offset, value))
            } else if entries.updateValue((offset, value), forKey: tag) != nil {
                throw malformed(offset, "the dynamic section has the tag \(hex(tag)) twice")
            }
            offset += UInt64(MemoryLayout<Elf64_Dyn>.size)
        }
    }

    // MARK: Entries of the dynamic section

    func entry(_ tag: Int) -> (offset: UInt64, value: UInt64)? { entries[UInt64(tag)] }
    func entry(_ tag: Int32) -> (offset: UInt64, value: UInt64)? { entries[UInt64(tag)] }

    /// The entry that another one is nothing without.
    func entry(_ tag: Int32, _ name: String, with other: String) throws(ReadError) -> (offset: UInt64, value: UInt64) {
        guard let found = entry(tag) else {
            throw malformed(dynamicOffset, "the dynamic section has \(other) without \(name)")
        }
        return found
    }

    var dynamicOffset: UInt64 { image.segments.first { $0.type == UInt32(PT_DYNAMIC) }?.fileOffset ?? 0 }

    private mutating func checkStrings() throws(ReadError) {
        for (tag, name) in [(0x7FFF_FFFD, "an auxiliary filter (DT_AUXILIARY)"), (0x7FFF_FFFF, "a filter (DT_FILTER)")]
        where entry(tag) != nil {
            throw unloadable("it is \(name) for another library", remedy: "Link it without -f and -F")
        }
        // DT_REL, DT_RELSZ, DT_RELENT; DT_ANDROID_REL and those behind it, DT_ANDROID_RELR.
        for tag in [17, 18, 19, 0x6000_000F, 0x6000_0011, 0x6FFF_E000] {
            guard let (offset, _) = entry(tag) else { continue }
            throw malformed(offset, "it has relocations of a kind that glibc does not know (tag \(hex(UInt64(tag))))")
        }
        let isText = (entry(DT_FLAGS)?.value ?? 0) & 4 != 0  // DF_TEXTREL
        guard entry(DT_TEXTREL) == nil, !isText else {
            throw unloadable("it has relocations in its code", remedy: "Compile it with -fPIC")
        }
        let start = try entry(DT_STRTAB, "DT_STRTAB", with: "names")
        let size = try entry(DT_STRSZ, "DT_STRSZ", with: "DT_STRTAB")
        strings = try table(at: start.value, size: size.value, of: "the table of names", from: start.offset)
        guard strings.size > 0,
            try value(UInt8.self, at: strings.size - 1, of: strings, "the table of names") == 0
        else { throw malformed(strings.fileOffset, "the table of names does not end with a NUL") }
        noteRead(strings, size: strings.size)
        for (offset, value) in needed { try checkString(value, "a needed library's name", from: offset) }
        for (tag, name) in [(DT_SONAME, "its own name"), (DT_RPATH, "a path"), (DT_RUNPATH, "a path")] {
            if let (offset, value) = entry(tag) { try checkString(value, name, from: offset) }
        }
        guard entry(DT_SYMENT)?.value == UInt64(SymbolTable.recordSize) else {
            throw malformed(entry(DT_SYMENT)?.offset ?? dynamicOffset, "its symbols are not of 24 bytes each")
        }
        let table = try entry(DT_SYMTAB, "DT_SYMTAB", with: "DT_STRTAB")
        symbols = try self.table(at: table.value, size: nil, of: "the table of symbols", from: table.offset)
        // The null symbol: relocations without a symbol name it.
        _ = try symbol(0)
    }

    func checkString(_ place: UInt64, _ what: String, from offset: UInt64) throws(ReadError) {
        guard place < strings.size else { throw malformed(offset, "\(what) lies outside of the table of names") }
    }

    /// The bytes of a name that was checked.
    func string(_ place: UInt64) -> UnsafeRawBufferPointer {
        let empty = UnsafeRawBufferPointer(start: nil, count: 0)
        guard place < strings.size else { return empty }
        return image.bytes.slice(at: strings.fileOffset, count: strings.size)?.terminated(at: place) ?? empty
    }

    // MARK: Segments beside those that are loaded

    private mutating func checkOtherSegments() throws(ReadError) {
        let page = UInt64(getpagesize())
        var stack: ElfSegment?
        var seen: Set<UInt32> = []
        for segment in image.segments {
            let place = segment.fileOffset
            switch segment.type {
            case UInt32(PT_TLS), UInt32(PT_GNU_STACK), Self.relro, UInt32(PT_GNU_EH_FRAME):
                guard seen.insert(segment.type).inserted else {
                    throw malformed(place, "it has two segments of type \(hex(UInt64(segment.type)))")
                }
            default: break
            }
            switch segment.type {
            case UInt32(PT_TLS): try checkThreadLocal(segment)
            case UInt32(PT_GNU_STACK): stack = segment
            case Self.relro:
                let isInside = loads.contains {
                    let end = ($0.address + $0.memorySize + page - 1) & ~(page - 1)
                    return $0.permissions.contains(.write) && segment.address >= $0.address & ~(page - 1)
                        && segment.address <= end && segment.memorySize <= end - segment.address
                }
                guard isInside else {
                    throw malformed(place, "what becomes read-only (PT_GNU_RELRO) lies outside of its data")
                }
            case UInt32(PT_GNU_EH_FRAME): try checkFrames(segment)
            case UInt32(PT_NOTE), Self.property: try checkNotes(segment)
            default: break
            }
        }
        // Without a word of it the loader takes the architecture's default, which is that.
        guard let stack, !stack.permissions.contains(.execute) else {
            throw unloadable(
                "it asks for stacks that can be executed, and every thread of the process would get one",
                remedy: "Link it with -z noexecstack (assembly: .section .note.GNU-stack,\"\",@progbits)")
        }
    }

    private mutating func checkThreadLocal(_ segment: ElfSegment) throws(ReadError) {
        if segment.memorySize == 0 { return }
        let place = segment.fileOffset
        guard segment.fileSize <= segment.memorySize, segment.memorySize <= Self.largestThreadLocal else {
            throw malformed(
                place,
                "its thread-local memory has \(segment.fileSize) bytes of the file and \(segment.memorySize) in all")
        }
        guard segment.alignment == 0 || segment.alignment.nonzeroBitCount == 1, segment.alignment <= 1 << 16 else {
            throw malformed(place, "its thread-local memory is aligned to \(hex(segment.alignment))")
        }
        if segment.fileSize > 0 {
            let found = try table(at: segment.address, size: segment.fileSize, of: "its thread-local data", from: place)
            guard found.fileOffset == place else {
                throw malformed(place, "PT_TLS leads to other bytes in memory than in the file")
            }
        }
        threadLocal = segment
    }

    /// Who unwinds finds the table by the segment (LSB Core, "The .eh_frame_hdr section").
    private func checkFrames(_ segment: ElfSegment) throws(ReadError) {
        let header = try table(
            at: segment.address, size: segment.fileSize, of: "the table of frames", from: segment.fileOffset)
        // Version 1: sdata4 to .eh_frame, udata4 count, sdata4 pairs relative to the table. Who unwinds takes others one by one.
        let start = try value(UInt32.self, at: 0, of: header, "the table of frames")
        guard start == 0x3B03_1B01 else { return }
        let frames = try value(Int32.self, at: 4, of: header, "the table of frames")
        let address = header.address &+ 4 &+ UInt64(bitPattern: Int64(frames))
        _ = try table(at: address, size: 4, of: "the frame information", from: header.fileOffset + 4)
        let count = UInt64(try value(UInt32.self, at: 8, of: header, "the table of frames"))
        guard count <= (header.size - 12) / 8 else {
            throw malformed(header.fileOffset + 8, "the table of frames has \(count) rows, and no room for them")
        }
    }

    /// Notes and properties, which the loader reads before it has relocated anything (elf(5), Elf64_Nhdr).
    private func checkNotes(_ segment: ElfSegment) throws(ReadError) {
        if segment.fileSize == 0 { return }
        guard segment.fileSize == segment.memorySize else {
            throw malformed(segment.fileOffset, "notes of which only a part is in the file")
        }
        let notes = try table(
            at: segment.address, size: segment.fileSize, of: "a table of notes", from: segment.fileOffset)
        guard notes.fileOffset == segment.fileOffset, [0, 1, 2, 4, 8].contains(segment.alignment) else {
            throw malformed(segment.fileOffset, "a table of notes is aligned to \(hex(segment.alignment))")
        }
        let mask: UInt64 = segment.alignment == 8 ? 7 : 3
        var offset: UInt64 = 0
        while notes.size - offset >= 12 {
            let header = try value(Elf64_Nhdr.self, at: offset, of: notes, "a note")
            let description = (12 + UInt64(header.n_namesz) + mask) & ~mask
            let length = description + UInt64(header.n_descsz)
            guard length <= notes.size - offset else {
                throw malformed(
                    notes.fileOffset + offset, "a note of \(length) bytes reaches beyond the end of its segment")
            }
            if header.n_type == 5, header.n_namesz == 4 {  // NT_GNU_PROPERTY_TYPE_0
                try checkProperties(notes, from: offset + description, to: offset + length)
            }
            offset = min(offset + (length + mask) & ~mask, notes.size)
        }
    }

    /// Pairs of a type and a size, and what is of that size (Linux gABI extensions, "Program Property").
    private func checkProperties(_ notes: Table, from start: UInt64, to end: UInt64) throws(ReadError) {
        var offset = start
        while end - offset >= 8 {
            let size = UInt64(try value(UInt32.self, at: offset + 4, of: notes, "a property"))
            guard size <= end - offset - 8 else {
                throw malformed(
                    notes.fileOffset + offset, "a property of \(size) bytes reaches beyond the end of its note")
            }
            offset = min(offset + 8 + (size + 7) & ~7, end)
        }
    }
}
