import CLinux
import Glibc
import Memory

/// What tells two files, or two states of one file, apart.
struct FileIdentity: Hashable, Sendable {
    var deviceMajor: UInt32
    var deviceMinor: UInt32
    var inode: UInt64
    var size: Int64
    var modifiedSeconds: Int
    var modifiedNanoseconds: Int

    init(_ status: stat) {
        // The layout of dev_t, makedev(3): the macros are not visible to Swift.
        let device = UInt64(status.st_dev)
        deviceMajor = UInt32(truncatingIfNeeded: (device >> 8 & 0xFFF) | (device >> 32 & 0xFFFF_F000))
        deviceMinor = UInt32(truncatingIfNeeded: (device & 0xFF) | (device >> 12 & 0xFFFF_FF00))
        inode = UInt64(status.st_ino)
        size = Int64(status.st_size)
        modifiedSeconds = Int(status.st_mtim.tv_sec)
        modifiedNanoseconds = Int(status.st_mtim.tv_nsec)
    }
}

/// An open file; closed with the value.
struct OpenFile: ~Copyable {
    let descriptor: Int32
    let path: String
    let identity: FileIdentity

    init(path: String) throws(SymbolError) {
        // O_NONBLOCK: a path out of /proc/PID/maps may have been replaced by a FIFO.
        let descriptor = linux_open(path, O_RDONLY | O_CLOEXEC | O_NONBLOCK)
        guard descriptor >= 0 else { throw .unreadable(path: path, code: errno) }
        var status = stat()
        guard linux_fstat(descriptor, &status) == 0 else {
            let code = errno
            _ = linux_close(descriptor)
            throw .unreadable(path: path, code: code)
        }
        guard status.st_mode & S_IFMT == S_IFREG else {
            _ = linux_close(descriptor)
            throw .unsupported(path: path, what: "it is not a regular file")
        }
        self.descriptor = descriptor
        self.path = path
        identity = FileIdentity(status)
    }

    deinit { _ = linux_close(descriptor) }
}

/// A whole file mapped privately: the file cannot be written through it.
///
/// A file that is truncated while it is mapped faults (SIGBUS) on the pages beyond its new end; a process that runs an
/// image bears that risk for its own code already.
final class FileMapping: Sendable {
    nonisolated(unsafe) let bytes: UnsafeRawBufferPointer
    let identity: FileIdentity

    init(descriptor: Int32, path: String) throws(SymbolError) {
        var status = stat()
        guard linux_fstat(descriptor, &status) == 0 else { throw .unreadable(path: path, code: errno) }
        guard status.st_size > 0 else { throw .malformed(path: path, offset: 0, what: "the file is empty") }
        let size = Int(status.st_size)
        guard let base = linux_map_file(descriptor, size) else { throw .unreadable(path: path, code: errno) }
        bytes = UnsafeRawBufferPointer(start: base, count: size)
        identity = FileIdentity(status)
    }

    /// Lets this process's copy of a range be written; the file stays as it is. Page by page, as what is writable counts
    /// towards RLIMIT_DATA.
    /// - Returns: whether it can be.
    func makeWritable(at offset: UInt64, count: UInt64) -> Bool {
        guard let range = bytes.slice(at: offset, count: count), let start = range.baseAddress else { return false }
        let first = Address(start).roundedDown(to: Int(getpagesize()))
        return linux_make_writable(first.pointer, Address(start) + range.count - first) == 0
    }

    deinit { _ = linux_munmap(UnsafeMutableRawPointer(mutating: bytes.baseAddress!), bytes.count) }
}

/// Reads a whole small file of unknown size, as those in /proc are.
func readWholeFile(_ path: String, limit: Int = 64 << 20) throws(SymbolError) -> [UInt8] {
    let descriptor = linux_open(path, O_RDONLY | O_CLOEXEC)
    guard descriptor >= 0 else { throw .unreadable(path: path, code: errno) }
    defer { _ = linux_close(descriptor) }
    var contents: [UInt8] = []
    var chunk = [UInt8](repeating: 0, count: 64 << 10)
    while contents.count <= limit {
        let count = linux_read(descriptor, &chunk, chunk.count)
        if count < 0, errno == EINTR { continue }
        guard count >= 0 else { throw .unreadable(path: path, code: errno) }
        if count == 0 { return contents }
        contents.append(contentsOf: chunk[..<count])
    }
    throw .malformed(path: path, offset: UInt64(contents.count), what: "it is longer than \(limit) bytes")
}
