extension BuildRecipe {
    /// Finds the build of a program.
    /// - Parameters:
    ///   - directory: where the command is run.
    ///   - command: what starts the program: `swift run App`, `.build/debug/App`, `make run`. May be empty.
    ///   - executable: the file that the process runs, where it runs already. It says most surely what was built.
    /// - Throws: `BuildError`: nothing was built, or not for debugging.
    public static func find(
        directory: String, command: [String] = [], executable: String? = nil
    ) throws(BuildError) -> BuildRecipe {
        let invocation = BuildInvocation(command)
        if let configuration = invocation?.configuration, configuration != "debug" {
            throw .notDebug(module: invocation?.product ?? "the program", flag: "-c \(configuration)")
        }
        let directory = BuildFiles.canonical(
            invocation?.packagePath.map { BuildFiles.join(directory, $0) } ?? directory)
        var program = executable
        if program == nil, invocation == nil, let word = command.first, word.contains("/") {
            let path = BuildFiles.canonical(BuildFiles.join(directory, word))
            if BuildFiles.isFile(path) { program = path }
        }
        if let program, let recipe = try ofProgram(BuildFiles.canonical(program), directory: directory) {
            return recipe
        }

        let scratch = BuildFiles.join(directory, invocation?.scratchPath ?? ".build")
        let debug = scratch + "/debug"
        if BuildFiles.isFile(debug + "/description.json") {
            return try native(folder: debug, root: directory, product: invocation?.product)
        }
        throw .noBuild("There is no \(debug)/description.json")
    }

    /// The build that a program was made by, found beside it.
    private static func ofProgram(_ path: String, directory: String) throws(BuildError) -> BuildRecipe? {
        let (folder, name) = BuildFiles.split(path)
        if BuildFiles.isFile(folder + "/description.json") {
            let configuration = BuildFiles.split(folder).name
            guard configuration == "debug" else { throw .notDebug(module: name, flag: "-c \(configuration)") }
            let isPackage = BuildFiles.isFile(directory + "/Package.swift")
            return try native(folder: folder, root: isPackage ? directory : nil, product: name)
        }
        return nil
    }
}
