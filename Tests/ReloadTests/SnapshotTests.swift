import Glibc
import HotpatchExpectations
import HotpatchReload
import HotpatchTestSupport
import Testing

@Suite struct SnapshotTests {
    @Test func keepsObjectsAndSources() throws {
        let recipe = try BuildPackage.recipe()
        let parent = try TemporaryDirectory("snapshot")
        var snapshot: Snapshot? = try Snapshot(of: recipe, in: parent.path)
        let folder = try #require(snapshot).folder
        var status = stat()
        #expect(lstat(folder, &status) == 0 && status.st_mode & 0o777 == 0o700)
        for file in ["Core/Shop.swift", "CSum/sum.c"] {
            let path = try BuildPackage.source(file)
            let source = try #require(recipe.source(path)?.source)
            let object = try #require(snapshot?.object(of: path))
            #expect(object.hasPrefix(folder) && object.hasSuffix(source.object.split(separator: "/").last!))
            try expect([UInt8](readingFile: object), equals: [UInt8](readingFile: source.object))
            try expect(String(readingFile: #require(snapshot?.contents(of: path))), equals: String(readingFile: path))
        }
        expect(snapshot?.edited, equals: [])
        snapshot = nil
        #expect(access(folder, F_OK) != 0)
    }

    @Test func foldersThatNothingNeedsGo() throws {
        let parent = try TemporaryDirectory("snapshot")
        let snapshot = try Snapshot(of: BuildPackage.recipe(), in: parent.path)
        for number in 1...12 { try BuildPackage.write("x", to: snapshot.makeFolder("save-\(number)") + "/a.o") }
        let kept = try #require(snapshot.object(of: BuildPackage.source("CSum/sum.c")))
        snapshot.removeFolders(
            named: "save-",
            butThoseOf: ["\(snapshot.folder)/save-1/0/a.o", "\(snapshot.folder)/save-12", "", "/", kept])
        let left = try run(["ls", snapshot.folder]).output.split(separator: "\n").filter { $0.hasPrefix("save-") }
        expect(left, equals: ["save-1", "save-12"])
        expect(access(kept, F_OK), equals: 0)
        snapshot.remove()
        #expect(access(snapshot.folder, F_OK) != 0)
    }

    /// A file with another name has half of its lines at least.
    @Test func renamed() throws {
        let parent = try TemporaryDirectory("snapshot")
        let snapshot = try Snapshot(of: BuildPackage.recipe(), in: parent.path)
        let (shop, sum) = (try BuildPackage.source("Core/Shop.swift"), try BuildPackage.source("CSum/sum.c"))
        let lines = try String(readingFile: shop).split(separator: "\n", omittingEmptySubsequences: false)
        let new = parent.path + "/New.swift"
        func found(_ text: String, among sources: [String] = [sum, shop]) throws -> String? {
            try BuildPackage.write(text, to: new)
            return LiveSources(snapshot).source(like: new, among: sources)
        }
        try expect(found(lines.joined(separator: "\n")), equals: shop)
        try expect(found((lines + ["// One more"]).joined(separator: "\n\n")), equals: shop)
        try expect(found(lines.joined(separator: "\n"), among: [sum, "/none"]), equals: nil)
        try expect(found((lines + lines + ["// One more"]).joined(separator: "\n")), equals: nil)
        for text in ["", "\n \n", "// One more\n"] { #expect(try found(text) == nil) }
        expect(LiveSources(snapshot).source(like: parent.path + "/none", among: [shop]), equals: nil)
    }

    /// The files as they were are compiled again, whatever they are by now.
    @Test func originals() throws {
        let package = try TemporaryDirectory("database")
        try BuildPackage.write("int a(void) { return 1; }\n", to: package.path + "/a.c")
        try BuildPackage.write(
            "[{\"directory\":\"\(package.path)\",\"file\":\"a.c\",\"arguments\":[\"gcc\",\"-c\",\"a.c\",\"-o\",\"a.o\"]}]",
            to: package.path + "/compile_commands.json")
        try runTool("gcc", "-c", package.path + "/a.c", "-o", package.path + "/a.o")
        let recipe = try BuildRecipe.find(directory: package.path)
        let snapshot = try Snapshot(of: recipe, in: package.path)
        try BuildPackage.write("int b(void) { return 2; }\n", to: package.path + "/a.c")
        try expect(Snapshot(of: recipe, in: package.path).edited.isEmpty, equals: (sameTime(package.path)))
        let object = try #require(snapshot.object(of: package.path + "/a.c"))
        #expect(try run(["nm", object]).output.contains(" a\n"))
        #expect(try String(readingFile: #require(snapshot.contents(of: package.path + "/a.c"))).contains("int a"))
    }

    /// Whether the edit has the time of the object: some file systems count in steps.
    private func sameTime(_ folder: String) -> Bool {
        var (source, object) = (stat(), stat())
        stat(folder + "/a.c", &source)
        stat(folder + "/a.o", &object)
        return source.st_mtim.tv_sec == object.st_mtim.tv_sec && source.st_mtim.tv_nsec <= object.st_mtim.tv_nsec
    }

    @Test func originalsOfSwift() throws {
        let recipe = try BuildPackage.recipe()
        let snapshot = try Snapshot(of: recipe)
        let command = try snapshot.original(recipe.command(for: BuildPackage.source("Core/Shop.swift")))
        let result = try command.run(into: snapshot.makeFolder("baseline"))
        expect(result.status, equals: 0, "\(result.text)")
        expect(access(command.outputs(in: snapshot.folder + "/baseline").object, R_OK), equals: 0)
    }

    /// Whoever cleans up temporary files may take some of it, or the folder.
    @Test func whatIsMissing() throws {
        let parent = try TemporaryDirectory("snapshot")
        let snapshot = try Snapshot(of: BuildPackage.recipe(), in: parent.path)
        #expect(snapshot.isWhole)
        let object = try #require(snapshot.object(of: BuildPackage.source("CSum/sum.c")))
        expect(rename(object, object + "~"), equals: 0)
        #expect(!snapshot.isWhole)
        expect(rename(object + "~", object), equals: 0)
        #expect(snapshot.isWhole)
        snapshot.remove()
        #expect(!snapshot.isWhole)
        do {
            _ = try Snapshot(of: BuildPackage.recipe(), in: parent.path + "/none")
            Issue.record("no error")
        } catch { #expect("\(error)".contains("/none"), "\(error)") }
    }

    /// A watcher that was killed leaves its folder; the next one removes it, and what a link in it leads to stays.
    @Test func leftovers() throws {
        let parent = try TemporaryDirectory("leftovers")
        let ended = try spawn(["true"])
        reap(ended)
        let left = parent.path + "/hotpatch-watch-\(ended)-abcdef"
        let living = parent.path + "/hotpatch-watch-1-abcdef"
        try BuildPackage.write("x", to: left + "/0/a.o")
        try BuildPackage.write("x", to: living + "/0/a.o")
        try BuildPackage.write("x", to: parent.path + "/mine")
        symlink(parent.path, left + "/link")
        let snapshot = try Snapshot(of: BuildPackage.recipe(), in: parent.path)
        #expect(access(left, F_OK) != 0)
        expect(access(living + "/0/a.o", F_OK), equals: 0)
        expect(access(parent.path + "/mine", F_OK), equals: 0)
        expect(access(snapshot.folder, F_OK), equals: 0)
    }
}
