import CHotpatchLinux
import Glibc
import Synchronization

/// This process's own memory. An address that is not mapped is an error, not a fault: the kernel does the reading
/// (process_vm_readv(2)); where that call is forbidden, `/proc/self/mem` does.
public struct LocalMemory: MemoryReader {
    private let isAllowed: Bool

    /// Finds out whether the kernel lets this process read itself with process_vm_readv(2).
    public init() {
        var byte: UInt8 = 0
        isAllowed = withUnsafeMutablePointer(to: &byte) { pointer in
            linux_process_vm_read(linux_getpid(), UInt64(UInt(bitPattern: pointer)), pointer, 1) == 1
        }
    }

    /// Reads exactly `buffer.count` bytes.
    /// - Throws: `MemoryError` where any of them is not mapped, or not readable.
    public func read(
        at address: Address, into buffer: UnsafeMutableRawBufferPointer
    ) throws(MemoryError) {
        // Opened anew each time: after fork, one that is open still means the parent's memory.
        if !isAllowed {
            return try ProcMemory(path: "/proc/self/mem", writable: false).read(at: address, into: buffer)
        }
        var done = 0
        while done < buffer.count {
            let count = linux_process_vm_read(
                linux_getpid(), (address + done).rawValue, buffer.baseAddress! + done, buffer.count - done)
            guard count > 0 else {
                throw MemoryError(address: address + done, count: buffer.count - done, code: count < 0 ? errno : 0)
            }
            done += count
        }
    }
}

/// The directory of a process in /proc.
package enum ProcDirectory {
    /// This process's own is `/proc/self`: in a pid namespace without a /proc of its own, its number is another process's there.
    package static func path(of pid: Int32) -> String { pid == linux_getpid() ? "/proc/self" : "/proc/\(pid)" }
}

/// Memory of a process through `/proc/PID/mem`, which also reads and writes pages that the process itself may not
/// (proc_pid_mem(5)). Opening it is subject to the ptrace access check.
package final class ProcMemory: MemoryReader {
    private let descriptor: Int32

    package init(path: String, writable: Bool) throws(MemoryError) {
        descriptor = linux_open(path, (writable ? O_RDWR : O_RDONLY) | O_CLOEXEC)
        if descriptor < 0 { throw MemoryError(address: .null, count: 0, code: errno) }
    }

    package convenience init(pid: Int32, writable: Bool = true) throws(MemoryError) {
        try self.init(path: ProcDirectory.path(of: pid) + "/mem", writable: writable)
    }

    deinit { _ = linux_close(descriptor) }

    package func read(
        at address: Address, into buffer: UnsafeMutableRawBufferPointer
    ) throws(MemoryError) {
        var done = 0
        while done < buffer.count {
            let count = linux_pread(
                descriptor, buffer.baseAddress! + done, buffer.count - done,
                Int64(bitPattern: (address + done).rawValue))
            if count < 0, errno == EINTR { continue }
            guard count > 0 else {
                throw MemoryError(address: address + done, count: buffer.count - done, code: count < 0 ? errno : 0)
            }
            done += count
        }
    }

    /// The process has ended, or executes another program: then there is nothing at any address. An address where nothing is
    /// mapped is an error instead.
    package var isGone: Bool {
        var byte: UInt8 = 0
        return linux_pread(descriptor, &byte, 1, 0) == 0
    }

    /// Reads what can be read of the bytes at once: up to the first page that cannot. For memory of threads that are held: unlike
    /// process_vm_readv(2) it never waits for a handler of page faults (userfaultfd(2)), which may be one of them.
    /// - Returns: how many bytes there were.
    package func prefix(at address: Address, into buffer: UnsafeMutableRawBufferPointer) -> Int {
        while true {
            let count = linux_pread(
                descriptor, buffer.baseAddress, buffer.count, Int64(bitPattern: address.rawValue))
            if count >= 0 { return count }
            if errno != EINTR { return 0 }
        }
    }

    /// Writes all bytes, in one call where the kernel takes them in one: a write that lies inside one page is whole or absent.
    package func write(_ bytes: UnsafeRawBufferPointer, at address: Address) throws(MemoryError) {
        var done = 0
        while done < bytes.count {
            let count = pwrite(
                descriptor, bytes.baseAddress! + done, bytes.count - done,
                off_t(Int64(bitPattern: (address + done).rawValue)))
            if count < 0, errno == EINTR { continue }
            guard count > 0 else {
                throw MemoryError(address: address + done, count: bytes.count - done, code: count < 0 ? errno : 0)
            }
            done += count
        }
    }

    package func write(_ bytes: [UInt8], at address: Address) throws(MemoryError) {
        var failure: MemoryError?
        bytes.withUnsafeBytes { buffer in
            do throws(MemoryError) { try write(buffer, at: address) } catch { failure = error }
        }
        if let failure { throw failure }
    }
}

/// Memory as it was when each of its pages was first asked for: one read of the kernel instead of hundreds, for whoever reads
/// functions that lie side by side. What is computed from it must be compared again before it is acted upon.
package final class PageSnapshot: MemoryReader {
    private let memory: any MemoryReader
    private let pageSize: Int
    private let pages = Mutex(Pages())

    private struct Pages {
        /// By address; empty for a page that cannot be read.
        var known: [Address: [UInt8]] = [:]
        /// Mostly the next question is about the same, or the one before: of a function, and of its stub.
        var latest, previous: (page: Address, bytes: [UInt8])?
    }

    /// - Parameter pageSize: in bytes, a power of two.
    package init(of memory: any MemoryReader, pageSize: Int) {
        self.memory = memory
        self.pageSize = pageSize
    }

    package func read(
        at address: Address, into buffer: UnsafeMutableRawBufferPointer
    ) throws(MemoryError) {
        var done = 0
        while done < buffer.count {
            let start = address + done
            let page = start.roundedDown(to: pageSize)
            let count = min(buffer.count - done, pageSize - (start - page))
            let isThere = pages.withLock { pages in
                if pages.latest?.page != page { swap(&pages.latest, &pages.previous) }
                if pages.latest?.page != page {
                    let bytes = pages.known[page] ?? (try? memory.bytes(at: page, count: pageSize)) ?? []
                    pages.known[page] = bytes
                    pages.latest = (page, bytes)
                }
                return pages.latest!.bytes.withUnsafeBytes { source in
                    guard let bytes = source.baseAddress, !source.isEmpty else { return false }
                    (buffer.baseAddress! + done).copyMemory(from: bytes + (start - page), byteCount: count)
                    return true
                }
            }
            // The memory's own error, or the part of the page that is there.
            if !isThere { return try memory.read(at: start, into: .init(rebasing: buffer[done...])) }
            done += count
        }
    }
}
