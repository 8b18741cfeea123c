import Glibc

/// How one file is compiled, without what is written where.
package struct CompileCommand: Sendable, Hashable {
    package let source: String
    package let module: String
    package let language: BuildModule.Language
    /// The program first.
    package var arguments: [String]
    package let workingDirectory: String
    /// The name of the object that the build makes. It stands in Swift objects as the name of the file that their local symbols are of:
    /// an object of the same name is needed to find these in the program.
    package let objectName: String

    /// What a compilation writes.
    package struct Outputs: Sendable, Hashable {
        package var object: String
        /// What was read, as a rule of make.
        package var dependencies: String
        /// What a Swift file declares and uses.
        package var references: String?
    }

    /// The files that `run(into:)` writes.
    package func outputs(in folder: String) -> Outputs {
        let object = BuildFiles.join(folder, objectName)
        return Outputs(
            object: object, dependencies: object + ".d", references: language == .swift ? object + ".swiftdeps" : nil)
    }

    /// The whole command.
    package func arguments(writingInto folder: String) -> [String] {
        arguments + outputArguments(writingInto: folder)
    }

    /// The options that say what is written where.
    func outputArguments(writingInto folder: String) -> [String] {
        let outputs = outputs(in: folder)
        switch language {
        case .swift:
            return [
                "-emit-dependencies-path", outputs.dependencies, "-emit-reference-dependencies-path",
                outputs.references ?? "/dev/null", "-o", outputs.object,
            ]
        case .clang: return ["-MD", "-MT", "dependencies", "-MF", outputs.dependencies, "-o", outputs.object]
        }
    }

    /// Compiles the file.
    ///
    /// An object of the same code that lies there already is left as it is: the Swift compiler writes it only where it differs.
    /// - Parameters:
    ///   - folder: exists; one for each compilation, for a file's objects all have one name.
    ///   - process: through which another thread may end it.
    ///   - seconds: when they are over it is ended.
    /// - Returns: with a status other than 0 where the compiler has refused the file, or was cancelled; what it printed says why.
    /// - Throws: `BuildError`.
    package func run(
        into folder: String, process: CompilerProcess = CompilerProcess(), seconds: Int = 600
    ) throws(BuildError) -> CompilerResult {
        try process.run(.init(arguments(writingInto: folder), in: workingDirectory), seconds: seconds)
    }

    /// The same command with other contents in the place of files: their paths, in messages and debug information, stay.
    /// - Parameter contents: for each path, the file that has its contents.
    /// - Parameter overlay: the file that says so to the compiler; it is written.
    package func replacing(_ contents: [String: String], overlay: String) throws(BuildError) -> CompileCommand {
        try Self.write(contents, toOverlay: overlay)
        return reading(overlay: overlay)
    }

    /// Writes the file that tells a compiler which contents to read in the place of files.
    static func write(_ contents: [String: String], toOverlay overlay: String) throws(BuildError) {
        let roots = contents.sorted { $0.key < $1.key }.map { path, file in
            JSON.object(["type": .string("file"), "name": .string(path), "external-contents": .string(file)])
        }
        let text = JSON.object([
            "version": .number(0), "case-sensitive": .string("true"), "use-external-names": .string("false"),
            "roots": .array(roots),
        ])
        try BuildFiles.write(Array(text.description.utf8), to: overlay)
    }

    /// The same command with the contents that such a file says.
    func reading(overlay: String) -> CompileCommand {
        var command = self
        command.arguments += [language == .swift ? "-vfsoverlay" : "-ivfsoverlay", overlay]
        return command
    }

    /// The same command, whose messages have colours or not.
    package func colored(_ isColored: Bool) -> CompileCommand {
        var command = self
        // In their places: one may be the argument of another (`-Xcc`).
        command.arguments = arguments.map { word in
            switch word {
            case "-color-diagnostics", "-no-color-diagnostics":
                return isColored ? "-color-diagnostics" : "-no-color-diagnostics"
            case "-fcolor-diagnostics", "-fno-color-diagnostics":
                return isColored ? "-fcolor-diagnostics" : "-fno-color-diagnostics"
            default: return word
            }
        }
        if language == .clang {
            command.arguments.append("-fdiagnostics-color=" + (isColored ? "always" : "never"))
        } else if isColored, !command.arguments.contains("-color-diagnostics") {
            command.arguments.append("-color-diagnostics")
        }
        return command
    }

    /// The same command, which finds the modules of a folder before those of the build.
    package func preferringModules(in folder: String) -> CompileCommand {
        guard language == .swift, let place = arguments.firstIndex(of: "-I") ?? arguments.indices.last else {
            return self
        }
        var command = self
        command.arguments.insert(contentsOf: ["-I", folder], at: place)
        return command
    }
}
