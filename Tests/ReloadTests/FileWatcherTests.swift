import Glibc
import HotpatchExpectations
import HotpatchTestSupport
import Testing

@testable import HotpatchReload

/// A directory with sources, and what changes in it.
private final class Tree {
    let directory: TemporaryDirectory
    let root: String
    private(set) var watcher: FileWatcher!

    init(_ files: [String: String], options: FileWatcher.Options = .init()) throws {
        directory = try TemporaryDirectory("watch")
        root = directory.path + "/Sources"
        mkdir(root, 0o755)
        for (name, text) in files { try write(name, text) }
        try watch(options: options)
    }

    func watch(_ names: [String] = [""], files: [String] = [], options: FileWatcher.Options = .init()) throws {
        watcher = try FileWatcher(directories: names.map(path), files: files.map(path), options: options)
    }

    func path(_ name: String) -> String { name.isEmpty ? root : root + "/" + name }

    /// Opens, truncates, writes and closes, as many editors do.
    func write(_ name: String, _ text: String) throws {
        let folders = name.split(separator: "/").dropLast()
        for count in folders.indices { mkdir(path(folders[...count].joined(separator: "/")), 0o755) }
        let file = open(path(name), O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0o644)
        guard file >= 0 else { throw TestFailure("cannot write \(name)") }
        defer { close(file) }
        _ = Glibc.write(file, text, text.utf8.count)
    }

    func move(_ old: String, _ new: String) { rename(path(old), path(new)) }
    func remove(_ name: String) { unlink(path(name)) }
    func link(_ target: String, _ name: String) { symlink(target, path(name)) }

    func isReadable(within milliseconds: Int32) -> Bool {
        var waiting = pollfd(fd: watcher.descriptor, events: Int16(POLLIN), revents: 0)
        return poll(&waiting, 1, milliseconds) != 0
    }

    /// The changes of the next batch, as "modified Routes.swift"; nil where none comes.
    func changes(again: Set<String> = [], within milliseconds: Int = 10_000) throws -> [String]? {
        let deadline = now() + milliseconds
        while now() < deadline {
            var waiting = pollfd(fd: watcher.descriptor, events: Int16(POLLIN), revents: 0)
            guard poll(&waiting, 1, Int32(max(0, deadline - now()))) > 0 else { continue }
            guard let changes = try watcher.changes(again: again) else { continue }
            return changes.map { change in
                let name =
                    change.path.hasPrefix(root + "/") ? String(change.path.dropFirst(root.count + 1)) : change.path
                return "\(change.kind.rawValue) \(name)"
            }
        }
        return nil
    }

    private func now() -> Int {
        var time = timespec()
        clock_gettime(CLOCK_MONOTONIC, &time)
        return Int(time.tv_sec) * 1000 + Int(time.tv_nsec) / 1_000_000
    }
}

/// What a test does between two calls of `changes()` lies in the kernel's queue until the second one: it is one batch, however
/// slow the machine.
@Suite struct FileWatcherTests {
    /// Each way to save tells the same: the file has changed, and nothing else has. What comes after it is a file of its own, which
    /// shows that nothing came between.
    @Test(arguments: ["truncated", "renamed", "vim", "jetbrains", "sed", "recreated", "linked", "slow"])
    func savedBy(_ editor: String) throws {
        let tree = try Tree(["Routes.swift": "let a = 1", "Other.swift": "let b = 1"])
        switch editor {
        case "truncated": try tree.write("Routes.swift", "let a = 2")
        case "renamed":
            try tree.write(".goutputstream-1PZX01", "let a = 2")
            tree.move(".goutputstream-1PZX01", "Routes.swift")
        case "vim":
            try tree.write("4913", "")
            tree.remove("4913")
            tree.move("Routes.swift", "Routes.swift~")
            try tree.write("Routes.swift", "let a = 2")
            tree.remove("Routes.swift~")
        case "jetbrains":
            try tree.write("Routes.swift___jb_tmp___", "let a = 2")
            tree.move("Routes.swift", "Routes.swift___jb_old___")
            tree.move("Routes.swift___jb_tmp___", "Routes.swift")
            tree.remove("Routes.swift___jb_old___")
        case "sed": try runTool("sed", "-i", "s/1/2/", tree.path("Routes.swift"))
        case "recreated":
            tree.remove("Routes.swift")
            try tree.write("Routes.swift", "let a = 2")
        case "linked":
            try tree.write("New", "let a = 2")
            tree.remove("Routes.swift")
            Glibc.link(tree.path("New"), tree.path("Routes.swift"))
        default:
            // Half of it is there for longer than the quiet time.
            let file = open(tree.path("Routes.swift"), O_WRONLY | O_TRUNC | O_CLOEXEC)
            _ = Glibc.write(file, "let a", 5)
            try expect(tree.changes(within: 150), equals: nil)
            _ = Glibc.write(file, " = 2", 4)
            close(file)
        }
        try expect(tree.changes(), equals: ["modified Routes.swift"])
        try tree.write("Other.swift", "let b = 2")
        try expect(tree.changes(), equals: ["modified Other.swift"])
    }

