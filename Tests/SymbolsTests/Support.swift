import Glibc
import Memory
import Symbols
import Testing

/// What a test cannot do without.
struct SupportError: Error, CustomStringConvertible {
    var description: String
}

/// A directory that is removed with the value.
final class Workshop: Sendable {
    let path: String
    static let victims = #filePath.split(separator: "/").dropLast(2).map { "/" + $0 }.joined() + "/Victims"

    init() throws {
        var template = Array("/tmp/hotpatch-symbols-XXXXXX".utf8CString)
        guard mkdtemp(&template) != nil else { throw SupportError(description: "mkdtemp: errno \(errno)") }
        path = template.withUnsafeBufferPointer { String(cString: $0.baseAddress!) }
    }

    deinit { _ = try? Self.run(["rm", "-rf", path]) }

    func file(_ name: String) -> String { path + "/" + name }

    /// Compiles victims; `options` come before the sources' names.
    @discardableResult
    func build(_ output: String, _ sources: [String], _ options: [String] = [], compiler: String = "cc") throws
        -> String
    {
        try Self.run([compiler, "-o", file(output)] + options + sources.map { Self.victims + "/" + $0 })
        return file(output)
    }

    @discardableResult
    func library(_ output: String, _ sources: [String], _ options: [String] = [], compiler: String = "cc") throws
        -> String
    {
        try build(output, sources, ["-shared", "-fPIC", "-O1"] + options, compiler: compiler)
    }

    static func run(_ command: [String]) throws {
        var pid: pid_t = 0
        let code = spawn(command, nil, &pid)
        guard code == 0 else { throw SupportError(description: "cannot run \(command[0]): errno \(code)") }
        var status: Int32 = 0
        while waitpid(pid, &status, 0) < 0, errno == EINTR {}
        guard status == 0 else {
            throw SupportError(description: "\(command.joined(separator: " ")): status \(status)")
        }
    }

    fileprivate static func spawn(
        _ command: [String], _ actions: UnsafePointer<posix_spawn_file_actions_t>?, _ pid: inout pid_t
    ) -> Int32 {
        let arguments = command.map { strdup($0) } + [nil]
        defer { for argument in arguments { free(argument) } }
        return posix_spawnp(&pid, command[0], actions, nil, arguments, environ)
    }
}

/// A running victim that answers line by line; killed with the value.
final class Victim: Sendable {
    let pid: pid_t
    private let input: Int32
    private let output: Int32

    init(_ path: String) throws {
        var toVictim: [Int32] = [0, 0]
        var fromVictim: [Int32] = [0, 0]
        guard pipe(&toVictim) == 0, pipe(&fromVictim) == 0 else {
            throw SupportError(description: "pipe: errno \(errno)")
        }
        for descriptor in toVictim + fromVictim { _ = fcntl(descriptor, F_SETFD, FD_CLOEXEC) }
        var actions = posix_spawn_file_actions_t()
        posix_spawn_file_actions_init(&actions)
        posix_spawn_file_actions_adddup2(&actions, toVictim[0], 0)
        posix_spawn_file_actions_adddup2(&actions, fromVictim[1], 1)
        var pid: pid_t = 0
        let code = Workshop.spawn([path], &actions, &pid)
        posix_spawn_file_actions_destroy(&actions)
        close(toVictim[0])
        close(fromVictim[1])
        guard code == 0 else { throw SupportError(description: "cannot run \(path): errno \(code)") }
        self.pid = pid
        input = toVictim[1]
        output = fromVictim[0]
        try expect("ready")
    }

    deinit {
        kill(pid, SIGKILL)
        waitpid(pid, nil, 0)
        close(input)
        close(output)
    }

    func load(_ library: String) throws {
        let line = library + "\n"
        guard write(input, line, line.utf8.count) == line.utf8.count else {
            throw SupportError(description: "the victim does not read: errno \(errno)")
        }
        try expect("loaded")
    }

    func index(debugDirectories: [String] = ["/usr/lib/debug"]) throws -> SymbolIndex {
        try SymbolIndex(
            map: ProcessMap(pid: pid), memory: ProcMemory(pid: pid, writable: false), root: "/proc/\(pid)/root",
            debugDirectories: debugDirectories)
    }

    private func expect(_ word: String) throws {
        var line: [UInt8] = []
        while line.last != 0x0A {
            var wait = pollfd(fd: output, events: Int16(POLLIN), revents: 0)
            guard poll(&wait, 1, 10_000) == 1 else { throw SupportError(description: "no '\(word)' within 10 s") }
            var byte: UInt8 = 0
            guard read(output, &byte, 1) == 1 else {
                throw SupportError(description: "the victim ended before '\(word)'")
            }
            line.append(byte)
        }
        let text = String(decoding: line.dropLast(), as: UTF8.self)
        guard text == word else { throw SupportError(description: "the victim said '\(text)', not '\(word)'") }
    }
}

/// The index of this process; a new one, as libraries come and go.
func ownIndex() throws -> SymbolIndex {
    try SymbolIndex(map: ProcessMap(pid: getpid()), memory: LocalMemory())
}

/// Loads a library into this process for good.
func load(_ path: String) throws -> UnsafeMutableRawPointer {
    guard let handle = dlopen(path, RTLD_NOW) else {
        throw SupportError(description: dlerror().map { String(cString: $0) } ?? "dlopen")
    }
    return handle
}

func isNotFound(_ error: SymbolError) -> Bool { if case .notFound = error { true } else { false } }
func isAmbiguous(_ error: SymbolError) -> Bool { if case .ambiguous = error { true } else { false } }
func isMalformed(_ error: SymbolError) -> Bool { if case .malformed = error { true } else { false } }

/// The error of a call that must fail with one.
func symbolError<R>(
    _ body: () throws -> R, sourceLocation: SourceLocation = #_sourceLocation
) -> SymbolError? {
    do {
        let result = try body()
        Issue.record("no error, but \(result)", sourceLocation: sourceLocation)
    } catch let error as SymbolError {
        return error
    } catch {
        Issue.record("another error: \(error)", sourceLocation: sourceLocation)
    }
    return nil
}

/// dlvsym(3), which the Glibc module does not show.
@_silgen_name("dlvsym")
func dlvsym(
    _ handle: UnsafeMutableRawPointer?, _ name: UnsafePointer<CChar>, _ version: UnsafePointer<CChar>
) -> UnsafeMutableRawPointer?
