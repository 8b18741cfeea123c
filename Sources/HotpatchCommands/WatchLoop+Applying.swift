import CHotpatchLinux
import HotpatchEngine
import HotpatchObjects
import HotpatchPlan
import HotpatchReload
import HotpatchRemoteTarget

extension WatchLoop {
    func apply(_ compiled: WatchedCompiler.Compiled, _ finished: Compiling) {
        guard let program else { return }
        let files = finished.files
        let nanoseconds = linux_monotonic_time() - finished.since
        // It may have executed another program meanwhile.
        for event in supervisor.events() { handle(event) }
        guard self.program === program else { return }
        let started = linux_monotonic_time()
        do throws(CommandError) {
            report(
                try program.apply(compiled), files, savedAt: finished.savedAt, compiled: nanoseconds,
                linkedFrom: started)
            noteLive(files)
            for note in compiled.notes { report.write(.notice(note)) }
            if let withheld = finished.withheld { sayWithheld(withheld) }
        } catch {
            let said = program.aboutSources(error.description)
            let reasons = error.isLasting ? [briefly(said)] : error.restartReasons.map(program.aboutSources)
            let reason = reasons.isEmpty ? said : reasons.joined(separator: "\n")
            let refusal = TerminalEvent.refused(files: files.sorted(), reason: reason)
            if reasons.isEmpty || finished.withheld != nil {
                // The next save may find the process in a better state; and what it cannot be built without is to be mended first.
                unfinished.formUnion(files)
                report.write(refusal)
                if let withheld = finished.withheld { sayWithheld(withheld) }
                // It may be over by now.
                isHeld = reasons.isEmpty && (error.isPassing || RemoteProcess.isHeld(program.process.pid))
                if isHeld { report.write(.notice("what was saved goes into the program as soon as that can be")) }
            } else if mayRestart || !compileAlone(finished, after: refusal, because: .program) {
                restart(files, because: reason)
            }
        }
    }

    /// A program that was stopped or traced, and is not any more, gets what was saved meanwhile.
    func goOn() {
        guard isHeld, let program, dirty.isEmpty, !RemoteProcess.isHeld(program.process.pid) else { return }
        isHeld = false
        for path in unfinished { dirty[path] = linux_monotonic_time() }
    }

    /// What was saved is beside what the program was built of from now on.
    func noteLive(_ files: Set<String>) {
        guard let program else { return }
        for path in files {
            var sources = [program.recipe.source(path)?.source.path ?? path]
            if case .included(let users) = program.recipe.role(of: path) { sources = Array(users) }
            for source in sources {
                let compiled = program.snapshot.compiled(source)
                if compiled > 0 || program.recipe.source(source) != nil { live[source] = compiled }
            }
        }
    }

    /// What has gone into a process before this one, and is not in what both were built of: also where an edit has an older time than the
    /// build, as a copy that was put back has, and where a file has gone.
    func liveNoMore(in program: WatchedProgram) -> [String] {
        let snapshot = program.snapshot
        // What this build has nothing of may be another program's.
        live = live.filter { [0, $0.value].contains(snapshot.compiled($0.key)) }
        return live.filter { snapshot.compiled($0.key) == $0.value }.keys.sorted()
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
            var reload = TerminalReload(
                files: saved, functions: applied.functions.filter { !FirstFunction.isName($0) },
                times: times(applied.summary))
            reload.keptOld = applied.kept.filter { !WatchNotes.isDetail($0, applied.summary) }
            reload.notReached = applied.functions.filter(FirstFunction.isName).map(FirstFunction.note)
            report.write(.applied(reload))
            notes = applied.notes.filter { !(reload.keptOld + reload.notReached).contains($0) }
            summary = applied.summary
        }
        for note in notes { report.write(WatchNotes.isDetail(note, summary) ? .detail(note) : .notice(note)) }
        if case .applied = outcome, !saidForks { sayOthers() }
    }

    /// Which processes get nothing of what is saved.
    private func sayOthers() {
        guard let program else { return }
        let forks = supervisor.forks.map(String.init)
        let others = supervisor.otherPrograms.map { "\(Self.name(of: $0.executable)) (process \($0.pid))" }
        guard !forks.isEmpty || !others.isEmpty else { return }
        saidForks = true
        let only = "only process \(program.process.pid) gets the new one"
        if !forks.isEmpty {
            let processes =
                forks.count == 1 ? "process \(forks[0]) was" : "processes \(forks.joined(separator: ", ")) were"
            report.write(
                .notice(
                    "\(processes) forked by the program and \(forks.count == 1 ? "goes" : "go") on with the old code: \(only)"
                ))
        }
        if !others.isEmpty {
            report.write(
                .notice(
                    "the command has started \(others.joined(separator: ", ")), too, which \(others.count == 1 ? "goes" : "go") on with "
                        + "the old code: \(only)"))
        }
    }
}
