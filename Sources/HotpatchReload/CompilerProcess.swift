import CHotpatchLinux
import Glibc
import HotpatchELF

/// What a compiler has left.
package struct CompilerResult: Sendable {
    /// The exit code, or minus the signal.
    package var status: Int32
    /// What it printed, to both of its outputs, as it printed it. Not more than 4 MiB.
    package var printed: [UInt8]
    /// From its start to its end.
    package var nanoseconds: UInt64
    /// It was ended, or never started: `CompilerProcess.cancel`.
    package var isCancelled: Bool

    package var text: String { String(decoding: printed, as: UTF8.self) }
}

/// Runs of compilers, one behind the other or several at once, which another thread may end.
///
/// Each is a process group of its own, so that what it starts ends with it, and reads nothing. It gets no descriptors but its outputs, nor
/// the signal mask of the thread that starts it.
package final class CompilerProcess: Sendable {
    private struct State {
        /// Those that have not been waited for: their numbers are still their own.
        var children: Set<pid_t> = []
        var isCancelled = false
    }

    /// What is running.
    private struct Child {
        var index: Int
        var pid: pid_t
        /// -1 once it is closed.
        var output: Int32
        var printed: [UInt8] = []
        /// More than that is thrown away.
        var most: Int
        var started: UInt64
        var status: Int32?
    }

    /// What is to be run.
    package struct Program: Sendable, Hashable {
        /// The program first, looked for as the shell does.
        package var arguments: [String]
        /// Where it runs.
        package var directory: String?
        /// `NAME=value`; nil for that of this process.
        package var environment: [String]?

        package init(_ arguments: [String], in directory: String? = nil, environment: [String]? = nil) {
            self.arguments = arguments
            self.directory = directory
            self.environment = environment
        }
    }

    private let state = Locked(State())
    private static let mostPrinted = 4 << 20
    /// The most that is read of a program that is asked something.
    private static let longestAnswer = 64 << 20

    package init() {}

    /// Ends what runs (SIGKILL), and keeps anything more from being started. Any thread may call it.
    package func cancel() {
        state.withLock { state in
            state.isCancelled = true
            for child in state.children { kill(-child, SIGKILL) }
        }
    }

    package var isCancelled: Bool { state.withLock { $0.isCancelled } }

    /// Runs a program to its end.
    /// - Parameters:
    ///   - seconds: when they are over it is ended.
    ///   - outputOnly: what it prints to standard error is left out of the result, and lost.
    /// - Throws: `BuildError.notStarted`, `.outOfTime`.
    package func run(
        _ program: Program, seconds: Int = 600, outputOnly: Bool = false
    ) throws(BuildError) -> CompilerResult {
        try run(all: [program], seconds: seconds, outputOnly: outputOnly)[0]
    }

    /// Runs programs to their ends, several at once.
    /// - Parameters:
    ///   - seconds: for each; when they are over all are ended.
    ///   - atOnce: nil for as many as there are processors.
    /// - Throws: `BuildError.notStarted`, `.outOfTime`. Nothing runs any more then.
    package func run(
        all programs: [Program], seconds: Int = 600, outputOnly: Bool = false, atOnce: Int? = nil
    ) throws(BuildError) -> [CompilerResult] {
        let atOnce = max(1, atOnce ?? Int(sysconf(Int32(_SC_NPROCESSORS_ONLN))))
        var results: [CompilerResult] = programs.map { _ in
            CompilerResult(status: -SIGKILL, printed: [], nanoseconds: 0, isCancelled: true)
        }
        var running: [Child] = []
        do throws(BuildError) {
            var next = 0
            while next < programs.count || !running.isEmpty {
                while running.count < atOnce, next < programs.count {
                    if let child = try start(programs[next], index: next, outputOnly: outputOnly) {
                        running.append(child)
                    }
                    next += 1
                }
                Self.readSome(&running)
                for index in running.indices {
                    if Self.now - running[index].started > UInt64(max(0, seconds)) &* 1_000_000_000 {
                        throw .outOfTime(program: programs[running[index].index].arguments[0], seconds: seconds)
                    }
                    running[index].status = try wait(running[index].pid, programs[running[index].index])
                }
                for var child in running where child.status != nil {
                    Self.finish(&child)
                    results[child.index] = CompilerResult(
                        status: child.status!, printed: child.printed, nanoseconds: Self.now - child.started,
                        isCancelled: isCancelled)
                }
                running.removeAll { $0.status != nil }
            }
        } catch {
            for child in running {
                kill(-child.pid, SIGKILL)
                while (try? wait(child.pid, Program(["a compiler"]))) == .some(nil) { usleep(500) }
                if child.output >= 0 { close(child.output) }
            }
            throw error
        }
        return results
    }

    /// Nil where all is cancelled.
    private func start(_ program: Program, index: Int, outputOnly: Bool) throws(BuildError) -> Child? {
        guard let name = program.arguments.first else {
            throw .notStarted(program: "a compiler without a name", code: EINVAL)
        }
        var ends: [Int32] = [-1, -1]
        // A pipe whose ends no other child inherits; pipe2(2) is not among what Glibc shows.
        guard socketpair(AF_UNIX, Int32(SOCK_STREAM.rawValue | SOCK_CLOEXEC.rawValue), 0, &ends) == 0 else {
            throw .notStarted(program: name, code: errno)
        }
        defer { close(ends[1]) }
        let started = Self.now
        do throws(BuildError) {
            if let pid = try spawn(program, output: ends[1], outputOnly: outputOnly) {
                return Child(
                    index: index, pid: pid, output: ends[0],
                    most: outputOnly ? Self.longestAnswer : Self.mostPrinted, started: started)
            }
        } catch {
            close(ends[0])
            throw error
        }
        close(ends[0])
        return nil
    }

    private func spawn(_ program: Program, output: Int32, outputOnly: Bool) throws(BuildError) -> pid_t? {
        var actions = posix_spawn_file_actions_t()
        posix_spawn_file_actions_init(&actions)
        defer { posix_spawn_file_actions_destroy(&actions) }
        posix_spawn_file_actions_addopen(&actions, 0, "/dev/null", O_RDONLY, 0)
        posix_spawn_file_actions_adddup2(&actions, output, 1)
        if outputOnly {
            posix_spawn_file_actions_addopen(&actions, 2, "/dev/null", O_WRONLY, 0)
        } else {
            posix_spawn_file_actions_adddup2(&actions, output, 2)
        }
        if let directory = program.directory { linux_spawn_in(&actions, directory) }
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
        let words = program.arguments.map { strdup($0) } + [nil]
        var variables = program.environment.map { $0.map { strdup($0) } + [nil] } ?? []
        defer { for word in words + variables { free(word) } }
        let (child, code) = state.withLock { state -> (pid_t?, Int32) in
            if state.isCancelled { return (nil, 0) }
            var child: pid_t = 0
            let code = variables.withUnsafeMutableBufferPointer { variables in
                posix_spawnp(
                    &child, program.arguments[0], &actions, &attributes, words,
                    variables.isEmpty ? environ : variables.baseAddress!)
            }
            guard code == 0 else { return (nil, code) }
            state.children.insert(child)
            return (child, 0)
        }
        guard code == 0 else { throw .notStarted(program: program.arguments[0], code: code) }
        return child
    }

    /// Waits until one of them prints or ends, but for a moment at most.
    private static func readSome(_ running: inout [Child]) {
        let open = running.indices.filter { running[$0].output >= 0 }
        guard !open.isEmpty else {
            usleep(500)
            return
        }
        // Who has closed its output is about to end.
        let timeout: Int32 = open.count < running.count ? 1 : 20
        var polled = open.map { pollfd(fd: running[$0].output, events: Int16(POLLIN), revents: 0) }
        guard poll(&polled, nfds_t(polled.count), timeout) > 0 else { return }
        for (index, polled) in zip(open, polled) where polled.revents != 0 {
            if read(&running[index]) == .ended {
                close(running[index].output)
                running[index].output = -1
            }
        }
    }

    private enum Reading { case some, nothing, ended }

    private static func read(_ child: inout Child) -> Reading {
        withUnsafeTemporaryAllocation(byteCount: 64 << 10, alignment: 1) { buffer in
            let count = recv(child.output, buffer.baseAddress!, buffer.count, Int32(MSG_DONTWAIT))
            if count > 0 {
                child.printed.append(contentsOf: buffer.prefix(min(count, child.most - child.printed.count)))
                return .some
            }
            return count < 0 && (errno == EINTR || errno == EAGAIN) ? .nothing : .ended
        }
    }

    /// What a child of its own, that it has left behind, may still print is not waited for.
    private static func finish(_ child: inout Child) {
        guard child.output >= 0 else { return }
        while read(&child) == .some {}
        close(child.output)
        child.output = -1
    }

    /// Its status once it has ended.
    private func wait(_ child: pid_t, _ program: Program) throws(BuildError) -> Int32? {
        let result = state.withLock { state -> (status: Int32?, code: Int32) in
            var status: Int32 = 0
            let waited = waitpid(child, &status, WNOHANG)
            if waited == 0 || waited < 0 && errno == EINTR { return (nil, 0) }
            let code = waited < 0 ? errno : 0
            state.children.remove(child)
            return (status & 0x7f == 0 ? status >> 8 & 0xff : -(status & 0x7f), code)
        }
        guard result.code == 0 else { throw .notStarted(program: program.arguments[0], code: result.code) }
        return result.status
    }

    private static var now: UInt64 {
        var time = timespec()
        clock_gettime(CLOCK_MONOTONIC, &time)
        return UInt64(time.tv_sec) &* 1_000_000_000 &+ UInt64(time.tv_nsec)
    }
}
