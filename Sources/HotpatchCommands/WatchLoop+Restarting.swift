import CHotpatchLinux
import Glibc
import HotpatchReload

extension WatchLoop {
    /// The command has ended, and what was saved since it began may be what lets it run.
    func launchAgain() {
        guard hasNews, !dirty.isEmpty, isSettled, program == nil, building == nil, !supervisor.isRunning else { return }
        let files = dirty.keys.sorted()
        dirty = [:]
        unfinished = []
        restartedAt = nil
        isRestarted = false
        hasNews = false
        // A command that builds nothing would start what has ended just now.
        if BuildInvocation(watch.command) == nil, let build = recipeOfTheEnded?.buildCommand() {
            report.write(.notice("it had ended: it is built and started again"))
            return self.build(build, for: files)
        }
        supervisor.command = watch.command
        do { try launch() } catch { fail("\(error)") }
    }

    /// How a program is built that ran once, or that the command names.
    private var recipeOfTheEnded: BuildRecipe? {
        if let lastRecipe { return lastRecipe }
        guard watch.command[0].contains("/") else { return nil }
        return try? BuildRecipe.find(directory: folder, command: watch.command)
    }

    /// What a restart has not mended, another one would not either.
    var mayRestart: Bool { !watch.keep && (hasNews || !isRestarted) }

    func restart(_ changed: Set<String>, because reasons: String) {
        let files = changed.sorted()
        for file in files { dirty[file] = nil }
        unfinished = []
        guard mayRestart else {
            // Others are compiled with what these say, too: not without them, as long as they are not what runs.
            unfinished = changed.filter { program?.recipe.source($0) != nil && access($0, F_OK) == 0 }
            return report.write(.refused(files: files, reason: reasons))
        }
        report.write(.restarting(reason: reasons))
        restartedAt = linux_monotonic_time()
        let recipe = program?.recipe ?? (try? BuildRecipe.find(directory: folder, command: watch.command))
        guard let command = recipe?.buildCommand(for: watch.command) ?? BuildInvocation(watch.command)?.build else {
            // What starts the program builds it, too.
            return startAgain(isBuilt: false, for: files)
        }
        build(command, for: files)
    }

    private func build(_ command: [String], for files: [String]) {
        let process = CompilerProcess()
        let work = WatchWork<Built> { [folder] in
            do { return .success(try process.run(.init(command, in: folder), seconds: 3600)) } catch {
                return .failure(WatchFailure(error))
            }
        }
        guard let work else {
            restartedAt = nil
            unfinished.formUnion(files)
            return fail("no thread could be started. Save again.")
        }
        building = (work, process, files)
    }

    func finishBuilding() {
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
        case .success: startAgain(isBuilt: true, for: files)
        }
    }

    /// - Parameter files: wait on, where it cannot be: the program that runs has them not, and nothing may be compiled as if it had.
    private func startAgain(isBuilt: Bool, for files: [String]) {
        // A folder that was moved away may come back: what runs is not ended for nothing.
        if let name = watch.command.first, name.contains("/"), access(name, X_OK) != 0 {
            restartedAt = nil
            unfinished.formUnion(files)
            return fail(
                "cannot start \(name) again. \(String(cString: strerror(errno))). The program that runs goes on as it is: save "
                    + "something once it is there.")
        }
        forgetProgram()
        isRestarted = true
        supervisor.command = isBuilt ? BuildInvocation.withoutBuilding(watch.command) : watch.command
        do {
            try supervisor.stop(signals: signals)
            try launch()
        } catch { fail("\(error)") }
    }
}
