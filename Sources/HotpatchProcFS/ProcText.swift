import CHotpatchLinux
import Glibc
import HotpatchMemory

/// Reading files of /proc: small, generated on each read, of no known length. By the kernel's calls, never libc's functions: those
/// may be patched.
package enum ProcText {
    /// The file's bytes.
    /// - Throws: errno; EFBIG where they are more than `limit`.
    package static func read(_ path: String, limit: Int = 64 << 20) throws(Errno) -> [UInt8] {
        let bytes = try prefix(of: path, count: limit + 1)
        if bytes.count > limit { throw Errno(EFBIG) }
        return bytes
    }

    /// The first bytes of the file, at most so many.
    /// - Throws: errno.
    package static func prefix(of path: String, count: Int) throws(Errno) -> [UInt8] {
        let descriptor = linux_open(path, O_RDONLY | O_CLOEXEC)
        guard descriptor >= 0 else { throw Errno(errno) }
        defer { _ = linux_close(descriptor) }
        var bytes: [UInt8] = []
        var chunk = [UInt8](repeating: 0, count: min(count, 16384))
        while bytes.count < count {
            let length = linux_read(descriptor, &chunk, min(chunk.count, count - bytes.count))
            if length < 0 {
                if errno == EINTR { continue }
                throw Errno(errno)
            }
            if length == 0 { break }
            bytes += chunk[..<length]
        }
        return bytes
    }

    package static func readString(_ path: String) throws(Errno) -> String {
        String(decoding: try read(path), as: UTF8.self)
    }

    package static func readLink(_ path: String) throws(Errno) -> String {
        var buffer = [UInt8](repeating: 0, count: 4096)
        let count = linux_readlink(path, &buffer, buffer.count)
        guard count >= 0 else { throw Errno(errno) }
        return String(decoding: buffer[..<count], as: UTF8.self)
    }

    /// What stands between the white space of a text. Told by bytes: to tell characters would take most of the time of a look at a thread.
    package static func words(_ text: some StringProtocol) -> [Substring] {
        Substring(text).utf8.split { $0 == UInt8(ascii: " ") || (0x09...0x0d).contains($0) }.map { Substring($0) }
    }

    /// The text without white space at its ends.
    package static func trimmed(_ text: some StringProtocol) -> String {
        var view = Substring(text)
        while let first = view.first, first.isWhitespace { view.removeFirst() }
        while let last = view.last, last.isWhitespace { view.removeLast() }
        return String(view)
    }
}

/// An error number (errno(3)).
package struct Errno: Error, Hashable {
    package var code: Int32
    package init(_ code: Int32) { self.code = code }
}
