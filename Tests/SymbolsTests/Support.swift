import Glibc
import HotpatchELF
import HotpatchMemory
import HotpatchProcFS
import HotpatchSymbols
import HotpatchTestSupport
import Testing

/// What the tests compile; removed with the value.
final class Workshop: Sendable {
    private let directory: TemporaryDirectory
    var path: String { directory.path }
    static let victims = #filePath.split(separator: "/").dropLast(2).map { "/" + $0 }.joined() + "/Victims"

    init() throws { directory = try TemporaryDirectory("symbols") }

    func file(_ name: String) -> String { path + "/" + name }

    /// Compiles victims; `options` come before the sources' names.
    @discardableResult
    func build(_ output: String, _ sources: [String], _ options: [String] = [], compiler: String = "cc") throws
        -> String
    {
        try runTool([compiler, "-o", file(output)] + options + sources.map { Self.victims + "/" + $0 })
        return file(output)
    }

    @discardableResult
    func library(_ output: String, _ sources: [String], _ options: [String] = [], compiler: String = "cc") throws
        -> String
    {
        try build(output, sources, ["-shared", "-fPIC", "-O1"] + options, compiler: compiler)
    }
}

/// A running victim that answers line by line; killed with the value.
final class Victim: Sendable {
    let pid: pid_t
    private let input: Int32
    private let output: Int32

    init(_ path: String) throws {
        let (toVictim, fromVictim) = (try makePipe(), try makePipe())
        defer {
            close(toVictim.read)
            close(fromVictim.write)
        }
        pid = try spawn([path], input: toVictim.read, output: fromVictim.write)
        input = toVictim.write
        output = fromVictim.read
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
            throw TestFailure("the victim does not read: errno \(errno)")
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
            guard poll(&wait, 1, 10_000) == 1 else { throw TestFailure("no '\(word)' within 10 s") }
            var byte: UInt8 = 0
            guard read(output, &byte, 1) == 1 else {
                throw TestFailure("the victim ended before '\(word)'")
            }
            line.append(byte)
        }
        let text = String(decoding: line.dropLast(), as: UTF8.self)
        guard text == word else { throw TestFailure("the victim said '\(text)', not '\(word)'") }
    }
}

/// The index of this process; a new one, as libraries come and go.
func ownIndex() throws -> SymbolIndex {
    try SymbolIndex(map: ProcessMap(pid: getpid()), memory: LocalMemory())
}

/// Loads a library into this process for good.
func load(_ path: String) throws -> UnsafeMutableRawPointer {
    guard let handle = dlopen(path, RTLD_NOW) else {
        throw TestFailure(dlerror().map { String(cString: $0) } ?? "dlopen")
    }
    return handle
}

func isNotFound(_ error: SymbolError) -> Bool { if case .notFound = error { true } else { false } }
func isAmbiguous(_ error: SymbolError) -> Bool { if case .ambiguous = error { true } else { false } }
func isMalformed(_ error: SymbolError) -> Bool { if case .unread(.malformed) = error { true } else { false } }

/// The error of a call that must fail with one.
func symbolError<R>(
    _ body: () throws -> R, sourceLocation: SourceLocation = #_sourceLocation
) -> SymbolError? {
    do {
        let result = try body()
        Issue.record("no error, but \(result)", sourceLocation: sourceLocation)
    } catch let error as SymbolError {
        return error
    } catch let error as ReadError {
        return SymbolError(error)
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
