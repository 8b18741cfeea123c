import CHotpatchLinux
import Glibc

/// A file that does not hold what it held.
package struct FileChange: Hashable, Sendable {
    package enum Kind: String, Hashable, Sendable {
        case modified, created, removed
    }

    /// Absolute. Of a directory that is watched, symbolic links are resolved; inside it a file is known by its name there.
    package var path: String
    package var kind: Kind

    package init(path: String, kind: Kind) {
        self.path = path
        self.kind = kind
    }
}

/// Tells which files below some directories have been saved with other contents.
///
/// Wait until ``descriptor`` is readable, call ``changes()``, and take what it returns, if anything: files that were saved together,
/// once no further one has followed for a moment. While nothing happens, nothing runs.
///
/// ```swift
/// let watcher = try FileWatcher(directories: ["Sources"], files: ["Package.swift"])
/// var waiting = pollfd(fd: watcher.descriptor, events: Int16(POLLIN), revents: 0)
/// while poll(&waiting, 1, -1) > 0 || errno == EINTR {
///     guard let changes = try watcher.changes() else { continue }
///     …
/// }
/// ```
///
/// It does not matter how an editor saves: a file is compared with what it held, when its writer has closed it or another one was moved
/// into its place. Directories that are made or moved later are taken in. Symbolic links are followed, each directory once. Where
/// the kernel has lost events, everything is looked at.
///
/// Not for several threads at once.
package final class FileWatcher {
    package struct Options {
        /// Files are reported when nothing has happened to any for so long.
        package var quietMilliseconds = 25
        /// The same where a file has gone: an editor may be about to put the new one in its place.
        package var quietMillisecondsAfterRemoval = 100
        /// So long after the first one they are reported without a quiet moment.
        package var longestMilliseconds = 500
        /// Files that are saved after a quiet moment are reported at once, and those that follow them after the next one:
        /// ``FileWatcher/isSettled`` tells whether it has come.
        package var reportsFirstAtOnce = false
        /// Directories that are not looked into, with all below them: where builds go. Hidden ones never are.
        package var excluded: [String] = []
        /// Whether a file is one of those that count, told by its path. What editors leave is not asked about.
        package var includes: (String) -> Bool = FileWatcher.isSource

        package init() {}
    }

    /// Whether a path has an extension that a Swift package is compiled from: Swift, C, C++ and assembly, and their headers.
    package static func isSource(_ path: String) -> Bool {
        FileWatcherRules.sourceExtensions.contains(String(FileWatcherRules.fileExtension(of: path)))
    }

    /// Whether all that was saved together is reported: no further file has followed for a moment. As of the last ``changes()``; where files
    /// are reported at once it returns nil when this becomes so.
    package private(set) var isSettled = true

    /// Readable when ``changes()`` is to be called.
    package let descriptor: Int32

    private(set) var options = Options()
    private(set) var excluded: Set<String> = []
    var inotify: Inotify
    let timer: Int32
    var tree = FileWatcherTree()
    var batch = FileWatcherBatch()
    private var known: [String: FileWatcherContents] = [:]
    private var trouble: FileWatcherError?

    /// Begins to watch. What a file holds now is what it is compared with: make a watcher before a build reads the files.
    /// - Parameters:
    ///   - directories: with all below them.
    ///   - files: watched whatever they are called. They may be missing, their directories not.
    package init(directories: [String], files: [String] = [], options: Options = Options()) throws(FileWatcherError) {
        inotify = try Inotify()
        descriptor = linux_epoll()
        timer = linux_timer()
        guard descriptor >= 0, timer >= 0, linux_epoll_add(descriptor, inotify.descriptor) == 0,
            linux_epoll_add(descriptor, timer) == 0
        else { throw .cannotWatch(path: "files", code: errno) }
        try watch(directories: directories, files: files, options: options)
    }

    /// Watches other directories and files from now on. Of those that were watched before no change is lost: what was saved and not
    /// told yet is told by ``changes()``. Of the others, what they hold now is what they are compared with.
    /// - Throws: as ``init(directories:files:options:)``; then it watches what it can.
    package func watch(
        directories: [String], files: [String] = [], options: Options = Options()
    ) throws(FileWatcherError) {
        var new = FileWatcherTree()
        for directory in directories {
            guard let path = Self.resolved(directory) else { throw .notADirectory(path: directory) }
            new.roots.append(path)
        }
        for file in files {
            let (folder, name) = Self.parts(of: file)
            guard let path = Self.resolved(folder) else { throw .notADirectory(path: folder) }
            new.files.append(Self.join(path, name))
        }
        self.options = options
        excluded = Set(options.excluded.map { Self.resolved($0) ?? $0 })
        func nanoseconds(_ milliseconds: Int) -> UInt64 { UInt64(max(0, milliseconds)) * 1_000_000 }
        batch.quiet = nanoseconds(options.quietMilliseconds)
        batch.quietAfterRemoval = nanoseconds(options.quietMillisecondsAfterRemoval)
        batch.longest = nanoseconds(options.longestMilliseconds)
        batch.takesFirstAtOnce = options.reportsFirstAtOnce
        tree = new
        var found: [String] = []
        let error = watchAnew(found: &found)
        let now = linux_monotonic_time()
        let kept = Set(found)
        let before = known.keys
        for path in found where known[path] == nil && !batch.isPending(path) {
            known[path] = FileWatcherContents(reading: path)
        }
        for path in before {
            if kept.contains(path) || access(path, F_OK) != 0 {
                batch.completed(path, .possible, at: now)
            } else {
                known[path] = nil
                batch.forget(path)
            }
        }
        linux_timer_set(timer, batch.wake(at: now) ?? 0)
        if let error { throw error }
    }

    deinit {
        if descriptor >= 0 { close(descriptor) }
        if timer >= 0 { close(timer) }
    }

    /// The number of files that are known.
    package var fileCount: Int { known.count }

    /// Those of the directories where a change is not told of if another machine has made it: NFS, SMB, and what a virtual machine shares
    /// with its host.
    package var directoriesOfOtherMachines: [String] {
        // NFS, SMB, SMB2, CIFS, 9p, FUSE (which is virtiofs too), vboxsf (linux/magic.h).
        let shared: Set<Int64> = [0x6969, 0x517b, 0xfe53_4d42, 0xff53_4d42, 0x0102_1997, 0x6573_5546, 0x786f_4256]
        return tree.roots.filter { shared.contains(linux_file_system($0) & 0xffff_ffff) }
    }

    /// The files that have changed, in the order of their paths; nil where none has, or where some may be about to follow.
    /// Never waits.
    /// - Parameter again: these have changed also where they are saved as they were.
    /// - Throws: where a new directory cannot be watched. The watcher goes on without it, and is called again.
    package func changes(again: Set<String> = []) throws(FileWatcherError) -> [FileChange]? {
        for event in inotify.read() where !handle(event) {
            // The other events are of the instance that this has closed.
            rescan()
            break
        }
        let now = linux_monotonic_time()
        let taken = batch.take(at: now)
        isSettled = batch.isSettled(at: now)
        // What was taken, or put off: the timer stands where the batch says.
        linux_timer_set(timer, batch.wake(at: now) ?? 0)
        let changes = taken.sorted { $0.key < $1.key }.compactMap {
            compare($0.key, $0.value, isSaveEnough: again.contains($0.key))
        }
        // What has been compared is not lost by the error: it is thrown by the next call.
        if changes.isEmpty, let error = trouble {
            trouble = nil
            throw error
        }
        if trouble != nil { linux_timer_set(timer, 1) }
        return changes.isEmpty ? nil : changes
    }

    private func compare(
        _ path: String, _ suspicion: FileWatcherBatch.Suspicion, isSaveEnough: Bool
    ) -> FileChange? {
        let old = known[path]
        if suspicion == .possible, let old, old.stillStands(at: path) { return nil }
        let new = FileWatcherContents(reading: path)
        known[path] = new
        switch (old, new) {
        case (nil, nil): return nil
        case (nil, _?): return FileChange(path: path, kind: .created)
        case (_?, nil): return FileChange(path: path, kind: .removed)
        case (let old?, let new?):
            return old.digest == new.digest && !isSaveEnough ? nil : FileChange(path: path, kind: .modified)
        }
    }
}

