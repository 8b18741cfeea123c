/// Why an object cannot be linked into a process. Nothing was touched.
package enum LinkError: Error, Hashable, Sendable {
    case notAnObject(path: String)
    /// The object was made for link-time optimisation: it holds no machine code.
    case bitcode(path: String)
    case malformed(path: String, what: String)
    /// The object is for another machine than the process.
    case otherMachine(path: String, object: String, process: String)
    /// What the process runs is not what the baseline says: of these functions, and why.
    case otherCode(path: String, image: String, functions: [String])
    /// None of the baseline's functions is in the process.
    case notInProcess(path: String)
    /// Symbols that neither the objects nor the process define.
    case undefined(path: String, names: [String])
    /// What cannot be changed without a restart: one line each.
    case restart(path: String, reasons: [String])
    case unsupported(path: String, what: String, remedy: String)
}

extension LinkError: CustomStringConvertible {
    package var description: String {
        switch self {
        case .notAnObject(let path):
            return "\(path) is not an object file. It is linked already. Name the .o file that the compiler wrote."
        case .bitcode(let path):
            return
                "\(path) holds no machine code, but what link-time optimisation reads. Compile it without -flto (-lto)."
        case .malformed(let path, let what):
            return "\(path) is malformed: \(what). Compile it again."
        case .otherMachine(let path, let object, let process):
            return "\(path) is for \(object), and the process runs on \(process). Compile it for \(process)."
        case .otherCode(let path, let image, let functions):
            return "the baseline \(path) is not what runs from \(image): \(list(functions)). "
                + "It was compiled from other sources, or with other options. Give the object that the program was linked from, or of a "
                + "later one the object that was applied last."
        case .notInProcess(let path):
            return
                "the process has none of the functions of \(path). Give an object of the program that runs, and check the process id."
        case .undefined(let path, let names):
            return "\(path) needs symbols that the process does not have: \(list(names)). "
                + "What defines them is not linked into the program. Apply the objects that define them too, or restart."
        case .restart(let path, let reasons):
            return reasons.map { "\($0): restart needed" }.joined(separator: "\n") + "\n\(path) was not applied."
        case .unsupported(let path, let what, let remedy):
            return "\(path) cannot be linked into a process: \(what). \(remedy)"
        }
    }

    private func list(_ names: [String]) -> String {
        names.prefix(8).joined(separator: ", ") + (names.count > 8 ? ", and \(names.count - 8) more" : "")
    }
}
