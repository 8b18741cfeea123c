extension BuildRecipe {
    /// Finds the build of a program.
    /// - Parameters:
    ///   - directory: where the command is run.
    ///   - command: what starts the program: `swift run App`, `.build/debug/App`, `make run`. May be empty.
    ///   - executable: the file that the process runs, where it runs already. It says most surely what was built.
    /// - Throws: `BuildError`: nothing was built, or not for debugging.
    package static func find(
        directory: String, command: [String] = [], executable: String? = nil
    ) throws(BuildError) -> BuildRecipe {
        let invocation = BuildInvocation(command)
        if let configuration = invocation?.configuration, configuration != "debug" {
            throw .notDebug(module: invocation?.product ?? "the program", flag: "-c \(configuration)")
        }
        let directory = package(of: command, in: directory)
        var program = executable
        if program == nil, invocation == nil, let word = command.first, word.contains("/") {
            let path = BuildFiles.canonical(BuildFiles.join(directory, word))
            if BuildFiles.isFile(path) { program = path }
        }
        if let program, let recipe = try ofProgram(BuildFiles.canonical(program), directory: directory) {
            return recipe
        }

        let scratch = BuildFiles.join(directory, invocation?.scratchPath ?? ".build")
        let isNew = BuildFiles.isDirectory(scratch + "/out/Intermediates.noindex/XCBuildData")
        let isNative = BuildFiles.isFile(scratch + "/debug/description.json")
        // Where the command does not say which build it means, the one counts that was made last.
        let isNewer =
            BuildFiles.modified(scratch + "/out/Products") > BuildFiles.modified(scratch + "/debug/description.json")
        switch invocation?.buildSystem {
        case "swiftbuild" where isNew, nil where isNew && (!isNative || isNewer):
            return try swiftBuild(out: scratch + "/out", root: directory, product: invocation?.product)
        case "native" where isNative, nil where isNative:
            return try native(folder: scratch + "/debug", root: directory, product: invocation?.product)
        case let system?: throw .noBuild("There is none of \(system) in \(scratch)")
        case nil: break
        }
        if let path = databases(near: directory).first { return try database(path) }
        throw .noBuild(
            "There is neither \(scratch)/debug/description.json nor a compile_commands.json near \(directory)")
    }

    /// The folder of the package that a command builds: the one where it is run, unless it names another one.
    package static func package(of command: [String], in directory: String) -> String {
        BuildFiles.canonical(BuildInvocation(command)?.packagePath.map { BuildFiles.join(directory, $0) } ?? directory)
    }

    /// The build that a program was made by, found beside it.
    static func ofProgram(_ path: String, directory: String) throws(BuildError) -> BuildRecipe? {
        let (folder, name) = BuildFiles.split(path)
        let package = BuildFiles.isFile(directory + "/Package.swift") ? directory : nil
        if BuildFiles.isFile(folder + "/description.json") {
            let configuration = BuildFiles.split(folder).name
            guard configuration == "debug" else { throw .notDebug(module: name, flag: "-c \(configuration)") }
            return try native(folder: folder, root: package, product: name)
        }
        let (products, configuration) = BuildFiles.split(folder)
        let out = BuildFiles.split(products).folder
        if BuildFiles.split(products).name == "Products",
            BuildFiles.isDirectory(out + "/Intermediates.noindex/XCBuildData")
        {
            guard configuration.hasPrefix("Debug") else { throw .notDebug(module: name, flag: configuration) }
            return try swiftBuild(out: out, root: package, product: name)
        }
        return try databases(near: folder).first.map { (path) throws(BuildError) in try database(path, product: name) }
    }
}
