import CHotpatchLinux
import Glibc
import HotpatchELF
import HotpatchMemory

/// The files of a process, opened as the process would: the one way to them, for its images, its loader's cache, the libraries that it
/// could load, debug files.
///
/// A path is followed below the process's own root directory, and no symbolic link in it leads out (openat2(2), RESOLVE_IN_ROOT):
/// the process may have another mount namespace, or be confined by chroot(2), and its user may have made the links. Only regular files
/// are opened, and none that another process could make wait. Whether a file is the one that is mapped its inode and its build-id
/// tell: `MappedFiles`.
package struct TargetFiles: Sendable {
    package let pid: Int32
    /// Nil for this process itself.
    private let root: Root?

    /// The root directory, held open: the process may change to another meanwhile.
    private final class Root: Sendable {
        let path: String
        /// -1 with `code`.
        let descriptor: Int32
        let code: Int32

        init(_ path: String) {
            self.path = path
            descriptor = linux_locate(path)
            code = errno
        }

        deinit { if descriptor >= 0 { _ = linux_close(descriptor) } }
    }

    /// - Parameter root: `/proc/PID/root`; empty for this process.
    package init(pid: Int32, root: String) {
        self.pid = pid
        self.root = root.isEmpty ? nil : Root(root)
    }

    /// Opens a file by a path of the process.
    /// - Throws: `ReadError.unreadable`, or `.unsupported` where it is no regular file.
    package func open(_ path: String) throws(ReadError) -> OpenFile {
        guard let root else { return try OpenFile(path: path) }
        guard root.descriptor >= 0 else { throw .unreadable(path: root.path, code: root.code) }
        let location = linux_locate_below(root.descriptor, path)
        if location < 0, errno == ENOSYS {
            throw .unsupported(
                path: path,
                what: "the kernel cannot look it up below the root directory of process \(pid) (openat2, Linux 5.6)")
        }
        return try OpenFile(location: location, path: path)
    }

    /// Whether the process has /proc: by a name in it a loader opens the library that it is handed.
    package var haveProc: Bool {
        guard let root else { return true }
        let folder = linux_locate_below(root.descriptor, "/proc")
        guard folder >= 0 else { return false }
        defer { _ = linux_close(folder) }
        return linux_is_proc(folder) != 0
    }

    /// Reads a whole file, of at most so many bytes.
    package func read(_ path: String, limit: Int) throws(ReadError) -> [UInt8] {
        try open(path).readAll(limit: limit, path: path)
    }

    /// An image by a path of the process.
    package func image(_ path: String) throws(ReadError) -> ElfImage {
        try ElfImage(try open(path), path: path) { () throws(ReadError) in try open(path) }
    }

    /// What the file that is mapped at an address holds there: zeros where it ends. Nil where it cannot be read, or is another by now.
    package func bytes(mapped region: Region, at address: Address, count: Int) -> [UInt8]? {
        guard region.inode != 0, region.range.contains(address),
            let file = try? open(region.path), file.identity.inode == region.inode
        else { return nil }
        var bytes = [UInt8](repeating: 0, count: count)
        let (offset, overflow) = region.fileOffset.addingReportingOverflow(UInt64(address - region.range.lowerBound))
        guard !overflow, let position = Int64(exactly: offset) else { return nil }
        return linux_pread(file.descriptor, &bytes, count, position) >= 0 ? bytes : nil
    }
}
