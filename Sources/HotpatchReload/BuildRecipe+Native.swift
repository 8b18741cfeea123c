extension BuildRecipe {
    /// A build of SwiftPM's native build system.
    /// - Parameters:
    ///   - folder: where the products lie, `.build/x86_64-unknown-linux-gnu/debug`.
    ///   - root: the package; nil for the one around `folder`.
    ///   - product: the program; nil for the only one that there is.
    /// - Throws: `BuildError`.
    static func native(folder: String, root: String? = nil, product: String? = nil) throws(BuildError) -> BuildRecipe {
        let folder = BuildFiles.canonical(folder)
        let scratch = BuildFiles.split(BuildFiles.split(folder).folder).folder
        let root = BuildFiles.canonical(root ?? BuildFiles.split(scratch).folder)
        let path = folder + "/description.json"
        let description = try BuildFiles.json(path)
        guard let commands = description["swiftCommands"]?.members else {
            throw .malformed(path: path, what: "It lists no commands for Swift files")
        }
        let linked = linkedObjects(description)
        let product = product ?? onlyProgram(linked, folder: folder)
        let objects = product.flatMap { linked[$0] ?? linked[$0.hasSuffix(".xctest") ? String($0.dropLast(7)) : $0] }
        let uses = description["targetDependencyMap"]

        var modules: [BuildModule] = []
        var programs: Set<String> = []
        for command in commands {
            guard var module = try swiftModule(command.value, path: path, scratch: scratch, root: root) else {
                continue
            }
            module.isTool = command.name.hasSuffix("-tool.module") || command.name.hasSuffix("-tool.exe")
            module.isInProgram = !module.isTool && isLinked(module, objects)
            module.dependencies = uses?[module.name]?.strings ?? []
            if module.isInProgram, module.isLocal { try checkDebug(module, command.value) }
            if command.value["isLibrary"]?.bool != true { programs.insert(module.name) }
            modules.append(module)
        }
        // Where the commands of clang, and of plugins, stand.
        let manifest = scratch + "/" + BuildFiles.split(folder).name + ".yaml"
        let others =
            BuildFiles.isFile(manifest)
            ? ManifestCommand.all(in: try BuildFiles.read(manifest), generated: scratch + "/plugins/outputs") : []
        modules += clangModules(others, folder: folder, scratch: scratch, root: root, linked: objects)
        // What the program loads, from a library that the package builds, is linked elsewhere.
        let used = Set(modules.filter(\.isInProgram).flatMap(\.dependencies))
        for index in modules.indices
        where !modules[index].isTool && !programs.contains(modules[index].name) && used.contains(modules[index].name) {
            modules[index].isInProgram = true
        }

        var resources: [BuildResource] = []
        for copy in description["copyCommands"]?.members ?? [] {
            guard let source = copy.value["inputs"]?.array?.first?["name"]?.string, !BuildFiles.isBelow(source, scratch)
            else { continue }
            resources.append(BuildResource(source: source, copy: copy.name))
        }
        return BuildRecipe(
            system: .native, root: root, scratch: scratch, product: product, modules: modules, resources: resources,
            manifests: manifests(root: root, modules: modules),
            toolFiles: toolFiles(description, scratch: scratch),
            inputs: inputs(others, scratch: scratch).merging(embedded(description, scratch: scratch)) { $1 })
    }

    /// The resources that SwiftPM writes a source of (`.embedInCode`), each with the target that has it.
    private static func embedded(_ description: JSON, scratch: String) -> [String: String] {
        var files: [String: String] = [:]
        for command in description["writeCommands"]?.members ?? [] {
            let parts = command.name.split(separator: "/").suffix(3)
            guard command.name.hasSuffix("/DerivedSources/embedded_resources.swift"),
                let folder = parts.first, folder.hasSuffix(".build")
            else { continue }
            for input in command.value["inputs"]?.array?.compactMap({ $0["name"]?.string }) ?? []
            where input.hasPrefix("/") && !BuildFiles.isBelow(input, scratch) {
                files[BuildFiles.canonical(input)] = String(folder.dropLast(".build".count))
            }
        }
        return files
    }

    /// The objects of each program.
    private static func linkedObjects(_ description: JSON) -> [String: Set<String>] {
        var linked: [String: Set<String>] = [:]
        for command in description["writeCommands"]?.members ?? [] {
            let (folder, name) = BuildFiles.split(command.name)
            guard name == "Objects.LinkFileList", folder.hasSuffix(".product") else { continue }
            let product = String(BuildFiles.split(folder).name.dropLast(".product".count))
            linked[product] = Set((command.value["inputs"]?.array ?? []).compactMap { $0["name"]?.string })
        }
        return linked
    }

    /// The only program that has been built.
    private static func onlyProgram(_ linked: [String: Set<String>], folder: String) -> String? {
        let built = linked.keys.filter { BuildFiles.isFile(folder + "/" + $0) }
        return built.count == 1 ? built.first : nil
    }

    private static func isLinked(_ module: BuildModule, _ objects: Set<String>?) -> Bool {
        guard let objects else { return true }
        return module.sources.contains { objects.contains($0.object) }
    }

    private static func swiftModule(
        _ command: JSON, path: String, scratch: String, root: String
    ) throws(BuildError) -> BuildModule? {
        guard let name = command["moduleName"]?.string, let compiler = command["executable"]?.string,
            let sources = command["sources"]?.strings, let objects = command["objects"]?.strings,
            let others = command["otherArguments"]?.strings, let imports = command["importPath"]?.string,
            let outputs = command["outputFileMapPath"]?.string
        else { throw .malformed(path: path, what: "A command for a Swift module is not as expected") }
        // A module made of objects alone, or whole: nothing of it is compiled by itself.
        guard !sources.isEmpty else { return nil }
        let own = sources.filter { !BuildFiles.isBelow($0, scratch) }
        var module = BuildModule(
            name: name, language: .swift, sources: [], isLocal: !own.isEmpty, isInProgram: true, directories: [],
            workingDirectory: root)
        module.driver =
            [compiler, "-module-name", name] + (command["isLibrary"]?.bool == true ? ["-parse-as-library"] : [])
            + aliases(command) + ["-I", imports] + others
        module.moduleFile = command["moduleOutputPath"]?.string
        module.directories = folders(of: module.name, own)
        // Only there the object of each source is said. Where it cannot be read, the order of both lists is the same.
        let map = module.isLocal ? try? BuildFiles.json(outputs) : nil
        for (index, source) in sources.enumerated() {
            let entry = map?[source]
            guard let object = entry?["object"]?.string ?? (index < objects.count ? objects[index] : nil) else {
                throw .malformed(path: path, what: "\(name) has fewer objects than sources")
            }
            module.sources.append(
                BuildSource(
                    path: source, object: object, isGenerated: BuildFiles.isBelow(source, scratch),
                    dependencyFile: entry?["dependencies"]?.string,
                    referenceFile: entry?["swift-dependencies"]?.string))
        }
        return module
    }

    /// Other names that a module knows others by: two packages may have targets of one name. SwiftPM has them apart from the other arguments.
    private static func aliases(_ command: JSON) -> [String] {
        (command["moduleAliases"]?.members ?? []).flatMap { alias in
            alias.value.string.map { ["-module-alias", "\(alias.name)=\($0)"] } ?? []
        }
    }

    /// Where a module's sources lie: `Sources/NAME` where they are all below.
    static func folders(of module: String, _ sources: [String]) -> [String] {
        guard let common = BuildFiles.commonFolder(sources) else { return [] }
        var parts = common.split(separator: "/", omittingEmptySubsequences: true)
        if let last = parts.lastIndex(where: { $0 == module }) { parts = Array(parts[...last]) }
        return ["/" + parts.joined(separator: "/")]
    }

    private static func checkDebug(_ module: BuildModule, _ command: JSON) throws(BuildError) {
        try checkDebug(module)
        if command["wholeModuleOptimization"]?.bool == true {
            throw .notDebug(module: module.name, flag: "-whole-module-optimization")
        }
    }

    /// Refuses what is optimised, or compiled as a whole.
    static func checkDebug(_ module: BuildModule) throws(BuildError) {
        let levels: Set = ["-O", "-Onone", "-Osize", "-Ounchecked", "-Oplayground"]
        if let level = module.driver.last(where: levels.contains), level != "-Onone" {
            throw .notDebug(module: module.name, flag: level)
        }
        let whole: Set = ["-whole-module-optimization", "-wmo", "-no-whole-module-optimization"]
        if let flag = module.driver.last(where: whole.contains), flag != "-no-whole-module-optimization" {
            throw .notDebug(module: module.name, flag: flag)
        }
    }

    /// The C and C++ files.
    private static func clangModules(
        _ commands: [ManifestCommand], folder: String, scratch: String, root: String, linked: Set<String>?
    ) -> [BuildModule] {
        var modules: [String: BuildModule] = [:]
        for command in commands {
            guard let arguments = command.arguments, let source = command.inputs.first,
                let object = command.outputs.first, BuildFiles.isBelow(object, folder)
            else { continue }
            let target = object.utf8.dropFirst(folder.utf8.count + 1).prefix { $0 != UInt8(ascii: "/") }
            var name = String(decoding: target, as: UTF8.self)
            if name.hasSuffix(".build") { name.removeLast(".build".count) }
            var module =
                modules[name]
                ?? BuildModule(
                    name: name, language: .clang, sources: [], isLocal: false, isInProgram: false,
                    isTool: name.hasSuffix("-tool"), directories: [], workingDirectory: root)
            if !BuildFiles.isBelow(source, scratch) { module.isLocal = true }
            if linked?.contains(object) != false, !module.isTool { module.isInProgram = true }
            module.sources.append(
                BuildSource(
                    path: source, object: object, isGenerated: BuildFiles.isBelow(source, scratch),
                    dependencyFile: command.dependencies, command: CompilerOptions.withoutOutputs(arguments)))
            modules[name] = module
        }
        return withFolders(modules, root: root, scratch: scratch)
    }

    /// The files that plugins are made of, each with the plugin.
    private static func toolFiles(_ description: JSON, scratch: String) -> [String: String] {
        var files: [String: String] = [:]
        for plugin in description["pluginDescriptions"]?.array ?? [] {
            guard let name = plugin["moduleName"]?.string, let root = plugin["sources"]?["root"]?.string,
                !BuildFiles.isBelow(root, scratch)
            else { continue }
            for path in plugin["sources"]?["relativePaths"]?.strings ?? [] { files[BuildFiles.join(root, path)] = name }
        }
        return files
    }

    /// What plugins make sources of, each with the target that has them.
    private static func inputs(_ commands: [ManifestCommand], scratch: String) -> [String: String] {
        var files: [String: String] = [:]
        for command in commands where command.arguments == nil {
            // plugins/outputs/PACKAGE/TARGET/…
            let parts = command.outputs.first?.dropFirst(scratch.count).split(separator: "/") ?? []
            for input in command.inputs
            where parts.count > 4 && input.hasPrefix("/") && !BuildFiles.isBelow(input, scratch) {
                files[BuildFiles.canonical(input)] = String(parts[3])
            }
        }
        return files
    }

    /// The package's own files, and those of the packages that it takes from other folders.
    static func manifests(root: String, modules: [BuildModule]) -> [String] {
        var roots: Set = [root]
        for folder in modules.filter(\.isLocal).flatMap(\.directories) {
            var folder = folder
            // A package's sources are seldom deeper than this below it.
            for _ in 0..<8 where folder != "/" {
                if BuildFiles.isFile(folder + "/Package.swift") {
                    roots.insert(folder)
                    break
                }
                folder = BuildFiles.split(folder).folder
            }
        }
        return roots.sorted().flatMap { root in
            BuildFiles.list(root)
                .filter { $0 == "Package.resolved" || $0.hasPrefix("Package") && $0.hasSuffix(".swift") }
                .map { BuildFiles.join(root, $0) }
        }
    }
}

