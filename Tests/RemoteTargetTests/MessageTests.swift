import HotpatchEngine
import Glibc
import HotpatchMemory
import HotpatchTestSupport
import Testing

@testable import HotpatchRemoteTarget

/// Every error once, as it is read.
@Suite struct MessageTests {
    private static let memory = MemoryError(address: Address(0x401000), count: 8, code: EIO)
    private static let other = MemoryError(address: Address(0x402000), count: 8, code: EIO)

    private static let commits: [CommitError] = [
        .mismatch(address: Address(0x401000), expected: [0x55], found: [0xCC]),
        .crossesPage(address: Address(0x401FFE), length: 5), .invalidWrite(address: Address(0x401000), length: 99),
        .busy(thread: 43, address: Address(0x401002), foundAt: nil),
        .busy(thread: 43, address: Address(0x401002), foundAt: Address(0x7FFF_0000)),
        .pauseExceeded(nanoseconds: 3_000_000, allowed: 1_000_000), .unreadable(memory), .threadLost(43),
        .rolledBack(memory), .inconsistent(memory, undo: other),
    ]

    private static let agents: [AgentError] =
        [
            .refused(.vanished(pid: 42)), .memory(memory), .notHeld(.threadLost(43)), .unwinder("no frames"),
            .invalidSymbols, .threadNotCreated(pid: 42, code: EAGAIN), .noMemory(pid: 42, count: 1 << 20),
            .notStarted(pid: 42, thread: 43), .callTimedOut(pid: 42, what: "dlopen"), .left(pid: 42),
            .systemCallFailedHere(name: "openat", code: EMFILE), .otherLibraryLoaded(pid: 42, path: "/srv/a.so"),
            .tooLong(what: "a path", count: 9000, limit: 4096),
            .targetEnded(pid: 42, .killed(signal: SIGSYS), doing: "it loaded the library"),
            .targetEnded(pid: 42, .exited(code: 1), doing: "it loaded the library"),
            .targetEnded(pid: 42, .unknown, doing: "it loaded the library"),
            .targetEnded(pid: 42, .executed(program: "/bin/true"), doing: "it loaded the library"),
            .borrowedThreadEnded(pid: 42, thread: 43), .threadEnded(pid: 42, what: "mmap"),
            .threadNotCreated(pid: 42, code: EPERM),
        ] + limits.map { .systemCallFailed(pid: 42, name: "mmap", code: $0.code) }
        + loaders.map { .libraryNotLoaded(pid: 42, reason: $0.reason) }

    private static let refusals: [RemoteRefusal] = [
        .noSuchProcess(pid: 42), .vanished(pid: 42), .oneself(pid: 42), .kernelThread(pid: 42),
        .zombie(pid: 42, parent: 1), .not64Bit(pid: 42), .otherArchitecture(pid: 42, machine: 8), .notELF(pid: 42),
        .alreadyTraced(pid: 42, tracer: 7, tracerName: "gdb"), .stopped(pid: 42), .frozen(pid: 42),
        .notPermitted(
            pid: 42,
            .init(code: EPERM, ownUser: 1000, targetUser: 0, yamaScope: nil, targetInOtherUserNamespace: false)),
        .notPermitted(
            pid: 42, .init(code: EPERM, ownUser: 0, targetUser: 0, yamaScope: 3, targetInOtherUserNamespace: false)),
        .notPermitted(
            pid: 42, .init(code: EPERM, ownUser: 0, targetUser: 0, yamaScope: nil, targetInOtherUserNamespace: true)),
        .notPermitted(
            pid: 42, .init(code: EPERM, ownUser: 0, targetUser: 0, yamaScope: nil, targetInOtherUserNamespace: false)),
        .seccomp(pid: 42, mode: 1), .seccomp(pid: 42, mode: 2), .staticallyLinked(pid: 42),
        .unsupportedLibrary(pid: 42, name: "musl"), .noVectorState(pid: 42),
        .deadline(pid: 42, .init(tid: 43, name: "worker", state: "D", waitChannel: "do_fork", systemCall: 58)),
        .deadline(pid: 42, .init(tid: 43, name: "worker", state: "T", waitChannel: "", systemCall: nil)),
        .noThreadToBorrow(pid: 42, [.init(tid: 43, reason: "it holds a lock of libc")]),
        .noRoomForStub(pid: 42, needed: 512), .anotherPatcher(pid: 42), .stubInUse(pid: 42, thread: 43),
        .procUnreadable(pid: 42, path: "/proc/42/mem", code: ENOENT), .outOfTime(pid: 42),
    ]

    @Test func eachReadsWell() {
        let texts = Self.commits.map(\.description) + Self.agents.map(\.description) + Self.refusals.map(\.description)
        for text in texts { #expect(faults(ofMessage: text).isEmpty, "\(text): \(faults(ofMessage: text))") }
    }

    /// Which limit it is, and what raises it.
    private static let limits: [(code: Int32, words: [String])] = [
        (EMFILE, ["RLIMIT_NOFILE", "prlimit --nofile"]), (ENFILE, ["fs.file-max"]),
        (ENOMEM, ["ulimit -v", "vm.max_map_count", "memory.max"]),
        (EAGAIN, ["RLIMIT_NPROC", "pids.max", "RLIMIT_MEMLOCK"]), (EPERM, ["seccomp", "security module"]),
        (EACCES, ["seccomp", "security module"]), (EFBIG, ["RLIMIT_FSIZE", "prlimit --fsize"]),
        (EIO, ["Check the process's limits"]),
    ]

    @Test func tellsOfLimits() {
        for (code, words) in Self.limits {
            let text = AgentError.systemCallFailed(pid: 42, name: "mmap", code: code).description
            for word in words { #expect(text.contains(word), "\(text)") }
            #expect(text.hasPrefix("mmap failed in process 42. \(String(cString: strerror(code)))."), "\(text)")
        }
        let thread = AgentError.threadNotCreated(pid: 42, code: EAGAIN).description
        for word in ["ulimit -u", "pids.max", "ulimit -v"] { #expect(thread.contains(word), "\(thread)") }
        let forbidden = AgentError.threadNotCreated(pid: 42, code: EPERM).description
        #expect(forbidden.contains("Its pthread_create says") && forbidden.contains("seccomp"), "\(forbidden)")
    }

    /// What glibc's loader says, and what helps (elf/dl-load.c, elf/dl-tls.c, elf/dl-reloc.c).
    private static let loaders: [(reason: String, words: [String])] = [
        ("cannot open shared object file: Too many open files", ["RLIMIT_NOFILE"]),
        ("cannot open shared object file: Permission denied", ["chmod a+r"]),
        ("cannot open shared object file: No such file or directory", ["Check the process's limits"]),
        ("/proc/self/fd/./5: failed to map segment from shared object", ["RLIMIT_AS", "noexec"]),
        ("/proc/self/fd/./5: cannot allocate memory in static TLS block", ["-ftls-model", "LD_PRELOAD"]),
        ("/proc/self/fd/./5: undefined symbol: price", ["ldd"]),
    ]

    @Test func tellsOfWhatTheLoaderRanInto() {
        for (reason, words) in Self.loaders {
            let text = AgentError.libraryNotLoaded(pid: 42, reason: reason).description
            #expect(text.contains(reason))
            for word in words { #expect(text.contains(word), "\(text)") }
        }
    }
}
