import Glibc
import HotpatchMemory

/// Why a name, an address or a file could not be turned into a symbol.
public enum SymbolError: Error, Sendable {
    /// One definition of an ambiguous name.
    public struct Candidate: Hashable, Sendable {
        public var image: String
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
    /// A file that is not what it claims to be. `offset` is in bytes from the start of the file.
    case malformed(path: String, offset: UInt64, what: String)
    /// An ELF file of a class, byte order or machine that is not supported.
    case unsupported(path: String, what: String)
    /// A file that cannot be opened or read; `code` is errno.
    case unreadable(path: String, code: Int32)
    /// The file on disk is no longer the one the process has mapped.
    case replaced(path: String, what: String)
    /// An indirect function (STT_GNU_IFUNC) whose implementation no relocation of the process tells.
    case indirectUnresolved(name: String, image: String, resolver: Address)
    /// What `reading` says could not be read to its end in so many milliseconds.
    case outOfTime(reading: String, milliseconds: Int)
    /// The process does not exist, or ended while it was looked at.
    case noProcess(pid: Int32)
}

extension SymbolError: CustomStringConvertible {
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
        case .malformed(let path, let offset, let what):
            return "\(path) is malformed at file offset 0x\(String(offset, radix: 16)): \(what)."
                + " Rebuild or reinstall the file."
        case .unsupported(let path, let what):
            return "\(path) is not supported: \(what). Only 64-bit little-endian ELF files for x86_64 and arm64 are."
        case .unreadable(let path, let code):
            return "cannot read \(path): \(String(cString: strerror(code)))."
                + (code == EACCES || code == EPERM ? " " + mendForRights(path) : "")
        case .replaced(let path, let what):
            return "\(path) is not the file the process has mapped: \(what)."
                + " Put the original file back, or restart the process with the new one."
        case .indirectUnresolved(let name, let image, let resolver):
            return
                "'\(name)' in \(image) is an indirect function (resolver at \(resolver)), and no relocation in the process"
                + " holds an implementation inside that image. Name the implementation itself, or call the function once first."
                + " One that the kernel provides (the vDSO's time and gettimeofday) cannot be patched: patch what calls it."
        case .outOfTime(let what, let milliseconds):
            return
                "the time was over while \(what) were read: it took longer than \(milliseconds) ms. Nothing was changed. "
                + "Try again with a longer timeout, or with more of the processor (nice)."
        case .noProcess(let pid):
            return "there is no process \(pid), or it ended while it was read. Check the process id."
        }
    }
}

private func mendForRights(_ path: String) -> String {
    guard geteuid() == 0, path.hasPrefix("/proc/") else { return "Run as the owner of the process, or as root." }
    return
        "This is root without the right to look into that process: give it CAP_SYS_PTRACE (in a container: --cap-add SYS_PTRACE)."
}
