import CHotpatchLinux
import Glibc

/// What a directory holds. By the kernel's calls, never libc's functions: those may be patched.
package enum DirectoryList {
    package struct Entry {
        package var name: String
        /// DT_DIR, DT_REG and the others (readdir(3)); DT_UNKNOWN where the file system does not tell.
        package var type: Int
    }

    /// The entries of a directory, without itself and the one above it; none where it cannot be read.
    package static func entries(of path: String) -> [Entry] {
        let descriptor = linux_open(path, O_RDONLY | O_DIRECTORY | O_CLOEXEC)
        guard descriptor >= 0 else { return [] }
        defer { _ = linux_close(descriptor) }
        return entries(in: descriptor)
    }

    /// The same of an open directory, from its first entry on.
    package static func entries(in descriptor: Int32) -> [Entry] {
        var entries: [Entry] = []
        var buffer = [UInt8](repeating: 0, count: 1 << 14)
        forEach(in: descriptor, buffer: &buffer) { name, type in
            let name = String(decoding: name, as: UTF8.self)
            if name != ".", name != ".." { entries.append(Entry(name: name, type: type)) }
        }
        return entries
    }

    /// Calls `body` for each entry of an open directory, from its first one on, itself and the one above it among them.
    /// - Parameter buffer: where the kernel writes them; of some hundred bytes or more.
    package static func forEach(
        in descriptor: Int32, buffer: inout [UInt8], _ body: (_ name: UnsafeRawBufferPointer, _ type: Int) -> Void
    ) {
        _ = linux_rewind(descriptor)
        while true {
            let count = buffer.withUnsafeMutableBytes { linux_getdents(descriptor, $0.baseAddress, $0.count) }
            guard count > 0 else { return }
            buffer.withUnsafeBytes { parse(UnsafeRawBufferPointer(rebasing: $0[..<count]), body) }
        }
    }

    /// struct linux_dirent64 (getdents(2)): inode 8, offset 8, record length 2, type 1, name and a null.
    private static func parse(
        _ bytes: UnsafeRawBufferPointer, _ body: (_ name: UnsafeRawBufferPointer, _ type: Int) -> Void
    ) {
        let header = 19
        var offset = 0
        while offset + header <= bytes.count {
            let length = Int(bytes.loadUnaligned(fromByteOffset: offset + 16, as: UInt16.self))
            guard length >= header, offset + length <= bytes.count else { return }
            let name = bytes[offset + header..<offset + length].prefix { $0 != 0 }
            body(UnsafeRawBufferPointer(rebasing: name), Int(bytes[offset + 18]))
            offset += length
        }
    }
}
