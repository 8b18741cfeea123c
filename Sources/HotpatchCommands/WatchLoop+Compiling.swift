import Glibc
import CHotpatchLinux
import HotpatchObjects
import HotpatchReload

extension WatchLoop {
    func compile() {
        guard let program else { return }
        guard program.hasItsFiles else {
            guard isSettled else { return }
            let files = unfinished.union(dirty.keys)
            report.write(.saved(files: files.sorted()))
            return restart(files, because: "what was kept of the program in \(program.snapshot.folder) is gone")
        }
        compile(unfinished.union(dirty.keys), of: program)
    }

    /// - Parameter withheld: what is not compiled, and is to be read as it runs.
    func compile(_ files: Set<String>, of program: WatchedProgram, withholding withheld: Withheld? = nil) {
        var sources: Set<String> = []
        var removed: Set<String> = []
        var reasons: [String] = []
        var new: [(path: String, module: String)] = []
        // What nothing of the program is made of.
        var others: Set<String> = []
        for path in files.sorted() {
            switch program.recipe.role(of: path) {
            case .swift(let module), .clang(let module):
                guard isWanted(module) else { break }
                if access(path, F_OK) == 0 {
                    // By the path that the build has it by.
                    sources.insert(program.recipe.source(path)?.source.path ?? path)
                } else if program.leaveOut(path) {
                    unfinished.remove(path)
                } else if let source = program.recipe.source(path), source.module.language == .swift {
                    removed.insert(source.source.path)
                } else {
                    reasons.append("\(Self.name(of: path)) was removed")
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
            case .manifest: reasons.append("\(Self.name(of: path)) says how the program is built")
            case .tool(let module):
                reasons.append("\(Self.name(of: path)) belongs to \(module), which other files are compiled with")
            case .input(let module): reasons.append("sources of \(module) are made of \(Self.name(of: path))")
            case .none:
                guard let module = program.recipe.otherModule(of: path), let other = supervisor.otherPrograms.first
                else {
                    (dirty[path], others) = (nil, others.union([path]))
                    break
                }
                let process = program.process
                reasons.append(
                    "\(module) is not part of \(Self.name(of: process.executable)) (process \(process.pid)): "
                        + "\(Self.name(of: other.executable)) (process \(other.pid)) runs, too")
            }
        }
        unfinished.subtract(others)
        // What waits is not tried again because of these.
        if dirty.isEmpty { return }
        let files = files.subtracting(others)
        for (old, name) in program.renamed(new, from: removed) {
            do throws(CommandError) {
                if let reason = try program.rename(old, to: name) {
                    reasons.append(reason)
                } else {
                    removed.remove(old)
                }
            } catch { return putOff(error.description) }
        }
        for path in removed {
            guard let module = program.recipe.source(path)?.module,
                module.sources.allSatisfy({ $0.isGenerated || removed.contains($0.path) }),
                !new.contains(where: { $0.module == module.name })
            else { continue }
            reasons.append("\(Self.name(of: path)) was removed, and \(module.name) has no other file")
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
                noteLive(removed)
                report.write(.unchanged(files: removed.sorted(), TerminalTimes(nanoseconds: 0)))
            }
            unfinished.subtract(removed)
            dirty = [:]
            return
        }
        let process = CompilerProcess()
        let folder: String
        do { folder = try program.newFolder() } catch { return putOff("\(error)") }
        var options = CompileOptions()
        options.isColored = report.hasColors
        let read = withheld.map { recipe.withholding($0.files, program.live) }
        if let read { options.contents = read.contents }
        let compiler = program.compiler(of: read?.recipe ?? recipe, options, process)
        let work = WatchWork<Compiled> { [sources] in
            do { return .success(try compiler.compile(sources.sorted(), into: folder)) } catch {
                return .failure(WatchFailure(error))
            }
        }
        guard let work else { return putOff("no thread could be started. Save again.") }
        if withheld == nil { report.write(.saved(files: files.sorted())) }
        let now = linux_monotonic_time()
        compiling = Compiling(
            work: work, process: process, files: files, saved: files.intersection(dirty.keys), removed: removed,
            recipe: recipe, withheld: withheld, unreadable: read?.unknown ?? [],
            savedAt: dirty.values.min() ?? now, since: withheld?.since ?? now,
            isSettled: isSettled)
    }

    /// What could not even be begun comes along with what is saved next.
    private func putOff(_ text: String) {
        unfinished.formUnion(dirty.keys)
        dirty = [:]
        fail(text)
    }

    func isBelowDirectories(_ path: String) -> Bool {
        watch.directories.isEmpty
            || watch.directories.contains { directory in
                let folder = fullPath(directory)
                return path == folder || path.hasPrefix(folder == "/" ? folder : folder + "/")
            }
    }

    private func isWanted(_ module: String) -> Bool { watch.targets.isEmpty || watch.targets.contains(module) }

    private func copy(_ path: String, to copies: [String]) {
        do {
            var changes: Set<ResourceChange> = []
            for copy in copies {
                if let change = try program?.recipe.copyResource(path, to: copy) { changes.insert(change) }
            }
            if changes.contains(.copied) { report.write(.copied(files: [path])) }
            if changes.contains(.removed) { report.write(.removed(files: [path])) }
        } catch { fail("\(error)") }
    }

    func finishCompiling() {
        guard let finished = compiling, finished.isSettled, let outcome = finished.work.outcome else { return }
        compiling = nil
        switch outcome {
        case .failure(let failure):
            if let withheld = finished.withheld { report.write(withheld.refusal) } else { fail(failure.description) }
            unfinished.formUnion(finished.all)
        case .success(let compiled):
            let transaction = compiled.transaction
            if transaction.isCancelled { return }
            let isUsable =
                transaction.refused.isEmpty
                && program?.recipe.reads(transaction, of: finished.unreadable) == false
            if !isUsable, let recipe = program?.recipe, !recipe.isThere {
                restart(finished.all, because: "what was built in \(recipe.scratch ?? recipe.root) is gone")
            } else if !isUsable {
                let refusal = TerminalEvent.compileFailed(
                    files: transaction.refused.map(\.source),
                    output: transaction.refused.map { String(decoding: $0.printed, as: UTF8.self) }.joined(),
                    TerminalTimes(nanoseconds: linux_monotonic_time() - finished.savedAt))
                if compileAlone(finished, after: refusal, because: .compiler) { return }
                report.write(finished.withheld?.refusal ?? refusal)
                // It is compiled again with the next file that is saved: they may belong together.
                unfinished.formUnion(finished.all)
            } else {
                unfinished = finished.withheld?.files ?? []
                if !finished.removed.isEmpty { program?.leaveOut(finished.removed, by: finished.recipe) }
                apply(compiled, finished)
                if compiling != nil { return }
                reportWarnings(of: transaction)
            }
        }
        for file in finished.files { dirty[file] = nil }
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
}
