extension BuildRecipe {
    /// What a compile_commands.json says, as CMake, bear and others write it
    /// (https://clang.llvm.org/docs/JSONCompilationDatabase.html).
    ///
    /// Optimised C is not refused: what a function is inlined into lies in the same object. But nothing may be left to the linker.
    /// - Throws: `BuildError`.
    static func database(_ path: String, product: String? = nil) throws(BuildError) -> BuildRecipe {
        let folder = BuildFiles.canonical(BuildFiles.split(path).folder)
        guard let entries = try BuildFiles.json(path).array else {
            throw .malformed(path: path, what: "It is no list of commands")
        }
        var modules: [String: BuildModule] = [:]
        for entry in entries {
            guard let directory = entry["directory"]?.string, let file = entry["file"]?.string,
                let words = entry["arguments"]?.strings
                    ?? entry["command"]?.string.flatMap({ CompilerWords.split(Substring($0)) }), words.count > 1
            else { throw .malformed(path: path, what: "A command has no directory, file or words") }
            let source = BuildFiles.canonical(BuildFiles.join(directory, file))
            if let flag = words.last(where: { $0.hasPrefix("-flto") || $0 == "-fno-lto" }), flag != "-fno-lto" {
                throw .notDebug(module: file, flag: flag)
            }
            func value(_ option: String) -> String? {
                guard let place = words.firstIndex(of: option), place + 1 < words.count else { return nil }
                return words[place + 1]
            }
            let object =
                entry["output"]?.string ?? value("-o")
                ?? BuildFiles.split(source).name.prefix { $0 != "." } + ".o"
            let name = directory
            var module =
                modules[name]
                ?? BuildModule(
                    name: name, language: .clang, sources: [], isLocal: true, isInProgram: true, directories: [],
                    workingDirectory: directory)
            // If a file has several entries, its object is of the last one, if both make the same.
            module.sources.removeAll { $0.path == source }
            module.sources.append(
                BuildSource(
                    path: source, object: BuildFiles.join(directory, object),
                    dependencyFile: rule(value("-MF"), of: BuildFiles.join(directory, object), in: directory),
                    command: CompilerOptions.withoutOutputs(words)))
            modules[name] = module
        }
        let root = sourceRoot(folder, modules.values.flatMap(\.sources))
        return BuildRecipe(
            system: .database, root: folder, product: product,
            modules: withFolders(modules, root: root, scratch: nil), resources: [],
            manifests: [BuildFiles.join(folder, BuildFiles.split(path).name)] + manifests(above: root))
    }

    /// What was read for an object: where the command says, or beside it as CMake and others have it.
    private static func rule(_ said: String?, of object: String, in directory: String) -> String? {
        if let said { return BuildFiles.join(directory, said) }
        let beside = object.hasSuffix(".o") ? object.dropLast(2) + ".d" : object + ".d"
        return [object + ".d", beside].first(where: BuildFiles.isFile)
    }

    /// Files by these names say how a program of C is built.
    static func isManifest(_ name: String) -> Bool {
        ["CMakeLists.txt", "Makefile", "GNUmakefile", "makefile", "meson.build"].contains(name)
            || name.hasSuffix(".cmake")
            || name.hasSuffix(".mk")
    }

    /// Those of the sources' folder, or of the nearest one above it that has any.
    private static func manifests(above folder: String) -> [String] {
        var folder = folder
        for _ in 0..<4 {
            let found = BuildFiles.list(folder).filter(isManifest).map { BuildFiles.join(folder, $0) }
            if !found.isEmpty || folder == "/" { return found }
            folder = BuildFiles.split(folder).folder
        }
        return []
    }

    /// The folder that holds all sources, and the database where that lies above them.
    private static func sourceRoot(_ folder: String, _ sources: [BuildSource]) -> String {
        guard let common = BuildFiles.commonFolder(sources.map(\.path)) else { return folder }
        return BuildFiles.isBelow(common, folder) ? folder : common
    }

    /// Modules of C with the folders of their sources and headers.
    static func withFolders(_ modules: [String: BuildModule], root: String, scratch: String?) -> [BuildModule] {
        modules.values.sorted { $0.name < $1.name }.map { module in
            var module = module
            module.directories = folders(of: module.name, module.sources.filter { !$0.isGenerated }.map(\.path))
            let searched = Set(module.sources.flatMap { CompilerOptions.headerFolders($0.command ?? []) })
            module.headerDirectories = searched.map {
                BuildFiles.canonical(BuildFiles.join(module.workingDirectory, $0))
            }
            .filter { folder in
                BuildFiles.isDirectory(folder) && scratch.map { !BuildFiles.isBelow(folder, $0) } != false
                    && (folder == root || BuildFiles.isBelow(folder, root))
            }
            .sorted()
            return module
        }
    }

    /// Where a build folder's database may lie, seen from the program or from where it is started.
    static func databases(near folder: String) -> [String] {
        var found: [String] = []
        var folder = folder
        for _ in 0..<4 {
            for place in ["", "build/", "cmake-build-debug/", "out/", "builddir/"] {
                let path = BuildFiles.join(folder, place + "compile_commands.json")
                if BuildFiles.isFile(path) { found.append(path) }
            }
            if folder == "/" { break }
            folder = BuildFiles.split(folder).folder
        }
        return found
    }
}