    /// The same bytes again, a touch, and what editors and builds leave: none of it is told.
    @Test func nothingChanged() throws {
        let tree = try Tree(["A.swift": "a", "B.swift": "b"])
        try tree.write("A.swift", "a")
        try runTool("touch", tree.path("B.swift"))
        for name in [
            ".A.swift.swp", "A.swift~", ".#A.swift", "#A.swift#", "4913", "A.swift___jb_tmp___", "A.tmp", "A.o",
        ] {
            try tree.write(name, "x")
        }
        for folder in [".build", ".build-release", ".git", "DerivedData", ".hidden"] {
            try tree.write(folder + "/deep/A.swift", "x")
        }
        try expect(tree.changes(within: 200), equals: nil)
        // Nor is it, when more is.
        try tree.write("A.swift", "a")
        try tree.write("B.swift", "bb")
        #expect(try tree.changes() == ["modified B.swift"])
        // But of what is waited for, for it did not go into the program.
        try tree.write("A.swift", "a")
        try tree.write("B.swift", "bb")
        #expect(try tree.changes(again: [tree.path("A.swift")]) == ["modified A.swift"])
    }

    /// What is emptied is waited for as what is removed; a file that was empty before, or is new, is not.
    @Test func emptied() throws {
        var options = FileWatcher.Options()
        options.reportsFirstAtOnce = true
        options.quietMillisecondsAfterRemoval = 600_000
        options.longestMilliseconds = 600_000
        let tree = try Tree(["a.swift": "1\n", "b.swift": ""], options: options)
        try tree.write("a.swift", "")
        try expect(tree.changes(within: 300), equals: nil)
        try tree.write("a.swift", "2\n")
        try expect(tree.changes(), equals: ["modified a.swift"])
        try tree.write("c.swift", "")
        try expect(tree.changes(), equals: ["created c.swift"])
        // One that stays empty is told in the end.
        options.quietMillisecondsAfterRemoval = 50
        try tree.watcher.watch(directories: [tree.root], options: options)
        try tree.write("a.swift", "")
        try expect(tree.changes(), equals: ["modified a.swift"])
    }

    @Test func savedTogether() throws {
        let tree = try Tree(["A.swift": "a", "B.swift": "b", "C.swift": "c"])
        try tree.write("B.swift", "b2")
        try tree.write("A.swift", "a2")
        tree.remove("C.swift")
        try tree.write("D.swift", "d")
        try expect(
            tree.changes(),
            equals: [
                "modified A.swift", "modified B.swift", "removed C.swift", "created D.swift",
            ])
    }

    @Test func newDirectories() throws {
        let tree = try Tree(["A.swift": "a"])
        // The files are there before anybody can have watched the directories.
        try runTool(
            "sh", "-c", "cd \(tree.root) && mkdir -p X/Y/Z && echo 1 >X/One.swift && echo 2 >X/Y/Z/Two.swift")
        try expect(tree.changes(), equals: ["created X/One.swift", "created X/Y/Z/Two.swift"])
        try tree.write("X/Y/Z/Two.swift", "22")
        try expect(tree.changes(), equals: ["modified X/Y/Z/Two.swift"])
    }

