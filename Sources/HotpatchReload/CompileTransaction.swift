/// Files compiled together, with those that depend on what has changed in them.
public struct CompileTransaction: Sendable {
    public struct File: Sendable {
        public var source: String
        public var module: String
        public var outputs: CompileCommand.Outputs
        /// Of its last compilation.
        public var nanoseconds: UInt64
        /// It was not edited: what it uses has changed.
        public var isDependent: Bool
        /// What the compiler printed although it succeeded.
        public var warnings: String
    }

    /// In the order in which they were compiled.
    public internal(set) var files: [File] = []
    /// The modules whose interfaces were made again, and how long each took.
    public internal(set) var interfaces: [(module: String, nanoseconds: UInt64)] = []
    /// The first file that the compiler refused, and what it printed. Nothing of the transaction is of use then.
    public internal(set) var refused: (source: String, printed: [UInt8])?
    public internal(set) var isCancelled = false

    public var isComplete: Bool { refused == nil && !isCancelled }
}

extension BuildRecipe {
    /// Compiles edited files, and what has to be compiled with them.
    ///
    /// Modules come in the order of their use. Where others see something else of a module than before, its interface is made again into
    /// `overlay`, and the files that use what has changed are compiled too, of the other modules as well. Call `adopt` with each file's
    /// outputs once they are live.
    /// - Parameters:
    ///   - sources: of the build; those of C and C++ too.
    ///   - folder: exists; a new one for each transaction. The files get folders of their own in it.
    ///   - overlay: exists, for the interfaces of modules; the same one until the program is built again.
    ///   - contents: for a source, a file that has what is to be compiled in its place: what it held when it was saved, for instance.
    ///   - swiftOptions: `-function-sections` for instance; the same for C.
    ///   - process: through which another thread may end it.
    /// - Throws: `BuildError`.
    public func compile(
        _ sources: [String], into folder: String, overlay: String, contents: [String: String] = [:],
        swiftOptions: [String] = [],
        clangOptions: [String] = [], process: CompilerProcess = CompilerProcess()
    ) throws(BuildError) -> CompileTransaction {
        var transaction = CompileTransaction()
        var done: Set<String> = []

        /// Whether to go on.
        func compile(_ path: String, isDependent: Bool) throws(BuildError) -> CompileTransaction.File? {
            done.insert(path)
            let own = BuildFiles.join(folder, String(transaction.files.count))
            try BuildFiles.makeFolder(own)
            var command = try command(for: path)
            command.arguments += command.language == .swift ? swiftOptions : clangOptions
            if command.language == .swift { command = command.preferringModules(in: overlay) }
            if !contents.isEmpty { command = try command.replacing(contents, overlay: folder + "/contents.yaml") }
            let result = try command.run(into: own, process: process)
            if result.isCancelled {
                transaction.isCancelled = true
                return nil
            }
            guard result.status == 0 else {
                transaction.refused = (path, result.printed)
                return nil
            }
            let file = CompileTransaction.File(
                source: path, module: command.module, outputs: command.outputs(in: own),
                nanoseconds: result.nanoseconds,
                isDependent: isDependent, warnings: result.text)
            transaction.files.append(file)
            return file
        }

        for path in sources where source(path)?.module.language != .swift {
            guard try compile(path, isDependent: false) != nil else { return transaction }
        }
        // What is to be compiled of each module: the edited files, and what those of modules before it bring along.
        var waiting = sources.filter { source($0)?.module.language == .swift }.map { (path: $0, isDependent: false) }
        for module in swiftModules {
            var change = InterfaceChange()
            while let index = waiting.firstIndex(where: { source($0.path)?.module.name == module }) {
                let (path, isDependent) = waiting.remove(at: index)
                guard !done.contains(path) else { continue }
                guard let file = try compile(path, isDependent: isDependent) else { return transaction }
                let own = interfaceChange(of: path, file.outputs)
                guard !own.isEmpty else { continue }
                change.keys.formUnion(own.keys)
                change.isUnknown = change.isUnknown || own.isUnknown
                waiting += dependents(of: own, in: module).filter { !done.contains($0) }.map { ($0, true) }
            }
            guard !change.isEmpty, modules(using: module).count > 1 else { continue }
            // Others compile against what lies here: it is written aside and renamed, and never seen in part.
            let aside = overlay + "/new"
            try BuildFiles.makeFolder(aside)
            var command = try moduleCommand(for: module, writingInto: aside)
            command = command.preferringModules(in: overlay)
            if !contents.isEmpty { command = try command.replacing(contents, overlay: folder + "/contents.yaml") }
            let result = try process.run(command.arguments, in: command.workingDirectory)
            if result.isCancelled {
                transaction.isCancelled = true
                return transaction
            }
            guard result.status == 0 else {
                transaction.refused = (module + ".swiftmodule", result.printed)
                return transaction
            }
            try BuildFiles.rename(aside + "/\(module).swiftmodule", to: overlay + "/\(module).swiftmodule")
            transaction.interfaces.append((module, result.nanoseconds))
        }
        return transaction
    }
}
