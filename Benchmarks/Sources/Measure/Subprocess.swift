import Glibc
import Workload

/// Starts a program, with descriptors as its standard input and output. Foundation's `Process` would look for its end 20 times a second.
func start(_ program: String, _ arguments: [String], input: Int32 = 0, output: Int32 = 1) throws -> pid_t {
    var actions = posix_spawn_file_actions_t()
    posix_spawn_file_actions_init(&actions)
    defer { posix_spawn_file_actions_destroy(&actions) }
    if input != 0 { posix_spawn_file_actions_adddup2(&actions, input, 0) }
    if output != 1 { posix_spawn_file_actions_adddup2(&actions, output, 1) }
    var argv: [UnsafeMutablePointer<CChar>?] = ([program] + arguments).map { strdup($0) }
    defer { for argument in argv { free(argument) } }
    argv.append(nil)
    var pid = pid_t()
    let code = posix_spawn(&pid, program, &actions, nil, argv, environ)
    guard code == 0 else { throw Failure("cannot start \(program): \(String(cString: strerror(code)))") }
    return pid
}

/// Runs a program to its end; what it wrote to its standard output.
func output(of program: String, _ arguments: [String]) throws -> String {
    var ends: [Int32] = [-1, -1]
    guard pipe(&ends) == 0 else { throw Failure("cannot make a pipe: errno \(errno)") }
    for end in ends { _ = fcntl(end, F_SETFD, FD_CLOEXEC) }
    defer { close(ends[0]) }
    let pid: pid_t
    do {
        defer { close(ends[1]) }
        pid = try start(program, arguments, output: ends[1])
    }
    var bytes: [UInt8] = []
    var chunk = [UInt8](repeating: 0, count: 1 << 14)
    while case let count = read(ends[0], &chunk, chunk.count), count > 0 { bytes += chunk[..<count] }
    var status: Int32 = 0
    waitpid(pid, &status, 0)
    let text = String(decoding: bytes, as: UTF8.self)
    guard status == 0 else {
        throw Failure("\(program) \(arguments.joined(separator: " ")) ended with wait status \(status): \(text)")
    }
    return text
}

/// Figures that this program prints about itself when started anew, by name: `name value` lines, as many of a name as there are.
func freshSamples(_ arguments: [String]) throws -> [String: Sample] {
    var figures: [String: Sample] = [:]
    for line in try output(of: CommandLine.arguments[0], arguments).split(separator: "\n") {
        let words = line.split(separator: " ")
        if words.count == 2, let value = Double(words[1]) { figures[String(words[0]), default: Sample()].add(value) }
    }
    return figures
}

/// The same, of names that stand in one line each.
func freshProcess(_ arguments: [String]) throws -> [String: Double] {
    try freshSamples(arguments).compactMapValues(\.values.last)
}

struct Failure: Error, CustomStringConvertible {
    var description: String
    init(_ description: String) { self.description = description }
}
