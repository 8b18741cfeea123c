import CHotpatchLinux
import Glibc
import HotpatchMemory
import HotpatchObjects
import HotpatchReload
import HotpatchRemoteTarget

/// The loop of `watch`: it waits for signals, for the program, for saved files and for compilers, all at once, and never for one of them alone.
final class WatchLoop {
    let watch: Watch
    let report: WatchReports
    let folder: String
    let signals: SupervisorSignals
    let supervisor: Supervisor
    private var watcher: FileWatcher?
    var program: WatchedProgram?
    /// Saved, and not in the program yet; when that was noticed, in nanoseconds.
    var dirty: [String: UInt64] = [:]
    /// Saved before, and refused by the compiler or not applied.
    var unfinished: Set<String> = []
    /// Sources whose edits have gone into a program beside what it was built of, with the time at which the build had compiled them: a
    /// process that is started from the same build has them not.
    var live: [String: Int] = [:]
    /// The program has been found since the command was launched.
    var isFound = false
    /// The program that runs was started again because of what was saved before.
    var isRestarted = false
    /// Why nothing that is saved goes into the program that runs: it is optimised, for instance.
    private var obstacle: String?
    /// What keeps each edit out of the processes, without their numbers, and was said in full.
    private var saidLasting: Set<String> = []
    /// The recipe of the program that ran last.
    private(set) var lastRecipe: BuildRecipe?
    /// The program is stopped, or somebody traces it: what was saved waits until that is over.
    var isHeld = false
    /// It was said which processes an edit does not reach.
    var saidForks = false
    private var launchedAt: UInt64 = 0
    /// It was said that no program is found.
    private var saidMissing = false
    /// What the compiler has said of a file that compiles, by its source.
    var saidWarnings: [String: String] = [:]
    /// How the program has ended that ran last.
    private var lastEnd: ChildEnd?
    /// When it was decided to start the program again.
    var restartedAt: UInt64?
    /// Something was saved that the command may not have seen when it was launched.
    var hasNews = false
    var compiling: Compiling?
    var building: (work: WatchWork<Built>, process: CompilerProcess, files: [String])?
    private var preparing: WatchWork<Void>?

    /// What is saved so shortly after the start of a compiler, in nanoseconds, is compiled together with what it compiles.
    private static let joining: UInt64 = 100_000_000

    typealias Compiled = Result<WatchedCompiler.Compiled, WatchFailure>
    typealias Built = Result<CompilerResult, WatchFailure>

    /// What is compiled, from the first of several files on that are saved together. Nothing of it is applied before all of them are known.
    struct Compiling {
        var work: WatchWork<Compiled>
        var process: CompilerProcess
        var files: Set<String>
        /// Those of them that were saved last; the others waited for them.
        var saved: Set<String>
        /// Those of them that are gone, and the recipe without them.
        var removed: Set<String>
        var recipe: BuildRecipe
        /// What is not compiled, and those of its files of which it is not known how they run: nothing may have read them.
        var withheld: Withheld?
        var unreadable: Set<String>
        var all: Set<String> { files.union(withheld?.files ?? []) }
        /// In nanoseconds; as the start of the compilation.
        var savedAt: UInt64
        var since: UInt64
        /// No file follows that is saved together with these.
        var isSettled: Bool
    }

    init(_ watch: Watch, folder: String) throws {
        self.watch = watch
        self.folder = folder
        report = try WatchReports(watch)
        signals = try SupervisorSignals()
        supervisor = try Supervisor(command: watch.command)
        supervisor.isSlow = { [report] pids, seconds in
            let names = pids.map(String.init).joined(separator: ", ")
            report.write(
                .notice(
                    "process \(names) has not ended yet: it is killed in \(seconds) s, or a second after another Ctrl-C"
                ))
        }
    }

    /// Runs until a signal ends this process.
    func run() throws -> Never {
        // What is saved during the first build is compared with what the build has read.
        startWatching((try? BuildRecipe.find(directory: folder, command: watch.command)))
        supervisor.find { [folder, command = watch.command, unowned supervisor] in
            BuildRecipe.isProgram(
                $0.executable, of: command, directory: folder, startedBy: supervisor.parentExecutable(of: $0))
        }
        try launch()
        while true {
            wait()
            while let signal = signals.next() {
                cancelWork()
                _ = try supervisor.end(by: signal, signals: signals)
                program?.removeFiles()
                signals.die(of: signal)
            }
            for event in supervisor.events() { handle(event) }
            if let work = preparing, work.outcome != nil { preparing = nil }
            finishBuilding()
            takeChanges()
            finishCompiling()
            launchAgain()
            if program == nil, building == nil, isSettled, !dirty.isEmpty, supervisor.isRunning { leaveAsItIs() }
            goOn()
            if compiling == nil, building == nil, preparing == nil, program != nil, !dirty.isEmpty { compile() }
        }
    }