// MARK: - Events

extension FileWatcher {
    /// - Returns: false where events do not tell any more what has happened.
    private func handle(_ event: Inotify.Event) -> Bool {
        if event.has(IN_Q_OVERFLOW) { return false }
        guard let directory = tree.directories[event.watch] else { return true }
        let now = linux_monotonic_time()
        // The directory itself has moved. One whose directory above is watched is known by another watch by now.
        if event.has(IN_MOVE_SELF) { return false }
        if event.has(IN_DELETE_SELF, IN_UNMOUNT, IN_IGNORED) {
            if tree.watches[directory.path] == event.watch { forget(directory.path, at: now) }
            tree.directories[event.watch] = nil
            return true
        }
        handle(event, of: Self.join(directory.path, event.name), in: directory, at: now)
        return true
    }

    private func handle(
        _ event: Inotify.Event, of path: String, in directory: FileWatcherTree.Directory, at now: UInt64
    ) {
        for alias in tree.aliases[path] ?? [] { note(event, alias, at: now) }
        let isRoot = tree.roots.contains(path)
        guard directory.isWatched || isRoot else { return }
        let arrives = event.has(IN_CREATE, IN_MOVED_TO)
        if event.has(IN_DELETE, IN_MOVED_FROM), tree.watches[path] != nil { forget(path, at: now) }
        if event.has(IN_ISDIR) {
            guard arrives, isRoot || enters(path, name: event.name) else { return }
            return takeIn(path, at: now)
        }
        if arrives, let isDirectory = Self.linkLeadsToDirectory(path) {
            if isDirectory {
                if enters(path, name: event.name) { takeIn(path, at: now) }
                return
            }
            if includes(path, name: event.name) {
                trouble = addAlias(path) ?? trouble
                batch.completed(path, at: now)
            }
            return
        }
        if includes(path, name: event.name) { note(event, path, at: now) }
    }

