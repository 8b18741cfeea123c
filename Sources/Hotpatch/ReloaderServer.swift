import CHotpatchLinux
import Glibc
import HotpatchELF
import HotpatchEngine
import HotpatchLocalTarget
import HotpatchObjects
import HotpatchProcFS
import HotpatchSymbols
import Synchronization

/// The thread that answers whoever connects to the socket of this process, one after the other.
final class ReloaderServer: Sendable {
    let socket: ReloaderSocket
    private let hasEnded = Atomic<Bool>(false)
    private let thread = Mutex<pthread_t?>(nil)

    var isListening: Bool { !hasEnded.load(ordering: .acquiring) }

    /// - Throws: `PatchError` (`system`).
    init() throws(PatchError) {
        socket = try ReloaderSocket()
        let code = startThread()
        guard code == 0 else {
            socket.close()
            throw .system(
                what: "cannot start a thread that listens for changes", code: code,
                remedy: "See the limits on threads and memory (ulimit -a).")
        }
    }

    private func startThread() -> Int32 {
        var attributes = pthread_attr_t()
        var code = pthread_attr_init(&attributes)
        guard code == 0 else { return code }
        defer { pthread_attr_destroy(&attributes) }
        // What compares objects descends into what they refer to.
        pthread_attr_setstacksize(&attributes, 8 << 20)
        var (before, blocked) = (sigset_t(), Self.blockedSignals)
        pthread_sigmask(SIG_BLOCK, &blocked, &before)
        defer { pthread_sigmask(SIG_SETMASK, &before, nil) }
        let kept = Unmanaged.passRetained(self)
        var started = pthread_t()
        code = pthread_create(
            &started, &attributes,
            { context in
                let server = Unmanaged<ReloaderServer>.fromOpaque(context!).takeRetainedValue()
                linux_name_thread("hotpatch-loop")
                server.run()
                return nil
            }, kept.toOpaque())
        if code == 0 { thread.withLock { $0 = started } } else { kept.release() }
        return code
    }

    /// A signal that is sent to the process is for the program's own threads. Not blocked are those that tell of what this thread does itself,
    /// and real-time signals: by one of them threads are held.
    private static var blockedSignals: sigset_t {
        var set = sigset_t()
        sigemptyset(&set)
        let own = [SIGSEGV, SIGBUS, SIGILL, SIGFPE, SIGTRAP, SIGSYS, SIGABRT]
        for number in 1..<Int32(32) where !own.contains(number) { sigaddset(&set, number) }
        return set
    }

    /// Ends it, and waits for that, unless the thread itself calls this.
    func stop() {
        socket.shutDown()
        guard let thread = thread.withLock({ $0.take() }) else { return }
        if pthread_equal(thread, pthread_self()) != 0 {
            pthread_detach(thread)
        } else {
            pthread_join(thread, nil)
        }
    }

    // MARK: On its thread

    private func run() {
        while let connection = socket.accept() {
            serve(connection)
            socket.forgetConnection()
        }
        socket.close()
        hasEnded.store(true, ordering: .releasing)
    }

    private func serve(_ connection: ReloaderConnection) {
        do throws(ReloaderError) {
            while let (kind, payload) = try connection.receive(limit: ReloaderRequest.limit(ofKind:)) {
                let request = try ReloaderRequest(kind: kind, payload: payload)
                try send(.begun, to: connection)
                try send(answer(request, connection), to: connection)
            }
        } catch {
            // Who hears it, hears it; who has gone, has gone.
            try? send(.failed(.init(outcome: .refused, text: "\(error). Nothing was changed.")), to: connection)
        }
    }

    private func send(_ reply: ReloaderReply, to connection: ReloaderConnection) throws(ReloaderError) {
        let (kind, payload) = reply.message
        try connection.send(kind: kind, payload)
    }

