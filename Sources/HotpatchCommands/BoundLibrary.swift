import CHotpatchLinux
import HotpatchELF
import HotpatchEngine
import Glibc
import HotpatchMemory
import HotpatchSymbols

/// A copy of a patch library in which what the process has and does not export is bound to where it is, for the loader would not find
/// it. A copy, for the file itself is somebody's; in memory, as no other process needs it.
final class BoundLibrary {
    let descriptor: Int32

    /// In bytes: a library that is larger is not copied.
    private static let largest: Int64 = 1 << 30

    /// - Parameter descriptor: the file, open.
    init(copying descriptor: Int32, path: String, _ addresses: [String: Address]) throws(CommandError) {
        func failure(_ what: String) -> CommandError {
            CommandError(
                "cannot copy \(path) to bind what the process does not export: \(what). Link the program with --export-dynamic instead."
            )
        }
        var status = stat()
        guard fstat(descriptor, &status) == 0 else { throw failure(systemError(errno)) }
        guard status.st_size <= Self.largest else { throw failure("it is larger than 1 GiB") }
        let name = path.split(separator: "/").last.map(String.init) ?? path
        // memfd_create(2) takes 249 bytes.
        let copy = linux_memfd_executable(String(decoding: name.utf8.prefix(200), as: UTF8.self))
        guard copy >= 0 else { throw failure(systemError(errno)) }
        self.descriptor = copy
        var offset: off_t = 0
        while offset < status.st_size {
            let count = sendfile(copy, descriptor, &offset, Int(status.st_size - offset))
            if count < 0, errno == EINTR { continue }
            guard count > 0 else { throw failure(count < 0 ? systemError(errno) : "it has become shorter") }
        }
        let writes: [(offset: UInt64, bytes: [UInt8])]
        do throws(ReadError) {
            writes = try ElfImage(descriptor: copy, path: path).bindingUndefinedSymbols(to: addresses)
        } catch { throw CommandError(error) }
        guard writes.count == addresses.count else { throw failure("it has changed meanwhile") }
        for (offset, bytes) in writes {
            guard pwrite(copy, bytes, bytes.count, off_t(offset)) == bytes.count else {
                throw failure(systemError(errno))
            }
        }
    }

    deinit { _ = linux_close(descriptor) }
}
