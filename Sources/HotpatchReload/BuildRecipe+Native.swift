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
        let objects = product.flatMap { linked[$0] }
        let uses = description["targetDependencyMap"]

        var modules: [BuildModule] = []
        for command in commands {
            guard var module = try swiftModule(command.value, path: path, scratch: scratch, root: root) else {
                continue
            }
            module.isTool = command.name.hasSuffix("-tool.module") || command.name.hasSuffix("-tool.exe")
            module.isInProgram = !module.isTool && isLinked(module, objects)
            module.dependencies = uses?[module.name]?.strings ?? []
            if module.isInProgram, module.isLocal { try checkDebug(module, command.value) }
            modules.append(module)
        }
        modules += try clangModules(folder: folder, scratch: scratch, root: root, linked: objects)

        var resources: [BuildResource] = []
        for copy in description["copyCommands"]?.members ?? [] {
            guard let source = copy.value["inputs"]?.array?.first?["name"]?.string, !BuildFiles.isBelow(source, scratch)
            else { continue }
            resources.append(BuildResource(source: source, copy: copy.name))
        }
        return BuildRecipe(
            system: .native, root: root, scratch: scratch, product: product, modules: modules, resources: resources,
            manifests: manifests(root: root, modules: modules))
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
            + ["-I", imports] + others
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

    /// The C and C++ files. Their commands stand in the manifest of llbuild beside the folder, in lines of JSON.
    private static func clangModules(
        folder: String, scratch: String, root: String, linked: Set<String>?
    ) throws(BuildError) -> [BuildModule] {
        let path = scratch + "/" + BuildFiles.split(folder).name + ".yaml"
        guard BuildFiles.isFile(path) else { return [] }
        let text = try BuildFiles.read(path)
        var modules: [String: BuildModule] = [:]
        for block in ClangBlock.all(in: text) {
            guard let arguments = block.arguments, let source = block.input, let object = block.output,
                BuildFiles.isBelow(object, folder)
            else { continue }
            let target = object.utf8.dropFirst(folder.utf8.count + 1).prefix { $0 != UInt8(ascii: "/") }
            var name = String(decoding: target, as: UTF8.self)
            if name.hasSuffix(".build") { name.removeLast(".build".count) }
            var module =
                modules[name]
                ?? BuildModule(
                    name: name, language: .clang, sources: [], isLocal: false, isInProgram: false, directories: [],
                    workingDirectory: root)
            if !BuildFiles.isBelow(source, scratch) { module.isLocal = true }
            if linked?.contains(object) != false { module.isInProgram = true }
            module.sources.append(
                BuildSource(
                    path: source, object: object, isGenerated: BuildFiles.isBelow(source, scratch),
                    dependencyFile: block.dependencies, command: CompilerOptions.withoutOutputs(arguments)))
            modules[name] = module
        }
        return withFolders(modules, root: root, scratch: scratch)
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

/// A command of the tool `clang` in a manifest of llbuild. SwiftPM writes an entry a line, and its value as JSON.
private struct ClangBlock {
    var input: String?
    var output: String?
    var dependencies: String?
    var arguments: [String]?

    static func all(in text: [UInt8]) -> [ClangBlock] {
        var blocks: [ClangBlock] = []
        var block: ClangBlock?
        var start = 0
        while start < text.count {
            let end = text[start...].firstIndex(of: UInt8(ascii: "\n")) ?? text.count
            let line = text[start..<end]
            start = end + 1
            if line.elementsEqual("    tool: clang".utf8) {
                block = ClangBlock()
            } else if block != nil {
                if line.isEmpty {
                    blocks.append(block!)
                    block = nil
                } else if let value = value(of: "    inputs: ", line) {
                    block!.input = value.strings?.first
                } else if let value = value(of: "    outputs: ", line) {
                    block!.output = value.strings?.first
                } else if let value = value(of: "    args: ", line) {
                    block!.arguments = value.strings
                } else if let value = value(of: "    deps: ", line) {
                    block!.dependencies = value.string
                }
            }
        }
        if let block { blocks.append(block) }
        return blocks
    }

    private static func value(of key: StaticString, _ line: ArraySlice<UInt8>) -> JSON? {
        guard line.count > key.utf8CodeUnitCount, key.withUTF8Buffer({ line.starts(with: $0) }) else { return nil }
        return try? JSON(reading: Array(line.dropFirst(key.utf8CodeUnitCount)))
    }
}