    private func answer(_ request: ReloaderRequest, _ connection: ReloaderConnection) -> ReloaderReply {
        do throws(PatchError) {
            switch request {
            case .hello(let prepares):
                let images = try LocalPatcher.with { (patcher) throws(PatchError) in
                    let images = try patcher.index().images
                    if prepares, let program = images.first(where: \.isMainProgram) {
                        try patcher.engine().read(program)
                    }
                    return images.map {
                        ReloaderReply.Image(path: $0.path, buildID: $0.elf.buildID, isMain: $0.isMainProgram)
                    }
                }
                return .hello(pid: linux_getpid(), images: images)
            case .image(let object, let path):
                return .image(
                    try LocalPatcher.with { (patcher) throws(PatchError) in
                        let index = try patcher.index()
                        do { return try imagePath(of: ElfImage(contents: object, path: path), in: index) } catch {
                            throw .linking(error)
                        }
                    })
            case .apply(let objects, let isDryRun, let limits):
                let origin = origin(of: connection)
                return .applied(
                    try LocalPatcher.with(options: options(limits)) { (patcher) throws(PatchError) in
                        try patcher.apply(objects, isDryRun: isDryRun, origin: origin, for: connection)
                    })
            case .revert(let patches, let limits):
                return .reverted(
                    try LocalPatcher.with(options: options(limits)) { (patcher) throws(PatchError) in
                        let engine = try patcher.engine()
                        let summary = try engine.revert(patches, callsBack: true).summary
                        _ = try engine.disposeOfDeadCode()
                        return summary
                    })
            case .list:
                return .patches(
                    try LocalPatcher.with { (patcher) throws(PatchError) in
                        let state = try patcher.engine().state()
                        return state.patches.map(\.record).map { patch in
                            ReloaderReply.Patch(
                                id: patch.id, isInForce: patch.state == .applied, source: patch.source,
                                functions: patch.members.map { state.site($0.site).name })
                        }
                    })
            }
        } catch { return .failed(.init(error)) }
    }

    /// The process's options, unless whoever asks wants more time or a shorter pause.
    private func options(_ limits: ReloaderLimits) -> LocalTarget.Options {
        var options = LocalPatcher.options.value
        let hour: UInt32 = 3_600_000
        options.timeout = max(options.timeout, .milliseconds(min(limits.timeout, hour)))
        if limits.longestPause > 0 { options.longestPause = .milliseconds(min(limits.longestPause, hour)) }
        return options
    }

    /// Not this process: the program is told of what others have changed.
    private func origin(of connection: ReloaderConnection) -> PatchRecord.Origin {
        var (pid, uid): (pid_t, uid_t) = (0, 0)
        _ = linux_peer(connection.descriptor, &pid, &uid)
        return .init(fromOutside: true, pid: pid, uid: uid)
    }
}

extension LocalPatcher {
    /// Links what was sent into this process, if whoever has sent it is still there by then.
    fileprivate mutating func apply(
        _ objects: [ObjectContents], isDryRun: Bool, origin: PatchRecord.Origin, for connection: ReloaderConnection
    ) throws(PatchError) -> AppliedObjects {
        var last = linux_monotonic_time()
        var steps: [AppliedObjects.Step] = []
        func done(_ name: String) {
            let now = linux_monotonic_time()
            steps.append(.init(name, nanoseconds: now - last))
            last = now
        }
        _ = try index()
        done("read the process")
        let linked = try link(objects.map(\.pair), contents: objects)
        done("linked")
        var applied = AppliedObjects(linked)
        if !linked.changesNothing {
            let request = linked.request(origin: origin)
            let engine = try engine()
            if isDryRun {
                let map: ProcessMap
                do { map = try target.processMap() } catch { throw .target("\(error)") }
                applied.note(try engine.plan(request, map: map, state: try engine.state()))
                done("planned")
            } else {
                guard !connection.hasHungUp else {
                    throw .target("whoever sent the objects has gone. Nothing was changed.")
                }
                let receipt = try engine.apply(request)
                applied.note(receipt)
                done("committed")
                if let disposed = try engine.disposeOfDeadCode(after: receipt) {
                    applied.disposed = disposed
                    done("looked for dead code")
                }
            }
        }
        applied.steps = steps
        return applied
    }
}
