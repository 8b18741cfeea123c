import CHotpatchLinux
import Glibc

/// Whether a library may be run in a process on behalf of root: whoever can write to it, or put another in its place, would run what
/// he likes as the process's user.
///
/// Asked of the file that is open and will be loaded; of its folders by way of their own entries, from the one that holds the very file
/// up to the root directory.
struct LibraryTrust {
    /// The owner of the process, who may do to it what he likes.
    let owner: uid_t

    /// - Returns: what is wrong, as a sentence; nil where nothing is.
    func objection(to status: stat, descriptor: Int32, path: String) -> String? {
        if let reason = reason(status, isFolder: false) { return "\(path) is a file that \(reason)" }
        // A file that no name leads to cannot be exchanged for another.
        if status.st_nlink == 0 { return nil }
        guard let place = realPath(of: descriptor), let slash = place.lastIndex(of: "/") else {
            return "\(path) lies nowhere that can be looked at"
        }
        var name = slash == place.startIndex ? "/" : String(place[..<slash])
        var folder = linux_locate(name)
        defer { if folder >= 0 { _ = linux_close(folder) } }
        var entry = stat()
        guard folder >= 0,
            fstatat(folder, String(place[place.index(after: slash)...]), &entry, AT_SYMLINK_NOFOLLOW) == 0,
            entry.st_dev == status.st_dev, entry.st_ino == status.st_ino
        else { return "\(path) was moved or exchanged while it was looked at" }
        // As deep as the longest path.
        for _ in 0..<2048 {
            var status = stat()
            guard fstat(folder, &status) == 0 else { return "\(path) lies in a folder that cannot be looked at" }
            if let reason = reason(status, isFolder: true) { return "\(path) lies in \(name), which \(reason)" }
            var above = stat()
            let next = linux_locate_in(folder, "..")
            guard next >= 0, fstat(next, &above) == 0 else {
                return "\(path) lies in a folder that cannot be looked at"
            }
            _ = linux_close(folder)
            folder = next
            if above.st_dev == status.st_dev, above.st_ino == status.st_ino { return nil }
            name = name.lastIndex(of: "/").map { $0 == name.startIndex ? "/" : String(name[..<$0]) } ?? "/"
        }
        return "\(path) lies too deep"
    }

    private func reason(_ status: stat, isFolder: Bool) -> String? {
        guard status.st_uid == 0 || status.st_uid == owner else {
            return "belongs to user \(status.st_uid), who is neither root nor the process's owner (user \(owner))"
        }
        // In a folder with the sticky bit everybody keeps his own files.
        if isFolder, status.st_mode & S_ISVTX != 0 { return nil }
        if status.st_mode & S_IWOTH != 0 { return "everybody may write to" }
        if status.st_mode & S_IWGRP != 0, status.st_gid != 0 {
            return "the members of group \(status.st_gid) may write to"
        }
        return nil
    }

    private func realPath(of descriptor: Int32) -> String? {
        var buffer = [UInt8](repeating: 0, count: 4096)
        let count = buffer.withUnsafeMutableBytes {
            readlink("/proc/self/fd/\(descriptor)", $0.baseAddress!.assumingMemoryBound(to: CChar.self), $0.count)
        }
        return count > 0 && count < buffer.count ? String(decoding: buffer[..<count], as: UTF8.self) : nil
    }
}
