import HotpatchSymbols

/// A function of a patch library that the process has too, and which is not replaced.
struct LeftOut: Sendable, Hashable {
    enum Reason: Sendable, Hashable, CaseIterable {
        /// The compiler made it: no source has it, and nobody has changed it.
        case made
        /// An inline function, or an instance of a template: every file that uses it brings one.
        case weak
        /// The process has other versions of it.
        case version
        /// The library declares types that the process has, and only what is named is replaced.
        case besideTypes
    }
    /// Mangled.
    var name: String
    var reason: Reason

    /// A note for each reason, with the number and the first few.
    static func notes(_ all: [LeftOut]) -> [String] {
        Reason.allCases.compactMap { reason in
            let names = all.filter { $0.reason == reason }.map { Demangling.demangle($0.name) ?? $0.name }
            guard !names.isEmpty else { return nil }
            let what =
                switch reason {
                case .made: "that the compiler made, not the source"
                case .weak: "that are weak (inline functions and templates)"
                case .version: "of which the process has other versions"
                case .besideTypes: "that --map does not name"
                }
            let functions = names.count == 1 ? "1 function" : "\(names.count) functions"
            let remedy = reason == .version ? "--map replaces one" : "--only with the whole name replaces one"
            return "left out: \(functions) \(what): \(shortList(names)). \(remedy)"
        }
    }
}

/// The first few of some names, in words.
func shortList(_ names: [String], limit: Int = 3) -> String {
    let first = names.prefix(limit).joined(separator: ", ")
    return names.count > limit ? "\(first), and \(names.count - limit) more" : first
}
