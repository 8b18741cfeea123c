import CHotpatchLinux
import Glibc
import HotpatchProcFS

/// Where the socket lies of a process that lets itself be changed by its own user.
///
/// It lies in a directory that nobody else can enter: `$XDG_RUNTIME_DIR/hotpatch`, or `/tmp/hotpatch-UID` where there is no directory of
/// that name which is the user's alone. Its name is the process's id and the time it was started at, which no other process has.
package struct ReloaderAddress: Hashable, Sendable {
    package let directory: String
    package let name: String
    /// Whose the directory is to be.
    package let user: UInt32

    /// In which of its directories a process makes its own.
    package static func directory(ofUser uid: UInt32) -> String {
        if let runtime = runtimeDirectory, isPrivate(runtime, to: uid) { return runtime + "/hotpatch" }
        return "/tmp/hotpatch-\(uid)"
    }

    private static var runtimeDirectory: String? {
        guard let value = getenv("XDG_RUNTIME_DIR").map({ String(cString: $0) }), value.hasPrefix("/") else {
            return nil
        }
        return value
    }

    /// "4711-129834"; nil where there is no such process.
    package static func name(ofProcess pid: Int32) -> String? {
        (try? ProcStat(ofProcess: pid)).map { "\(pid)-\($0.startTime)" }
    }

    /// Whether a name in the directory is that of a process which has ended.
    package static func isLeft(_ name: String) -> Bool {
        let parts = name.split(separator: "-", omittingEmptySubsequences: false)
        guard parts.count == 2, let pid = Int32(parts[0]), pid > 0, UInt64(parts[1]) != nil else { return false }
        return Self.name(ofProcess: pid) != name
    }

    /// Where the socket of a process may lie, as far as that can be told from outside.
    package static func candidates(ofProcess pid: Int32) -> [ReloaderAddress] {
        guard let name = name(ofProcess: pid) else { return [] }
        // It may have been another user when it began to listen.
        let effective = (try? ProcStatus(ofProcess: pid))?.words("Uid").dropFirst().first.flatMap { UInt32($0) }
        var all: [ReloaderAddress] = []
        for user in [effective, linux_geteuid()].compactMap({ $0 }) {
            let runtime = [runtimeDirectory, "/run/user/\(user)"].compactMap { $0.map { $0 + "/hotpatch" } }
            for directory in runtime + ["/tmp/hotpatch-\(user)"] {
                let address = ReloaderAddress(directory: directory, name: name, user: user)
                if !all.contains(address) { all.append(address) }
            }
        }
        return all
    }

    /// Whether a directory, and no link to one, is a user's, and nobody else can do anything there.
    private static func isPrivate(_ path: String, to uid: UInt32) -> Bool {
        (try? ReloaderDirectory(path, ofUser: uid)) != nil
    }
}

/// A directory that only its owner can enter, open: whatever its path leads to later, this is it.
package struct ReloaderDirectory: ~Copyable {
    package let descriptor: Int32

    /// - Throws: errno; EPERM where others could enter it, or where it is not the user's.
    package init(_ path: String, ofUser uid: UInt32) throws(Errno) {
        let descriptor = linux_open_folder(path)
        guard descriptor >= 0 else { throw Errno(errno) }
        var status = stat()
        let code = linux_fstat(descriptor, &status) == 0 ? 0 : errno
        guard code == 0, status.st_uid == uid, status.st_mode & 0o077 == 0 else {
            _ = linux_close(descriptor)
            throw Errno(code == 0 ? EPERM : code)
        }
        self.descriptor = descriptor
    }

    deinit { _ = linux_close(descriptor) }

    /// A path to a name in it that no rename of the directory changes, and that is short enough for a socket's address.
    package func path(of name: String) -> String { "/proc/self/fd/\(descriptor)/\(name)" }

    /// The status of what the name stands for; nil where there is nothing.
    package func status(of name: String) -> stat? {
        var status = stat()
        return linux_stat_in(descriptor, name, &status) == 0 ? status : nil
    }

    package func remove(_ name: String) { _ = linux_remove_in(descriptor, name) }

    /// The names in it.
    package func names() -> [String] { DirectoryList.entries(in: descriptor).map(\.name) }
}
