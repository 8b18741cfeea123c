/// One mapping of a process: a line of `/proc/PID/maps` (proc_pid_maps(5)).
public struct Region: Hashable, Sendable {
    /// What may be done with the memory, and who sees it change.
    public struct Permissions: OptionSet, Hashable, Sendable {
        /// A bit for each.
        public let rawValue: UInt8
        /// Makes the permissions that bits stand for.
        /// - Parameter rawValue: a bit for each.
        public init(rawValue: UInt8) { self.rawValue = rawValue }

        /// PROT_READ (mmap(2)).
        public static let read = Permissions(rawValue: 1)
        /// PROT_WRITE (mmap(2)).
        public static let write = Permissions(rawValue: 2)
        /// PROT_EXEC (mmap(2)).
        public static let execute = Permissions(rawValue: 4)
        /// MAP_SHARED: a write is seen by every process that maps it.
        public static let shared = Permissions(rawValue: 8)
    }

    /// From the first byte to behind the last; both are multiples of the page size.
    public var range: Range<Address>
    /// What may be done with it.
    public var permissions: Permissions
    /// Offset into the file, in bytes; 0 for anonymous memory.
    public var fileOffset: UInt64
    /// The major number of the device that the file is on; 0 for anonymous memory.
    public var deviceMajor: UInt32
    /// Its minor number, likewise.
    public var deviceMinor: UInt32
    /// 0 for anonymous memory.
    public var inode: UInt64
    /// As the kernel prints it: a path, `[heap]`, `/memfd:name (deleted)`, or empty.
    public var path: String

    /// Makes the mapping that a line tells of.
    /// - Parameters:
    ///   - range: from the first byte to behind the last.
    ///   - permissions: what may be done with it.
    ///   - fileOffset: into the file, in bytes.
    ///   - deviceMajor: of the device that the file is on.
    ///   - deviceMinor: likewise.
    ///   - inode: of the file.
    ///   - path: as the kernel prints it.
    public init(
        range: Range<Address>, permissions: Permissions, fileOffset: UInt64 = 0,
        deviceMajor: UInt32 = 0, deviceMinor: UInt32 = 0, inode: UInt64 = 0, path: String = ""
    ) {
        self.range = range
        self.permissions = permissions
        self.fileOffset = fileOffset
        self.deviceMajor = deviceMajor
        self.deviceMinor = deviceMinor
        self.inode = inode
        self.path = path
    }

    /// Size in bytes.
    public var count: Int { range.upperBound - range.lowerBound }
}