    private func wait() {
        let descriptors = [
            signals.descriptor, supervisor.descriptor, watcher?.descriptor, building?.work.descriptor,
            preparing?.descriptor,
            // What has been compiled too early waits for the watcher.
            compiling.flatMap { $0.isSettled || $0.work.outcome == nil ? $0.work.descriptor : nil },
        ]
        var polled = descriptors.compactMap { $0 }.map { pollfd(fd: $0, events: Int16(POLLIN), revents: 0) }
        _ = poll(&polled, UInt(polled.count), isHeld ? 300 : -1)
    }

    func launch() throws {
        // Both end, and what is started now would not have got what the terminal has sent.
        if signals.isPending { return }
        isFound = false
        obstacle = nil
        saidMissing = false
        lastEnd = nil
        launchedAt = linux_monotonic_time()
        hasNews = !dirty.isEmpty
        try supervisor.launch()
        report.write(.launched(pid: supervisor.commandPID ?? 0, command: watch.command))
    }

    // MARK: The program

    func handle(_ event: SupervisorEvent) {
        switch event {
        case .found(let process): found(process)
        case .executed(let process):
            forgetProgram()
            report.write(.executed(process))
        case .ended(let process, let end):
            forgetProgram()
            lastEnd = end
            report.write(.exited(process, end))
        case .commandEnded(let end):
            if !isFound || !supervisor.isRunning && end != lastEnd { report.write(.exited(nil, end)) }
        }
    }

    private func found(_ process: SupervisedProcess) {
        isFound = true
        saidForks = false
        obstacle = nil
        do {
            let recipe = try BuildRecipe.find(
                directory: folder, command: watch.command, executable: process.executable)
            let program = try WatchedProgram(process, recipe: recipe, options: watch.options)
            self.program = program
            lastRecipe = recipe
            // CMake and others write it with each build: it has just been read.
            for path in dirty.keys where recipe.system == .database && Self.name(of: path) == "compile_commands.json" {
                dirty[path] = nil
            }
            checkTargets(recipe)
            startWatching(recipe)
            let again = liveNoMore(in: program)
            program.forgetContents(of: unfinished.union(dirty.keys).union(again))
            for path in Set(program.snapshot.edited).union(again).sorted() { noteSaved(path) }
            if !sayRestarted(process) { report.write(.ready(process, files: watcher?.fileCount ?? 0)) }
            preparing = WatchWork {
                // The dynamic linker has the libraries in place by then.
                linux_sleep(300_000_000)
                program.prepare()
            }
        } catch {
            let reason = "\(error)"
            // With what can be done about it only once.
            if saidLasting.insert(Self.withoutNumbers(reason)).inserted { fail(reason) }
            obstacle = reason
            _ = sayRestarted(process)
        }
    }

    /// - Returns: false where it was not started again.
    private func sayRestarted(_ process: SupervisedProcess) -> Bool {
        guard let since = restartedAt, building == nil else { return false }
        report.write(.restarted(pid: process.pid, TerminalTimes(nanoseconds: linux_monotonic_time() - since)))
        restartedAt = nil
        return true
    }

    /// Something was saved, and there is no program that it could go into.
    private func leaveAsItIs() {
        if let obstacle = obstacle ?? closedProcess() {
            restart(Set(dirty.keys), because: briefly(obstacle))
        } else if !isFound, !saidMissing, BuildInvocation(watch.command) == nil,
            linux_monotonic_time() > launchedAt + 20_000_000_000
        {
            // A command that builds and then starts the program was given its time.
            saidMissing = true
            let why: String
            do {
                _ = try BuildRecipe.find(directory: folder, command: watch.command)
                why = "none of its processes runs a program of this build"
            } catch { why = "\(error)" }
            report.write(.notice("nothing that is saved goes into what \(watch.command[0]) runs: \(why)"))
        }
    }

    /// Why a process of the command may not be looked into, where there is one: it is perhaps the program.
    private func closedProcess() -> String? {
        guard !isFound, let pid = supervisor.closedProcesses.first else { return nil }
        do {
            _ = try RemoteProcess.examine(
                pid: pid, allowSeccomp: watch.options.allowSeccomp,
                deadline: .after(watch.options.timeout))
            return nil
        } catch { return "\(error)" + (RemoteProcess.mayTrace(pid) ? "" : " " + ObjectSession.askingIsPossible) }
    }

