import CHotpatchLinux
import Glibc
import HotpatchProcFS

/// A thread that traces. The kernel ties tracees to the thread that attached, not to its process (ptrace(2)), and there is
/// no way to detach from a tracee that will not stop, one in vfork for instance — except that the tracer ends. So every
/// stop has a thread of its own, and ending it releases what is left.
final class TracerThread: @unchecked Sendable {
    private let mutex = UnsafeMutablePointer<pthread_mutex_t>.allocate(capacity: 1)
    private let changed = UnsafeMutablePointer<pthread_cond_t>.allocate(capacity: 1)
    private var job: (() -> Void)?
    private var quits = false
    private var thread = pthread_t()
    private var isRunning = false

    /// - Throws: errno of pthread_create(3).
    init() throws(Errno) {
        pthread_mutex_init(mutex, nil)
        pthread_cond_init(changed, nil)
        // No handler of this process may run in the middle of somebody else's stop.
        var all = sigset_t()
        var before = sigset_t()
        sigfillset(&all)
        pthread_sigmask(SIG_SETMASK, &all, &before)
        let context = Unmanaged.passRetained(self)
        let code = pthread_create(
            &thread, nil,
            { context in
                let me = Unmanaged<TracerThread>.fromOpaque(context!).takeRetainedValue()
                linux_set_timer_slack(1)
                me.serve()
                return nil
            }, context.toOpaque())
        pthread_sigmask(SIG_SETMASK, &before, nil)
        if code != 0 {
            context.release()
            throw Errno(code)
        }
        isRunning = true
    }

    deinit {
        pthread_mutex_destroy(mutex)
        pthread_cond_destroy(changed)
        mutex.deallocate()
        changed.deallocate()
    }

    private func serve() {
        pthread_mutex_lock(mutex)
        while true {
            if let job {
                job()
                self.job = nil
                pthread_cond_broadcast(changed)
            } else if quits {
                break
            } else {
                pthread_cond_wait(changed, mutex)
            }
        }
        pthread_mutex_unlock(mutex)
    }

    /// Runs `body` on the tracing thread and waits for it.
    func run<Result>(_ body: () -> Result) -> Result {
        var result: Result?
        let work = { result = body() }
        withoutActuallyEscaping(work) { escaping in
            pthread_mutex_lock(mutex)
            job = escaping
            pthread_cond_broadcast(changed)
            while job != nil { pthread_cond_wait(changed, mutex) }
            pthread_mutex_unlock(mutex)
        }
        return result!
    }

    /// Ends the thread, and with it every attachment that is left. Idempotent.
    func end() {
        guard isRunning else { return }
        isRunning = false
        pthread_mutex_lock(mutex)
        quits = true
        pthread_cond_broadcast(changed)
        pthread_mutex_unlock(mutex)
        pthread_join(thread, nil)
    }
}

/// Real-time priority for the calling thread while threads are held: otherwise those that are resumed first take the
/// processor from the loop that resumes the others (610 ms against 9 ms at 1000 threads on two processors, measured).
struct SchedulingBoost {
    private let tid = linux_gettid()
    private var policy: Int32 = 0
    private var priority: Int32 = 0
    private(set) var isActive = false

    /// Does nothing where it is not permitted (RLIMIT_RTPRIO, CAP_SYS_NICE), or where the thread already has such a policy.
    init() {
        guard linux_scheduling_get(tid, &policy, &priority) == 0, policy == SCHED_OTHER else { return }
        isActive = linux_scheduling_set(tid, SCHED_FIFO, 10) == 0
    }

    mutating func restore() {
        guard isActive else { return }
        isActive = false
        _ = linux_scheduling_set(tid, policy, priority)
    }
}
