import HotpatchELF

/// How the sources of a program are compiled.
///
/// It is read from what the build has left: nothing is built. It stays true until the build is repeated; then it is to be found anew.
public final class BuildRecipe: Sendable {
    public enum System: String, Sendable {
        /// SwiftPM's own (`description.json`).
        case native
        /// SwiftPM with `--build-system swiftbuild`.
        case swiftBuild = "swiftbuild"
        /// A compile_commands.json.
        case database = "compile_commands.json"
    }

    public let system: System
    /// The package, or the folder of compile_commands.json.
    public let root: String
    /// The program's name where it is known.
    public let product: String?
    public let modules: [BuildModule]
    public let resources: [BuildResource]
    /// Files that say how the program is built.
    public let manifests: [String]

    /// By source.
    private let places: [String: (module: Int, source: Int)]
    private let jobs = Locked<[String: ModuleJobs]>([:])
    /// What later compilations have written, by source.
    private let latest = Locked<[String: CompileCommand.Outputs]>([:])

    init(
        system: System, root: String, product: String?, modules: [BuildModule], resources: [BuildResource],
        manifests: [String]
    ) {
        self.system = system
        self.root = root
        self.product = product
        self.modules = modules
        self.resources = resources
        self.manifests = manifests
        var places: [String: (module: Int, source: Int)] = [:]
        for (module, value) in modules.enumerated() {
            for (source, file) in value.sources.enumerated() where places[file.path] == nil || value.isInProgram {
                places[file.path] = (module, source)
            }
        }
        self.places = places
    }

    /// The modules whose sources a user edits: of the program, and not of its dependencies' checkouts.
    public var edited: [BuildModule] { modules.filter { $0.isLocal && ($0.isInProgram || $0.isTool) } }

    public func module(_ name: String) -> BuildModule? {
        modules.first { $0.name == name && $0.isInProgram } ?? modules.first { $0.name == name }
    }

    /// The module and the entry of a file that the build compiles.
    public func source(_ path: String) -> (module: BuildModule, source: BuildSource)? {
        places[path].map { (modules[$0.module], modules[$0.module].sources[$0.source]) }
    }

    // MARK: What is watched

    /// The folders below which files of the program lie; none lies below another.
    public var watchedDirectories: [String] {
        var folders = Set(edited.flatMap { $0.directories + $0.headerDirectories })
        for resource in resources { folders.insert(BuildFiles.split(resource.source).folder) }
        return folders.sorted().reduce(into: []) { result, folder in
            if !result.contains(where: { $0 == folder || BuildFiles.isBelow(folder, $0) }) { result.append(folder) }
        }
    }

    /// What a file is. A path as the watcher has it.
    public func role(of path: String) -> FileRole {
        let path = BuildFiles.canonical(path)
        if manifests.contains(path) { return .manifest }
        if let place = places[path] {
            let module = modules[place.module]
            if module.isTool { return .tool(module: module.name) }
            guard module.isInProgram else { return .none }
            return module.language == .swift ? .swift(module: module.name) : .clang(module: module.name)
        }
        let copies = resources.filter { $0.source == path }.map(\.copy)
        if !copies.isEmpty { return .resource(copies: copies) }
        let users = users(of: path)
        if !users.isEmpty { return .included(by: users) }
        guard path.hasSuffix(".swift") else { return .none }
        let owner = edited.filter { $0.language == .swift }
            .compactMap { module in
                module.directories.filter { BuildFiles.isBelow(path, $0) }.map(\.utf8.count).max().map { ($0, module) }
            }
            .max { $0.0 < $1.0 }
        guard let owner else { return .none }
        return owner.1.isTool ? .tool(module: owner.1.name) : .newSwift(module: owner.1.name)
    }

    /// The files that read another one when they were compiled last: of the modules that a user edits.
    func users(of path: String) -> [String] {
        var users: [String] = []
        for module in edited where module.isInProgram {
            for source in module.sources {
                guard let rule = latest.withLock({ $0[source.path]?.dependencies }) ?? source.dependencyFile,
                    let text = try? BuildFiles.read(rule)
                else { continue }
                if BuildFiles.prerequisites(text).contains(where: {
                    BuildFiles.canonical(BuildFiles.join(module.workingDirectory, $0)) == path
                }) {
                    users.append(source.path)
                }
            }
        }
        return users
    }

    /// From now on what this compilation wrote says what the file includes, declares and uses.
    public func adopt(_ outputs: CompileCommand.Outputs, of source: String) {
        latest.withLock { $0[source] = outputs }
    }

    // MARK: Commands

    /// How a file is compiled.
    ///
    /// The first time for a Swift module its compiler's driver is asked (50–400 ms).
    /// - Parameter path: of a source that the build compiles, as it stands in `modules`.
    /// - Throws: `BuildError`.
    public func command(for path: String) throws(BuildError) -> CompileCommand {
        guard let place = places[path] else { throw .noCommand(path: path) }
        let module = modules[place.module]
        let source = module.sources[place.source]
        switch module.language {
        case .clang:
            guard let arguments = source.command else { throw .noCommand(path: path) }
            return CompileCommand(
                source: path, module: module.name, language: .clang, arguments: arguments,
                workingDirectory: module.workingDirectory, objectName: BuildFiles.split(source.object).name)
        case .swift:
            let jobs = try jobs(of: module)
            guard let arguments = jobs.commands[path] else { throw .noCommand(path: path) }
            return CompileCommand(
                source: path, module: module.name, language: .swift, arguments: arguments,
                workingDirectory: module.workingDirectory, objectName: BuildFiles.split(source.object).name)
        }
    }

    private func jobs(of module: BuildModule) throws(BuildError) -> ModuleJobs {
        if let known = jobs.withLock({ $0[module.name] }) { return known }
        let asked = try ModuleJobs(asking: module, for: module.sources.map(\.path))
        jobs.withLock { $0[module.name] = asked }
        return asked
    }
}
