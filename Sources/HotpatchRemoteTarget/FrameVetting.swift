import CPatchMachine
import HotpatchELF
import HotpatchMemory
import HotpatchSymbols
import Synchronization

/// Decides from a thread's stack whether it may be borrowed for one pthread_create.
///
/// pthread_create takes the allocator's locks, the loader's TLS lock and glibc's stack-cache lock; a thread that holds one of
/// them, or is about to, would wait for itself forever. So the list is of what is allowed:
///
/// - The innermost frame is a system-call wrapper of libc in which the thread is blocked, or code outside libc and ld.so.
/// - No frame is in ld.so, in an allocator, or in a libc function that is not on the list below.
/// - The unwinding reached the thread's start. If it did not (code without call frame information), the thread must be
///   blocked in a listed wrapper that was called from outside libc: libc itself blocks under a lock in futex and in calls for
///   memory only, and their wrappers are not on the list.
/// - What a signal handler has interrupted obeys the same rules: it was in a listed wrapper, or outside libc. Programs stay in
///   handlers for long: every auxiliary process of PostgreSQL 15 is forked from one.
///
/// Where the allocator is not libc's, any function of any image may belong to it, by whatever name: then a thread must be in a call that
/// merely waits, and on a stack without a handler. No allocator waits for a file, a socket or a child with its lock held; it does so
/// in futex, and in short sleeps.
///
/// Only exported symbols of libc count, so the verdict does not depend on which debug packages are installed: its internal
/// functions have no name, and an unnamed frame is refused except where it must be a wrapper's helper or the thread's start.
enum FrameKind: Hashable {
    case libc(Set<String>)
    case libcUnnamed
    case loader
    /// An allocator outside libc, by symbol or image.
    case allocator(String)
    case user
    /// Code that belongs to no image: generated at run time.
    case nowhere
    /// What a signal handler returns to; the frame that it interrupted follows.
    case signalReturn
}

enum FrameVetting {
    /// Exported functions of libc in which a thread may be blocked.
    static let wrappers: Set<String> = [
        "read", "readv", "pread64", "write", "writev", "pwrite64", "poll", "ppoll", "select", "pselect", "__poll",
        "__read", "__write",
        "__select", "epoll_wait", "epoll_pwait", "epoll_pwait2", "accept", "accept4", "connect", "recv", "recvfrom",
        "recvmsg", "recvmmsg",
        "__recv", "__send", "__connect", "send", "sendto", "sendmsg", "sendmmsg", "nanosleep", "__nanosleep",
        "clock_nanosleep",
        "__clock_nanosleep", "pause", "sigsuspend", "sigwait", "sigwaitinfo", "sigtimedwait", "__sigsuspend",
        "__sigtimedwait", "wait4", "__wait4",
        "waitpid", "__waitpid", "waitid", "wait", "wait3", "semop", "semtimedop", "msgrcv", "msgsnd", "flock", "fsync",
        "fdatasync", "syscall",
        "pthread_cond_wait", "pthread_cond_timedwait", "pthread_cond_clockwait", "sem_wait", "sem_timedwait",
        "sem_clockwait", "pthread_join",
        "pthread_timedjoin_np", "pthread_clockjoin_np", "pthread_tryjoin_np", "pthread_barrier_wait", "sched_yield",
        "__sched_yield",
    ]

    /// Those of them that free a thread's stack after they have waited, under a lock that pthread_create takes: a thread that
    /// is blocked in one has not got there, one that was interrupted in it may have.
    static let joins: Set<String> = [
        "pthread_join", "pthread_timedjoin_np", "pthread_clockjoin_np", "pthread_tryjoin_np",
    ]

    /// Functions of libc that may stand between a wrapper, or user code, and its caller.
    static let carriers: Set<String> = [
        "sleep", "usleep", "system_call", "qsort", "qsort_r", "bsearch", "thrd_sleep", "cnd_wait", "cnd_timedwait",
        "thrd_join",
        "__libc_start_main", "sigpause",
    ]

    /// Reading from a stream: only below a blocked wrapper. The stream's lock is no business of pthread_create.
    static let streamReaders: Set<String> = [
        "_IO_file_read", "_IO_file_underflow", "_IO_new_file_underflow", "_IO_default_uflow", "__uflow", "__underflow",
        "fgets", "_IO_fgets",
        "fread", "_IO_fread", "getc", "_IO_getc", "fgetc", "getchar", "getdelim", "_IO_getdelim", "getline",
        "_IO_getline", "_IO_getline_info",
        "__getdelim", "_IO_file_xsgetn", "_IO_sgetn", "fgetc_unlocked", "getc_unlocked", "fread_unlocked",
        "fgets_unlocked", "gets", "_IO_gets",
    ]

