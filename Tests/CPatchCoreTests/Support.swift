import Glibc

/// Bytes that end where readable memory ends.
final class GuardedBytes {
    private let pages: UnsafeMutableRawPointer
    private let pageSize = sysconf(Int32(_SC_PAGESIZE))

    init() {
        pages = mmap(nil, 2 * pageSize, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0)
        precondition(pages != MAP_FAILED)
        precondition(mprotect(pages + pageSize, pageSize, PROT_NONE) == 0)
    }

    deinit { munmap(pages, 2 * pageSize) }

    /// The last `count` bytes before the end.
    func fill(_ count: Int, _ byte: () -> UInt8) -> UnsafePointer<UInt8> {
        let start = (pages + pageSize - count).assumingMemoryBound(to: UInt8.self)
        for i in 0..<count { start[i] = byte() }
        return UnsafePointer(start)
    }
}
