/// One mapping of a process: a line of `/proc/PID/maps` (proc_pid_maps(5)).
public struct Region: Hashable, Sendable {
    public struct Permissions: OptionSet, Hashable, Sendable {
        public let rawValue: UInt8
        public init(rawValue: UInt8) { self.rawValue = rawValue }

        public static let read = Permissions(rawValue: 1)
        public static let write = Permissions(rawValue: 2)
        public static let execute = Permissions(rawValue: 4)
        /// MAP_SHARED: a write is seen by every process that maps it.
        public static let shared = Permissions(rawValue: 8)
    }

    public var range: Range<Address>
    public var permissions: Permissions
    /// Offset into the file, in bytes; 0 for anonymous memory.
    public var fileOffset: UInt64
    public var deviceMajor: UInt32
    public var deviceMinor: UInt32
    /// 0 for anonymous memory.
    public var inode: UInt64
    /// As the kernel prints it: a path, `[heap]`, `/memfd:name (deleted)`, or empty.
    public var path: String

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
