import CHotpatchElf
import CHotpatchLinux
import Glibc
import HotpatchELF
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
    func open(_ file: MappedFile) throws(ReadError) -> OpenFile {
        let range = file.header.range
        let digits = [range.lowerBound, range.upperBound].map { String($0.rawValue, radix: 16) }.joined(separator: "-")
        var failure: ReadError?
        do throws(ReadError) {
            return try checked(try files.open(Self.cleanPath(file.path)), file)
        } catch { failure = error }
        for place in ["map_files/\(digits)"] + (isProgram(file) ? ["exe"] : []) {
            do throws(ReadError) {
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

    private func checked(_ opened: consuming OpenFile, _ file: MappedFile) throws(ReadError) -> OpenFile {
        try check(opened, file)
        return opened
    }

    /// The inode decides; the device only hints, because overlayfs and btrfs show another one in the map. Where both the
    /// memory and the file have a build-id, that decides: it also tells a file that was overwritten in place.
    private func check(_ opened: borrowing OpenFile, _ file: MappedFile) throws(ReadError) {
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
            Notes.buildID(ofImage: page) { offset, size in
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
            Notes.buildID(ofImage: page) { offset, size in read(size, at: offset) }
        }
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
