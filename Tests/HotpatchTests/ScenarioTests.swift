import Glibc
import Testing

/// Programs that patch themselves under circumstances that could end them. See Tests/Victims/Scenarios.
@Suite struct ScenarioTests {
    /// Every way to hold threads, with every way to write text.
    @Test(
        arguments: [
            "libc", "hammer", "sleepers", "births", "vfork", "fork", "heap", "mapped", "reloaded", "stub",
            "interrupted", "busy", "littered", "forks", "mocks",
        ],
        [["signal", "procMem"], ["signal", "mprotect"], ["ptrace", "procMem"], ["ptrace", "mprotect"]])
    func scenario(name: String, options: [String]) throws {
        let result = try run(program: "Scenarios", [name] + options)
        #expect(result.status == 0, "\(result.output)")
    }

    /// Threads that block signals are traced, without being told to.
    @Test(arguments: ["procMem", "mprotect"])
    func threadsThatBlockSignals(writer: String) throws {
        let result = try run(program: "Scenarios", ["deaf", "automatic", writer])
        #expect(result.status == 0, "\(result.output)")
    }

    @Test func aThreadUnderADebugger() throws {
        let result = try run(program: "Scenarios", ["traced", "ptrace"])
        #expect(result.status == 0, "\(result.output)")
    }

    /// A run that expects nothing passes always: an unknown name must fail.
    @Test func anUnknownScenarioFails() throws {
        #expect(try run(program: "Scenarios", ["nonsense"]).status == 64)
    }
}

struct RunResult {
    var status: Int32
    var output: String
}

/// Runs a program of this package, which lies beside the test's, and reads what it prints. Killed after 90 seconds.
func run(program: String, _ arguments: [String]) throws -> RunResult {
    var own = [CChar](repeating: 0, count: 4096)
    let length = readlink("/proc/self/exe", &own, own.count - 1)
    var directory = String(decoding: own[..<max(0, length)].map(UInt8.init(bitPattern:)), as: UTF8.self)
    if let testBundle = CommandLine.arguments.first(where: { $0.contains(".xctest") }) { directory = testBundle }
    directory = directory[..<(directory.lastIndex(of: "/") ?? directory.endIndex)].description

    var ends: [Int32] = [0, 0]
    guard pipe(&ends) == 0 else { throw RunError(what: "pipe", code: errno) }
    defer { close(ends[0]) }
    var actions = posix_spawn_file_actions_t()
    posix_spawn_file_actions_init(&actions)
    defer { posix_spawn_file_actions_destroy(&actions) }
    posix_spawn_file_actions_adddup2(&actions, ends[1], 1)
    posix_spawn_file_actions_adddup2(&actions, ends[1], 2)
    posix_spawn_file_actions_addclose(&actions, ends[0])
    // The runner's threads block signals; a program must not inherit that.
    var attributes = posix_spawnattr_t()
    posix_spawnattr_init(&attributes)
    defer { posix_spawnattr_destroy(&attributes) }
    var none = sigset_t()
    sigemptyset(&none)
    posix_spawnattr_setsigmask(&attributes, &none)
    posix_spawnattr_setflags(&attributes, Int16(POSIX_SPAWN_SETSIGMASK))
    let strings = ([directory + "/" + program] + arguments).map { strdup($0) } + [nil]
    defer { for string in strings { free(string) } }
    var child: pid_t = 0
    let code = posix_spawn(&child, strings[0] ?? strdup(""), &actions, &attributes, strings, environ)
    close(ends[1])
    guard code == 0 else { throw RunError(what: "posix_spawn \(directory)/\(program)", code: code) }

    var output: [UInt8] = []
    var buffer = [UInt8](repeating: 0, count: 4096)
    var poller = pollfd(fd: ends[0], events: Int16(POLLIN), revents: 0)
    let deadline = time(nil) + 90
    while true {
        if poll(&poller, 1, 1000) == 0 {
            if time(nil) > deadline { kill(child, SIGKILL) }
            continue
        }
        let count = read(ends[0], &buffer, buffer.count)
        if count <= 0 { break }
        output += buffer[..<count]
    }
    var status: Int32 = 0
    while waitpid(child, &status, 0) < 0, errno == EINTR {}
    return RunResult(
        status: status & 0x7f == 0 ? status >> 8 & 0xff : -(status & 0x7f),
        output: String(decoding: output, as: UTF8.self))
}

struct RunError: Error {
    var what: String
    var code: Int32
}
