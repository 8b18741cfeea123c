import CHotpatchLinux
import Glibc
import HotpatchEngine
import HotpatchObjects
import HotpatchProcFS
import Synchronization

/// A descriptor whose number may become another file's: the program may close what it has not opened.
final class KeptDescriptor: Sendable {
    private let descriptor = Atomic<Int32>(-1)
    private let inode = Atomic<UInt64>(0)

    func keep(_ descriptor: Int32) {
        var status = stat()
        guard linux_fstat(descriptor, &status) == 0 else { return }
        inode.store(UInt64(status.st_ino), ordering: .relaxed)
        self.descriptor.store(descriptor, ordering: .sequentiallyConsistent)
    }

    /// Nil where it is not there any more.
    var value: Int32? {
        let descriptor = descriptor.load(ordering: .sequentiallyConsistent)
        var status = stat()
        guard descriptor >= 0, linux_fstat(descriptor, &status) == 0, status.st_mode & S_IFMT == S_IFSOCK,
            UInt64(status.st_ino) == inode.load(ordering: .relaxed)
        else { return nil }
        return descriptor
    }

    func forget() { descriptor.store(-1, ordering: .releasing) }

    func close() {
        if let value { _ = linux_close(value) }
        forget()
    }
}

/// A socket that others of this user can connect to, in a directory that nobody else can enter.
final class ReloaderSocket: Sendable {
    let path: String
    let user: UInt32
    private let pid = linux_getpid()
    /// The inode of the file that stands for it.
    private let inode: UInt64

    /// The one that is listened at, and a connection: what a forked child closes.
    private let listening = KeptDescriptor()
    private let connected = KeptDescriptor()
    private let isShutDown = Atomic<Bool>(false)
    private let former: Unmanaged<ReloaderSocket>?
    /// All that there were, the newest first. They are never released: a child that is forked goes through them.
    private static let newest = Atomic<Unmanaged<ReloaderSocket>?>(nil)

    /// - Throws: `PatchError` (`system`).
    init() throws(PatchError) {
        user = linux_geteuid()
        let path = ReloaderAddress.directory(ofUser: user)
        guard let name = ReloaderAddress.name(ofProcess: pid) else {
            throw .system(
                what: "cannot listen for changes", code: ENOENT,
                remedy: "The time that this process was started at stands in /proc/\(pid)/stat. Mount /proc.")
        }
        self.path = path + "/" + name
        let directory: ReloaderDirectory
        if linux_make_folder(path, 0o700) != 0, errno != EEXIST { throw Self.refusal(path, errno) }
        do throws(Errno) { directory = try ReloaderDirectory(path, ofUser: user) } catch {
            throw Self.refusal(path, error.code)
        }
        Self.removeLeftovers(in: directory)
        // Only what this process executed before can have left it.
        directory.remove(name)
        let descriptor = Self.aside(linux_stream_socket(true))
        guard descriptor >= 0 else { throw Self.refusal(self.path, errno) }
        // By the directory that was looked at, whatever its path leads to by now.
        guard linux_bind(descriptor, directory.path(of: name), 0o600) == 0, linux_listen(descriptor, 4) == 0 else {
            let code = errno
            _ = linux_close(descriptor)
            directory.remove(name)
            throw Self.refusal(self.path, code)
        }
        inode = directory.status(of: name).map { UInt64($0.st_ino) } ?? 0
        listening.keep(descriptor)
        // The lock of whoever makes it keeps others from that.
        former = Self.newest.load(ordering: .acquiring)
        Self.newest.store(Unmanaged.passRetained(self), ordering: .releasing)
        _ = Self.attending
    }

    /// The same file, and no standard descriptor, where the program has closed those: what it reads and writes there is not for whoever
    /// connects.
    private static func aside(_ descriptor: Int32) -> Int32 {
        guard (0..<3).contains(descriptor) else { return descriptor }
        let other = linux_duplicate(descriptor)
        let code = errno
        _ = linux_close(descriptor)
        errno = code
        return other
    }

    private static func refusal(_ path: String, _ code: Int32) -> PatchError {
        .system(
            what: "cannot listen for changes at \(path)", code: code,
            remedy:
                "The directory must be this user's own, with mode 0700, and no link. Remove what is in the way, or set XDG_RUNTIME_DIR."
        )
    }

    /// Sockets of processes that were killed.
    private static func removeLeftovers(in directory: borrowing ReloaderDirectory) {
        for name in directory.names() where ReloaderAddress.isLeft(name) {
            guard let status = directory.status(of: name), status.st_mode & S_IFMT == S_IFSOCK else { continue }
            let probe = linux_stream_socket(false)
            guard probe >= 0 else { return }
            defer { _ = linux_close(probe) }
            // A process of another pid namespace may live all the same.
            if linux_connect(probe, directory.path(of: name)) != 0, errno == ECONNREFUSED { directory.remove(name) }
        }
    }

    // MARK: Waiting

    /// Waits for somebody who may connect.
    /// - Returns: nil where nobody will any more.
    func accept() -> ReloaderConnection? {
        while let socket = listening.value {
            let descriptor = Self.aside(linux_accept(socket))
            if descriptor < 0 {
                switch errno {
                case EINTR, ECONNABORTED: continue
                case EMFILE, ENFILE, ENOMEM, ENOBUFS, EAGAIN: linux_sleep(100_000_000)
                default: return nil
                }
                continue
            }
            // What was closed meanwhile is listened at as long as somebody waits there.
            var (pid, uid): (pid_t, uid_t) = (0, 0)
            let isAllowed = linux_peer(descriptor, &pid, &uid) == 0 && (uid == user || uid == 0)
            guard isAllowed, listening.value == socket else {
                _ = linux_close(descriptor)
                continue
            }
            connected.keep(descriptor)
            let connection = ReloaderConnection(descriptor: descriptor)
            // Whoever shuts it down later sees the connection.
            return isShutDown.load(ordering: .sequentiallyConsistent) ? nil : connection
        }
        return nil
    }

    /// Once the connection that was accepted last is closed.
    func forgetConnection() { connected.forget() }

    /// Removes the socket, and lets go of the thread that waits at it, or for the next request of a connection.
    func shutDown() {
        removeFile()
        isShutDown.store(true, ordering: .sequentiallyConsistent)
        if let socket = listening.value { _ = linux_shut_down(socket, Int32(SHUT_RDWR)) }
        // What is worked at can still be answered.
        if let socket = connected.value { _ = linux_shut_down(socket, Int32(SHUT_RD)) }
    }

    /// Once nobody waits at it any more.
    func close() {
        removeFile()
        listening.close()
    }

    /// Another one may have its name by now.
    private func removeFile() {
        var status = stat()
        guard linux_getpid() == pid, linux_stat_in(AT_FDCWD, path, &status) == 0, UInt64(status.st_ino) == inode else {
            return
        }
        _ = linux_remove(path)
    }

    // MARK: What becomes of it at the end of the process, and in a forked one

    private static let attending: Void = {
        pthread_atfork(
            nil, nil,
            {
                // A child that held them would keep whoever connects waiting for good.
                var next = ReloaderSocket.newest.load(ordering: .acquiring)
                while let socket = next {
                    next = socket._withUnsafeGuaranteedRef { socket in
                        socket.listening.close()
                        socket.connected.close()
                        return socket.former
                    }
                }
            })
        atexit { _ = ProcessPatcher.current.reloader.withLockIfAvailable { $0?.socket.removeFile() } }
    }()
}
