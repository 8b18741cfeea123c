import Glibc

/// What a program that ran to its end has left.
public struct RunResult: CustomStringConvertible {
    /// The exit code, or minus the signal.
    public var status: Int32
    public var output: String
    public var errors: String

    public var description: String { "status \(status)\n\(output)\(errors)" }
}

/// A pipe whose ends other children do not inherit: sockets, as pipe2(2) is not among what Glibc shows.
public func makePipe() throws -> (read: Int32, write: Int32) {
    var ends: [Int32] = [0, 0]
    guard socketpair(AF_UNIX, Int32(SOCK_STREAM.rawValue | SOCK_CLOEXEC.rawValue), 0, &ends) == 0 else {
        throw TestFailure("socketpair: \(String(cString: strerror(errno)))")
    }
    return (ends[0], ends[1])
}

/// Starts a program with an empty signal mask: the test runner's threads block signals, and a child would inherit that.
public func spawn(
    _ arguments: [String], input: Int32? = nil, output: Int32? = nil, errors: Int32? = nil
) throws -> pid_t {
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

/// Runs a program to its end and reads what it prints. Killed after so many seconds.
public func run(_ arguments: [String], seconds: Int = 120) throws -> RunResult {
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
    let deadline = time(nil) + seconds
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
public func reap(_ child: pid_t) -> Int32 {
    var status: Int32 = 0
    while waitpid(child, &status, 0) < 0 { if errno != EINTR { return -1000 } }
    return status & 0x7f == 0 ? status >> 8 & 0xff : -(status & 0x7f)
}

/// The directory of what the package builds.
public let products: String = {
    var path = CommandLine.arguments.first { $0.contains(".xctest") } ?? ""
    if path.isEmpty {
        var own = [CChar](repeating: 0, count: 4096)
        let length = readlink("/proc/self/exe", &own, own.count - 1)
        path = String(decoding: own[..<max(0, length)].map(UInt8.init(bitPattern:)), as: UTF8.self)
    }
    return String(path[..<(path.lastIndex(of: "/") ?? path.endIndex)])
}()

/// Runs a tool that must succeed.
public func runTool(_ arguments: String...) throws { try runTool(arguments) }

public func runTool(_ arguments: [String]) throws {
    // A compiler that makes a module first takes two minutes of a busy machine.
    let result = try run(arguments, seconds: 600)
    guard result.status == 0 else { throw TestFailure("\(arguments.joined(separator: " ")): \(result)") }
}
