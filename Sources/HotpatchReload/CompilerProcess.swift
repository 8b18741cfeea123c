import CHotpatchLinux
import Glibc
import HotpatchELF

/// What a compiler has left.
public struct CompilerResult: Sendable {
    /// The exit code, or minus the signal.
    public var status: Int32
    /// What it printed, to both of its outputs, as it printed it. Not more than 4 MiB.
    public var printed: [UInt8]
    /// From its start to its end.
    public var nanoseconds: UInt64
    /// It was ended by `CompilerProcess.cancel`.
    public var isCancelled: Bool

    public var text: String { String(decoding: printed, as: UTF8.self) }
}

/// One run of a compiler, which another thread may end.
///
/// It is a process group of its own, so that what it starts ends with it, and reads nothing. It gets no descriptors but its outputs,
/// nor the signal mask of the thread that starts it.
public final class CompilerProcess: Sendable {
    private struct State {
        /// Until it is waited for.
        var child: pid_t?
        var isCancelled = false
    }

    private let state = Locked(State())
    private static let mostPrinted = 4 << 20

    public init() {}

    /// Ends it (SIGKILL), or keeps it from being started. Only the first of several does something; any thread may call it.
    public func cancel() {
        state.withLock { state in
            state.isCancelled = true
            // It has not been waited for: the number is still its own.
            if let child = state.child { kill(-child, SIGKILL) }
        }
    }

    /// Runs a program to its end.
    /// - Parameters:
    ///   - arguments: the program first, looked for as the shell does.
    ///   - directory: where it runs.
    ///   - environment: `NAME=value`; nil for that of this process.
    ///   - seconds: when they are over it is ended.
    ///   - outputOnly: what it prints to standard error is left out of the result, and lost.
    /// - Throws: `BuildError.notStarted`, `.outOfTime`.
    public func run(
        _ arguments: [String], in directory: String? = nil, environment: [String]? = nil, seconds: Int = 600,
        outputOnly: Bool = false
    ) throws(BuildError) -> CompilerResult {
        let started = Self.now
        guard let program = arguments.first else {
            throw .notStarted(program: "a compiler without a name", code: EINVAL)
        }
        var ends: [Int32] = [-1, -1]
        // A pipe whose ends no other child inherits; pipe2(2) is not among what Glibc shows.
        guard socketpair(AF_UNIX, Int32(SOCK_STREAM.rawValue | SOCK_CLOEXEC.rawValue), 0, &ends) == 0 else {
            throw .notStarted(program: program, code: errno)
        }
        defer { close(ends[0]) }
        do {
            defer { close(ends[1]) }
            try start(arguments, output: ends[1], errors: outputOnly ? nil : ends[1], directory, environment)
        }
        var printed: [UInt8] = []
        var isLate = false
        var buffer = [UInt8](repeating: 0, count: 64 << 10)
        var isOpen = true
        var status: Int32?
        while status == nil {
            if isOpen {
                var polled = pollfd(fd: ends[0], events: Int16(POLLIN), revents: 0)
                if poll(&polled, 1, 20) > 0 {
                    let count = recv(ends[0], &buffer, buffer.count, Int32(MSG_DONTWAIT))
                    if count > 0 {
                        printed.append(contentsOf: buffer[..<min(count, Self.mostPrinted - printed.count)])
                    } else if count == 0 || errno != EINTR && errno != EAGAIN {
                        isOpen = false
                    }
                    // It may have more to say.
                    if isOpen { continue }
                }
            } else {
                usleep(500)
            }
            if !isLate, Self.now - started > UInt64(max(0, seconds)) &* 1_000_000_000 {
                isLate = true
                cancel()
            }
            status = try wait(program)
        }
        // What a child of its own, that it left behind, may still print is not waited for.
        while true {
            let count = recv(ends[0], &buffer, buffer.count, Int32(MSG_DONTWAIT))
            guard count > 0 else { break }
            printed.append(contentsOf: buffer[..<min(count, Self.mostPrinted - printed.count)])
        }
        if isLate { throw .outOfTime(program: program, seconds: seconds) }
        return CompilerResult(
            status: status!, printed: printed, nanoseconds: Self.now - started,
            isCancelled: state.withLock { $0.isCancelled })
    }

    private func start(
        _ arguments: [String], output: Int32, errors: Int32?, _ directory: String?, _ environment: [String]?
    ) throws(BuildError) {
        var actions = posix_spawn_file_actions_t()
        posix_spawn_file_actions_init(&actions)
        defer { posix_spawn_file_actions_destroy(&actions) }
        posix_spawn_file_actions_addopen(&actions, 0, "/dev/null", O_RDONLY, 0)
        posix_spawn_file_actions_adddup2(&actions, output, 1)
        if let errors {
            posix_spawn_file_actions_adddup2(&actions, errors, 2)
        } else {
            posix_spawn_file_actions_addopen(&actions, 2, "/dev/null", O_WRONLY, 0)
        }
        if let directory { linux_spawn_in(&actions, directory) }
        var attributes = posix_spawnattr_t()
        posix_spawnattr_init(&attributes)
        defer { posix_spawnattr_destroy(&attributes) }
        var signals = sigset_t()
        sigemptyset(&signals)
        posix_spawnattr_setsigmask(&attributes, &signals)
        sigfillset(&signals)
        posix_spawnattr_setsigdefault(&attributes, &signals)
        posix_spawnattr_setpgroup(&attributes, 0)
        posix_spawnattr_setflags(
            &attributes, Int16(POSIX_SPAWN_SETSIGMASK | POSIX_SPAWN_SETSIGDEF | POSIX_SPAWN_SETPGROUP))
        let words = arguments.map { strdup($0) } + [nil]
        var variables = environment.map { $0.map { strdup($0) } + [nil] } ?? []
        defer { for word in words + variables { free(word) } }
        let code = state.withLock { state -> Int32 in
            // It counts as started and killed.
            if state.isCancelled { return 0 }
            var child: pid_t = 0
            let code = variables.withUnsafeMutableBufferPointer { variables in
                posix_spawnp(
                    &child, arguments[0], &actions, &attributes, words,
                    variables.isEmpty ? environ : variables.baseAddress!)
            }
            if code == 0 { state.child = child }
            return code
        }
        guard code == 0 else { throw .notStarted(program: arguments[0], code: code) }
    }

    /// Its status once it has ended.
    private func wait(_ program: String) throws(BuildError) -> Int32? {
        let result = state.withLock { state -> (status: Int32?, code: Int32) in
            guard let child = state.child else { return (-SIGKILL, 0) }
            var status: Int32 = 0
            let waited = waitpid(child, &status, WNOHANG)
            if waited == 0 || waited < 0 && errno == EINTR { return (nil, 0) }
            let code = waited < 0 ? errno : 0
            state.child = nil
            return (status & 0x7f == 0 ? status >> 8 & 0xff : -(status & 0x7f), code)
        }
        guard result.code == 0 else { throw .notStarted(program: program, code: result.code) }
        return result.status
    }

    private static var now: UInt64 {
        var time = timespec()
        clock_gettime(CLOCK_MONOTONIC, &time)
        return UInt64(time.tv_sec) &* 1_000_000_000 &+ UInt64(time.tv_nsec)
    }
}
