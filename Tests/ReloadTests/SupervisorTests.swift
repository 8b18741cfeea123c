import Glibc
import HotpatchExpectations
import HotpatchTestSupport
import Testing

@testable import HotpatchReload

/// A program that supervises a command: what both say, line by line.
private final class Supervised {
    private let conversation: Conversation
    private var unread: [String] = []
    var pid: pid_t { conversation.pid }

    /// Without a terminal, unless the tests run in one that `setsid` is not to leave.
    init(wanted: String = "/sleep", grace: Int = 20_000, by wrapper: [String] = [], _ command: String...) throws {
        conversation = try Conversation(
            ["setsid"] + wrapper + [products + "/HotpatchSupervise", wanted, "\(grace)"] + command)
    }

    /// The first line that begins so and was not returned before. The order of what two processes say is nobody's.
    @discardableResult
    func line(_ beginning: String) throws -> String {
        while true {
            if let index = unread.firstIndex(where: { $0.hasPrefix(beginning) }) { return unread.remove(at: index) }
            do { unread.append(try conversation.readLine(seconds: 30)) } catch {
                throw TestFailure("no '\(beginning)' in \(unread): \(error)")
            }
        }
    }

    /// The pid at the end of such a line.
    func pid(_ beginning: String) throws -> pid_t {
        let line = try line(beginning)
        guard
            let pid = line.dropFirst(beginning.count).split(separator: ":").first.flatMap({
                pid_t($0.filter(\.isNumber))
            })
        else { throw TestFailure("no pid in '\(line)'") }
        return pid
    }

    func say(_ text: String) throws { try conversation.say(text) }
    func signal(_ number: Int32) { kill(pid, number) }
    func finish() -> Int32 { conversation.finish(seconds: 30) }
    /// Whether a line was said that begins so and that nobody has asked for.
    func hasSaid(_ beginning: String) -> Bool { unread.contains { $0.hasPrefix(beginning) } }
}

/// Waits for something that happens in another process; bounded.
private func eventually(_ what: String, _ condition: () -> Bool) throws {
    for _ in 0..<3000 {
        if condition() { return }
        usleep(10_000)
    }
    throw TestFailure("never: \(what)")
}

private func isGone(_ pid: pid_t) -> Bool {
    guard let stat = try? String(readingFile: "/proc/\(pid)/stat") else { return true }
    return stat.contains(") Z ")
}

private func parent(of pid: pid_t) -> String? {
    (try? String(readingFile: "/proc/\(pid)/status"))?.split(separator: "\n").first { $0.hasPrefix("PPid:") }
        .map { String($0.filter(\.isNumber)) }
}

private let shell: String = {
    guard let path = realpath("/bin/sh", nil) else { return "/bin/sh" }
    defer { free(path) }
    return String(cString: path)
}()

@Suite struct SupervisorTests {
    @Test func crashOfTheCommand() throws {
        let supervised = try Supervised("sleep", "1000")
        try supervised.line("launched in a group of its own")
        let pid = try supervised.pid("found ")
        kill(pid, SIGSEGV)
        #expect(try supervised.line("ended \(pid)").contains("crashed with SIGSEGV"))
        #expect(try supervised.line("the command").contains("crashed with SIGSEGV"))
        try supervised.line("nothing runs")
        expect(supervised.finish(), equals: 0)
    }

    /// `sh -c`, make, and scripts: the program is a child of theirs, and may be started again.
    @Test func crashBelowAShell() throws {
        let supervised = try Supervised("sh", "-c", "sleep 1000; sleep 1001; exit 3")
        let first = try supervised.pid("found ")
        kill(first, SIGKILL)
        // How it ended only the shell knows, and newer kernels.
        let end = try supervised.line("ended \(first)")
        #expect(end == "ended \(first): was killed by SIGKILL" || end == "ended \(first): ended")
        let second = try supervised.pid("found ")
        #expect(second != first)
        kill(second, SIGTERM)
        try supervised.line("ended \(second)")
        try expect(supervised.line("the command"), equals: "the command exited with code 3")
        try supervised.line("nothing runs")
    }

