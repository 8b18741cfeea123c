import CHotpatchLinux
import Glibc
import HotpatchMemory
import HotpatchProcFS

/// A process that belongs to the command.
package struct SupervisedProcess: Hashable, Sendable {
    package var pid: Int32
    /// The path of what it executes, as the kernel has it; where the file was replaced, of what has stood there.
    package var executable: String
    /// In clock ticks after boot: with the pid, its identity.
    package var startTime: UInt64
}

/// What has happened to the command.
package enum SupervisorEvent: Hashable, Sendable {
    /// The program runs that was looked for.
    case found(SupervisedProcess)
    /// The program has executed another one, or itself anew. It is looked for again.
    case executed(SupervisedProcess)
    /// The program has ended. It is looked for again while the command runs: a script may start it anew.
    case ended(SupervisedProcess, ChildEnd)
    /// The process that was launched has ended. Others that it has started may run: ``Supervisor/isRunning`` tells.
    case commandEnded(ChildEnd)
}

/// Runs a command, and knows the processes that it consists of.
///
/// This process is the parent, so that it may trace the program where only parents may (Yama). Wait until ``descriptor`` is readable,
/// and call ``events()``. It costs nothing while the program runs: only while one is looked for, time is used.
///
/// ```swift
/// let signals = try SupervisorSignals()
/// let supervisor = try Supervisor(command: ["swift", "run", "App"])
/// supervisor.find { $0.executable == "/home/me/App/.build/debug/App" }
/// try supervisor.launch()
/// ```
///
/// ## Terminals, groups, and ends
/// Where there is a terminal, the command runs in the group of this process, as a shell's child would: it reads what is typed, Ctrl-C and
/// Ctrl-Z reach both at once. Where there is none, it has a group of its own, and signals are passed on (``end(by:signals:graceMilliseconds:)``).
///
/// When this process is killed, the command goes on as if nothing had been: it holds no descriptor of the supervisor's, and no signal is set for
/// its parent's death. What a command's process leaves behind is adopted by this process (PR_SET_CHILD_SUBREAPER), so that it is known and
/// may be traced.
///
/// Not for several threads at once.
package final class Supervisor {
    package struct Options: Sendable {
        /// Variables that the command gets beside those of this process.
        package var environment: [String: String] = [:]
        /// Whether processes of the command whose parents end become children of this process. It holds for all of this process's descendants.
        package var adoptsOrphans = true

        package init() {}
    }

    /// Set in the environment of the command: the pid of this process, a dot, and a number that no other launch has.
    package static let environmentMark = "HOTPATCH_WATCH"

    /// Program and arguments: what ``launch()`` starts next.
    package var command: [String]
    let options: Options
    /// Readable when ``events()`` is to be called.
    package let descriptor: Int32
    private let timer: Int32

    /// The process that was launched, until it is known that it has ended.
    var root: ChildHandle?
    /// How it has ended.
    private(set) var rootEnd: ChildEnd?
    /// The program that was looked for.
    package private(set) var program: SupervisedProcess?
    private(set) var programHandle: ChildHandle?
    private var programMemory: ProcMemory?
    /// A program that has ended, and how its parent must tell.
    private(set) var ending: (process: SupervisedProcess, handle: ChildHandle, deadline: UInt64)?

    /// Called where what is ended takes longer than a second: with the processes that are left, and the seconds after which they are killed.
    package var isSlow: (([Int32], Int) -> Void)?

    private var isWanted: ((SupervisedProcess) -> Bool)?
    /// Processes that were asked about.
    private var verdicts: [SupervisedProcess: (isWanted: Bool, until: UInt64)] = [:]
    /// In nanoseconds, of one that was not wanted.
    private static let verdictLifetime: UInt64 = 1_000_000_000
    private var searchDelay = Supervisor.shortestDelay
    private static let shortestDelay: UInt64 = 10_000_000
    private static let longestDelay: UInt64 = 500_000_000

    /// Processes of the command, with the times they were started at. Their children belong to it also when they are gone.
    var known: [Int32: UInt64] = [:]
    /// The command's processes are a group of their own, as there is no terminal.
    package private(set) var hasOwnGroup = false
    let terminal = TerminalSettings()
    /// In the environment of the command's processes.
    private(set) var mark = ""

    package init(command: [String], options: Options = Options()) throws(SupervisorError) {
        self.command = command
        self.options = options
        descriptor = linux_epoll()
        timer = linux_timer()
        guard descriptor >= 0, timer >= 0, linux_epoll_add(descriptor, timer) == 0 else {
            throw .cannotSupervise(code: errno)
        }
        if options.adoptsOrphans { _ = linux_adopt_orphans() }
    }

    /// Ends nothing.
    deinit {
        if timer >= 0 { close(timer) }
        if descriptor >= 0 { close(descriptor) }
    }

    /// Looks for the program among the processes of the command, now and each time that it is gone.
    /// - Parameter isWanted: asked about each executable of each process, again after a while where it was not wanted. Of several, the first ancestor counts.
    package func find(where isWanted: @escaping (SupervisedProcess) -> Bool) {
        self.isWanted = isWanted
        verdicts = [:]
        searchSoon()
    }

    /// The pid of the process that was launched, while it runs.
    package var commandPID: Int32? { root?.pid }

    /// Whether any process of the command is left.
    package var isRunning: Bool { root != nil || program != nil || !family().isEmpty }

    /// Other processes of the command that execute the same file as the program: those that it has forked.
    package var forks: [Int32] {
        guard let program else { return [] }
        return family().map(\.pid).filter { $0 != program.pid && executable(of: $0) == program.executable }
    }

    /// Other processes of the command that execute what is looked for, but another file than the program does.
    package var otherPrograms: [SupervisedProcess] {
        guard let program, let isWanted else { return [] }
        return family().compactMap { entry in
            guard entry.pid != program.pid, let path = executable(of: entry.pid), path != program.executable else {
                return nil
            }
            let process = SupervisedProcess(pid: entry.pid, executable: path, startTime: entry.startTime)
            return isWanted(process) ? process : nil
        }
    }

    /// Processes of the command that this one may not look into: the program is perhaps among them.
    package var closedProcesses: [Int32] {
        family().map(\.pid).filter { pid in
            var byte: CChar = 0
            return readlink(ProcDirectory.path(of: pid) + "/exe", &byte, 1) < 0 && (errno == EACCES || errno == EPERM)
        }
    }

    /// Starts the command, with the input, output and errors of this process.
    package func launch() throws(SupervisorError) {
        if let root { throw .alreadyRuns(pid: root.pid) }
        forget()
        mark = "\(getpid()).\(linux_monotonic_time())"
        hasOwnGroup = !TerminalSettings.hasTerminal
        let pid = try spawn()
        guard let handle = ChildHandle(pid: pid), linux_epoll_add(descriptor, handle.descriptor) == 0 else {
            let code = errno
            kill(pid, SIGKILL)
            waitpid(pid, nil, 0)
            throw .cannotSupervise(code: code)
        }
        root = handle
        known = [pid: handle.startTime]
        searchSoon()
    }

    /// What has happened since the last call. Never waits.
    ///
    /// That a program has executed another one is noticed only here: call it before the program is changed, and take ``program`` after that.
    package func events() -> [SupervisorEvent] {
        linux_timer_set(timer, 0)
        var events: [SupervisorEvent] = []
        if let root, root.hasEnded {
            if let end = root.end() ?? (isForeign(root) ? .unknown : nil) {
                linux_epoll_remove(descriptor, root.descriptor)
                self.root = nil
                rootEnd = end
            } else {
                // A tracer has it.
                tick(after: Self.shortestDelay)
            }
        }
        checkProgram(&events)
        if let rootEnd, root == nil, ending == nil {
            events.append(.commandEnded(rootEnd))
            self.rootEnd = nil
            if !isRunning { terminal.restore() }
        }
        if program == nil, ending == nil, let isWanted { search(isWanted, &events) }
        return events
    }

    /// It is no child of this process, or not any more.
    func isForeign(_ handle: ChildHandle) -> Bool { waitpid(handle.pid, nil, WNOHANG) < 0 && errno == ECHILD }

    private func checkProgram(_ events: inout [SupervisorEvent]) {
        if let program, let handle = programHandle {
            if handle.hasEnded {
                if handle.descriptor != root?.descriptor { linux_epoll_remove(descriptor, handle.descriptor) }
                forgetProgram()
                ending = (program, handle, linux_monotonic_time() + 300_000_000)
            } else if hasExecuted(program) {
                if handle !== root { linux_epoll_remove(descriptor, handle.descriptor) }
                forgetProgram()
                events.append(.executed(program))
                searchSoon()
            }
        }
        if let (process, handle, deadline) = ending {
            let isRoot = handle.pid == rootPID
            let end = isRoot ? rootEnd : handle.end()
            if let end = end ?? (linux_monotonic_time() >= deadline ? .unknown : nil) {
                events.append(.ended(process, end))
                ending = nil
                searchSoon()
            } else {
                tick(after: Self.shortestDelay)
            }
        }
    }

    /// The id of the process that was launched, kept after its end.
    private(set) var rootPID: Int32 = 0

    private func forgetProgram() {
        program = nil
        programHandle = nil
        programMemory = nil
        verdicts = [:]
    }

    /// Its memory is another one, and there is one: a process that ends has none.
    private func hasExecuted(_ program: SupervisedProcess) -> Bool {
        guard let path = executable(of: program.pid) else { return false }
        return programMemory?.isGone ?? (path != program.executable)
    }

    // MARK: Searching

    private func searchSoon() {
        searchDelay = Self.shortestDelay
        if isWanted != nil, !known.isEmpty { tick(after: 0) }
    }

    private func tick(after delay: UInt64) { linux_timer_set(timer, linux_monotonic_time() + max(1, delay)) }

    private func search(_ isWanted: (SupervisedProcess) -> Bool, _ events: inout [SupervisorEvent]) {
        let family = family()
        for entry in family {
            guard let path = executable(of: entry.pid) ?? claimedExecutable(of: entry.pid) else { continue }
            let process = SupervisedProcess(pid: entry.pid, executable: path, startTime: entry.startTime)
            let now = linux_monotonic_time()
            if let known = verdicts[process], known.isWanted || now < known.until {
                if !known.isWanted { continue }
            } else {
                let verdict = isWanted(process)
                // What was asked may have been in the making, as the description of a build is.
                verdicts[process] = (verdict, now + Self.verdictLifetime)
                if !verdict { continue }
            }
            if take(process) {
                events.append(.found(process))
                return
            }
        }
        // A process that executes another program cannot be read for a moment.
        guard !family.isEmpty || root != nil else { return }
        tick(after: searchDelay)
        searchDelay = min(Self.longestDelay, searchDelay + searchDelay / 4)
    }

    private func take(_ process: SupervisedProcess) -> Bool {
        let handle =
            root.flatMap { $0.pid == process.pid ? $0 : nil }
            ?? ChildHandle(pid: process.pid, startTime: process.startTime)
        guard let handle else { return false }
        // Without it, another executable only is noticed.
        let memory = try? ProcMemory(pid: process.pid, writable: false)
        // It may have executed another one before its memory was opened.
        guard (executable(of: process.pid) ?? claimedExecutable(of: process.pid)) == process.executable,
            handle === root || linux_epoll_add(descriptor, handle.descriptor) == 0
        else { return false }
        program = process
        programHandle = handle
        programMemory = memory
        return true
    }

    /// Nil where it has ended.
    func executable(of pid: Int32) -> String? {
        guard let path = try? ProcText.readLink(ProcDirectory.path(of: pid) + "/exe") else { return nil }
        // The kernel marks the path of a file that is gone.
        let mark = " (deleted)"
        return path.hasSuffix(mark) ? String(path.dropLast(mark.count)) : path
    }

    /// What a process was told that it executes, where the kernel keeps the truth from this one: a process that may not be traced
    /// (PR_SET_DUMPABLE). It may say anything, and what it says tells no more than which build it comes from.
    private func claimedExecutable(of pid: Int32) -> String? {
        do throws(Errno) { _ = try ProcText.readLink(ProcDirectory.path(of: pid) + "/exe") } catch {
            guard error.code == EACCES || error.code == EPERM,
                let words = try? ProcText.read(ProcDirectory.path(of: pid) + "/cmdline", limit: 4 << 20),
                let name = words.split(separator: 0, maxSplits: 1, omittingEmptySubsequences: false).first,
                name.contains(UInt8(ascii: "/")),
                let path = realpath(String(decoding: name, as: UTF8.self), nil)
            else { return nil }
            defer { free(path) }
            return String(cString: path)
        }
        return nil
    }

    // MARK: Starting

    func forget() {
        if let handle = programHandle, handle !== root { linux_epoll_remove(descriptor, handle.descriptor) }
        if let root { linux_epoll_remove(descriptor, root.descriptor) }
        forgetProgram()
        root = nil
        rootEnd = nil
        ending = nil
        known = [:]
        linux_timer_set(timer, 0)
    }

    private func spawn() throws(SupervisorError) -> Int32 {
        var attributes = posix_spawnattr_t()
        posix_spawnattr_init(&attributes)
        defer { posix_spawnattr_destroy(&attributes) }
        var flags = POSIX_SPAWN_SETSIGMASK | POSIX_SPAWN_SETSIGDEF
        var none = sigset_t()
        sigemptyset(&none)
        posix_spawnattr_setsigmask(&attributes, &none)
        var ignoredHere = sigset_t()
        sigemptyset(&ignoredHere)
        for number in SupervisorSignals.ignoredHere { sigaddset(&ignoredHere, number) }
        posix_spawnattr_setsigdefault(&attributes, &ignoredHere)
        if hasOwnGroup {
            flags |= POSIX_SPAWN_SETPGROUP
            posix_spawnattr_setpgroup(&attributes, 0)
        }
        posix_spawnattr_setflags(&attributes, Int16(flags))
        let words = command.map { strdup($0) } + [nil]
        let variables = environment().map { strdup($0) } + [nil]
        defer { for word in words + variables { free(word) } }
        var child: pid_t = 0
        let code = posix_spawnp(&child, command.first ?? "", nil, &attributes, words, variables)
        guard code == 0 else { throw .notStarted(program: command.first ?? "", code: code) }
        rootPID = child
        return child
    }

    private func environment() -> [String] {
        var added = options.environment
        added[Self.environmentMark] = mark
        var all: [String] = []
        var next = environ
        while let variable = next.pointee {
            let text = String(cString: variable)
            if added[String(text.prefix { $0 != "=" })] == nil { all.append(text) }
            next += 1
        }
        return all + added.sorted { $0.key < $1.key }.map { "\($0.key)=\($0.value)" }
    }
}
