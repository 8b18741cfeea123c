import CHotpatchElf
import CHotpatchLinux
import Glibc
import HotpatchMemory

/// Finds the file behind a mapping, and makes sure that it is the very one that is mapped.
struct ImageLoader: Sendable {
    let files: TargetFiles
    let memory: any MemoryReader
    let debugFiles: DebugFiles

    /// The inode behind `/proc/PID/exe`.
    let program: FileIdentity?

    init(files: TargetFiles, memory: any MemoryReader, debugFiles: DebugFiles) {
        self.files = files
        self.memory = memory
        self.debugFiles = debugFiles
        var status = stat()
        program = linux_stat(ProcDirectory.path(of: files.pid) + "/exe", &status) == 0 ? FileIdentity(status) : nil
    }

    /// Whether the memory at a mapping starts with an ELF header; unreadable memory does not.
    func isImage(_ header: Region) -> Bool {
        (try? memory.bytes(at: header.range.lowerBound, count: 4)) == [0x7F, 0x45, 0x4C, 0x46]
    }

    func isProgram(_ file: MappedFile) -> Bool { program?.inode == file.inode }

    /// Opens the file that is mapped: by its path, or where that is another's by now, by the mapping (root only).
    func open(_ file: MappedFile) throws(SymbolError) -> OpenFile {
        let range = file.header.range
        let digits = [range.lowerBound, range.upperBound].map { String($0.rawValue, radix: 16) }.joined(separator: "-")
        var failure: SymbolError?
        do throws(SymbolError) {
            return try checked(try files.open(Self.cleanPath(file.path)), file)
        } catch { failure = error }
        for place in ["map_files/\(digits)"] + (isProgram(file) ? ["exe"] : []) {
            do throws(SymbolError) {
                return try checked(try OpenFile(path: ProcDirectory.path(of: files.pid) + "/\(place)"), file)
            } catch {}
        }
        // About the path the user knows.
        throw failure!
    }

    /// Whether the mapped file was written over: then its pages are another's, in memory too.
    func isOverwritten(_ file: MappedFile) -> Bool {
        guard let opened = try? files.open(Self.cleanPath(file.path)) else { return false }
        return opened.identity.inode == file.inode
    }

    private func checked(_ opened: consuming OpenFile, _ file: MappedFile) throws(SymbolError) -> OpenFile {
        try check(opened, file)
        return opened
    }

    /// The inode decides; the device only hints, because overlayfs and btrfs show another one in the map. Where both the
    /// memory and the file have a build-id, that decides: it also tells a file that was overwritten in place.
    private func check(_ opened: borrowing OpenFile, _ file: MappedFile) throws(SymbolError) {
        let inMemory = buildIDInMemory(file.header)
        let onDisk = inMemory.isEmpty ? [] : Self.buildID(opened.descriptor)
        if !inMemory.isEmpty, !onDisk.isEmpty {
            guard inMemory == onDisk else {
                throw .replaced(path: file.path, what: "the build-id in the memory and the one in the file differ")
            }
        } else if opened.identity.inode != file.inode {
            throw .replaced(
                path: file.path, what: "inode \(file.inode) is mapped, the path leads to inode \(opened.identity.inode)"
            )
        }
    }

    private func buildIDInMemory(_ header: Region) -> [UInt8] {
        let start = header.range.lowerBound
        guard let page = try? memory.bytes(at: start, count: min(header.count, 4096)) else { return [] }
        return page.withUnsafeBytes { page in
            Self.buildID(page) { offset, size in
                // Note segments lie in the first mapping, at their file offsets.
                guard offset <= UInt64(header.count), UInt64(header.count) - offset >= UInt64(size) else { return nil }
                return try? memory.bytes(at: start + Int(offset), count: size)
            }
        }
    }

    private static func buildID(_ descriptor: Int32) -> [UInt8] {
        func read(_ count: Int, at offset: UInt64) -> [UInt8]? {
            var bytes = [UInt8](repeating: 0, count: count)
            let done = linux_pread(descriptor, &bytes, count, Int64(truncatingIfNeeded: offset))
            return done > 0 ? Array(bytes[..<done]) : nil
        }
        guard let page = read(4096, at: 0) else { return [] }
        return page.withUnsafeBytes { page in
            buildID(page) { offset, size in read(size, at: offset) }
        }
    }

    /// The build-id of the image whose first page this is; empty where it has none, or it cannot be read.
    /// - Parameter read: of so many bytes at an offset of the file.
    private static func buildID(
        _ page: UnsafeRawBufferPointer, read: (_ offset: UInt64, _ size: Int) -> [UInt8]?
    ) -> [UInt8] {
        // Each segment once: memory may be gone at a second look.
        for (offset, size, alignment) in notes(page) where size <= 64 << 10 {
            guard let bytes = read(offset, Int(size)) else { continue }
            if let found = bytes.withUnsafeBytes({ Notes.buildID(in: $0, alignment: alignment) }) { return found }
        }
        return []
    }

    /// File offset, size and alignment of the PT_NOTE segments whose headers lie in the first page of an image.
    private static func notes(_ page: UnsafeRawBufferPointer) -> [(offset: UInt64, size: UInt64, alignment: UInt64)] {
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

    static func cleanPath(_ path: String) -> String {
        path.hasSuffix(" (deleted)") ? String(path.dropLast(10)) : path
    }

    /// Where an image is loaded whose header is mapped at `header`; nil where the file is merely mapped, not loaded: no
    /// executable mapping lies where its executable segments belong. Text that was moved to anonymous huge pages counts.
    static func placement(
        of elf: ElfImage, header: Region, in map: ProcessMap
    ) -> (bias: LoadBias, range: Range<Address>, regions: [Region])? {
        guard let first = elf.loadSegments.first else { return nil }
        // The segment that maps file offset 0 need not start there: the kernel maps whole pages.
        let bias = LoadBias(mapped: header.range.lowerBound, linked: first.address &- first.fileOffset)
        var low = UInt64.max
        var high: UInt64 = 0
        for segment in elf.loadSegments {
            let end = segment.address.addingReportingOverflow(segment.memorySize)
            if end.overflow { return nil }
            low = min(low, segment.address)
            high = max(high, end.partialValue)
        }
        let start = bias.address(ofLinked: low).roundedDown(to: 4096)
        let end = bias.address(ofLinked: high).roundedUp(to: 4096)
        guard start < end else { return nil }
        let isLoaded = elf.loadSegments.contains { segment in
            guard segment.permissions.contains(.execute), segment.memorySize > 0 else { return false }
            let segmentStart = bias.address(ofLinked: segment.address)
            let segmentEnd = segmentStart + Int(clamping: segment.memorySize)
            guard segmentStart < segmentEnd else { return false }
            return map.regions(overlapping: segmentStart..<segmentEnd).contains { region in
                guard region.permissions.contains(.execute) else { return false }
                if region.inode == 0 { return true }
                let mappedStart = region.range.lowerBound.rawValue &- region.fileOffset
                return region.inode == header.inode && mappedStart == segmentStart.rawValue &- segment.fileOffset
            }
        }
        return isLoaded ? (bias, start..<end, Array(map.regions(overlapping: start..<end))) : nil
    }
}
