import Glibc

/// What a program that ran to its end has left.
struct RunResult: CustomStringConvertible {
    /// The exit code, or minus the signal.
    var status: Int32
    var output: String
    var errors: String

    var json: Parsed { Parsed(output) }
    var description: String { "status \(status)\n\(output)\(errors)" }
}

/// A pipe whose ends other children do not inherit: sockets, as pipe2(2) is not among what Glibc shows.
func makePipe() throws -> (read: Int32, write: Int32) {
    var ends: [Int32] = [0, 0]
    guard socketpair(AF_UNIX, Int32(SOCK_STREAM.rawValue | SOCK_CLOEXEC.rawValue), 0, &ends) == 0 else {
        throw TestFailure("socketpair: \(String(cString: strerror(errno)))")
    }
    return (ends[0], ends[1])
}

/// Starts a program with an empty signal mask: the test runner's threads block signals, and a child would inherit that.
func spawn(_ arguments: [String], input: Int32? = nil, output: Int32? = nil, errors: Int32? = nil) throws -> pid_t {
    var actions = posix_spawn_file_actions_t()
    posix_spawn_file_actions_init(&actions)
    defer { posix_spawn_file_actions_destroy(&actions) }
    for (descriptor, number) in [(input, Int32(0)), (output, 1), (errors, 2)] {
        if let descriptor { posix_spawn_file_actions_adddup2(&actions, descriptor, number) }
    }
    var attributes = posix_spawnattr_t()
    posix_spawnattr_init(&attributes)
    defer { posix_spawnattr_destroy(&attributes) }
    var none = sigset_t()
    sigemptyset(&none)
    posix_spawnattr_setsigmask(&attributes, &none)
    posix_spawnattr_setflags(&attributes, Int16(POSIX_SPAWN_SETSIGMASK))
    let strings = arguments.map { strdup($0) } + [nil]
    defer { for string in strings { free(string) } }
    var child: pid_t = 0
    let code = posix_spawnp(&child, arguments[0], &actions, &attributes, strings, environ)
    guard code == 0 else { throw TestFailure("cannot run \(arguments[0]): \(String(cString: strerror(code)))") }
    return child
}

/// Runs a program to its end and reads what it prints. Killed after 60 seconds.
func run(_ arguments: [String]) throws -> RunResult {
    let output = try makePipe()
    let errors = try makePipe()
    defer {
        close(output.read)
        close(errors.read)
    }
    let nothing = open("/dev/null", O_RDONLY | O_CLOEXEC)
    defer { close(nothing) }
    let child: pid_t
    do { child = try spawn(arguments, input: nothing, output: output.write, errors: errors.write) } catch {
        close(output.write)
        close(errors.write)
        throw error
    }
    close(output.write)
    close(errors.write)
    var texts: [[UInt8]] = [[], []]
    var polls = [output.read, errors.read].map { pollfd(fd: $0, events: Int16(POLLIN), revents: 0) }
    var buffer = [UInt8](repeating: 0, count: 1 << 16)
    let deadline = time(nil) + 60
    while polls.contains(where: { $0.fd >= 0 }) {
        if time(nil) > deadline { kill(child, SIGKILL) }
        guard poll(&polls, 2, 500) > 0 else { continue }
        for index in polls.indices where polls[index].fd >= 0 && polls[index].revents != 0 {
            let count = read(polls[index].fd, &buffer, buffer.count)
            if count <= 0 { polls[index].fd = -1 } else { texts[index] += buffer[..<count] }
        }
    }
    return RunResult(
        status: reap(child), output: String(decoding: texts[0], as: UTF8.self),
        errors: String(decoding: texts[1], as: UTF8.self))
}

/// Waits for a child. The exit code, or minus the signal.
@discardableResult
func reap(_ child: pid_t) -> Int32 {
    var status: Int32 = 0
    while waitpid(child, &status, 0) < 0 { if errno != EINTR { return -1000 } }
    return status & 0x7f == 0 ? status >> 8 & 0xff : -(status & 0x7f)
}

/// Runs `swift-hotpatch`, which lies beside the test's bundle.
func hotpatch(_ arguments: String..., asUser user: Int? = nil) throws -> RunResult {
    try hotpatch(arguments, asUser: user)
}

