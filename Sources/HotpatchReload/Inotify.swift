import CHotpatchLinux
import Glibc

/// An instance of inotify(7), which is read without waiting.
final class Inotify {
    struct Event: Hashable {
        /// What `add` returned; -1 where the queue has overflowed.
        var watch: Int32
        var mask: UInt32
        /// The entry of the directory that is watched; empty where the event is about the directory itself.
        var name: String

        func has(_ flags: Int32...) -> Bool { flags.contains { mask & UInt32(bitPattern: $0) != 0 } }
    }

    let descriptor: Int32

    init() throws(FileWatcherError) {
        descriptor = linux_inotify()
        guard descriptor >= 0 else {
            throw errno == EMFILE ? FileWatcherError.tooManyInstances : .cannotWatch(path: "files", code: errno)
        }
    }

    deinit { close(descriptor) }

    /// What happens to a directory's entries, and to the directory. A file counts when its writer closes it, or when it is moved here:
    /// before that it may be half written.
    private static let mask: UInt32 = [
        IN_CREATE, IN_MODIFY, IN_CLOSE_WRITE, IN_MOVED_FROM, IN_MOVED_TO, IN_DELETE, IN_DELETE_SELF, IN_MOVE_SELF,
        IN_ONLYDIR,
        IN_EXCL_UNLINK,
    ].reduce(0) { $0 | UInt32(bitPattern: $1) }

    /// - Returns: the watch, the same one for each path of a directory; or minus errno.
    func add(_ directory: String) -> Int32 {
        let watch = inotify_add_watch(descriptor, directory, Self.mask)
        return watch >= 0 ? watch : -errno
    }

    func remove(_ watch: Int32) { inotify_rm_watch(descriptor, watch) }

    /// What has happened since the last call. Bounded: a flood of events is read on in the next one.
    func read() -> [Event] {
        var events: [Event] = []
        var buffer = [UInt8](repeating: 0, count: 1 << 16)
        for _ in 0..<64 {
            let count = Glibc.read(descriptor, &buffer, buffer.count)
            guard count > 0 else { break }
            events += Self.parse(buffer[..<count])
        }
        return events
    }

    /// struct inotify_event: watch 4, mask 4, cookie 4, length 4, name, which is filled up with zeros.
    static func parse(_ bytes: ArraySlice<UInt8>) -> [Event] {
        var events: [Event] = []
        bytes.withUnsafeBytes { bytes in
            var offset = 0
            while offset + 16 <= bytes.count {
                let length = Int(bytes.loadUnaligned(fromByteOffset: offset + 12, as: UInt32.self))
                guard length <= bytes.count - offset - 16 else { return }
                let name = bytes[(offset + 16)..<(offset + 16 + length)].prefix { $0 != 0 }
                events.append(
                    Event(
                        watch: bytes.loadUnaligned(fromByteOffset: offset, as: Int32.self),
                        mask: bytes.loadUnaligned(fromByteOffset: offset + 4, as: UInt32.self),
                        name: String(decoding: name, as: UTF8.self)))
                offset += 16 + length
            }
        }
        return events
    }
}
