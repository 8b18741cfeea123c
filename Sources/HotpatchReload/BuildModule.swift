/// What is compiled together: a module of Swift files, or the C and C++ files of a target.
package struct BuildModule: Sendable {
    package enum Language: Sendable {
        case swift
        /// C, C++, Objective-C, assembly: each file on its own.
        case clang
    }

    package var name: String
    package var language: Language
    package var sources: [BuildSource]
    /// Its sources are written by the user: it is no checkout of a dependency.
    package var isLocal: Bool
    /// Its objects are linked into the program. True for all where the program is not known.
    package var isInProgram: Bool
    /// A macro or what else runs while others are compiled.
    package var isTool = false
    /// Where its sources lie: a new file below belongs to it.
    package var directories: [String]
    /// Where others find the headers of a C module.
    package var headerDirectories: [String] = []
    /// What other modules read of a Swift module, as the build writes it.
    package var moduleFile: String?
    /// The modules of the build that this one may use.
    package var dependencies: [String] = []
    /// The compiler driver's command for a Swift module, without the sources. The program first.
    var driver: [String] = []
    /// Where the commands run.
    package var workingDirectory: String
}

/// One file that the build compiles.
package struct BuildSource: Sendable, Hashable {
    package var path: String
    /// What the build makes of it, and what is linked into the program.
    package var object: String
    /// The build has written the source itself.
    package var isGenerated = false
    /// The build does not know it yet.
    package var isNew = false
    /// What it read when it was compiled, as a rule of make.
    var dependencyFile: String?
    /// What a Swift file declares and uses (`.swiftdeps`).
    var referenceFile: String?
    /// The command for a C file, without what it writes.
    var command: [String]?
}

/// A file that is copied beside the program.
package struct BuildResource: Sendable, Hashable {
    package var source: String
    package var copy: String
}

/// What a file is to the program that is built from it.
package enum FileRole: Sendable, Hashable {
    /// Compiled, in a module of Swift.
    case swift(module: String)
    /// It lies where a Swift module's sources do, and is not among them yet.
    case newSwift(module: String)
    /// Compiled on its own.
    case clang(module: String)
    /// It lies where the C or C++ files of a package's target do, and is not among them yet.
    case newClang(module: String)
    /// A file that others include: these are to be compiled again, of Swift too.
    case included(by: [String])
    /// To be copied there.
    case resource(copies: [String])
    /// How the program is built: it must be built again, and started again.
    case manifest
    /// It belongs to a macro, a plugin or a build tool: what is compiled with it must be built again.
    case tool(module: String)
    /// A plugin makes sources of it, for this module.
    case input(module: String)
    /// Nothing of the program is made of it.
    case none
}
