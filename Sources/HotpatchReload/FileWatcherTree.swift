import CHotpatchLinux
import Glibc
import HotpatchProcFS

/// The directories that are watched.
struct FileWatcherTree {
    struct Directory {
        var path: String
        /// Files in it count. Otherwise it is watched for some names only: those of `aliases`, and of roots.
        var isWatched: Bool
    }

    /// What was asked for: directories, and single files.
    var roots: [String] = []
    var files: [String] = []

    /// By watch.
    var directories: [Int32: Directory] = [:]
    /// By path.
    var watches: [String: Int32] = [:]
    /// What a file is reported as that is not found on the way through the directories: where a link leads, and single files.
    var aliases: [String: Set<String>] = [:]

    mutating func forgetWatches() {
        directories = [:]
        watches = [:]
        aliases = [:]
    }

    /// Takes a directory and those below it out.
    /// - Returns: their watches.
    mutating func removeAll(below path: String) -> [Int32] {
        let removed = watches.filter { $0.key == path || $0.key.hasPrefix(path + "/") }
        for (path, watch) in removed {
            watches[path] = nil
            directories[watch] = nil
        }
        return Array(removed.values)
    }
}

extension FileWatcher {
    /// Watches everything that was asked for.
    /// - Parameter found: the files that count are added.
    /// - Returns: the first error. What can be watched is, all the same.
    func watchAll(found: inout [String]) -> FileWatcherError? {
        var error: FileWatcherError?
        for root in tree.roots {
            let failure = watch(root, found: &found)
            error = error ?? failure
            // A root that is removed and made again is told of by the directory above only.
            let (folder, _) = Self.parts(of: root)
            let failureAbove = watchNames(in: folder)
            error = error ?? failureAbove
        }
        for file in tree.files {
            found.append(file)
            let failure = addAlias(file)
            error = error ?? failure
        }
        return error
    }

    /// Watches a directory and those below it, each before it is read: what comes into it later is told of.
    func watch(_ root: String, found: inout [String]) -> FileWatcherError? {
        var error: FileWatcherError?
        var waiting = [root]
        while let path = waiting.popLast() {
            let watch = inotify.add(path)
            guard watch >= 0 else {
                error = error ?? failure(path, code: -watch)
                continue
            }
            // The same directory by another path, which a link leads to.
            if let old = tree.directories[watch] {
                if old.isWatched { continue }
                tree.watches[old.path] = nil
                for (target, names) in tree.aliases where Self.parts(of: target).folder == old.path {
                    tree.aliases[Self.join(path, Self.parts(of: target).name), default: []].formUnion(names)
                }
            }
            tree.directories[watch] = FileWatcherTree.Directory(path: path, isWatched: true)
            tree.watches[path] = watch
            for (name, kind) in Self.entries(of: path) {
                let entry = Self.join(path, name)
                switch kind {
                case .directory: if enters(entry, name: name) { waiting.append(entry) }
                case .file(let isLink):
                    guard includes(entry, name: name) else { continue }
                    found.append(entry)
                    if isLink {
                        let failure = addAlias(entry)
                        error = error ?? failure
                    }
                }
            }
        }
        return error
    }

    /// Watches a file where it really lies.
    func addAlias(_ path: String) -> FileWatcherError? {
        // A link counts itself, and so does the file it leads to.
        for place in Set([path, Self.resolved(path) ?? path]) {
            let (folder, name) = Self.parts(of: place)
            if let error = watchNames(in: folder) { return error }
            // The directory may be known by another path.
            let watch = inotify.add(folder)
            guard let directory = tree.directories[watch] else { continue }
            let known = Self.join(directory.path, name)
            if known != path || !directory.isWatched || !includes(path, name: name) {
                tree.aliases[known, default: []].insert(path)
            }
        }
        return nil
    }

    private func watchNames(in folder: String) -> FileWatcherError? {
        guard tree.watches[folder] == nil else { return nil }
        let watch = inotify.add(folder)
        guard watch >= 0 else { return failure(folder, code: -watch) }
        if tree.directories[watch] == nil {
            tree.directories[watch] = FileWatcherTree.Directory(path: folder, isWatched: false)
            tree.watches[folder] = watch
        }
        return nil
    }

    /// - Returns: nil where a directory went away while it was looked at, or is another user's.
    func failure(_ path: String, code: Int32) -> FileWatcherError? {
        switch code {
        case ENOSPC:
            let limit = (try? ProcText.readString("/proc/sys/fs/inotify/max_user_watches")).flatMap {
                Int(ProcText.trimmed($0))
            }
            return .tooManyWatches(path: path, watched: tree.directories.count, limit: limit)
        case ENOENT, ENOTDIR, ELOOP: return nil
        case EACCES where !tree.roots.contains(path): return nil
        default: return .cannotWatch(path: path, code: code)
        }
    }

    func enters(_ path: String, name: String) -> Bool {
        !FileWatcherRules.ignoresFolder(name) && !excluded.contains(path)
    }

    func includes(_ path: String, name: String) -> Bool {
        !FileWatcherRules.ignoresFile(name) && options.includes(path)
    }
}

// MARK: - Paths

extension FileWatcher {
    enum Entry { case directory, file(isLink: Bool) }

    /// Without symbolic links; nil where there is nothing.
    static func resolved(_ path: String) -> String? {
        guard let real = realpath(path, nil) else { return nil }
        defer { free(real) }
        return String(cString: real)
    }

    static func join(_ folder: String, _ name: String) -> String {
        folder.hasSuffix("/") ? folder + name : folder + "/" + name
    }

    static func parts(of path: String) -> (folder: String, name: String) {
        guard let slash = path.lastIndex(of: "/") else { return (".", path) }
        return (slash == path.startIndex ? "/" : String(path[..<slash]), String(path[path.index(after: slash)...]))
    }

    /// Nil where the path is no symbolic link, or leads nowhere.
    static func linkLeadsToDirectory(_ path: String) -> Bool? {
        var status = stat()
        guard lstat(path, &status) == 0, status.st_mode & S_IFMT == S_IFLNK, stat(path, &status) == 0 else {
            return nil
        }
        return status.st_mode & S_IFMT == S_IFDIR
    }

    static func entries(of folder: String) -> [(name: String, kind: Entry)] {
        var entries: [(String, Entry)] = []
        for entry in DirectoryList.entries(of: folder) {
            let name = entry.name
            switch entry.type {
            case Int(DT_DIR): entries.append((name, .directory))
            case Int(DT_REG): entries.append((name, .file(isLink: false)))
            default:
                // A link, or a file system that does not tell.
                let path = join(folder, name)
                var status = stat()
                guard lstat(path, &status) == 0 else { continue }
                let isLink = status.st_mode & S_IFMT == S_IFLNK
                if isLink { guard stat(path, &status) == 0 else { continue } }
                switch status.st_mode & S_IFMT {
                case S_IFDIR: entries.append((name, .directory))
                case S_IFREG: entries.append((name, .file(isLink: isLink)))
                default: continue
                }
            }
        }
        return entries
    }
}
