import CHotpatchLinux
import Glibc
import HotpatchELF
import HotpatchProcFS

/// Files of builds, and their paths.
enum BuildFiles {
    /// A longer file is no description of a build.
    static let longest = 1 << 30

    static func read(_ path: String) throws(BuildError) -> [UInt8] {
        do throws(ReadError) {
            return try OpenFile(path: path).readAll(limit: longest, path: path)
        } catch {
            if case .unreadable(_, let code) = error { throw .file(path: path, doing: "read", code: code) }
            throw .malformed(path: path, what: "\(error)")
        }
    }

    static func json(_ path: String) throws(BuildError) -> JSON {
        let bytes = try read(path)
        do throws(JSONError) { return try JSON(reading: bytes) } catch {
            throw .malformed(path: path, what: "It is \(error.description.dropLast())")
        }
    }

    /// Writes a file anew.
    static func write(_ bytes: [UInt8], to path: String, mode: mode_t = 0o600) throws(BuildError) {
        let file = open(path, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, mode)
        guard file >= 0 else { throw .file(path: path, doing: "write", code: errno) }
        defer { close(file) }
        var done = 0
        while done < bytes.count {
            let count = bytes.withUnsafeBytes { Glibc.write(file, $0.baseAddress! + done, bytes.count - done) }
            if count < 0, errno == EINTR { continue }
            guard count > 0 else { throw .file(path: path, doing: "write", code: count < 0 ? errno : EIO) }
            done += count
        }
    }

    /// Makes a folder that only its owner can enter. One that exists stays.
    static func makeFolder(_ path: String) throws(BuildError) {
        guard mkdir(path, 0o700) == 0 || errno == EEXIST && isDirectory(path) else {
            throw .file(path: path, doing: "make", code: errno)
        }
    }

    static func rename(_ path: String, to new: String) throws(BuildError) {
        guard Glibc.rename(path, new) == 0 else { throw .file(path: path, doing: "rename", code: errno) }
    }

    static func copy(_ path: String, to new: String, mode: mode_t = 0o600) throws(BuildError) {
        try write(read(path), to: new, mode: mode)
    }

    /// Makes a folder and those that it lies in, as a build does.
    static func makeFolders(_ path: String) throws(BuildError) {
        if isDirectory(path) || path == "/" { return }
        try makeFolders(split(path).folder)
        guard mkdir(path, 0o755) == 0 || errno == EEXIST else { throw .file(path: path, doing: "make", code: errno) }
    }

    static func removeFile(_ path: String) { unlink(path) }

    /// Removes a folder and what is in it, links and not what they lead to. What cannot be removed stays.
    static func remove(_ folder: String) {
        for name in list(folder) {
            let path = join(folder, name)
            var status = stat()
            guard lstat(path, &status) == 0 else { continue }
            if status.st_mode & S_IFMT == S_IFDIR { remove(path) } else { unlink(path) }
        }
        rmdir(folder)
    }

    static func isFile(_ path: String) -> Bool { kind(path) == S_IFREG }
    static func isDirectory(_ path: String) -> Bool { kind(path) == S_IFDIR }

    /// When it was written last, in nanoseconds since 1970; 0 where it does not exist.
    static func modified(_ path: String) -> Int {
        var status = stat()
        guard linux_stat(path, &status) == 0 else { return 0 }
        return Int(status.st_mtim.tv_sec) * 1_000_000_000 + Int(status.st_mtim.tv_nsec)
    }

    private static func kind(_ path: String) -> mode_t? {
        var status = stat()
        return linux_stat(path, &status) == 0 ? status.st_mode & S_IFMT : nil
    }

    /// Without links, `.` and `..`; of a file that does not exist (any more), the folder's. The path itself where that fails.
    static func canonical(_ path: String) -> String {
        if let real = real(path) { return real }
        let (folder, name) = split(path)
        return real(folder).map { join($0, name) } ?? path
    }

    private static func real(_ path: String) -> String? {
        guard let real = realpath(path, nil) else { return nil }
        defer { free(real) }
        return String(cString: real)
    }

    /// The folder and the name; the folder is `.` where none is said.
    static func split(_ path: String) -> (folder: String, name: String) {
        guard let slash = path.utf8.lastIndex(of: UInt8(ascii: "/")) else { return (".", path) }
        let folder = slash == path.startIndex ? "/" : String(path[..<slash])
        return (folder, String(path[path.utf8.index(after: slash)...]))
    }

    static func join(_ folder: String, _ path: String) -> String {
        path.hasPrefix("/") ? path : folder.hasSuffix("/") ? folder + path : folder + "/" + path
    }

    static func isBelow(_ path: String, _ folder: String) -> Bool {
        path.hasPrefix(folder.hasSuffix("/") ? folder : folder + "/")
    }

    /// What a folder holds, by name; nothing where it cannot be read.
    static func list(_ folder: String) -> [String] { DirectoryList.entries(of: folder).map(\.name).sorted() }

    /// The folder that all of these files lie below.
    static func commonFolder(_ paths: [String]) -> String? {
        var common: [Substring]?
        for path in paths {
            let parts = split(path).folder.split(separator: "/")
            common = common.map { Array(zip($0, parts).prefix { $0 == $1 }.map(\.0)) } ?? parts
        }
        return common.map { "/" + $0.joined(separator: "/") }
    }

    /// What files a rule of make says that others are made of: the targets are left out.
    static func prerequisites(_ text: [UInt8]) -> [String] {
        var words: [String] = []
        var word: [UInt8] = []
        var isTarget = true
        var index = 0
        func end() {
            if !word.isEmpty, !isTarget { words.append(String(decoding: word, as: UTF8.self)) }
            word.removeAll(keepingCapacity: true)
        }
        while index < text.count {
            let byte = text[index]
            let next = index + 1 < text.count ? text[index + 1] : UInt8(ascii: "\n")
            index += 1
            switch byte {
            case UInt8(ascii: "\\") where next == UInt8(ascii: "\n"):
                end()
                index += 1
            case UInt8(ascii: "\\")
            where next == UInt8(ascii: " ") || next == UInt8(ascii: "#") || next == byte || next == UInt8(ascii: ":"):
                word.append(next)
                index += 1
            case UInt8(ascii: "$") where next == byte:
                word.append(byte)
                index += 1
            case UInt8(ascii: "\n"):
                end()
                isTarget = true
            case UInt8(ascii: " "), UInt8(ascii: "\t"), UInt8(ascii: "\r"): end()
            case UInt8(ascii: ":")
            where isTarget && (next == UInt8(ascii: " ") || next == UInt8(ascii: "\n") || next == UInt8(ascii: "\\")):
                word.removeAll(keepingCapacity: true)
                isTarget = false
            default: word.append(byte)
            }
        }
        end()
        return words
    }
}
