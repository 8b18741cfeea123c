import CHotpatchLinux
import Glibc
import HotpatchMemory
import HotpatchEngine
import HotpatchObjects
import HotpatchPlan
import HotpatchReload
import HotpatchRemoteTarget

/// The loop of `watch`: it waits for signals, for the program, for saved files and for compilers, all at once, and never for one of them alone.
final class WatchLoop {
    let watch: Watch
    private let report: WatchReports
    let folder: String
    private let signals: SupervisorSignals
    private let supervisor: Supervisor
    private var watcher: FileWatcher?
    private var program: WatchedProgram?
    /// Saved, and not in the program yet; when that was noticed, in nanoseconds.
    private var dirty: [String: UInt64] = [:]
    /// Saved before, and refused by the compiler or not applied.
    private var unfinished: Set<String> = []
    /// The program has been found since the command was launched.
    private var isFound = false
    /// The program that runs was started again because of what was saved before.
    private var isRestarted = false
    /// Why nothing that is saved goes into the program that runs: it is optimised, for instance.
    private var obstacle: String?
    private var saidObstacle: String?
    /// What keeps each edit out of the processes, without their numbers, and was said in full.
    private var saidLasting: Set<String> = []
    /// It was said which processes an edit does not reach.
    private var saidForks = false
    private var launchedAt: UInt64 = 0
    /// It was said that no program is found.
    private var saidMissing = false
    /// What the compiler has said of a file that compiles, by its source.
    private var saidWarnings: [String: String] = [:]
    /// How the program has ended that ran last.
    private var lastEnd: ChildEnd?
    /// When it was decided to start the program again.
    private var restartedAt: UInt64?
    /// Something was saved that the command may not have seen when it was launched.
    private var hasNews = false
    private var compiling: Compiling?
    private var building: (work: WatchWork<Built>, process: CompilerProcess, files: [String])?
    private var preparing: WatchWork<Void>?

    /// What is saved so shortly after the start of a compiler, in nanoseconds, is compiled together with what it compiles.
    private static let joining: UInt64 = 100_000_000

    private typealias Compiled = Result<WatchedCompiler.Compiled, WatchFailure>
    private typealias Built = Result<CompilerResult, WatchFailure>

    /// What is compiled, from the first of several files on that are saved together. Nothing of it is applied before all of them are known.
    private struct Compiling {
        var work: WatchWork<Compiled>
        var process: CompilerProcess
        var files: Set<String>
        /// Those of them that are gone, and the recipe without them.
        var removed: Set<String>
        var recipe: BuildRecipe
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
    }