    /// `swift run` becomes the program: the pid stays.
    @Test func becomesTheProgram() throws {
        let supervised = try Supervised("sh", "-c", "echo shell $$; read line; exec sleep 1000")
        let pid = try supervised.pid("shell ")
        try supervised.say("go")
        let found = try supervised.pid("found ")
        #expect(found == pid && parent(of: found) == "\(supervised.pid)")
        supervised.signal(SIGTERM)
        try supervised.line("got SIGTERM")
        try expect(supervised.line("the command"), equals: "the command was killed by SIGTERM")
        expect(supervised.finish(), equals: -SIGTERM)
        #expect(isGone(found))
    }

    @Test func becomesAnother() throws {
        let supervised = try Supervised(wanted: shell, "sh", "-c", "read line; exec sleep 1000")
        let pid = try supervised.pid("found ")
        try supervised.say("go")
        try eventually("exec") { (try? String(readingFile: "/proc/\(pid)/cmdline"))?.hasPrefix("sleep") == true }
        supervised.signal(SIGUSR2)
        try expect(supervised.pid("executed "), equals: pid)
    }

    /// The same program, with the same pid, but none of the patches.
    @Test func becomesItself() throws {
        let supervised = try Supervised(
            wanted: shell, "sh", "-c", "read line; exec sh -c 'echo anew; read line; exit 4'")
        let pid = try supervised.pid("found ")
        try supervised.say("go")
        try supervised.line("anew")
        supervised.signal(SIGUSR2)
        try expect(supervised.pid("executed "), equals: pid)
        try expect(supervised.pid("found "), equals: pid)
        try supervised.say("go")
        try expect(supervised.line("the command"), equals: "the command exited with code 4")
    }

    /// A process that lost its parent before it was ever seen is the supervisor's child, which may trace it.
    @Test func orphan() throws {
        let supervised = try Supervised("sh", "-c", "sleep 1000 & exit 0")
        let pid = try supervised.pid("found ")
        try expect(supervised.line("the command"), equals: "the command exited with code 0")
        expect(parent(of: pid), equals: "\(supervised.pid)")
        supervised.signal(SIGHUP)
        try expect(supervised.line("the command"), equals: "the command had ended")
        expect(supervised.finish(), equals: -SIGHUP)
        #expect(isGone(pid))
    }

    /// The command gets the signal once, has time to end in its own way, and is waited for.
    @Test func passesASignalOn() throws {
        let supervised = try Supervised(
            "sh", "-c",
            "trap 'echo caught; n=1' INT; n=0; echo up; while [ $n = 0 ]; do sleep 0.02; done; sleep 0.1; exit 5")
        try supervised.line("up")
        supervised.signal(SIGINT)
        try supervised.line("caught")
        try expect(supervised.line("the command"), equals: "the command exited with code 5")
        expect(supervised.finish(), equals: -SIGINT)
        #expect(!supervised.hasSaid("caught"))
    }

    @Test func killsTheStubborn() throws {
        let supervised = try Supervised(
            grace: 100, "sh", "-c", "trap '' TERM; sh -c 'echo inner $$; while :; do sleep 0.02; done'; echo no")
        let inner = try supervised.pid("inner ")
        supervised.signal(SIGTERM)
        try expect(supervised.line("the command"), equals: "the command was killed by SIGKILL")
        expect(supervised.finish(), equals: -SIGTERM)
        #expect(isGone(inner))
        #expect(!supervised.hasSaid("no"))
    }

    /// A signal that is lost before the program is executed, as `swift run` loses it, reaches the program. What a handler starts does not get it.
    @Test func becomesTheProgramWhileItEnds() throws {
        let supervised = try Supervised(
            grace: 600_000, "sh", "-c",
            "trap 'sh -c \"trap exit TERM; sleep 0.2; echo cleaned\"; exec sleep 1000' TERM; echo up; while :; do sleep 0.02; done"
        )
        try supervised.line("up")
        supervised.signal(SIGTERM)
        try supervised.line("cleaned")
        try expect(supervised.line("the command"), equals: "the command was killed by SIGTERM")
        expect(supervised.finish(), equals: -SIGTERM)
    }

