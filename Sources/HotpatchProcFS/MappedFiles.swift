import CHotpatchLinux
import Glibc
import HotpatchELF
import HotpatchMemory

/// The files of a process that are mapped: each is opened as the very one that is.
package struct MappedFiles: Sendable {
    package let files: TargetFiles
    package let memory: any MemoryReader

    /// The inode behind `/proc/PID/exe`.
    private let program: FileIdentity?

    package init(files: TargetFiles, memory: any MemoryReader) {
        self.files = files
        self.memory = memory
        var status = stat()
        program = linux_stat(ProcDirectory.path(of: files.pid) + "/exe", &status) == 0 ? FileIdentity(status) : nil
    }

    package func isProgram(_ file: MappedFile) -> Bool { program?.inode == file.inode }

    /// Opens the file that is mapped: by its path, or where that is another's by now, by the mapping (root only).
    package func open(_ file: MappedFile) throws(ReadError) -> OpenFile {
        let range = file.header.range
        let digits = [range.lowerBound, range.upperBound].map { String($0.rawValue, radix: 16) }.joined(separator: "-")
        var failure: ReadError?
        do throws(ReadError) {
            return try checked(try files.open(file.cleanPath), file)
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
    package func isOverwritten(_ file: MappedFile) -> Bool {
        guard let opened = try? files.open(file.cleanPath) else { return false }
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
}
