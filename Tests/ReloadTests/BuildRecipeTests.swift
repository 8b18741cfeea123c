import Glibc
import HotpatchExpectations
import HotpatchReload
import HotpatchTestSupport
import Testing

@Suite struct BuildRecipeTests {
    @Test func modules() throws {
        let root = try BuildPackage.path()
        let recipe = try BuildPackage.recipe()
        expect(recipe.system, equals: .native)
        expect(recipe.product, equals: "App")
        expect(recipe.edited.map(\.name).sorted(), equals: ["App", "CSum", "Core"])
        let core = try #require(recipe.module("Core"))
        #expect(core.directories == [root + "/Sources/Core"])
        #expect(recipe.isThere)
        #expect(
            core.sources.filter { !$0.isGenerated }.map { $0.path.split(separator: "/").last } == [
                "Alone.swift", "Names.swift", "Shop.swift", "Twice.swift",
            ])
        #expect(core.dependencies.contains("CSum"))
        expect(recipe.watchedDirectories, equals: ["App", "CSum", "Core"].map { root + "/Sources/\($0)" })
        expect(recipe.manifests, equals: [root + "/Package.swift"])
    }

    @Test func roles() throws {
        let sources = try BuildPackage.path() + "/Sources/"
        let recipe = try BuildPackage.recipe()
        expect(recipe.role(of: sources + "Core/Shop.swift"), equals: .swift(module: "Core"))
        expect(recipe.role(of: sources + "Core/../Core/New.swift"), equals: .newSwift(module: "Core"))
        expect(recipe.role(of: sources + "CSum/sum.c"), equals: .clang(module: "CSum"))
        guard case .included(let users) = recipe.role(of: sources + "CSum/include/sum.h") else {
            Issue.record("sum.h is \(recipe.role(of: sources + "CSum/include/sum.h"))")
            return
        }
        #expect(users.contains(sources + "CSum/sum.c") && users.contains(sources + "Core/Shop.swift"))
        guard case .resource(let copies) = recipe.role(of: sources + "Core/Resources/greeting.txt") else {
            Issue.record("greeting.txt is \(recipe.role(of: sources + "Core/Resources/greeting.txt"))")
            return
        }
        try expect(String(readingFile: #require(copies.first)), equals: "hello\n")
        expect(recipe.role(of: try BuildPackage.path() + "/Package.swift"), equals: .manifest)
        expect(recipe.role(of: sources + "Core/notes.txt"), equals: .none)
        expect(recipe.role(of: "/etc/passwd"), equals: .none)
        // A new file of C is compiled as another one of its kind is.
        let more = sources + "CSum/more.c"
        expect(recipe.role(of: more), equals: .newClang(module: "CSum"))
        expect(recipe.role(of: sources + "CSum/more.cpp"), equals: .none)
        let larger = recipe.changing(adding: [(more, "CSum")], removing: [])
        let added = try #require(larger.source(more)?.source)
        #expect(added.isNew && added.object.hasSuffix("/more.c.o") && larger.role(of: more) == .clang(module: "CSum"))
        let words = try larger.command(for: more).arguments
        #expect(words.contains(more) && !words.contains(sources + "CSum/sum.c"))
    }

    /// What the build itself has made of a file comes out again.
    @Test(arguments: ["Core/Shop.swift", "Core/Names.swift", "App/Line.swift", "App/main.swift", "CSum/sum.c"])
    func sameObject(_ file: String) throws {
        let recipe = try BuildPackage.recipe()
        let path = try BuildPackage.path() + "/Sources/" + file
        let command = try recipe.command(for: path)
        let folder = try TemporaryDirectory("objects")
        let result = try command.run(into: folder.path)
        expect(result.status, equals: 0, "\(result.text)")
        let outputs = command.outputs(in: folder.path)
        let built = try #require(recipe.source(path)).source.object
        try expect(Self.code(outputs.object, in: folder), equals: Self.code(built, in: folder))
        #expect(try String(readingFile: outputs.dependencies).contains(path))
    }

    /// An object without the hash that the frontend writes into it, of its code and of where it was told to write, and without debug
    /// information: that names the modules of the system by where they were found, which is another place once they are cached.
    private static func code(_ object: String, in folder: TemporaryDirectory) throws -> [UInt8] {
        let copy = folder.path + "/stripped.o"
        try runTool("objcopy", "-g", "-R", ".swift_modhash", object, copy)
        return try [UInt8](readingFile: copy)
    }

    @Test func compileError() throws {
        let recipe = try BuildPackage.recipe()
        let path = try BuildPackage.path() + "/Sources/Core/Alone.swift"
        let folder = try TemporaryDirectory("objects")
        try BuildPackage.write("func alone() -> Int { \"one\" }\n", to: folder.path + "/edited")
        let command = try recipe.command(for: path)
            .replacing([path: folder.path + "/edited"], overlay: folder.path + "/overlay")
        let result = try command.run(into: folder.path)
        expect(result.status, equals: 1)
        #expect(result.text.contains("\(path):1:23: error: cannot convert return expression of type 'String'"))
        #expect(access(command.outputs(in: folder.path).object, F_OK) != 0)
    }

    @Test func commandOfUnknownFile() throws {
        let recipe = try BuildPackage.recipe()
        #expect(throws: BuildError.noCommand(path: "/x.swift")) { try recipe.command(for: "/x.swift") }
    }

    @Test func findsByTheExecutable() throws {
        let root = try BuildPackage.path()
        for recipe in [
            try BuildRecipe.find(directory: "/", executable: root + "/.build/debug/App"),
            try BuildRecipe.find(directory: root, command: [".build/debug/App", "x"]),
            try BuildRecipe.find(directory: "/tmp", command: ["swift", "run", "--package-path", root, "App"]),
        ] {
            expect(recipe.root, equals: root)
            expect(recipe.product, equals: "App")
        }
        #expect(throws: BuildError.self) { try BuildRecipe.find(directory: "/usr") }
        #expect(throws: BuildError.notDebug(module: "App", flag: "-c release")) {
            try BuildRecipe.find(directory: root, command: ["swift", "run", "-c", "release", "App"])
        }
    }

    /// A package that is reached by a link is the same package.
    @Test func links() throws {
        let directory = try TemporaryDirectory("links")
        let link = directory.path + "/link"
        expect(symlink(try BuildPackage.path(), link), equals: 0)
        let recipe = try BuildRecipe.find(directory: link, command: ["swift", "run"])
        expect(recipe.role(of: link + "/Sources/Core/Shop.swift"), equals: .swift(module: "Core"))
        expect(recipe.root, equals: (try BuildPackage.path()))
    }
}