    /// - Parameters:
    ///   - frames: innermost first.
    ///   - isComplete: the unwinding ended at the thread's start.
    ///   - call: the number of the system call that the thread is in, and that will be entered again; nil where it is in none.
    ///   - hasOwnAllocator: the process's allocator is not libc's.
    /// - Returns: why the thread must not be borrowed; nil where it may.
    static func objection(
        frames: [FrameKind], isComplete: Bool, call: Int?, hasOwnAllocator: Bool = false
    ) -> String? {
        let isBlocked = call != nil
        if hasOwnAllocator, !merelyWaits(frames, call) || frames.contains(.signalReturn) {
            return "perhaps in the process's own allocator"
        }
        guard let first = frames.first else { return "its stack could not be read" }
        for frame in frames {
            switch frame {
            case .loader: return "in the dynamic loader"
            case .allocator(let name): return "in the allocator (\(name))"
            default: continue
            }
        }
        var rest = frames[...]
        if isComplete { stripStart(&rest) }
        let activations = rest.split(separator: .signalReturn, omittingEmptySubsequences: false)
        guard isComplete || activations.count == 1 && isBlocked && isLibc(first) else { return incomplete }
        for (depth, activation) in activations.enumerated() {
            // A handler runs at any instruction outside libc, but inside it where a wrapper was blocked.
            let isInterrupted = depth > 0
            if let objection = objection(
                to: activation, isComplete: isComplete, isWaiting: isInterrupted || isBlocked,
                call: isInterrupted ? nil : call, wrappers: isInterrupted ? wrappers.subtracting(joins) : wrappers)
            {
                return depth == 0 ? objection : "in a signal handler that interrupted it " + objection
            }
        }
        return nil
    }

    /// Whether a thread waits in a call in which nobody holds a lock of an allocator.
    private static func merelyWaits(_ frames: [FrameKind], _ call: Int?) -> Bool {
        guard let call else { return false }
        if hp_call_only_waits(call) { return true }
        // The kernel resumes timed futexes too.
        let resumed: Set = ["poll", "__poll", "nanosleep", "__nanosleep", "clock_nanosleep", "__clock_nanosleep"]
        guard call == SystemCall.restart, case .libc(let names)? = frames.first(where: { $0 != .libcUnnamed }) else {
            return false
        }
        return !names.isDisjoint(with: resumed)
    }

    /// - Parameters:
    ///   - frames: of a handler, or of what it has interrupted.
    ///   - isWaiting: where the innermost is of libc, it must be a wrapper.
    ///   - call: the system call it waits in, if that is known.
    private static func objection(
        to frames: ArraySlice<FrameKind>, isComplete: Bool, isWaiting: Bool, call: Int?, wrappers: Set<String>
    ) -> String? {
        guard let first = frames.first else { return "at an unknown place" }
        var rest = frames
        if isWaiting, isLibc(first) {
            // A wrapper's unnamed helpers (the futex and cancellation code) come before it.
            var helpers = 0
            while rest.first == .libcUnnamed, helpers < 4 {
                rest.removeFirst()
                helpers += 1
            }
            // A wrapper that ends in a jump to its helper leaves no frame: glibc 2.41 has such for calls that cancel a thread.
            // None of these is a call in which an allocator, the loader or their locks wait.
            let hasVanished = helpers > 0 && call.map { hp_call_only_waits($0) } == true
            switch rest.first {
            case .libc(let names)? where !names.isDisjoint(with: wrappers): rest.removeFirst()
            case .libc(let names)? where hasVanished && !names.isDisjoint(with: streamReaders): break
            case .user? where hasVanished: break
            case .libc(let names)?: return "in \(shown(names)) of libc"
            default: return "in an unknown function of libc"
            }
            if !isComplete, rest.first != .user { return incomplete }
        } else if isLibc(first) {
            return "running in " + (name(first) ?? "an unknown function") + " of libc"
        }
        for frame in rest {
            switch frame {
            case .libc(let names):
                let isAllowed =
                    !names.isDisjoint(with: carriers)
                    || isWaiting && (!names.isDisjoint(with: streamReaders) || !names.isDisjoint(with: wrappers))
                if !isAllowed { return "in \(shown(names)) of libc" }
            case .libcUnnamed: return "in an unknown function of libc"
            case .nowhere where isComplete || rest.first == frame: return "in code of no image"
            default: continue
            }
        }
        return nil
    }

    private static let incomplete = "its stack could not be unwound to its start"

    /// Removes what started the thread: start_thread and clone3, or __libc_start_call_main, __libc_start_main and _start. Two
    /// unnamed frames at most: a third would be a destructor run at the thread's end, or an exit handler.
    private static func stripStart(_ frames: inout ArraySlice<FrameKind>) {
        if frames.count >= 2, frames.last == .user, case .libc(let names) = frames[frames.endIndex - 2],
            names.contains("__libc_start_main")
        {
            frames.removeLast(2)
            if frames.count >= 2, frames.last == .libcUnnamed { frames.removeLast() }
            return
        }
        var removed = 0
        while removed < 2, frames.count > 1, let last = frames.last {
            if case .libc(let names) = last {
                guard names.contains("clone") || names.contains("__clone") || names.contains("clone3") else { return }
            } else if last != .libcUnnamed {
                return
            }
            frames.removeLast()
            removed += 1
        }
    }

