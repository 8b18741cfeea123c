import Glibc
import HotpatchMemory

/// Why a process, or a file, could not be read.
public enum ReadError: Error, Hashable, Sendable {
    /// A file that is not what it claims to be. `offset` is in bytes from the start of the file.
    case malformed(path: String, offset: UInt64, what: String)
    /// An ELF file of a class, byte order or machine that is not supported.
    case unsupported(path: String, what: String)
    /// A library that a process would take, and not be what it was: `remedy` says how to link it.
    case unloadable(path: String, what: String, remedy: String)
    /// A file that cannot be opened or read; `code` is errno.
    case unreadable(path: String, code: Int32)
    /// The file on disk is no longer the one the process has mapped.
    case replaced(path: String, what: String)
    /// What `reading` says could not be read to its end in so many milliseconds.
    case outOfTime(reading: String, milliseconds: Int)
    /// The process does not exist, or ended while it was looked at.
    case noProcess(pid: Int32)
}

extension ReadError: CustomStringConvertible {
    /// What could not be read, why, and what to do.
    public var description: String {
        switch self {
        case .malformed(let path, let offset, let what):
            return "\(path) is malformed at file offset 0x\(String(offset, radix: 16)): \(what)."
                + " Rebuild or reinstall the file."
        case .unsupported(let path, let what):
            return "\(path) is not supported: \(what). Only 64-bit little-endian ELF files for x86_64 and arm64 are."
        case .unloadable(let path, let what, let remedy):
            return "\(path) is not loaded into a process: \(what). \(remedy)."
        case .unreadable(let path, let code):
            return "cannot read \(path): \(errorText(code))."
                + (code == EACCES || code == EPERM ? " " + mendForRights(path) : "")
        case .replaced(let path, let what):
            return "\(path) is not the file the process has mapped: \(what)."
                + " Put the original file back, or restart the process with the new one."
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