func hotpatch(_ arguments: [String], asUser user: Int? = nil) throws -> RunResult {
    let become =
        user.map { ["setpriv", "--reuid=\($0)", "--clear-groups", "--bounding-set=-all", "--inh-caps=-all"] } ?? []
    return try run(become + [products + "/swift-hotpatch"] + arguments)
}

/// The directory of what the package builds.
let products: String = {
    var path = CommandLine.arguments.first { $0.contains(".xctest") } ?? ""
    if path.isEmpty {
        var own = [CChar](repeating: 0, count: 4096)
        let length = readlink("/proc/self/exe", &own, own.count - 1)
        path = String(decoding: own[..<max(0, length)].map(UInt8.init(bitPattern:)), as: UTF8.self)
    }
    return String(path[..<(path.lastIndex(of: "/") ?? path.endIndex)])
}()

/// A running program that answers lines with lines; killed when it goes out of scope.
final class Victim {
    let pid: pid_t
    private let input: Int32
    private let output: Int32
    private var pending: [UInt8] = []
    private var isOpen = true
    private var isReaped = false

    /// - Parameter greeting: the line that says that it is ready.
    init(_ arguments: String..., greeting: String = "ready") throws {
        let toVictim = try makePipe()
        let fromVictim = try makePipe()
        defer {
            close(toVictim.read)
            close(fromVictim.write)
        }
        pid = try spawn(arguments, input: toVictim.read, output: fromVictim.write, errors: fromVictim.write)
        input = toVictim.write
        output = fromVictim.read
        let line = try readLine()
        guard line == greeting else { throw TestFailure("\(arguments[0]) says \(line), not \(greeting)") }
    }

    deinit {
        end()
        if !isReaped {
            kill(pid, SIGKILL)
            reap(pid)
        }
        close(output)
    }

    var id: String { "\(pid)" }

    /// Sends a line and returns the answer.
    func ask(_ line: String = "") throws -> String {
        let bytes = Array((line + "\n").utf8)
        guard send(input, bytes, bytes.count, Int32(MSG_NOSIGNAL)) == bytes.count else {
            throw TestFailure("process \(pid) reads no more")
        }
        return try readLine()
    }

    func readLine() throws -> String {
        var buffer = [UInt8](repeating: 0, count: 4096)
        let deadline = time(nil) + 20
        while true {
            if let end = pending.firstIndex(of: 10) {
                defer { pending.removeFirst(end + 1) }
                return String(decoding: pending[..<end], as: UTF8.self)
            }
            var poller = pollfd(fd: output, events: Int16(POLLIN), revents: 0)
            if poll(&poller, 1, 500) > 0 {
                let count = read(output, &buffer, buffer.count)
                guard count > 0 else {
                    throw TestFailure("process \(pid) has ended, after \(String(decoding: pending, as: UTF8.self))")
                }
                pending += buffer[..<count]
            }
            if time(nil) > deadline { throw TestFailure("process \(pid) does not answer") }
        }
    }

    private func end() {
        if isOpen { close(input) }
        isOpen = false
    }

    /// Ends its input and waits for it to end. The exit code, or minus the signal; killed after 10 seconds.
    func finish() -> Int32 {
        end()
        for _ in 0..<500 {
            var info = siginfo_t()
            if waitid(P_PID, id_t(pid), &info, WEXITED | WNOHANG | WNOWAIT) == 0, info.si_signo != 0 { break }
            usleep(20_000)
        }
        kill(pid, SIGKILL)
        isReaped = true
        return reap(pid)
    }

    /// What the kernel says about its memory.
    func maps() throws -> String { String(decoding: try Workshop.bytes(of: "/proc/\(pid)/maps"), as: UTF8.self) }

    /// The state letter of its first thread, and its threads.
    func state() throws -> Character {
        let stat = String(decoding: try Workshop.bytes(of: "/proc/\(pid)/stat"), as: UTF8.self)
        return stat[stat.index(stat.lastIndex(of: ")")!, offsetBy: 2)]
    }

    func waitForState(_ wanted: Set<Character>) throws {
        for _ in 0..<500 {
            if wanted.contains(try state()) { return }
            usleep(10_000)
        }
        throw TestFailure("process \(pid) does not come to state \(wanted)")
    }
}