    private func note(_ event: Inotify.Event, _ path: String, at now: UInt64) {
        if event.has(IN_CLOSE_WRITE, IN_MOVED_TO) {
            // A file that has been emptied is about to be written, as one that has gone is to come back.
            if isEmptied(path) { batch.removed(path, at: now) } else { batch.completed(path, at: now) }
        } else if event.has(IN_DELETE, IN_MOVED_FROM) {
            batch.removed(path, at: now)
        } else if event.has(IN_CREATE) {
            // A hard link is complete; a file that is made is closed later.
            var status = stat()
            if lstat(path, &status) == 0, status.st_nlink > 1 {
                batch.completed(path, at: now)
            } else {
                batch.writing(path, at: now)
            }
        } else if event.has(IN_MODIFY) {
            batch.writing(path, at: now)
        }
    }

    private func isEmptied(_ path: String) -> Bool {
        var status = stat()
        guard let known = known[path], known.stamp.size > 0 else { return false }
        return stat(path, &status) == 0 && status.st_size == 0
    }

    /// A directory that was made or moved here. Files may have come into it before it was watched.
    private func takeIn(_ path: String, at now: UInt64) {
        var found: [String] = []
        trouble = watch(path, found: &found) ?? trouble
        for file in found { batch.completed(file, at: now) }
    }

    /// A directory that was removed or moved away.
    private func forget(_ path: String, at now: UInt64) {
        for watch in tree.removeAll(below: path) { inotify.remove(watch) }
        for file in known.keys where file.hasPrefix(path + "/") { batch.removed(file, at: now) }
    }

    /// Events were lost: all directories are watched anew, and all files are looked at.
    private func rescan() {
        var found: [String] = []
        trouble = watchAnew(found: &found) ?? trouble
        let now = linux_monotonic_time()
        for path in Set(found).union(known.keys) { batch.completed(path, .possible, at: now) }
    }

    /// Leaves all events behind that nobody has read.
    /// - Returns: the first error. What can be watched is, all the same.
    private func watchAnew(found: inout [String]) -> FileWatcherError? {
        var failure: FileWatcherError?
        do throws(FileWatcherError) {
            let reopened = try Inotify()
            guard linux_epoll_add(descriptor, reopened.descriptor) == 0 else {
                throw .cannotWatch(path: "files", code: errno)
            }
            // Closing the old instance takes it out of the epoll too.
            inotify = reopened
        } catch {
            failure = error
        }
        tree.forgetWatches()
        batch.forgetWriters()
        return watchAll(found: &found) ?? failure
    }
}