/// A command in a manifest of llbuild: of clang, or of a plugin's tool that makes sources. SwiftPM writes an entry a line, and its value
/// as JSON.
private struct ManifestCommand {
    var inputs: [String] = []
    var outputs: [String] = []
    var dependencies: String?
    /// Only clang's command has them.
    var arguments: [String]?

    /// - Parameter generated: where plugins have their sources written.
    static func all(in text: [UInt8], generated: String) -> [ManifestCommand] {
        let pluginOutputs = Array("    outputs: [\"\(generated)/".utf8)
        var commands: [ManifestCommand] = []
        var lines: [ArraySlice<UInt8>] = []
        var start = 0
        while start < text.count {
            let end = text[start...].firstIndex(of: UInt8(ascii: "\n")) ?? text.count
            let line = text[start..<end]
            start = end + 1
            if !line.isEmpty { lines.append(line) }
            guard line.isEmpty || start >= text.count else { continue }
            let isClang = lines.contains { $0.elementsEqual("    tool: clang".utf8) }
            if isClang || lines.contains(where: { $0.starts(with: pluginOutputs) }) {
                commands.append(ManifestCommand(lines, isClang: isClang))
            }
            lines.removeAll(keepingCapacity: true)
        }
        return commands
    }

    private init(_ lines: [ArraySlice<UInt8>], isClang: Bool) {
        for line in lines {
            if let value = Self.value(of: "    inputs: ", line) {
                inputs = value.strings ?? []
            } else if let value = Self.value(of: "    outputs: ", line) {
                outputs = value.strings ?? []
            } else if isClang, let value = Self.value(of: "    args: ", line) {
                arguments = value.strings
            } else if isClang, let value = Self.value(of: "    deps: ", line) {
                dependencies = value.string
            }
        }
    }

    private static func value(of key: StaticString, _ line: ArraySlice<UInt8>) -> JSON? {
        guard line.count > key.utf8CodeUnitCount, key.withUTF8Buffer({ line.starts(with: $0) }) else { return nil }
        return try? JSON(reading: Array(line.dropFirst(key.utf8CodeUnitCount)))
    }
}
