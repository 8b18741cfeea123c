import Glibc

/// What a file held when it was read.
struct FileWatcherContents {
    /// What stat(2) says that changes when a file does.
    struct Stamp: Equatable {
        var device: UInt64
        var inode: UInt64
        var size: Int64
        var modified: Int64
        var changed: Int64

        init(_ status: stat) {
            device = UInt64(status.st_dev)
            inode = UInt64(status.st_ino)
            size = Int64(status.st_size)
            modified = Self.nanoseconds(status.st_mtim)
            changed = Self.nanoseconds(status.st_ctim)
        }

        static func nanoseconds(_ time: timespec) -> Int64 {
            Int64(time.tv_sec) &* 1_000_000_000 &+ Int64(time.tv_nsec)
        }
    }

    var stamp: Stamp
    /// A digest of the bytes, for this process only.
    var digest: Int
    /// It was changed so shortly before it was read that a further change may bear the same time.
    var isFresh: Bool

    /// More is not read: such a file counts as changed with its stamp.
    private static let limit = 64 << 20
    /// The clock of file systems ticks every 10 ms at most.
    private static let tick: Int64 = 20_000_000

    /// - Returns: nil where there is no regular file.
    init?(reading path: String) {
        // A pipe of that name must not make this wait.
        let file = open(path, O_RDONLY | O_CLOEXEC | O_NONBLOCK)
        var status = stat()
        guard file >= 0 else {
            guard errno == EACCES, stat(path, &status) == 0, status.st_mode & S_IFMT == S_IFREG else { return nil }
            self.init(unread: status)
            return
        }
        defer { close(file) }
        guard fstat(file, &status) == 0, status.st_mode & S_IFMT == S_IFREG else { return nil }
        var now = timespec()
        clock_gettime(CLOCK_REALTIME, &now)
        guard status.st_size <= Self.limit else {
            self.init(unread: status)
            return
        }
        var hasher = Hasher()
        var length = 0
        var buffer = [UInt8](repeating: 0, count: min(1 << 16, max(4096, Int(status.st_size) + 1)))
        while length <= Self.limit {
            let count = read(file, &buffer, buffer.count)
            if count < 0 && errno == EINTR { continue }
            guard count > 0 else { break }
            buffer.withUnsafeBytes { hasher.combine(bytes: UnsafeRawBufferPointer(rebasing: $0[..<count])) }
            length += count
        }
        hasher.combine(length)
        let stamp = Stamp(status)
        let age = Stamp.nanoseconds(now) - max(stamp.modified, stamp.changed)
        self.init(stamp: stamp, digest: hasher.finalize(), isFresh: age < Self.tick)
    }

    private init(unread status: stat) {
        let stamp = Stamp(status)
        let digest = [stamp.modified, stamp.size, Int64(bitPattern: stamp.inode)].hashValue
        self.init(stamp: stamp, digest: digest, isFresh: true)
    }

    private init(stamp: Stamp, digest: Int, isFresh: Bool) {
        self.stamp = stamp
        self.digest = digest
        self.isFresh = isFresh
    }

    /// Whether the file is, for all that stat(2) tells, the one that was read.
    func stillStands(at path: String) -> Bool {
        var status = stat()
        return !isFresh && stat(path, &status) == 0 && Stamp(status) == stamp
    }
}
