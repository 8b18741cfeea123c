import Glibc
import HotpatchMemory

/// Why it is not known how a file is compiled, or why a compiler could not be run.
package enum BuildError: Error, Hashable, Sendable {
    /// No build was found; what was looked for.
    case noBuild(String)
    /// What is compiled like this cannot be edited file by file.
    case notDebug(module: String, flag: String)
    /// A build's description that is not what it claims to be.
    case malformed(path: String, what: String)
    /// The build does not compile this file.
    case noCommand(path: String)
    /// The compiler driver did not say how it compiles a module; what it printed.
    case noJobs(module: String, printed: String)
    /// `code` is errno.
    case notStarted(program: String, code: Int32)
    case outOfTime(program: String, seconds: Int)
    /// `code` is errno.
    case file(path: String, doing: String, code: Int32)
}

extension BuildError: CustomStringConvertible {
    package var description: String {
        switch self {
        case .noBuild(let what):
            return
                "no build of the program was found. \(what). Build it first (swift build), or, for C and C++, write a "
                + "compile_commands.json (cmake -DCMAKE_EXPORT_COMPILE_COMMANDS=ON, or bear -- make)."
        case .notDebug(let module, let flag):
            return "\(module) is compiled with \(flag). Functions are inlined into others then, of other files too. "
                + "Build it for debugging (swift build -c debug)."
        case .malformed(let path, let what):
            return
                "\(path) cannot be understood. \(what). Build again; if it stays, report it with the version of Swift."
        case .noCommand(let path):
            return "\(path) is not among the files that the build compiles. Build again, if it is new."
        case .noJobs(let module, let printed):
            return "the compiler does not say how it compiles \(module). \(printed). Build again (swift build)."
        case .notStarted(let program, let code):
            return "cannot run \(program). \(errorText(code)). Check that it is installed."
        case .outOfTime(let program, let seconds):
            return "\(program) took longer than \(seconds) s. It was ended. Try again, or build by hand to see why."
        case .file(let path, let doing, let code):
            return
                "cannot \(doing) \(path). \(errorText(code)). Check its rights, and the room on the disk."
        }
    }
}
