import Glibc
import HotpatchELF

/// How the sources of a program are compiled.
///
/// It is read from what the build has left: nothing is built. It stays true until the build is repeated; then it is to be found anew.
///
/// A loop begins with `find` and a `Snapshot`, calls `prepare` when there is time, watches `watchedDirectories` and `manifests`, and asks
/// for the `role` of what has changed. Sources go to `compile`; those that include a header too. Once the objects are live, `adopt` makes
/// them what the next edit is compared with. New files and removed ones make another recipe (`changing`). Before the program is started
/// again, `buildCommand` builds it, and all begins anew.
package final class BuildRecipe: Sendable {
    package enum System: String, Sendable {
        /// SwiftPM's own (`description.json`).
        case native
        /// SwiftPM with `--build-system swiftbuild`.
        case swiftBuild = "swiftbuild"
        /// A compile_commands.json.
        case database = "compile_commands.json"
    }

    package let system: System
    /// The package, or the folder of compile_commands.json.
    package let root: String
    /// The program's name where it is known.
    package let product: String?
    package let modules: [BuildModule]
    package let resources: [BuildResource]
    /// Files that say how the program is built.
    package let manifests: [String]

    /// Files of plugins, each with the plugin.
    let toolFiles: [String: String]
    /// What plugins make sources of, files or folders, each with the target that has the sources.
    let inputs: [String: String]
    /// Folders whose files are all copied beside one another, each with where to.
    private let flatResources: [String: String]

    /// By source.
    private let places: [String: (module: Int, source: Int)]
    private let jobs = Locked<[String: ModuleJobs]>([:])
    /// What later compilations have written, by source.
    private let latest = Locked<[String: CompileCommand.Outputs]>([:])
    /// Modules of which others would see something else than their interfaces say. A recipe with other files of the same build has the
    /// same ones: the interfaces are the same files.
    let outdated: Locked<Set<String>>
    /// What the compiler said that it reads for a source, and when that was written.
    private let rules = Locked<[String: (time: Int, prerequisites: [String])]>([:])
    /// What was read of the packages when the program was built.
    private let packageFiles = Locked<Set<String>?>(nil)
    /// What was read of files, and when these were written.
    private let parsed = Locked<[String: (time: Int, references: CompiledReferences)]>([:])

    /// Where SwiftPM builds; nil for other builds.
    package let scratch: String?

    init(
        system: System, root: String, scratch: String? = nil, product: String?, modules: [BuildModule],
        resources: [BuildResource],
        manifests: [String], toolFiles: [String: String] = [:], inputs: [String: String] = [:],
        outdated: Locked<Set<String>> = Locked([])
    ) {
        self.system = system
        self.root = root
        self.scratch = scratch
        self.product = product
        self.modules = modules
        // As the watcher has them.
        self.resources = resources.map { BuildResource(source: BuildFiles.canonical($0.source), copy: $0.copy) }
        self.manifests = manifests
        self.toolFiles = toolFiles
        self.inputs = inputs
        self.outdated = outdated
        flatResources = Self.flatResources(self.resources)
        var places: [String: (module: Int, source: Int)] = [:]
        for (module, value) in modules.enumerated() {
            for (source, file) in value.sources.enumerated() where places[file.path] == nil || value.isInProgram {
                places[file.path] = (module, source)
                guard value.isLocal else { continue }
                // A package may have been built by a path that has links in it.
                let canonical = BuildFiles.canonical(file.path)
                if places[canonical] == nil || value.isInProgram { places[canonical] = (module, source) }
            }
        }
        self.places = places
    }

    /// The modules whose sources a user edits: the program's, and not those in checkouts of dependencies.
    package var edited: [BuildModule] { modules.filter { $0.isLocal && ($0.isInProgram || $0.isTool) } }

    package func module(_ name: String) -> BuildModule? {
        modules.first { $0.name == name && $0.isInProgram } ?? modules.first { $0.name == name }
    }

    /// The module and the entry of a file that the build compiles. Its path there may have links in it that `path` has not.
    package func source(_ path: String) -> (module: BuildModule, source: BuildSource)? {
        (places[path] ?? places[BuildFiles.canonical(path)]).map {
            (modules[$0.module], modules[$0.module].sources[$0.source])
        }
    }

    // MARK: What is watched

    /// The folders below which files of the program lie; none lies below another.
    package var watchedDirectories: [String] {
        // Also those of other programs: the command may have started them, too.
        var folders = Set(modules.filter(\.isLocal).flatMap { $0.directories + $0.headerDirectories })
        for resource in resources {
            folders.insert(
                BuildFiles.isDirectory(resource.source) ? resource.source : BuildFiles.split(resource.source).folder)
        }
        for path in toolFiles.keys { folders.insert(BuildFiles.split(path).folder) }
        folders.formUnion(inputs.keys.filter(BuildFiles.isDirectory))
        // The headers of a system library lie beside its map.
        folders.formUnion(
            readFiles { BuildFiles.split($0).name == "module.modulemap" }.map { BuildFiles.split($0).folder })
        return folders.sorted().reduce(into: []) { result, folder in
            if !result.contains(where: { $0 == folder || BuildFiles.isBelow(folder, $0) }) { result.append(folder) }
        }
    }

    /// Files that are watched beside those folders.
    package var watchedFiles: [String] {
        let folders = watchedDirectories
        let others = readFiles { path in
            FileWatcher.isSource(path) && !folders.contains { BuildFiles.isBelow(path, $0) }
        }
        return manifests + (inputs.keys.filter { !BuildFiles.isDirectory($0) } + others).sorted()
    }

    /// What the program's files have read from its packages and no build has written. For a large module it takes a while.
    private func readFiles(where isWanted: (String) -> Bool) -> [String] {
        let files = packageFiles.withLock { known in
            let files = known ?? findPackageFiles()
            known = files
            return files
        }
        return files.filter(isWanted)
    }

    private func findPackageFiles() -> Set<String> {
        let roots = Set(manifests.map { BuildFiles.split($0).folder })
        var files: Set<String> = []
        for module in edited where module.isInProgram {
            for source in module.sources {
                guard let rule = source.dependencyFile, let text = try? BuildFiles.read(rule) else { continue }
                for path in BuildFiles.prerequisites(text) {
                    let path = BuildFiles.join(module.workingDirectory, path)
                    guard !files.contains(path), roots.contains(where: { BuildFiles.isBelow(path, $0) }),
                        scratch.map({ BuildFiles.isBelow(path, $0) }) != true
                    else { continue }
                    files.insert(path)
                }
            }
        }
        return files
    }

    /// Which files of the folders are watched, told by their paths.
    package var isWatched: @Sendable (String) -> Bool {
        let files = Set(resources.map(\.source))
        let folders = (files.union(inputs.keys)).filter(BuildFiles.isDirectory) + flatResources.keys
        return { path in
            FileWatcher.isSource(path) || files.contains(path) || folders.contains { BuildFiles.isBelow(path, $0) }
        }
    }

    /// The folders with no sources in them, all files of which are resources that are copied to one folder, as those of `.process` are.
    /// What comes into it is copied there too.
    private static func flatResources(_ resources: [BuildResource]) -> [String: String] {
        var folders: [String: String] = [:]
        for (folder, known) in Dictionary(grouping: resources, by: { BuildFiles.split($0.source).folder }) {
            let copies = Set(known.map { BuildFiles.split($0.copy).folder })
            let names = Set(known.map { BuildFiles.split($0.source).name })
            guard copies.count == 1,
                known.allSatisfy({
                    BuildFiles.isFile($0.source) && BuildFiles.split($0.copy).name == BuildFiles.split($0.source).name
                }),
                BuildFiles.list(folder).allSatisfy({ name in
                    names.contains(name) || FileWatcherRules.ignoresFile(name)
                        || BuildFiles.isDirectory(BuildFiles.join(folder, name))
                })
            else { continue }
            folders[folder] = copies.first
        }
        return folders
    }

    /// What a file is. A path as the watcher has it.
    package func role(of watched: String) -> FileRole {
        let path = BuildFiles.canonical(watched)
        if manifests.contains(path) || system == .database && Self.isManifest(BuildFiles.split(path).name) {
            return .manifest
        }
        if let place = places[path] {
            let module = modules[place.module]
            if module.isTool { return .tool(module: module.name) }
            guard module.isInProgram else { return .none }
            return module.language == .swift ? .swift(module: module.name) : .clang(module: module.name)
        }
        if let module = toolFiles[path] { return .tool(module: module) }
        if let input = inputs.first(where: { $0.key == path || BuildFiles.isBelow(path, $0.key) }) {
            return .input(module: input.value)
        }
        let copies = resources.compactMap { resource -> String? in
            if resource.source == path { return resource.copy }
            // A folder is copied with all that is in it.
            guard BuildFiles.isBelow(path, resource.source) else { return nil }
            return resource.copy + path.dropFirst(resource.source.count)
        }
        if !copies.isEmpty { return .resource(copies: copies) }
        let (folder, name) = BuildFiles.split(path)
        if let copy = flatResources[folder] { return .resource(copies: [BuildFiles.join(copy, name)]) }
        guard path.hasSuffix(".swift") else {
            let users = users(of: path)
            if !users.isEmpty { return .included(by: users) }
            // Other builds name their files, and are told of a new one.
            guard system != .database, let owner = owner(of: watched, .clang),
                command(forNew: watched, in: owner) != nil
            else {
                return .none
            }
            return owner.isTool ? .tool(module: owner.name) : .newClang(module: owner.name)
        }
        guard let owner = owner(of: watched, .swift) else { return .none }
        return owner.isTool ? .tool(module: owner.name) : .newSwift(module: owner.name)
    }

    /// The module whose sources lie most closely around a file.
    private func owner(of path: String, _ language: BuildModule.Language) -> BuildModule? {
        owner(of: path, among: edited.filter { $0.language == language })
    }

    private func owner(of path: String, among modules: [BuildModule]) -> BuildModule? {
        let owners = modules.compactMap { module in
            // The folder of the sources may be reached by a link, and so may one in it.
            module.directories.filter {
                BuildFiles.isBelow(path, $0) || BuildFiles.isBelow(path, BuildFiles.canonical($0))
            }
            .map(\.utf8.count).max().map { ($0, module) }
        }
        return owners.max { $0.0 < $1.0 }?.1
    }

    /// The module that a file belongs to, where nothing of that is in the program: another program's, or a test's.
    package func otherModule(of path: String) -> String? {
        guard role(of: path) == .none else { return nil }
        let module = source(path)?.module ?? owner(of: path, among: modules.filter { $0.isLocal })
        return module.flatMap { $0.isInProgram || $0.isTool ? nil : $0.name }
    }

    /// The command of a C or C++ file that the build does not know, as another one of the same kind has it; nil where there is none.
    private func command(forNew path: String, in module: BuildModule) -> (words: [String], sibling: BuildSource)? {
        let kind = FileWatcherRules.fileExtension(of: path)
        for source in module.sources where FileWatcherRules.fileExtension(of: source.path) == kind {
            guard let words = source.command, words.contains(source.path) else { continue }
            return (words.map { $0 == source.path ? path : $0 }, source)
        }
        return nil
    }

    /// The files, in modules that a user edits, that read another one when they were compiled last.
    func users(of path: String) -> [String] {
        let users = users { $0 == path }
        // SwiftPM's newer build keeps what it has read of them, and compilers refuse what is newer.
        guard users.isEmpty, FileWatcherRules.isHeader(path), system != .swiftBuild else { return users }
        // For a module of the system (`systemLibrary`) the compiler names the map alone.
        return self.users {
            BuildFiles.split($0).name == "module.modulemap" && BuildFiles.isBelow(path, BuildFiles.split($0).folder)
        }
    }

    private func users(reading isRead: (String) -> Bool) -> [String] {
        var users: [String] = []
        for module in edited where module.isInProgram {
            for source in module.sources {
                let read = prerequisites(of: source, module).contains {
                    isRead(BuildFiles.canonical(BuildFiles.join(module.workingDirectory, $0)))
                }
                if read { users.append(source.path) }
            }
        }
        return users
    }

    /// What was read for a source. Where a build of C keeps no rules, the compiler is asked.
    private func prerequisites(of source: BuildSource, _ module: BuildModule) -> [String] {
        let rule = latest.withLock { $0[source.path]?.dependencies } ?? source.dependencyFile
        if let rule, let text = try? BuildFiles.read(rule) { return BuildFiles.prerequisites(text) }
        guard let command = source.command else { return [] }
        let time = BuildFiles.modified(source.path)
        if let known = rules.withLock({ $0[source.path] }), known.time == time { return known.prerequisites }
        let asked = try? CompilerProcess().run(
            .init(command + ["-M"], in: module.workingDirectory), seconds: 30, outputOnly: true)
        let prerequisites = asked.map { $0.status == 0 ? BuildFiles.prerequisites($0.printed) : [] } ?? []
        rules.withLock { $0[source.path] = (time, prerequisites) }
        return prerequisites
    }

    /// From now on what these compilations wrote says what the files include, declare and use, and the interfaces that were made for them are
    /// the modules'. Their files are to stay.
    package func adopt(_ transaction: CompileTransaction) {
        for file in transaction.files { adopt(file.outputs, of: file.source) }
        outdated.withLock { $0.subtract(transaction.interfaces.map(\.module)) }
    }

    /// From now on what this compilation wrote says what the file includes, declares and uses. Its files are to stay.
    package func adopt(_ outputs: CompileCommand.Outputs, of source: String) {
        let former = latest.withLock { $0.updateValue(outputs, forKey: source) }
        if let path = former?.references, path != outputs.references { parsed.withLock { $0[path] = nil } }
    }

    /// What a file declares and uses, as it was compiled last; nil where that is not known.
    func references(of source: String) -> CompiledReferences? {
        guard let path = latest.withLock({ $0[source]?.references }) ?? self.source(source)?.source.referenceFile else {
            return nil
        }
        return references(at: path)
    }

    func references(at path: String) -> CompiledReferences? {
        let time = BuildFiles.modified(path)
        if let known = parsed.withLock({ $0[path] }), known.time == time { return known.references }
        guard let references = readReferences(at: path) else { return nil }
        parsed.withLock { $0[path] = (time, references) }
        return references
    }

    func readReferences(at path: String) -> CompiledReferences? {
        (try? BuildFiles.read(path)).flatMap { try? CompiledReferences(reading: $0) }
    }

    // MARK: Building again

    /// Whether what the build made for other files to be compiled with is there: not after `swift package clean`.
    package var isThere: Bool {
        modules.allSatisfy { !$0.isInProgram || $0.moduleFile.map { access($0, F_OK) == 0 } ?? true }
    }

    /// What builds the program again.
    ///
    /// Options that only the earlier build was given (`-Xswiftc …`) are not known, unless `command` has them.
    /// - Parameter command: what the program is started with: `swift run …` has the options of its build.
    /// - Returns: the program first; nil where the build is not known (a compile_commands.json far from it).
    package func buildCommand(for command: [String] = []) -> [String]? {
        if let invocation = BuildInvocation(command) { return invocation.build }
        switch system {
        case .native, .swiftBuild:
            return ["swift", "build", "--package-path", root]
                + (scratch.map { $0 == root + "/.build" ? [] : ["--scratch-path", $0] } ?? [])
                + (system == .swiftBuild ? ["--build-system", "swiftbuild"] : [])
                + (product.map { ["--product", $0] } ?? [])
        case .database:
            if BuildFiles.isFile(root + "/CMakeCache.txt") { return ["cmake", "--build", root] }
            if BuildFiles.isFile(root + "/build.ninja") { return ["ninja", "-C", root] }
            let makefiles = ["GNUmakefile", "makefile", "Makefile"].map { root + "/" + $0 }
            return makefiles.contains(where: BuildFiles.isFile) ? ["make", "-C", root] : nil
        }
    }

    // MARK: New files

    /// The same build with other files: new ones, each in its module, and without those that are gone.
    ///
    /// What is known of the other files stays known.
    /// - Parameter added: path and module.
    package func changing(adding added: [(path: String, module: String)], removing removed: Set<String>) -> BuildRecipe
    {
        var modules = modules
        for index in modules.indices where modules[index].isInProgram {
            let known = modules[index]
            modules[index].sources.removeAll { removed.contains($0.path) }
            for (path, name) in added where name == known.name {
                guard !modules[index].sources.contains(where: { $0.path == path }) else { continue }
                let like = known.language == .clang ? command(forNew: path, in: known) : nil
                if known.language == .clang, like == nil { continue }
                // An object lies beside the others and is called as they are: `Shop.swift.o`, or `Shop.o`.
                let (folder, other) = BuildFiles.split(like?.sibling.object ?? known.sources.first?.object ?? path)
                var file = BuildFiles.split(path).name
                let ending = "." + FileWatcherRules.fileExtension(of: path)
                if !other.hasSuffix(ending + ".o") { file.removeLast(ending.count) }
                modules[index].sources.append(
                    BuildSource(
                        path: path, object: BuildFiles.join(folder, file + ".o"), isNew: true, command: like?.words))
            }
        }
        let recipe = changing(modules)
        // Others must not see what is gone.
        let changed = removed.filter { !interfaceChange(removing: $0).isEmpty }.compactMap { source($0)?.module }
        recipe.outdated.withLock { $0.formUnion(changed.filter { $0.language == .swift }.map(\.name)) }
        let touched = Set(added.map(\.module) + removed.compactMap { source($0)?.module.name })
        recipe.jobs.withLock { jobs in jobs = jobs.filter { !touched.contains($0.key) } }
        return recipe
    }

    /// The same build with a file of another name, whose object goes on being called as it was.
    package func renaming(_ old: String, to new: String) -> BuildRecipe {
        guard let place = places[old] else { return self }
        var modules = modules
        modules[place.module].sources[place.source].path = new
        let recipe = changing(modules)
        recipe.latest.withLock { $0[new] = $0.removeValue(forKey: old) }
        recipe.jobs.withLock { $0[modules[place.module].name] = nil }
        return recipe
    }

    private func changing(_ modules: [BuildModule]) -> BuildRecipe {
        let recipe = BuildRecipe(
            system: system, root: root, scratch: scratch, product: product, modules: modules, resources: resources,
            manifests: manifests, toolFiles: toolFiles, inputs: inputs, outdated: outdated)
        recipe.latest.withLock { [latest] new in new = latest.withLock { $0 } }
        recipe.parsed.withLock { [parsed] new in new = parsed.withLock { $0 } }
        recipe.jobs.withLock { [jobs] new in new = jobs.withLock { $0 } }
        return recipe
    }

    // MARK: Commands

    /// How a file is compiled.
    ///
    /// The first time for a Swift module its compiler's driver is asked (50–400 ms).
    /// - Parameter path: of a source that the build compiles, as it stands in `modules`.
    /// - Throws: `BuildError`.
    package func command(for path: String) throws(BuildError) -> CompileCommand {
        guard let (module, source) = source(path) else { throw .noCommand(path: path) }
        let path = source.path
        switch module.language {
        case .clang:
            guard let arguments = source.command else { throw .noCommand(path: path) }
            return CompileCommand(
                source: path, module: module.name, language: .clang, arguments: arguments,
                workingDirectory: module.workingDirectory, objectName: BuildFiles.split(source.object).name)
        case .swift:
            let jobs = try jobs(of: module)
            guard let arguments = jobs.command(for: path) else { throw .noCommand(path: path) }
            return CompileCommand(
                source: path, module: module.name, language: .swift, arguments: arguments,
                workingDirectory: module.workingDirectory, objectName: BuildFiles.split(source.object).name)
        }
    }

    /// The command that makes a Swift module's interface, for other modules to read: `NAME.swiftmodule` in a folder.
    /// - Throws: `BuildError`.
    func moduleCommand(for name: String, writingInto folder: String) throws(BuildError) -> CompileCommand {
        guard let module = module(name), module.language == .swift, let words = try jobs(of: module).interfaceCommand
        else {
            throw .noCommand(path: name + ".swiftmodule")
        }
        return CompileCommand(
            source: name, module: name, language: .swift,
            arguments: words + ["-o", BuildFiles.join(folder, name + ".swiftmodule")],
            workingDirectory: module.workingDirectory, objectName: name + ".swiftmodule")
    }

    private func jobs(of module: BuildModule) throws(BuildError) -> ModuleJobs {
        if let known = jobs.withLock({ $0[module.name] }) { return known }
        let asked = try ModuleJobs(asking: module, for: module.sources.map(\.path))
        jobs.withLock { $0[module.name] = asked }
        return asked
    }
}