    @Test func movedDirectories() throws {
        let tree = try Tree(["X/Y/A.swift": "a", "B.swift": "b"])
        tree.move("X", "Z")
        try expect(tree.changes(), equals: ["removed X/Y/A.swift", "created Z/Y/A.swift"])
        try tree.write("Z/Y/A.swift", "aa")
        try expect(tree.changes(), equals: ["modified Z/Y/A.swift"])
        // Out of what is watched, changed there, and back.
        rename(tree.path("Z"), tree.directory.path + "/Z")
        try expect(tree.changes(), equals: ["removed Z/Y/A.swift"])
        try tree.write("../Z/Y/A.swift", "aaa")
        try expect(tree.changes(within: 100), equals: nil)
        rename(tree.directory.path + "/Z", tree.path("Z"))
        try expect(tree.changes(), equals: ["created Z/Y/A.swift"])
        try tree.write("Z/Y/A.swift", "aaaa")
        try expect(tree.changes(), equals: ["modified Z/Y/A.swift"])
    }

    /// git does it to a directory whose files all change their branch.
    @Test func recreatedDirectories() throws {
        let tree = try Tree(["X/A.swift": "a", "X/B.swift": "b"])
        try runTool("sh", "-c", "cd \(tree.root) && rm -r X && mkdir X && printf a >X/A.swift && printf bb >X/B.swift")
        try expect(tree.changes(), equals: ["modified X/B.swift"])
        // And to the one that was asked for.
        try runTool(
            "sh", "-c", "cd \(tree.root) && cd .. && rm -r Sources && mkdir -p Sources/X && printf a >Sources/X/A.swift"
        )
        try expect(tree.changes(), equals: ["removed X/B.swift"])
        try tree.write("X/A.swift", "aa")
        try expect(tree.changes(), equals: ["modified X/A.swift"])
    }

    @Test func links() throws {
        let tree = try Tree(["A.swift": "a", "../Shared/S.swift": "s", "../Far/F.swift": "f"])
        tree.link("../Shared", "Shared")
        tree.link("../Far/F.swift", "F.swift")
        tree.link("..", "Loop")
        try expect(tree.changes()?.contains("created F.swift"), equals: true)
        // By the path that it was found with first, once.
        try tree.watch()
        try tree.write("../Far/F.swift", "ff")
        try expect(tree.changes()?.contains("modified F.swift"), equals: true)
        try tree.write("../Shared/S.swift", "ss")
        try expect(tree.changes()?.count, equals: 1)
        tree.remove("F.swift")
        try expect(tree.changes(), equals: ["removed F.swift"])
    }

    /// A file that is named counts whatever it is called; others beside it do not.
    @Test func singleFiles() throws {
        let tree = try Tree(["A.swift": "a", "../Package.resolved": "1", "../Other.swift": "o"])
        try tree.watch(files: ["../Package.resolved", "../compile_commands.json"])
        try tree.write("../Other.swift", "oo")
        try tree.write("../new", "2")
        rename(tree.directory.path + "/new", tree.directory.path + "/Package.resolved")
        let folder = tree.directory.path
        try expect(tree.changes(), equals: ["modified \(folder)/Package.resolved"])
        try tree.write("../compile_commands.json", "[]")
        try expect(tree.changes(), equals: ["created \(folder)/compile_commands.json"])
        try tree.write("A.swift", "aa")
        try expect(tree.changes(), equals: ["modified A.swift"])
    }

    @Test func chosenFiles() throws {
        var options = FileWatcher.Options()
        let tree = try Tree([:])
        mkdir(tree.path("out"), 0o755)
        options.excluded = [tree.path("out")]
        options.includes = { $0.hasSuffix(".html") || FileWatcher.isSource($0) }
        try tree.watch(options: options)
        try tree.write("out/a.swift", "1")
        try tree.write("index.html", "1")
        try tree.write("index.css", "1")
        try expect(tree.changes(), equals: ["created index.html"])
    }

