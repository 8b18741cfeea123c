import CHotpatchLinux
import Glibc
import Synchronization

/// Something that is computed on a thread of its own, while a loop of poll(2) waits for its end together with other things.
final class WatchWork<Result: Sendable>: Sendable {
    /// Readable once it has ended.
    let descriptor: Int32
    private let end: Int32
    private let result = Mutex<Result?>(nil)

    /// - Returns: nil where no thread or descriptor is left.
    init?(_ body: @escaping @Sendable () -> Result) {
        var ends: [Int32] = [-1, -1]
        guard socketpair(AF_UNIX, Int32(SOCK_STREAM.rawValue | SOCK_CLOEXEC.rawValue), 0, &ends) == 0 else {
            return nil
        }
        (descriptor, end) = (ends[0], ends[1])
        let thread = Thread { [self] in
            let made = body()
            result.withLock { $0 = made }
            shutdown(end, Int32(SHUT_RDWR))
        }
        guard thread.start() else { return nil }
    }

    deinit {
        close(descriptor)
        close(end)
    }

    /// What it has come to; nil before its end.
    var outcome: Result? { result.withLock { $0 } }
}

/// A thread that runs one body.
private final class Thread: Sendable {
    private let body: @Sendable () -> Void

    init(_ body: @escaping @Sendable () -> Void) { self.body = body }

    func start() -> Bool {
        var attributes = pthread_attr_t()
        guard pthread_attr_init(&attributes) == 0 else { return false }
        defer { pthread_attr_destroy(&attributes) }
        pthread_attr_setdetachstate(&attributes, Int32(PTHREAD_CREATE_DETACHED))
        // What compares objects descends into what they refer to.
        pthread_attr_setstacksize(&attributes, 8 << 20)
        let kept = Unmanaged.passRetained(self)
        var thread = pthread_t()
        let code = pthread_create(
            &thread, &attributes,
            { context in
                Unmanaged<Thread>.fromOpaque(context!).takeRetainedValue().body()
                return nil
            }, kept.toOpaque())
        if code != 0 { kept.release() }
        return code == 0
    }
}
