import Glibc
import TestSupport

extension RunResult {
    var json: Parsed { Parsed(output) }
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