    /// Who is in a hurry says so twice.
    @Test func secondSignal() throws {
        let supervised = try Supervised(
            grace: 600_000, "sh", "-c", "trap 'echo caught' TERM; echo up; while :; do sleep 0.02; done")
        try supervised.line("up")
        supervised.signal(SIGTERM)
        try supervised.line("caught")
        supervised.signal(SIGTERM)
        try expect(supervised.line("the command"), equals: "the command was killed by SIGKILL")
    }

    /// A daemon has left on purpose. It executes another program than the one that is looked for, which would be ended wherever it runs.
    @Test func leavesDaemonsAlone() throws {
        let supervised = try Supervised(
            "sh", "-c", "setsid sh -c 'echo daemon $$; exec tail -f /dev/null' & exec sleep 1000")
        let daemon = try supervised.pid("daemon ")
        defer { kill(daemon, SIGKILL) }
        try supervised.line("found ")
        try eventually("exec") { (try? String(readingFile: "/proc/\(daemon)/cmdline"))?.hasPrefix("tail") == true }
        supervised.signal(SIGUSR1)
        try supervised.line("restarted")
        #expect(!isGone(daemon))
        // The second one of the command's.
        kill(try supervised.pid("daemon "), SIGKILL)
    }

    @Test func restarts() throws {
        let supervised = try Supervised("sh", "-c", "echo up; exec sleep 1000")
        try supervised.line("up")
        let first = try supervised.pid("found ")
        supervised.signal(SIGUSR1)
        try supervised.line("restarted")
        try supervised.line("up")
        let second = try supervised.pid("found ")
        #expect(first != second && isGone(first) && !isGone(second))
        #expect(!supervised.hasSaid("ended"))
    }

    /// The command goes on, with its input and output, when the supervisor is killed.
    @Test func survivesTheSupervisor() throws {
        let supervised = try Supervised(
            wanted: shell, "sh", "-c", "echo up; while read line; do echo still $line; done; echo over")
        try supervised.line("up")
        let pid = try supervised.pid("found ")
        supervised.signal(SIGKILL)
        try eventually("the supervisor's end") { isGone(supervised.pid) }
        try supervised.say("here")
        try supervised.line("still here")
        #expect(!isGone(pid))
        kill(pid, SIGKILL)
    }

    /// The command has the signals that the supervisor was started with.
    @Test func signalsOfTheCommand() throws {
        let usual = try Supervised("sh", "-c", "grep -E 'Sig(Ign|Blk)' /proc/self/status; sleep 1000")
        try expect(usual.line("SigBlk"), equals: "SigBlk:\t0000000000000000")
        // What the tests themselves were started with.
        let ignored = try run(["grep", "SigIgn", "/proc/self/status"]).output.split(separator: "\n").first ?? ""
        #expect(try usual.line("SigIgn") == ignored)
        // As after nohup(1).
        let ignoring = try Supervised(
            by: ["sh", "-c", "trap '' HUP; exec \"$@\"", "sh"],
            "sh", "-c", "grep SigIgn /proc/self/status; sleep 1000")
        try expect(ignoring.line("SigIgn").last.flatMap { $0.hexDigitValue }.map { $0 & 1 }, equals: 1)
        ignoring.signal(SIGHUP)
        ignoring.signal(SIGTERM)
        try expect(ignoring.line("got"), equals: "got SIGTERM")
    }

    @Test func environment() throws {
        let supervised = try Supervised("sh", "-c", "echo mark $HOTPATCH_WATCH; sleep 1000")
        #expect(try supervised.line("mark").hasPrefix("mark \(supervised.pid)."))
    }