    /// Runs until a signal ends this process.
    func run() throws -> Never {
        // What is saved during the first build is compared with what the build has read.
        startWatching((try? BuildRecipe.find(directory: folder, command: watch.command)))
        supervisor.find { [folder, command = watch.command] in
            BuildRecipe.isProgram($0.executable, of: command, directory: folder)
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
        _ = poll(&polled, UInt(polled.count), -1)
    }

    private func launch() throws {
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

    private func handle(_ event: SupervisorEvent) {
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
            // CMake and others write it with each build: it has just been read.
            for path in dirty.keys where recipe.system == .database && name(path) == "compile_commands.json" {
                dirty[path] = nil
            }
            checkTargets(recipe)
            startWatching(recipe)
            for path in program.snapshot.edited { noteSaved(path) }
            if !sayRestarted(process) { report.write(.ready(process, files: watcher?.fileCount ?? 0)) }
            preparing = WatchWork {
                // The dynamic linker has the libraries in place by then.
                linux_sleep(300_000_000)
                program.prepare()
            }
        } catch {
            if saidObstacle != "\(error)" { fail("\(error)") }
            obstacle = "\(error)"
            saidObstacle = obstacle
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
        if let obstacle = obstacle ?? closedProcess().map(briefly) {
            restart(Set(dirty.keys), because: obstacle)
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
                deadline: .after(milliseconds: watch.options.timeout))
            return nil
        } catch { return "\(error)" + (mayTrace(pid) ? "" : " " + ObjectSession.askingIsPossible) }
    }

    /// What keeps every edit out of a process is said in full once, with what can be done about it; then only what it is.
    /// - Parameter reason: `what. why. try this.`
    private func briefly(_ reason: String) -> String {
        if saidLasting.insert(reason.filter { !$0.isNumber }).inserted { report.write(.notice(reason)) }
        let end = reason.indices.first { reason[$0...].hasPrefix(". ") }
        return end.map { String(reason[..<$0]) } ?? reason
    }

    /// What is built goes on: it is to be started though nothing runs any more.
    private func forgetProgram() {
        cancelCompiling()
        program = nil
        obstacle = nil
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
        let resources = Set(recipe?.resources.map(\.source) ?? [])
        options.includes = { FileWatcher.isSource($0) || resources.contains($0) }
        // What a build before has left may tell of folders that are gone.
        var directories = (recipe?.watchedDirectories ?? []).filter { access($0, F_OK) == 0 }
        if directories.isEmpty { directories = [folder] }
        if recipe == nil, !watch.directories.isEmpty { directories = [] }
        directories += watch.directories
        let files = (recipe?.manifests ?? []).filter { access($0, F_OK) == 0 }
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
            let changes = try watcher?.changes() ?? []
            for change in changes {
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
    private var isSettled: Bool { watcher?.isSettled != false }

    private func noteSaved(_ path: String) {
        if isBelowDirectories(path) || program?.recipe.role(of: path) == .manifest {
            dirty[path] = linux_monotonic_time()
        } else if let module = program?.recipe.source(path)?.module, module.language == .swift {
            // It is read when another file of its module is compiled, and what does not run must not be reckoned with.
            unfinished.insert(path)
        }
    }

    /// The command has ended, and what was saved since it began may be what lets it run.
    private func launchAgain() {
        guard hasNews, !dirty.isEmpty, isSettled, program == nil, building == nil, !supervisor.isRunning else { return }
        dirty = [:]
        unfinished = []
        restartedAt = nil
        isRestarted = false
        supervisor.command = watch.command
        do { try launch() } catch {
            hasNews = false
            fail("\(error)")
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

    private func fail(_ text: String) { report.write(.error(text)) }

    // MARK: Compiling

    private func compile() {
        guard let program else { return }
        var sources: Set<String> = []
        var removed: Set<String> = []
        var reasons: [String] = []
        var new: [(path: String, module: String)] = []
        let files = unfinished.union(dirty.keys)
        for path in files.sorted() {
            switch program.recipe.role(of: path) {
            case .swift(let module), .clang(let module):
                guard isWanted(module) else { break }
                if access(path, F_OK) == 0 {
                    sources.insert(path)
                } else if program.leaveOut(path) {
                    unfinished.remove(path)
                } else if let source = program.recipe.source(path), source.module.language == .swift {
                    removed.insert(source.source.path)
                } else {
                    reasons.append("\(name(path)) was removed")
                }
            case .included(let users):
                for user in users { sources.insert(user) }
            case .newSwift(let module), .newClang(let module):
                guard isWanted(module), access(path, F_OK) == 0 else { break }
                new.append((path, module))
            case .resource(let copies):
                dirty[path] = nil
                unfinished.remove(path)
                copy(path, to: copies)
            case .manifest: reasons.append("\(name(path)) says how the program is built")
            case .tool(let module):
                reasons.append("\(name(path)) belongs to \(module), which other files are compiled with")
            case .none: break
            }
        }
        for (old, name) in program.renamed(new, from: removed) {
            do throws(CommandError) {
                if let reason = try program.rename(old, to: name) {
                    reasons.append(reason)
                } else {
                    removed.remove(old)
                }
            } catch { return fail(error.description) }
        }
        for (path, module) in new {
            if program.recipe.source(path) == nil { program.takeIn(path, into: module) }
            sources.insert(path)
        }
        guard reasons.isEmpty else {
            guard isSettled else { return }
            report.write(.saved(files: files.sorted()))
            return restart(files, because: reasons.joined(separator: "\n"))
        }
        var recipe = program.recipe
        if !removed.isEmpty {
            // Whoever uses what they declared must do without it, or with what others declare instead.
            for path in removed {
                guard let module = recipe.source(path)?.module.name else { continue }
                sources.formUnion(recipe.dependents(of: recipe.interfaceChange(removing: path), in: module))
            }
            recipe = recipe.changing(adding: [], removing: removed)
            sources.subtract(removed)
        }
        guard !sources.isEmpty else {
            if !removed.isEmpty {
                program.leaveOut(removed, by: recipe)
                report.write(.unchanged(files: removed.sorted(), TerminalTimes(nanoseconds: 0)))
            }
            unfinished.subtract(removed)
            dirty = [:]
            return
        }
        let process = CompilerProcess()
        let folder: String
        do { folder = try program.newFolder() } catch { return fail("\(error)") }
        var options = CompileOptions()
        options.isColored = report.hasColors
        let compiler = program.compiler(of: recipe, options, process)
        let work = WatchWork<Compiled> { [sources] in
            do { return .success(try compiler.compile(sources.sorted(), into: folder)) } catch {
                return .failure(WatchFailure(error))
            }
        }
        guard let work else { return fail("no thread could be started. Save again.") }
        report.write(.saved(files: files.sorted()))
        let now = linux_monotonic_time()
        compiling = Compiling(
            work: work, process: process, files: files, removed: removed, recipe: recipe,
            savedAt: dirty.values.min() ?? now, since: now,
            isSettled: isSettled)
    }

    private func isBelowDirectories(_ path: String) -> Bool {
        watch.directories.isEmpty
            || watch.directories.contains { directory in
                let folder = fullPath(directory)
                return path == folder || path.hasPrefix(folder == "/" ? folder : folder + "/")
            }
    }

    private func isWanted(_ module: String) -> Bool { watch.targets.isEmpty || watch.targets.contains(module) }

    private func copy(_ path: String, to copies: [String]) {
        do {
            for copy in copies { try program?.recipe.copyResource(path, to: copy) }
            report.write(.copied(files: [path]))
        } catch { fail("\(error)") }
    }

    private func finishCompiling() {
        guard let finished = compiling, finished.isSettled, let outcome = finished.work.outcome else { return }
        compiling = nil
        let (files, savedAt, since) = (finished.files, finished.savedAt, finished.since)
        switch outcome {
        case .failure(let failure):
            fail(failure.description)
            unfinished.formUnion(files)
        case .success(let compiled):
            let transaction = compiled.transaction
            if transaction.isCancelled { return }
            if !transaction.refused.isEmpty {
                report.write(
                    .compileFailed(
                        files: transaction.refused.map(\.source),
                        output: transaction.refused.map { String(decoding: $0.printed, as: UTF8.self) }.joined(),
                        TerminalTimes(nanoseconds: linux_monotonic_time() - savedAt)))
                // It is compiled again with the next file that is saved: they may belong together.
                unfinished.formUnion(files)
            } else {
                unfinished = []
                if !finished.removed.isEmpty { program?.leaveOut(finished.removed, by: finished.recipe) }
                apply(compiled, files, savedAt: savedAt, compiledIn: linux_monotonic_time() - since)
                reportWarnings(of: transaction)
            }
        }
        for file in files { dirty[file] = nil }
        program?.removeOldFolders()
    }

    /// What the compilers have said of files that compile, each time that they say something else.
    private func reportWarnings(of transaction: CompileTransaction) {
        var files: [String] = []
        var texts: [String] = []
        for file in transaction.files {
            let text = String(decoding: file.warnings, as: UTF8.self)
            guard saidWarnings.updateValue(text, forKey: file.source) != text, !text.isEmpty else { continue }
            files.append(file.source)
            // A header's are those of each file that includes it.
            if !texts.contains(text) { texts.append(text) }
        }
        if !files.isEmpty { report.write(.warnings(files: files, output: texts.joined())) }
    }

    private func apply(
        _ compiled: WatchedCompiler.Compiled, _ files: Set<String>, savedAt: UInt64, compiledIn nanoseconds: UInt64
    ) {
        guard let program else { return }
        // It may have executed another program meanwhile.
        for event in supervisor.events() { handle(event) }
        guard self.program === program else { return }
        let started = linux_monotonic_time()
        do throws(CommandError) {
            report(
                try program.apply(compiled), files, savedAt: savedAt, compiled: nanoseconds, linkedFrom: started)
            for note in compiled.notes { report.write(.notice(note)) }
        } catch {
            let said = program.aboutSources(error.description)
            let reasons = error.isLasting ? [briefly(said)] : error.restartReasons.map(program.aboutSources)
            if !reasons.isEmpty {
                restart(files, because: reasons.joined(separator: "\n"))
            } else {
                // The next save may find the process in a better state.
                unfinished.formUnion(files)
                report.write(.refused(files: files.sorted(), reason: said))
            }
        }
    }

    private func report(
        _ outcome: WatchedProgram.Outcome, _ files: Set<String>, savedAt: UInt64, compiled: UInt64,
        linkedFrom started: UInt64
    ) {
        let now = linux_monotonic_time()
        func times(_ summary: CommitSummary?) -> TerminalTimes {
            var parts = [
                TerminalTimes.Part("compile", nanoseconds: compiled),
                TerminalTimes.Part("link", nanoseconds: now - started),
            ]
            if let summary { parts.append(TerminalTimes.Part("held", nanoseconds: summary.totalNanoseconds)) }
            return TerminalTimes(nanoseconds: now - savedAt, parts: parts)
        }
        let saved = files.sorted()
        var notes: [String] = []
        var summary: CommitSummary?
        switch outcome {
        case .nothing(let said):
            report.write(.unchanged(files: saved, times(nil)))
            notes = said
        case .reverted(_, let summary):
            report.write(.restored(TerminalReload(files: saved, functions: [], times: times(summary))))
        case .applied(let applied):
            var reload = TerminalReload(files: saved, functions: applied.functions, times: times(applied.summary))
            reload.keptOld = applied.kept.filter { !WatchNotes.isDetail($0, applied.summary) }
            let once = applied.functions.filter(Self.runsOnce)
            reload.notReached = once.map { "\($0): it runs, and is not called again" }
            report.write(.applied(reload))
            notes = applied.notes.filter { !reload.keptOld.contains($0) }
            summary = applied.summary
        }
        for note in notes { report.write(WatchNotes.isDetail(note, summary) ? .detail(note) : .notice(note)) }
        if case .applied = outcome, !saidForks, let program {
            let forks = supervisor.forks.map(String.init)
            guard let first = forks.first else { return }
            saidForks = true
            let others = forks.count == 1 ? "process \(first) was" : "processes \(forks.joined(separator: ", ")) were"
            report.write(
                .notice(
                    "\(others) forked by the program and \(forks.count == 1 ? "goes" : "go") on with the old code: "
                        + "only process \(program.process.pid) gets the new one"))
        }
    }

    /// A program's first function, by its readable name: of C, of top-level code, or of what is marked with @main.
    static func runsOnce(_ function: String) -> Bool {
        let name = function.prefix { $0 != "(" }
        return function == "main"
            || function.hasPrefix("static ") && function.hasSuffix("-> ()")
                && (name.hasSuffix(".main") || name.hasSuffix(".$main"))
    }

    // MARK: Starting again

    private func restart(_ changed: Set<String>, because reasons: String) {
        let files = changed.sorted()
        for file in files { dirty[file] = nil }
        unfinished = []
        // What a restart has not mended, another one would not either.
        guard !watch.keep, hasNews || !isRestarted else {
            // Others are compiled with what these say, too: not without them, as long as they are not what runs.
            unfinished = changed.filter { program?.recipe.source($0) != nil && access($0, F_OK) == 0 }
            return report.write(.refused(files: files, reason: reasons))
        }
        report.write(.restarting(reason: reasons))
        restartedAt = linux_monotonic_time()
        let recipe = program?.recipe ?? (try? BuildRecipe.find(directory: folder, command: watch.command))
        let build = recipe?.buildCommand(for: watch.command) ?? BuildInvocation(watch.command)?.build
        guard let command = build else {
            // What starts the program builds it, too.
            return startAgain(isBuilt: false)
        }
        let process = CompilerProcess()
        let work = WatchWork<Built> { [folder] in
            do { return .success(try process.run(.init(command, in: folder), seconds: 3600)) } catch {
                return .failure(WatchFailure(error))
            }
        }
        guard let work else { return fail("no thread could be started. Save again.") }
        building = (work, process, files)
    }

    private func finishBuilding() {
        guard let (work, _, files) = building, let outcome = work.outcome else { return }
        building = nil
        switch outcome {
        case .failure(let failure):
            restartedAt = nil
            fail(failure.description)
            unfinished.formUnion(files)
        case .success(let result) where result.isCancelled: break
        case .success(let result) where result.status != 0:
            restartedAt = nil
            let output = BuildOutput(result.text)
            report.write(
                .compileFailed(
                    files: output.files, output: output.text, TerminalTimes(nanoseconds: result.nanoseconds)))
            // The program that runs is as it was; what is saved next is built anew with all.
            unfinished.formUnion(files)
        case .success: startAgain(isBuilt: true)
        }
    }

    private func startAgain(isBuilt: Bool) {
        forgetProgram()
        isRestarted = true
        supervisor.command = isBuilt ? BuildInvocation.withoutBuilding(watch.command) : watch.command
        do {
            try supervisor.stop(signals: signals)
            try launch()
        } catch { fail("\(error)") }
    }
}

/// Any error, on its way from a thread.
struct WatchFailure: Error, CustomStringConvertible {
    let description: String
    init(_ error: any Error) { description = "\(error)" }
}

private func name(_ path: String) -> String { String(path.split(separator: "/").last ?? "") }
