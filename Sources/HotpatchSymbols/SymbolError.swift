import HotpatchELF
import HotpatchMemory

/// Why a name or an address could not be turned into a symbol.
public enum SymbolError: Error, Sendable {
    /// One definition of an ambiguous name.
    public struct Candidate: Hashable, Sendable {
        /// The path of the executable or library that defines it.
        public var image: String
        /// The address of its first instruction.
        public var address: Address
        /// Mangled.
        public var name: String
        /// What means this one and none of the others, in its image.
        public var spelling: String
    }

    /// No image defines the name. `nearest` holds at most five names that are spelled alike; `stripped` says what cannot be seen of the
    /// image where it should be, as `SymbolIndex.whatIsStripped` does.
    case notFound(name: String, image: String?, nearest: [String], stripped: String? = nil)
    /// No function begins at the address. `inside` names the function that it lies in.
    case noFunctionAt(name: String, inside: String?)
    /// Several functions answer to the name.
    case ambiguous(name: String, candidates: [Candidate])
    /// An indirect function (STT_GNU_IFUNC) whose implementation no relocation of the process tells.
    case indirectUnresolved(name: String, image: String, resolver: Address)
    /// What the name should be looked up in could not be read.
    case unread(ReadError)

    package init(_ error: ReadError) { self = .unread(error) }
}

extension SymbolError: CustomStringConvertible {
    /// What was not found, and what to ask for instead.
    public var description: String {
        switch self {
        case .notFound(let name, let image, let nearest, let stripped):
            let place = image.map { "image '\($0)'" } ?? "any image of the process"
            let hint =
                nearest.isEmpty
                ? "List what there is with a pattern such as '*\(name)*'; a function that was inlined everywhere has no symbol."
                : "Spelled alike:" + nearest.map { "\n  \($0)" }.joined()
            return "no function named '\(name)' in \(place). " + (stripped.map { $0 + " " } ?? "") + hint
        case .noFunctionAt(let name, let inside):
            return "no function begins at \(name). "
                + (inside.map { "It lies in \($0). Write the address at which that begins." }
                    ?? "No symbol tells of code there. Write an address that symbols prints, or IMAGE+0xOFFSET.")
        case .ambiguous(let name, let candidates):
            let list = candidates.prefix(10).map { candidate in
                let readable = Demangling.demangle(candidate.name) ?? candidate.name
                let mangled = readable == candidate.name ? "" : " (\(candidate.name))"
                return "\(candidate.spelling)\(mangled) at \(candidate.address) in \(candidate.image)"
            }
            let rest = candidates.count > 10 ? ["and \(candidates.count - 10) more"] : []
            let lines = (list + rest).map { "\n  \($0)" }.joined()
            let isTold =
                Set(candidates.map(\.spelling)).count == candidates.count
                && !candidates.contains { $0.spelling == name }
            let mend =
                isTold ? "Write the name of the one that is meant as it stands here." : "Say which image is meant."
            return "'\(name)' names \(candidates.count) functions:\(lines)\n\(mend)"
        case .indirectUnresolved(let name, let image, let resolver):
            return
                "'\(name)' in \(image) is an indirect function (resolver at \(resolver)), and no relocation in the process"
                + " holds an implementation inside that image. Name the implementation itself, or call the function once first."
                + " One that the kernel provides (the vDSO's time and gettimeofday) cannot be patched: patch what calls it."
        case .unread(let error): return error.description
        }
    }
}