    /// More events than the kernel keeps: what has changed is found all the same, and what is new is watched.
    @Test func lostEvents() throws {
        let tree = try Tree(["A.swift": "a", "B.swift": "b", "Gone.swift": "g"])
        let limit = Int(try String(readingFile: "/proc/sys/fs/inotify/max_queued_events").dropLast()) ?? 16384
        // The same event twice in a row would be one.
        for number in 0..<(limit + 10) {
            close(open(tree.path("x\(number % 2)"), O_WRONLY | O_CREAT | O_CLOEXEC, 0o644))
        }
        try tree.write("A.swift", "aa")
        try tree.write("B.swift", "b")
        tree.remove("Gone.swift")
        try tree.write("X/C.swift", "c")
        try expect(tree.changes(), equals: ["modified A.swift", "removed Gone.swift", "created X/C.swift"])
        try tree.write("X/C.swift", "cc")
        try expect(tree.changes(), equals: ["modified X/C.swift"])
    }

    /// Once it is known what a program is built from, other directories are watched. What was saved meanwhile is told.
    @Test func otherDirectories() throws {
        var options = FileWatcher.Options()
        options.quietMilliseconds = 60_000
        options.longestMilliseconds = 60_000
        let tree = try Tree(
            ["A.swift": "a", "B.swift": "b", "X/C.swift": "c", "Gone.swift": "g", "../Other/O.swift": "o"],
            options: options)
        try tree.write("A.swift", "aa")
        try tree.write("X/C.swift", "cc")
        try tree.write("N.swift", "n")
        // One is pending, of others the event was not read yet.
        try expect(tree.watcher.changes(), equals: nil)
        try tree.write("B.swift", "bb")
        tree.remove("Gone.swift")
        options = FileWatcher.Options()
        options.excluded = [tree.path("X")]
        let directories = [tree.root, tree.directory.path + "/Other"]
        try tree.watcher.watch(directories: directories, options: options)
        try expect(
            tree.changes(), equals: ["modified A.swift", "modified B.swift", "removed Gone.swift", "created N.swift"])
        try tree.write("X/C.swift", "ccc")
        try tree.write("../Other/O.swift", "oo")
        try expect(tree.changes(), equals: ["modified \(tree.directory.path)/Other/O.swift"])
        expect(tree.watcher.fileCount, equals: 4)
        #expect(throws: FileWatcherError.notADirectory(path: "/nowhere/at/all")) {
            try tree.watcher.watch(directories: ["/nowhere/at/all"])
        }
        try tree.write("A.swift", "aaa")
        try expect(tree.changes(), equals: ["modified A.swift"])
    }

    /// While nothing happens, nothing is to be done.
    @Test func idle() throws {
        let tree = try Tree(["A.swift": "a"])
        #expect(!tree.isReadable(within: 100))
        try tree.write("A.swift", "aa")
        try expect(tree.changes(), equals: ["modified A.swift"])
        #expect(!tree.isReadable(within: 100))
        // Nor because of a file that is open.
        let file = open(tree.path("A.swift"), O_WRONLY | O_TRUNC | O_CLOEXEC)
        defer { close(file) }
        try expect(tree.changes(within: 100), equals: nil)
        #expect(!tree.isReadable(within: 100))
        expect(tree.watcher.directoriesOfOtherMachines, equals: [])
    }

    @Test func errors() throws {
        let watcher = try FileWatcher(directories: ["/proc/self/fdinfo"])
        let limit = Int(try String(readingFile: "/proc/sys/fs/inotify/max_user_watches").dropLast())
        expect(watcher.failure("/a", code: ENOSPC), equals: .tooManyWatches(path: "/a", watched: 2, limit: limit))
        expect(watcher.failure("/a", code: ENOENT), equals: nil)
        expect(watcher.failure("/a", code: EACCES), equals: nil)
        expect(watcher.failure("/a", code: ENOMEM), equals: .cannotWatch(path: "/a", code: ENOMEM))
        #expect(throws: FileWatcherError.notADirectory(path: "/nowhere/at/all")) {
            _ = try FileWatcher(directories: ["/nowhere/at/all"])
        }
        let errors: [FileWatcherError] = [
            .tooManyWatches(path: "/a/b", watched: 8192, limit: 8192),
            .tooManyWatches(path: "/a/b", watched: 8192, limit: nil),
            .tooManyInstances, .notADirectory(path: "/a"), .cannotWatch(path: "/a", code: EACCES),
        ]
        for error in errors { expect(faults(ofMessage: "\(error)"), equals: [], "\(error)") }
        #expect("\(errors[0])".contains("fs.inotify.max_user_watches, which is 8192"))
    }
}
