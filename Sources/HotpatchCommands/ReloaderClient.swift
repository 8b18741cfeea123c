import CHotpatchLinux
import Glibc
import HotpatchELF
import HotpatchEngine
import HotpatchMemory
import HotpatchObjects
import HotpatchProcFS
import HotpatchRemoteTarget

/// Asks a process to change itself: one that listens for that (`ReloaderLoop.start()`). Nothing of it is traced.
struct ReloaderClient {
    let pid: Int32
    let options: TargetOptions
    private let connection: ReloaderConnection
    /// In milliseconds, for what a process is given to read its own symbols.
    private static let reading = 60_000

    /// - Returns: nil where the process does not listen, or not for this user.
    init?(pid: Int32, options: TargetOptions) {
        self.pid = pid
        self.options = options
        let patience = options.timeout.milliseconds
        let end = linux_monotonic_time() + UInt64(options.timeout.nanoseconds)
        for address in ReloaderAddress.candidates(ofProcess: pid) {
            guard let descriptor = Self.connect(to: address, of: pid, until: end) else { continue }
            connection = ReloaderConnection(
                descriptor: descriptor, patience: patience, longestWait: patience + Self.reading)
            return
        }
        return nil
    }

    private static func connect(to address: ReloaderAddress, of pid: Int32, until end: UInt64) -> Int32? {
        let directory: ReloaderDirectory
        do throws(Errno) { directory = try ReloaderDirectory(address.directory, ofUser: address.user) } catch {
            return nil
        }
        guard directory.status(of: address.name) != nil else { return nil }
        let descriptor = linux_stream_socket(false)
        guard descriptor >= 0 else { return nil }
        while linux_connect(descriptor, directory.path(of: address.name)) != 0 {
            // Others are in front.
            guard errno == EAGAIN || errno == EINTR, linux_monotonic_time() < end else {
                _ = linux_close(descriptor)
                return nil
            }
            linux_sleep(10_000_000)
        }
        var (listener, user): (pid_t, uid_t) = (0, 0)
        guard linux_peer(descriptor, &listener, &user) == 0, listener == pid, user == address.user else {
            _ = linux_close(descriptor)
            return nil
        }
        return descriptor
    }

    // MARK: Requests

    /// The images of the process.
    /// - Parameter prepares: it reads what it needs to link objects, so that the first ones find it read.
    func hello(prepares: Bool) throws(CommandError) -> [ReloaderReply.Image] {
        guard case .hello(pid, let images) = try ask(.hello(prepares: prepares)) else { throw misunderstood }
        return images
    }

    /// The path of the image that an object belongs to; nil where it belongs to none.
    func image(ofObject path: String) throws(CommandError) -> String? {
        let contents: [UInt8]
        do throws(ReadError) { contents = try ObjectContents.read(path) } catch { throw CommandError(error) }
        guard case .image(let image) = try ask(.image(ofObject: contents, path: path)) else { throw misunderstood }
        return image
    }

    func apply(_ objects: [ObjectPair], dryRun: Bool) throws(CommandError) -> AppliedObjects {
        var contents: [ObjectContents] = []
        do throws(ReadError) { for pair in objects { contents.append(try ObjectContents(of: pair)) } } catch {
            throw CommandError(error)
        }
        guard case .applied(let applied) = try ask(.apply(contents, isDryRun: dryRun, limits)) else {
            throw misunderstood
        }
        return applied
    }

    func revert(_ patches: [UInt32]) throws(CommandError) -> CommitSummary {
        guard case .reverted(let summary) = try ask(.revert(patches, limits)) else { throw misunderstood }
        return summary
    }

    private var limits: ReloaderLimits {
        ReloaderLimits(timeout: options.timeout, longestPause: options.maximumPause)
    }

    private var misunderstood: CommandError {
        CommandError(
            "process \(pid) answers something else than it was asked. Its Hotpatch library is of another version. "
                + "Build it with the version of this command.", exitCode: .inconsistent)
    }

    private func ask(_ request: ReloaderRequest) throws(CommandError) -> ReloaderReply {
        var hasBegun = false
        let reply: ReloaderReply
        do throws(ReloaderError) {
            let (kind, payload) = request.message
            try connection.send(kind: kind, payload)
            var received = try receive(patience: options.timeout.milliseconds)
            if case .begun = received {
                hasBegun = true
                received = try receive(patience: options.timeout.milliseconds + Self.reading)
            }
            reply = received
        } catch { throw lost(error, hasBegun: hasBegun) }
        guard case .failed(let failure) = reply else { return reply }
        throw CommandError(
            failure.text, exitCode: ExitCode(failure.outcome), restartReasons: failure.restartReasons)
    }

    private func receive(patience: Int) throws(ReloaderError) -> ReloaderReply {
        let message = try connection.receive(patience: patience, limit: ReloaderReply.limit(ofKind:))
        guard let (kind, payload) = message else { throw .closed }
        return try ReloaderReply(kind: kind, payload: payload)
    }

    private func lost(_ error: ReloaderError, hasBegun: Bool) -> CommandError {
        guard hasBegun else {
            // It looks whether somebody waits for it before it changes anything.
            return CommandError(
                "process \(pid) does not answer: \(error). Its loop is at work, or the process is stopped. Nothing was changed. "
                    + "Try again.")
        }
        return CommandError(
            "process \(pid) has begun what it was asked for, and does not tell how it ended: \(error). It may have ended itself. "
                + "See what list shows of it.", exitCode: .inconsistent)
    }
}