    /// In this process: whose children others are, too.
    @Test func idle() throws {
        var options = Supervisor.Options()
        options.adoptsOrphans = false
        options.environment = ["PRICE": "3"]
        let supervisor = try Supervisor(command: ["sh", "-c", "sleep 1003; exit $PRICE"], options: options)
        #expect(!supervisor.isRunning && supervisor.commandPID == nil)
        try supervisor.launch()
        #expect(throws: SupervisorError.alreadyRuns(pid: supervisor.commandPID ?? 0)) { try supervisor.launch() }
        supervisor.find { $0.executable.hasSuffix("/sleep") }
        func next() -> [SupervisorEvent] {
            for _ in 0..<3000 {
                var waiting = pollfd(fd: supervisor.descriptor, events: Int16(POLLIN), revents: 0)
                poll(&waiting, 1, 10)
                if case let events = supervisor.events(), !events.isEmpty { return events }
            }
            return []
        }
        let events = next()
        let program = try #require(supervisor.program)
        expect(events, equals: [.found(program)])
        // Nothing is to be done while it runs.
        var waiting = pollfd(fd: supervisor.descriptor, events: Int16(POLLIN), revents: 0)
        expect(poll(&waiting, 1, 100), equals: 0)
        #expect(supervisor.events() == [] && supervisor.program == program)
        try supervisor.restart()
        #expect(isGone(program.pid))
        guard case .found(let second) = next().first else { throw TestFailure("not found again") }
        kill(second.pid, SIGTERM)
        var all: [SupervisorEvent] = []
        while !all.contains(.commandEnded(.exited(code: 3))), case let events = next(), !events.isEmpty {
            all += events
        }
        #expect(all.last == .commandEnded(.exited(code: 3)) && all.count == 2)
        #expect(!supervisor.isRunning)
        try expect(supervisor.stop(), equals: nil)
        expect(poll(&waiting, 1, 100), equals: 0)
    }

    @Test func notStarted() throws {
        let supervised = try Supervised("/nowhere/to/be/found")
        let error = try supervised.line("error: ")
        #expect(error.contains("cannot start '/nowhere/to/be/found'. There is no such program."))
        expect(supervised.finish(), equals: 2)
    }
}

/// A terminal, seen from the side of who types.
private final class PseudoTerminal {
    let master: Int32
    private(set) var pid: pid_t = 0
    private var text = ""

    init(_ command: String...) throws {
        master = open("/dev/ptmx", O_RDWR | O_NOCTTY | O_CLOEXEC)
        // TIOCSPTLCK and TIOCGPTN (ioctl_tty(2)): what unlockpt(3) and ptsname(3) do, which Glibc does not show.
        var lock: Int32 = 0
        var number: Int32 = -1
        guard master >= 0, ioctl(master, 0x4004_5431, &lock) == 0, ioctl(master, 0x8004_5430, &number) == 0 else {
            throw TestFailure("no terminal: \(String(cString: strerror(errno)))")
        }
        let slave = open("/dev/pts/\(number)", O_RDWR | O_NOCTTY | O_CLOEXEC)
        defer { close(slave) }
        pid = try spawn(
            ["setsid", "-c", products + "/HotpatchSupervise", "/sleep", "20000"] + command, input: slave, output: slave,
            errors: slave)
    }

    deinit {
        hangUp()
        if pid > 0 {
            kill(pid, SIGKILL)
            reap(pid)
        }
    }

    private var isOpen = true
    func hangUp() {
        if isOpen { close(master) }
        isOpen = false
    }

    func type(_ keys: String) { _ = write(master, keys, keys.utf8.count) }

    /// Reads until this has appeared. All that was read before.
    @discardableResult
    func read(until part: String) throws -> String {
        var buffer = [UInt8](repeating: 0, count: 4096)
        let deadline = time(nil) + 30
        while !text.contains(part) {
            var polled = pollfd(fd: master, events: Int16(POLLIN), revents: 0)
            guard time(nil) < deadline, poll(&polled, 1, 1000) >= 0 else {
                throw TestFailure("no '\(part)' in: \(text)")
            }
            guard polled.revents != 0 else { continue }
            let count = Glibc.read(master, &buffer, buffer.count)
            guard count > 0 else { throw TestFailure("no '\(part)' in: \(text)") }
            text += String(decoding: buffer[..<count], as: UTF8.self)
        }
        return text
    }

    func end() -> Int32 {
        defer { pid = 0 }
        return reap(pid)
    }
}