    /// What keeps every edit out of a process is said in full once, with what can be done about it; then only what it is.
    /// - Parameter reason: `what. why. try this.`
    func briefly(_ reason: String) -> String {
        if saidLasting.insert(Self.withoutNumbers(reason)).inserted { report.write(.notice(reason)) }
        let end = reason.indices.first { reason[$0...].hasPrefix(". ") }
        return end.map { String(reason[..<$0]) } ?? reason
    }

    private static func withoutNumbers(_ reason: String) -> String { reason.filter { !$0.isNumber } }

    /// What is built goes on: it is to be started though nothing runs any more.
    func forgetProgram() {
        cancelCompiling()
        program = nil
        obstacle = nil
        isHeld = false
    }

    private func cancelCompiling() {
        compiling?.process.cancel()
        compiling = nil
    }

    private func cancelWork() {
        cancelCompiling()
        building?.process.cancel()
        building = nil
    }

    // MARK: What is saved

    private func startWatching(_ recipe: BuildRecipe?) {
        var options = FileWatcher.Options()
        // Compilers take longer than it takes to know what was saved together.
        options.reportsFirstAtOnce = true
        // One that has gone means a restart, if it does not come back.
        options.quietMillisecondsAfterRemoval = 400
        if let recipe { options.includes = recipe.isWatched }
        // What a build before has left may tell of folders that are gone.
        var directories = (recipe?.watchedDirectories ?? []).filter { access($0, F_OK) == 0 }
        if directories.isEmpty { directories = [BuildRecipe.package(of: watch.command, in: folder)] }
        if recipe == nil, !watch.directories.isEmpty { directories = [] }
        directories += watch.directories
        let files = (recipe?.watchedFiles ?? []).filter { access($0, F_OK) == 0 }
        do {
            if let watcher {
                try watcher.watch(directories: directories, files: files, options: options)
            } else {
                watcher = try FileWatcher(directories: directories, files: files, options: options)
            }
        } catch { fail("\(error)") }
        for directory in watcher?.directoriesOfOtherMachines ?? [] {
            report.write(
                .notice("\(directory) is shared with other machines: what is saved there by another one is not noticed")
            )
        }
    }

    private func takeChanges() {
        do {
            // Who saves a file once more, for it did not go into the program, means that.
            let changes = try watcher?.changes(again: unfinished) ?? []
            var othersRun: Bool?
            for change in changes where !isOthers(change.path, &othersRun) {
                noteSaved(change.path)
                if dirty[change.path] != nil { hasNews = true }
            }
            // What is compiled is old already, or not all that was saved together: on a busy machine an editor takes its time.
            if let running = compiling, !changes.isEmpty,
                !running.isSettled || linux_monotonic_time() - running.since < Self.joining
                    || !running.files.isDisjoint(with: changes.map(\.path))
            {
                cancelCompiling()
            }
        } catch { fail("\(error)") }
        if isSettled { compiling?.isSettled = true }
    }

    /// All is known that was saved together.
    var isSettled: Bool { watcher?.isSettled != false }

    /// A file of a test, for instance: it is nobody's but where another program runs.
    private func isOthers(_ path: String, _ othersRun: inout Bool?) -> Bool {
        guard lastRecipe?.otherModule(of: path) != nil else { return false }
        let run = othersRun ?? (program != nil && !supervisor.otherPrograms.isEmpty)
        othersRun = run
        return !run
    }

    private func noteSaved(_ path: String) {
        if isBelowDirectories(path) || program?.recipe.role(of: path) == .manifest {
            dirty[path] = linux_monotonic_time()
        } else if let module = program?.recipe.source(path)?.module, module.language == .swift {
            // It is read when another file of its module is compiled, and what does not run must not be reckoned with.
            unfinished.insert(path)
        }
    }

    /// Names that `--target` gives, and the program has no target of.
    private func checkTargets(_ recipe: BuildRecipe) {
        let known = recipe.edited.map(\.name).sorted()
        for target in watch.targets where !known.contains(target) {
            fail(
                "the program has no target \(target). Nothing that is saved of it is noticed. Its targets are "
                    + "\(known.joined(separator: ", ")).")
        }
    }

    func fail(_ text: String) { report.write(.error(text)) }

    static func name(of path: String) -> String { String(path.split(separator: "/").last ?? "") }
}

/// Any error, on its way from a thread.
struct WatchFailure: Error, CustomStringConvertible {
    let description: String
    init(_ error: any Error) { description = "\(error)" }
}
