import CHotpatchLinux
import Glibc
import HotpatchMemory

/// The bytes of a file, read when they are asked for, and kept: what a file says does not change while it is looked at.
///
/// A file that others may write is never mapped: whoever truncates it ends the process that looks at the mapping (SIGBUS). Room for the
/// whole file is reserved, so that an offset is a place, and what was read stays where it is; memory is taken for what was read, in
/// pieces of 64 KiB.
package final class FileContents: Sendable {
    /// A longer file is refused: no program or debug file is half as long.
    static let largestFile: Int64 = 64 << 30
    /// How many bytes of one file are kept: more cannot be read. The symbols of the largest programs take a fifth.
    static let largestShare = 1 << 30

    let identity: FileIdentity?
    /// In bytes.
    let count: Int

    private static let piece = 64 << 10
    nonisolated(unsafe) private let base: UnsafeMutableRawPointer
    private let source: Locked<Source>

    private struct Source {
        /// While the file is open.
        var descriptor: Int32 = -1
        /// Opens it once more.
        var reopen: (@Sendable () throws(ReadError) -> OpenFile)?
        /// Instead of a file: what of it is mapped, and whose memory that is.
        var mapped: (regions: [Region], memory: any MemoryReader)?
        /// Which of the pieces were read.
        var isRead: [Bool]
        var bytesRead = 0

        var isWhole: Bool { isRead.allSatisfy { $0 } }
    }

    /// - Parameter reopen: opens the file once more when `close` has been called: by then it may be another.
    init(
        _ file: borrowing OpenFile, path: String, reopen: @escaping @Sendable () throws(ReadError) -> OpenFile
    ) throws(ReadError) {
        let identity = file.identity
        guard identity.size > 0 else { throw .malformed(path: path, offset: 0, what: "the file is empty") }
        guard identity.size <= Self.largestFile else {
            throw .unsupported(
                path: path, what: "it is \(identity.size) bytes long, and at most \(Self.largestFile) are read")
        }
        let size = Int(identity.size)
        guard let base = linux_reserve(size) else { throw .unreadable(path: path, code: errno) }
        let descriptor = linux_duplicate(file.descriptor)
        guard descriptor >= 0 else {
            let code = errno
            _ = linux_munmap(base, size)
            throw .unreadable(path: path, code: code)
        }
        self.base = base
        self.identity = identity
        count = size
        source = Locked(
            Source(
                descriptor: descriptor, reopen: reopen,
                isRead: [Bool](repeating: false, count: (size + Self.piece - 1) / Self.piece)))
    }

    /// A file that cannot be opened, as far as it is mapped, the rest zeros: what a deleted library still says. Where one offset is
    /// mapped twice, the mapping that the process may not write to tells.
    init(mapped regions: [Region], memory: any MemoryReader, path: String) throws(ReadError) {
        // Hundreds would be another thing than an image.
        let regions = regions.prefix(256).filter { $0.permissions.contains(.read) }
        var size: UInt64 = 0
        for region in regions {
            let (end, overflow) = region.fileOffset.addingReportingOverflow(UInt64(region.count))
            guard !overflow, end <= UInt64(Self.largestFile) else {
                throw .unsupported(path: path, what: "it is mapped beyond its first \(Self.largestFile) bytes")
            }
            size = max(size, end)
        }
        guard size > 0, let base = linux_reserve(Int(size)) else { throw .unreadable(path: path, code: ENOMEM) }
        self.base = base
        identity = nil
        count = Int(size)
        source = Locked(
            Source(
                mapped: (regions, memory),
                isRead: [Bool](repeating: false, count: (count + Self.piece - 1) / Self.piece)))
    }

    /// Bytes that are known already.
    init?(_ bytes: [UInt8]) {
        guard !bytes.isEmpty, let base = linux_reserve(bytes.count), linux_make_writable(base, bytes.count) == 0 else {
            return nil
        }
        bytes.withUnsafeBytes { base.copyMemory(from: $0.baseAddress!, byteCount: $0.count) }
        self.base = base
        identity = nil
        count = bytes.count
        source = Locked(
            Source(isRead: [Bool](repeating: true, count: (count + Self.piece - 1) / Self.piece)))
    }

    deinit {
        close()
        _ = linux_munmap(base, count)
    }

    /// Closes the file: a process has few descriptors, and maps many files.
    func close() {
        source.withLock { source in
            if source.descriptor >= 0 { _ = linux_close(source.descriptor) }
            source.descriptor = -1
        }
    }

    /// The bytes `offset ..< offset + length`; nil where they are not wholly inside, or cannot be read any more.
    package func slice(at offset: UInt64, count length: UInt64) -> UnsafeRawBufferPointer? {
        guard offset <= UInt64(count), UInt64(count) &- offset >= length else { return nil }
        let range = Int(offset)..<Int(offset &+ length)
        guard range.isEmpty || read(range) else { return nil }
        return UnsafeRawBufferPointer(start: base + range.lowerBound, count: range.count)
    }

    /// The value at an offset; nil as above.
    package func value<T: BitwiseCopyable>(_ type: T.Type, at offset: UInt64) -> T? {
        slice(at: offset, count: UInt64(MemoryLayout<T>.size))?.value(type, at: 0)
    }

    func starts(with prefix: StaticString) -> Bool {
        slice(at: 0, count: UInt64(prefix.utf8CodeUnitCount))?.starts(with: prefix) == true
    }

    /// All of it, read in one go.
    package func whole() -> UnsafeRawBufferPointer? { slice(at: 0, count: UInt64(count)) }

    /// How much of it is kept.
    package var bytesRead: Int { source.withLock { $0.bytesRead } }

    /// Reads past what is kept: for whoever wants a copy of his own.
    /// - Returns: whether all of it could be read.
    func read(at offset: UInt64, into buffer: UnsafeMutableRawBufferPointer) -> Bool {
        guard offset <= UInt64(count), UInt64(count) &- offset >= UInt64(buffer.count) else { return false }
        if buffer.isEmpty { return true }
        return source.withLock { source in
            if source.isWhole {
                buffer.copyMemory(from: UnsafeRawBufferPointer(start: base + Int(offset), count: buffer.count))
                return true
            }
            return fill(buffer, at: Int(offset), from: source)
        }
    }

    private func read(_ range: Range<Int>) -> Bool {
        source.withLock { source in
            let pieces = range.lowerBound / Self.piece..<(range.upperBound + Self.piece - 1) / Self.piece
            var index = pieces.lowerBound
            while index < pieces.upperBound {
                if source.isRead[index] {
                    index += 1
                    continue
                }
                var end = index + 1
                while end < pieces.upperBound, !source.isRead[end] { end += 1 }
                let bytes = index * Self.piece..<min(end * Self.piece, count)
                guard source.bytesRead + bytes.count <= Self.largestShare,
                    linux_make_writable(base + bytes.lowerBound, bytes.count) == 0,
                    fill(
                        UnsafeMutableRawBufferPointer(start: base + bytes.lowerBound, count: bytes.count),
                        at: bytes.lowerBound, from: source)
                else { return false }
                source.bytesRead += bytes.count
                for done in index..<end { source.isRead[done] = true }
                index = end
            }
            return true
        }
    }

    private func fill(_ buffer: UnsafeMutableRawBufferPointer, at offset: Int, from source: Source) -> Bool {
        if source.descriptor >= 0 { return Self.fill(buffer, at: offset, source.descriptor) }
        if let (regions, memory) = source.mapped {
            for isWritable in [true, false] {
                for region in regions.reversed() where region.permissions.contains(.write) == isWritable {
                    Self.fill(buffer, at: offset, region, memory)
                }
            }
            return true
        }
        guard let file = try? source.reopen?(), file.identity == identity else { return false }
        return Self.fill(buffer, at: offset, file.descriptor)
    }

    /// What of a range of the file lies in a mapping, and can be read.
    private static func fill(
        _ buffer: UnsafeMutableRawBufferPointer, at offset: Int, _ region: Region, _ memory: any MemoryReader
    ) {
        let first = Int(clamping: region.fileOffset)
        let start = max(first, offset)
        let end = min(first + region.count, offset + buffer.count)
        guard start < end else { return }
        try? memory.read(
            at: region.range.lowerBound + (start - first),
            into: UnsafeMutableRawBufferPointer(rebasing: buffer[start - offset..<end - offset]))
    }

    /// False where the file ends before.
    private static func fill(_ buffer: UnsafeMutableRawBufferPointer, at offset: Int, _ descriptor: Int32) -> Bool {
        var done = 0
        while done < buffer.count {
            let count = linux_pread(
                descriptor, buffer.baseAddress! + done, buffer.count - done, Int64(offset) + Int64(done))
            if count < 0, errno == EINTR { continue }
            guard count > 0 else { return false }
            done += count
        }
        return true
    }
}