/// With a terminal, the command shares the group that has it.
@Suite struct SupervisorTerminalTests {
    @Test func readsAndIsInterrupted() throws {
        let terminal = try PseudoTerminal(
            "sh", "-c",
            "trap 'echo caught; exit 7' INT; stty -echo; echo up; read line; echo read $line; while :; do sleep 0.02; done"
        )
        try terminal.read(until: "launched in this group")
        try terminal.read(until: "up")
        terminal.type("hello\n")
        try terminal.read(until: "read hello")
        terminal.type("\u{3}")
        let text = try terminal.read(until: "the command exited with code 7")
        #expect(text.contains("got SIGINT of the terminal"))
        expect(text.split(separator: "caught").count, equals: 2, "once: \(text)")
        expect(terminal.end(), equals: -SIGINT)
        // As the shell found it, though the command has left it without an echo.
        var attributes = termios()
        expect(tcgetattr(terminal.master, &attributes), equals: 0)
        #expect(attributes.c_lflag & tcflag_t(ECHO) != 0)
    }

    /// A program that crashes leaves the terminal as it had set it, and so does one that had taken it for a group of its own.
    @Test func isGivenBack() throws {
        let terminal = try PseudoTerminal(
            "sh", "-c", "stty -echo; sh -mc 'kill -KILL $$'; exit 3")
        try terminal.read(until: "the command exited with code 3")
        try terminal.read(until: "nothing runs")
        var attributes = termios()
        expect(tcgetattr(terminal.master, &attributes), equals: 0)
        #expect(attributes.c_lflag & tcflag_t(ECHO) != 0)
        // TIOCGPGRP, from the side that has no group: tcgetpgrp(3) asks whether it is the own terminal.
        var group: pid_t = 0
        expect(ioctl(terminal.master, 0x540f, &group), equals: 0)
        expect(group, equals: terminal.pid)
        terminal.type("\n")
        expect(terminal.end(), equals: 0)
    }

    @Test func hangUp() throws {
        let terminal = try PseudoTerminal("sleep", "1000")
        let text = try terminal.read(until: "found ") + (try terminal.read(until: "\r\n"))
        let pid = try #require(pid_t(text.split(separator: "found ").last!.prefix { $0.isNumber }))
        terminal.hangUp()
        expect(terminal.end(), equals: -SIGHUP)
        #expect(isGone(pid))
    }
}

@Suite struct SupervisorWordsTests {
    @Test func ends() {
        let rows: [(Int32, String)] = [
            (0, "exited with code 0"), (3 << 8, "exited with code 3"),
            (139 << 8, "exited with code 139, as after SIGSEGV"),
            (SIGKILL, "was killed by SIGKILL"), (SIGSEGV | 0x80, "crashed with SIGSEGV (core dumped)"),
            (SIGABRT, "crashed with SIGABRT"), (40, "was killed by signal 40"),
        ]
        for (status, text) in rows { expect("\(ChildEnd(waitStatus: status))", equals: text) }
    }

    @Test func errors() {
        let errors: [SupervisorError] = [
            .notStarted(program: "swfit", code: ENOENT), .notStarted(program: "a", code: EACCES), .alreadyRuns(pid: 3),
            .cannotSupervise(code: EMFILE), .notEnded(pids: [3]), .notEnded(pids: [3, 4]),
        ]
        for error in errors { expect(faults(ofMessage: "\(error)"), equals: [], "\(error)") }
    }

    @Test func families() {
        func entry(_ pid: Int32, _ parent: Int32, _ time: UInt64) -> ChildTable.Entry {
            .init(pid: pid, parent: parent, startTime: time)
        }
        let table = ChildTable([
            entry(1, 0, 0), entry(10, 1, 5), entry(20, 10, 6), entry(11, 20, 8), entry(30, 10, 7), entry(50, 1, 9),
            // A cycle is nothing that the kernel shows.
            entry(60, 61, 1), entry(61, 60, 1),
        ])
        func pids(_ known: [Int32: UInt64]) -> [Int32] { table.family(of: known).map(\.pid) }
        expect(pids([10: 5]), equals: [10, 20, 30, 11])
        expect(pids([10: 5, 11: 8, 50: 9]), equals: [10, 50, 20, 30, 11])
        // Another process has the number.
        expect(pids([10: 4]), equals: [])
        expect(pids([99: 1]), equals: [])
        expect(pids([60: 1, 61: 1]), equals: [])
        // What has lost its parent is known itself.
        expect(pids([10: 4, 20: 6]), equals: [20, 11])
    }
}
