import HotpatchEngine

/// Lets `swift-hotpatch watch` change this process without tracing it.
///
/// Where a process may be traced, watching it takes nothing of it, and this is not needed. Some may not: those that are not dumpable
/// (`PR_SET_DUMPABLE`), those that a debugger has, and all of them where Yama or a container's seccomp filter forbids tracing. Such a program
/// starts the loop, early:
///
/// ```swift
/// #if DEBUG
/// try ReloaderLoop.start()
/// #endif
/// ```
///
/// and `watch` then asks the program itself to link what was edited. What it prints is the same.
///
/// ## What it does
/// A thread waits at a Unix socket, and links what it is sent, with ``Patch/apply(objects:)``. It takes no time while nobody asks. The standard
/// input is left alone, and so are signals: the thread takes none that the program could want. The socket is gone with the process; what one
/// that was killed has left is removed by the next of its user. A forked child has no loop, and may start one.
///
/// ## Security
/// **Who may connect can run code in this process.** That is this user, and root, and nobody else: the socket lies in a directory that only
/// its owner can enter (`$XDG_RUNTIME_DIR/hotpatch` or `/tmp/hotpatch-UID`, mode 0700), has mode 0600, and the kernel is asked who has
/// connected (`SO_PEERCRED`). A process that may not be traced is often one whose user is not to get at its memory: it gives that up with the
/// loop. Start it in builds for development only.
///
/// Files are sent, and never opened at somebody's request. What is no request is answered with an error, and the connection closed.
public enum ReloaderLoop {
    /// Begins to listen; where the loop runs already, nothing happens.
    ///
    /// The thread is started here, and the socket can be connected to when this returns.
    /// - Throws: `PatchError` (`system`) where the socket or the thread cannot be made; the message names the path. Nothing is left then.
    public static func start() throws(PatchError) {
        let result: Result<Void, PatchError> = ProcessPatcher.current.reloader.withLock { server in
            if let server, server.isListening { return .success(()) }
            server?.stop()
            server = nil
            do throws(PatchError) {
                server = try ReloaderServer()
                return .success(())
            } catch { return .failure(error) }
        }
        try result.get()
    }

    /// Ends the loop, and removes its socket. A request that is worked at is finished first: this waits for it. What was changed stays changed.
    ///
    /// Where no loop runs, nothing happens.
    public static func stop() {
        let server = ProcessPatcher.current.reloader.withLock { server in
            defer { server = nil }
            return server
        }
        server?.stop()
    }

    /// Whether the loop runs in this process.
    public static var isRunning: Bool {
        ProcessPatcher.current.reloader.withLock { $0?.isListening ?? false }
    }
}