    private static func isLibc(_ frame: FrameKind) -> Bool {
        switch frame {
        case .libc, .libcUnnamed: true
        default: false
        }
    }

    private static func name(_ frame: FrameKind) -> String? {
        if case .libc(let names) = frame { return shown(names) }
        return nil
    }

    private static func shown(_ names: Set<String>) -> String {
        names.min { ($0.utf8.count, $0) < ($1.utf8.count, $1) } ?? "?"
    }
}

/// What lies where in a process, as far as the vetting asks: made before any thread is stopped.
struct FrameMap {
    enum ImageKind { case libc, loader, allocator, other }

    struct Image {
        var range: Range<UInt64>
        var kind: ImageKind
        var name: String
        /// Ascending: exported functions of libc; of other images, allocator functions only.
        var symbols: [Symbol] = []
        /// What the symbols' names lie in.
        var file: ElfImage?
    }

    /// A function, with its name where the file's is: of libc's three thousand hardly one is asked for.
    struct Symbol: @unchecked Sendable {
        var range: Range<UInt64>
        let bytes: UnsafeRawBufferPointer

        var name: String { String(decoding: bytes, as: UTF8.self) }
    }

    private let images: [Image]

    init(images: [Image]) {
        self.images = images.map { image in
            var image = image
            image.symbols.sort { $0.range.lowerBound < $1.range.lowerBound }
            return image
        }.sorted { $0.range.lowerBound < $1.range.lowerBound }
    }

    func image(at pc: UInt64) -> Image? {
        guard let index = Self.last(images, where: { $0.range.lowerBound <= pc }) else { return nil }
        return images[index].range.contains(pc) ? images[index] : nil
    }

    func kind(at pc: UInt64) -> FrameKind {
        guard let image = image(at: pc) else { return .nowhere }
        switch image.kind {
        case .loader: return .loader
        case .allocator: return .allocator(image.name)
        case .libc:
            let names = Self.names(in: image.symbols, at: pc)
            return names.isEmpty ? .libcUnnamed : .libc(names)
        case .other:
            return Self.names(in: image.symbols, at: pc).first.map { .allocator($0) } ?? .user
        }
    }

    /// All names of the function there: aliases have one address.
    private static func names(in symbols: [Symbol], at pc: UInt64) -> Set<String> {
        guard var index = last(symbols, where: { $0.range.lowerBound <= pc }) else { return [] }
        var names: Set<String> = []
        let start = symbols[index].range.lowerBound
        while symbols[index].range.lowerBound == start {
            if symbols[index].range.contains(pc) { names.insert(symbols[index].name) }
            if index == 0 { break }
            index -= 1
        }
        return names
    }

    private static func last<Element>(_ elements: [Element], where isBefore: (Element) -> Bool) -> Int? {
        var low = 0
        var high = elements.count
        while low < high {
            let middle = (low + high) / 2
            if isBefore(elements[middle]) { low = middle + 1 } else { high = middle }
        }
        return low == 0 ? nil : low - 1
    }

    /// Whether a function outside libc belongs to an allocator, by its name. Programs have a hundred thousand others, whose first byte tells
    /// most of the time.
    static func isAllocator(_ bytes: UnsafeRawBufferPointer) -> Bool {
        guard let first = bytes.first, isFirst[Int(first)] else { return false }
        let name = String(decoding: bytes, as: UTF8.self)
        return allocatorFunctions.contains(name) || allocatorPrefixes.contains { name.hasPrefix($0) }
    }

    /// Whether a name of an allocator begins with a byte.
    private static let isFirst: [Bool] = {
        let bytes = Set((allocatorFunctions + allocatorPrefixes).compactMap(\.utf8.first))
        return (0...UInt8.max).map { bytes.contains($0) }
    }()

    private static let allocatorFunctions: Set<String> = [
        "malloc", "free", "calloc", "realloc", "reallocarray", "memalign", "aligned_alloc", "posix_memalign", "valloc",
        "pvalloc",
    ]
    private static let allocatorPrefixes = [
        "je_", "_rjem_je_", "tc_", "tcmalloc", "mi_malloc", "mi_free", "_mi_", "scudo",
    ]
}

/// What the vetting asks of images. One is read once, for as long as it stays where it is: it takes as long as all else that starts an agent.
final class KnownImages: Sendable {
    private let images = Mutex<[LoadedImage: FrameMap.Image]>([:])

    /// Forgets all other images.
    func describe(_ current: [LoadedImage], _ describe: (LoadedImage) -> FrameMap.Image) -> [FrameMap.Image] {
        images.withLock { images in
            let known = images
            images = [:]
            for image in current { images[image] = known[image] ?? describe(image) }
            return current.map { images[$0]! }
        }
    }
}
