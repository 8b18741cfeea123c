extension BuildRecipe {
    /// Whether an executable is a program that a command builds and starts, and not what builds it.
    ///
    /// One that is built in a way that cannot be edited counts: `find` says why.
    /// - Parameters:
    ///   - directory: where the command is run.
    ///   - command: what starts the program.
    ///   - parent: what the process executes that has started it, where that is known.
    package static func isProgram(
        _ executable: String, of command: [String], directory: String, startedBy parent: String? = nil
    ) -> Bool {
        // Macros and what plugins run, while others are compiled. `swift run` starts none: it becomes the program.
        if let parent, builders.contains(BuildFiles.split(parent).name) { return false }
        let path = BuildFiles.canonical(executable)
        let name = BuildFiles.split(path).name
        let invocation = BuildInvocation(command)
        if let product = invocation?.product, name != product { return false }
        // As SwiftPM calls them, and somebody perhaps a program.
        if invocation != nil, invocation?.product == nil, name.hasSuffix("-tool") { return false }
        let folder = package(of: command, in: directory)
        do throws(BuildError) { return try ofProgram(path, directory: folder) != nil } catch {
            if case .notDebug = error { return true }
            return false
        }
    }

    private static let builders: Set = [
        "swift-frontend", "swift-plugin-server", "swift-build", "swift-run", "swift-package", "swift-driver",
        "SWBBuildService", "SWBBuildServiceBundle",
    ]

    /// The object of a source that says nothing: what the program has of a file that is new.
    /// - Parameter folder: exists, and is empty.
    /// - Returns: its path.
    /// - Throws: `BuildError`.
    package func compileNothing(inPlaceOf source: String, into folder: String) throws(BuildError) -> String {
        let nothing = folder + "/nothing"
        var command = try command(for: source)
        // For a file that says nothing at all, clang writes no debugging information.
        try BuildFiles.write(command.language == .clang ? Array("typedef int nothing;\n".utf8) : [], to: nothing)
        if command.language == .clang { command.arguments.append("-fno-eliminate-unused-debug-types") }
        command = try command.replacing([source: nothing], overlay: folder + "/contents.yaml")
        let result = try command.run(into: folder)
        guard result.status == 0 else { throw .noJobs(module: command.module, printed: result.text) }
        return command.outputs(in: folder).object
    }
}
