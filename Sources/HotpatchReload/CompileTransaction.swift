import Glibc

/// Files compiled together, with those that depend on what has changed in them.
package struct CompileTransaction: Sendable {
    package struct File: Sendable {
        package var source: String
        package var module: String
        package var outputs: CompileCommand.Outputs
        /// From the compiler's start to its end.
        package var nanoseconds: UInt64
        /// It was not edited: what it uses has changed.
        package var isDependent: Bool
        /// What the compiler printed although it succeeded.
        package var warnings: [UInt8]
    }

    /// In the order of modules: each behind those that it uses.
    package internal(set) var files: [File] = []
    /// The modules whose interfaces were made again, and how long each took.
    package internal(set) var interfaces: [(module: String, nanoseconds: UInt64)] = []
    /// The files that the compiler refused, and what it printed. Nothing of the transaction is of use then.
    package internal(set) var refused: [(source: String, printed: [UInt8])] = []
    package internal(set) var isCancelled = false

    package var isComplete: Bool { refused.isEmpty && !isCancelled }
}

/// What is compiled how, for a transaction.
package struct CompileOptions: Sendable {
    /// For a source, a file that has what is to be compiled in its place: what it held when it was saved, for instance.
    package var contents: [String: String] = [:]
    /// Further options of the Swift frontend: `-function-sections`.
    package var swift: [String] = []
    /// Further options of clang or gcc: `-ffunction-sections`.
    package var clang: [String] = []
    /// What the compilers print is for a terminal.
    package var isColored = false
    /// For each compiler. When they are over it is ended.
    package var seconds = 600
    /// As many compilers run at once.
    package var processors = max(1, Int(sysconf(Int32(_SC_NPROCESSORS_ONLN))))

    package init() {}
}

