import CHotpatchLinux
import Glibc

/// What tells two files, or two states of one file, apart.
package struct FileIdentity: Hashable, Sendable {
    package var deviceMajor: UInt32
    package var deviceMinor: UInt32
    package var inode: UInt64
    package var size: Int64
    package var modifiedSeconds: Int
    package var modifiedNanoseconds: Int

    package init(_ status: stat) {
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

/// A regular file, open for reading; closed with the value.
///
/// Whatever a path leads to is looked at before it is opened (O_PATH): the opening of a FIFO waits for a writer, that of a device may
/// do anything.
package struct OpenFile: ~Copyable {
    package let descriptor: Int32
    package let identity: FileIdentity

    package init(path: String) throws(ReadError) {
        try self.init(location: linux_locate(path), path: path)
    }

    /// - Parameters:
    ///   - location: what O_PATH gave, or -1 with errno; closed.
    ///   - path: for errors.
    package init(location: Int32, path: String) throws(ReadError) {
        guard location >= 0 else { throw .unreadable(path: path, code: errno) }
        defer { _ = linux_close(location) }
        var status = stat()
        guard linux_fstat(location, &status) == 0 else { throw .unreadable(path: path, code: errno) }
        guard status.st_mode & S_IFMT == S_IFREG else {
            throw .unsupported(path: path, what: "it is not a regular file")
        }
        // The very file that was looked at. O_NONBLOCK: somebody may hold a lease on it.
        let descriptor = linux_open("/proc/self/fd/\(location)", O_RDONLY | O_CLOEXEC | O_NONBLOCK | O_NOCTTY)
        guard descriptor >= 0 else { throw .unreadable(path: path, code: errno) }
        self.descriptor = descriptor
        identity = FileIdentity(status)
    }

    deinit { _ = linux_close(descriptor) }

    /// All of it, of at most so many bytes.
    package func readAll(limit: Int, path: String) throws(ReadError) -> [UInt8] {
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
}
