import Glibc

/// A running program that says that it is ready and answers lines with lines; killed when it goes out of scope.
public final class Conversation {
    /// The id of the program that was started.
    public let pid: pid_t
    private let name: String
    private let input: Int32
    private let output: Int32
    private var pending: [UInt8] = []
    private var isOpen = true
    private var isReaped = false

    public convenience init(_ arguments: String..., greeting: String = "ready") throws {
        try self.init(arguments, greeting: greeting)
    }

    /// - Parameter greeting: the line that says that it is ready; nil where nothing does.
    public init(_ arguments: [String], greeting: String? = "ready") throws {
        name = arguments.joined(separator: " ")
        let (toProgram, fromProgram) = (try makePipe(), try makePipe())
        defer {
            close(toProgram.read)
            close(fromProgram.write)
        }
        input = toProgram.write
        output = fromProgram.read
        pid = try spawn(arguments, input: toProgram.read, output: fromProgram.write, errors: fromProgram.write)
        guard let greeting else { return }
        let line = try readLine()
        guard line == greeting else { throw TestFailure("\(name) says \(line), not \(greeting)") }
    }

    deinit {
        hangUp()
        if !isReaped {
            kill(pid, SIGKILL)
            reap(pid)
        }
        close(output)
    }

    /// Sends a line and returns the answer.
    public func ask(_ line: String = "", seconds: Int = 20) throws -> String {
        try say(line)
        return try readLine(seconds: seconds)
    }

    /// Sends a line, whose answer `readLine` returns.
    public func say(_ line: String = "") throws {
        let bytes = Array((line + "\n").utf8)
        guard send(input, bytes, bytes.count, Int32(MSG_NOSIGNAL)) == bytes.count else {
            throw TestFailure("\(name) reads no more, after \(lastWords())")
        }
    }

    /// What it has written and nobody has read.
    private func lastWords() -> String {
        var poller = pollfd(fd: output, events: Int16(POLLIN), revents: 0)
        var buffer = [UInt8](repeating: 0, count: 4096)
        while poll(&poller, 1, 0) > 0, case let count = read(output, &buffer, buffer.count), count > 0 {
            pending += buffer[..<count]
        }
        return String(decoding: pending, as: UTF8.self)
    }

    public func readLine(seconds: Int = 20) throws -> String {
        var buffer = [UInt8](repeating: 0, count: 4096)
        let deadline = time(nil) + seconds
        while true {
            if let end = pending.firstIndex(of: 10) {
                defer { pending.removeFirst(end + 1) }
                return String(decoding: pending[..<end], as: UTF8.self)
            }
            var poller = pollfd(fd: output, events: Int16(POLLIN), revents: 0)
            if poll(&poller, 1, 500) > 0 {
                let count = read(output, &buffer, buffer.count)
                guard count > 0 else {
                    throw TestFailure("\(name) has ended, after \(String(decoding: pending, as: UTF8.self))")
                }
                pending += buffer[..<count]
            }
            if time(nil) > deadline { throw TestFailure("\(name) does not answer") }
        }
    }

    private func hangUp() {
        if isOpen { close(input) }
        isOpen = false
    }

    /// Ends its input and waits for it to end. The exit code, or minus the signal; killed after so many seconds.
    public func finish(seconds: Int = 10) -> Int32 {
        hangUp()
        for _ in 0..<seconds * 100 {
            var info = siginfo_t()
            if waitid(P_PID, id_t(pid), &info, WEXITED | WNOHANG | WNOWAIT) == 0, info.si_signo != 0 { break }
            usleep(10_000)
        }
        kill(pid, SIGKILL)
        isReaped = true
        return reap(pid)
    }
}