extension BuildRecipe {
    /// Compiles edited files, and what has to be compiled with them.
    ///
    /// Modules come in the order of their use, the files of one at once, as far as there are processors. Where others see something else of
    /// a file than before, those that use what has changed are compiled too, of other modules as well. The interface of a module is made
    /// again, into `overlay`, before a file of another one is compiled that uses it: that may take seconds, and most edits need it of none.
    /// Call `adopt` once the result is live: until then the interfaces count as outdated.
    /// - Parameters:
    ///   - sources: of the build; those of C and C++ too.
    ///   - folder: exists, and is empty. Each file gets a folder of its own in it.
    ///   - overlay: exists, for the interfaces of modules; the same one until the program is built again.
    ///   - process: through which another thread may end it.
    /// - Throws: `BuildError`.
    package func compile(
        _ sources: [String], into folder: String, overlay: String, options: CompileOptions = CompileOptions(),
        process: CompilerProcess = CompilerProcess()
    ) throws(BuildError) -> CompileTransaction {
        var transaction = CompileTransaction()
        var done: Set<String> = []
        var folders = 0
        /// Modules whose interfaces say what this transaction makes of them.
        var fresh: Set<String> = []

        let contents = folder + "/contents.yaml"
        if !options.contents.isEmpty { try CompileCommand.write(options.contents, toOverlay: contents) }
        func prepared(_ command: CompileCommand) -> CompileCommand {
            var command = command.colored(options.isColored)
            command.arguments += command.language == .swift ? options.swift : options.clang
            command = command.preferringModules(in: overlay)
            return options.contents.isEmpty ? command : command.reading(overlay: contents)
        }
        /// Those that were compiled; the transaction says whether all were.
        func compile(_ batch: [(path: String, isDependent: Bool)]) throws(BuildError) -> [CompileTransaction.File] {
            var jobs: [CompilerBatch.Job] = []
            for (path, isDependent) in batch where done.insert(path).inserted {
                let own = BuildFiles.join(folder, String(folders))
                folders += 1
                try BuildFiles.makeFolder(own)
                let command = prepared(try self.command(for: path))
                jobs.append(
                    CompilerBatch.Job(
                        command: command, folder: own,
                        file: CompileTransaction.File(
                            source: path, module: command.module, outputs: command.outputs(in: own), nanoseconds: 0,
                            isDependent: isDependent, warnings: [])))
            }
            var compiled: [CompileTransaction.File] = []
            var batches = CompilerBatch.batches(of: jobs, processors: options.processors)
            while !batches.isEmpty, transaction.isComplete {
                let results = try process.run(
                    all: batches.map(\.program), seconds: options.seconds, atOnce: options.processors)
                var again: [CompilerBatch] = []
                for (batch, result) in zip(batches, results) {
                    if result.isCancelled {
                        transaction.isCancelled = true
                    } else if result.status == 0 {
                        compiled += batch.compiled(result)
                    } else if let refused = batch.refused(result) {
                        transaction.refused += refused
                    } else {
                        again += batch.alone
                    }
                }
                batches = again
            }
            transaction.files += compiled
            return compiled
        }

        /// Others compile against what lies in the overlay: it is written aside, and seen as a whole.
        func makeInterfaces(usedBy user: String) throws(BuildError) {
            let waiting = outdated.withLock { $0 }.subtracting(fresh)
            guard !waiting.isEmpty else { return }
            let aside = overlay + "/new"
            try BuildFiles.makeFolder(aside)
            for module in swiftModules() where waiting.contains(module) && module != user {
                guard self.modules(using: module).contains(user), transaction.isComplete else { continue }
                let command = prepared(try moduleCommand(for: module, writingInto: aside))
                let result = try process.run(
                    .init(command.arguments, in: command.workingDirectory), seconds: options.seconds)
                if result.isCancelled {
                    transaction.isCancelled = true
                } else if result.status != 0 {
                    transaction.refused.append((module + ".swiftmodule", result.printed))
                } else {
                    try BuildFiles.rename("\(aside)/\(module).swiftmodule", to: "\(overlay)/\(module).swiftmodule")
                    fresh.insert(module)
                    transaction.interfaces.append((module, result.nanoseconds))
                }
            }
        }

        var waiting: [(path: String, isDependent: Bool)] = []
        var modules: Set<String> = []
        var others: [(path: String, isDependent: Bool)] = []
        for path in sources {
            guard let place = source(path) else { throw .noCommand(path: path) }
            if place.module.language == .swift {
                waiting.append((path, false))
                modules.insert(place.module.name)
            } else {
                others.append((path, false))
            }
        }
        _ = try compile(others)
        for module in swiftModules(and: modules) where transaction.isComplete {
            while transaction.isComplete {
                let batch = waiting.filter { source($0.path)?.module.name == module && !done.contains($0.path) }
                waiting.removeAll { source($0.path)?.module.name == module }
                if batch.isEmpty { break }
                try makeInterfaces(usedBy: module)
                guard transaction.isComplete else { break }
                var change = InterfaceChange()
                for file in try compile(batch) { change.formUnion(interfaceChange(of: file.source, file.outputs)) }
                guard !change.isEmpty else { continue }
                outdated.withLock { _ = $0.insert(module) }
                fresh.remove(module)
                waiting += dependents(of: change, in: module).map { ($0, true) }
            }
        }
        return transaction
    }

    /// Asks now what the first edit of each module would have to ask: how its files are compiled, and what they declare and use.
    /// - Throws: `BuildError`.
    package func prepare() throws(BuildError) {
        for module in edited where module.isInProgram {
            if let path = module.sources.first?.path { _ = try command(for: path) }
            for source in module.sources { _ = references(of: source.path) }
        }
    }

    /// Puts a changed resource where the program finds it, whole: never half of it is seen. One that is gone goes there, too.
    /// A build of today may leave that one; what is built anew has not got it.
    /// - Parameter copy: one of `FileRole.resource`.
    /// - Returns: what was done; nil where there was neither the one nor the other.
    /// - Throws: `BuildError`.
    @discardableResult
    package func copyResource(_ path: String, to copy: String) throws(BuildError) -> ResourceChange? {
        guard access(path, F_OK) == 0 else {
            guard BuildFiles.isFile(copy) else { return nil }
            BuildFiles.removeFile(copy)
            return .removed
        }
        let (folder, name) = BuildFiles.split(copy)
        try BuildFiles.makeFolders(folder)
        // Another watcher of the package writes its own.
        let aside = BuildFiles.join(folder, ".hotpatch-\(getpid())-" + name)
        do throws(BuildError) {
            try BuildFiles.copy(path, to: aside, mode: 0o644)
            try BuildFiles.rename(aside, to: copy)
        } catch {
            BuildFiles.removeFile(aside)
            throw error
        }
        return .copied
    }
}

/// What was done to the program's copy of a resource.
package enum ResourceChange: Hashable, Sendable { case copied, removed }
