import Glibc
import HotpatchExpectations
import HotpatchTestSupport
import Testing

@testable import HotpatchReload

/// What SwiftPM's native build writes down of packages with more than sources: plugins, resources, two targets of one name.
@Suite struct BuildRecipeDescriptionTests {
    private struct Module {
        var name: String
        var sources: [String]
        var program = "App"
        var aliases: [String: String] = [:]
    }

    /// A package with what a build has left of it, as far as it is read.
    private func package(_ directory: TemporaryDirectory) throws -> (root: String, recipe: BuildRecipe) {
        let root = BuildFiles.canonical(directory.path)
        let scratch = root + "/.build"
        let folder = scratch + "/some-linux/debug"
        func text(_ json: JSON) -> String { json.description }
        let modules = [
            Module(name: "App", sources: ["Sources/App/main.swift"]),
            Module(name: "Kit", sources: ["Sources/Kit/Names.swift"]),
            Module(name: "OtherUtil", sources: ["Sources/Util/Names.swift"], aliases: ["Util": "OtherUtil"]),
            Module(name: "Linked", sources: ["Sources/Linked/Names.swift"]),
            Module(name: "Second", sources: ["Sources/Second/main.swift"], program: "Second"),
        ]
        try BuildPackage.write("", to: "\(root)/Elsewhere/Texts/a.txt")
        try BuildPackage.write("", to: "\(root)/Sources/App/main.swift")
        symlink("../Elsewhere", "\(root)/Sources/Linked")
        var commands: [JSON.Member] = []
        var linked: [String: [JSON]] = [:]
        for module in modules {
            let sources = module.sources.map { root + "/" + $0 }
            let objects = sources.map { "\(folder)/\(module.name).build/\($0.split(separator: "/").last!).o" }
            for source in sources { try BuildPackage.write("", to: source) }
            // What only `App` reads: a header of a system library, which the compiler names, and another, whose map alone it names.
            let map = "\(folder)/\(module.name).build/output-file-map.json"
            let rule = "\(folder)/\(module.name).build/main.d"
            try BuildPackage.write(
                "x : \(root)/Sources/CZ/module.modulemap \(root)/Shared/shared.h \(folder)/made.h /usr/include/stdio.h\n",
                to: rule)
            let entries = zip(sources, objects).map { source, object in
                JSON.Member(
                    name: source, value: .object(["object": .string(object), "dependencies": .string(rule)]))
            }
            try BuildPackage.write(text(.object(entries)), to: map)
            var command: [JSON.Member] = [
                .init(name: "moduleName", value: .string(module.name)),
                .init(name: "executable", value: .string("swiftc")),
                .init(name: "sources", value: .array(sources.map { .string($0) })),
                .init(name: "objects", value: .array(objects.map { .string($0) })),
                .init(name: "otherArguments", value: .array([.string("-Onone")])),
                .init(name: "importPath", value: .string(folder + "/Modules")),
                .init(name: "outputFileMapPath", value: .string(map)),
            ]
            if !module.aliases.isEmpty {
                let aliases = module.aliases.map { JSON.Member(name: $0.key, value: .string($0.value)) }
                command.append(.init(name: "moduleAliases", value: .object(aliases)))
            }
            commands.append(.init(name: "C.\(module.name)-debug.module", value: .object(command)))
            linked[module.program, default: []] += objects.map { .object(["name": .string($0)]) }
        }
        let bundle = folder + "/App_App.resources"
        let copies = [
            ("Sources/App/Strings/a.txt", "a.txt"), ("Sources/Linked/Texts", "Texts"), ("Sources/App/Data", "Data"),
            ("Sources/App/alone.txt", "alone.txt"),
        ].map { source, copy in
            JSON.Member(
                name: "\(bundle)/\(copy)",
                value: .object(["inputs": .array([.object(["name": .string("\(root)/\(source)")])])]))
        }
        let lists = linked.map { program, objects in
            JSON.Member(
                name: "\(folder)/\(program).product/Objects.LinkFileList", value: .object(["inputs": .array(objects)]))
        }
        let sources = folder + "/App.build/DerivedSources/embedded_resources.swift"
        let embedded = JSON.Member(
            name: sources,
            value: .object([
                "inputs": .array(
                    ["<embedded-resources>", "\(root)/Sources/App/embedded.txt"].map { .object(["name": .string($0)]) })
            ]))
        let description = JSON.object([
            .init(name: "swiftCommands", value: .object(commands)),
            .init(name: "writeCommands", value: .object(lists + [embedded])),
            .init(name: "copyCommands", value: .object(copies)),
        ])
        try BuildPackage.write(text(description), to: folder + "/description.json")
        try BuildPackage.write(
            """
              "C.gen":
                tool: shell
                inputs: ["\(folder)/gen","\(root)/words.txt","\(root)/Words"]
                outputs: ["\(scratch)/plugins/outputs/app/App/destination/Gen/Generated.swift"]

            """, to: scratch + "/debug.yaml")
        for file in [
            "Package.swift", "words.txt", "Words/more.txt", "Sources/App/Strings/a.txt", "Sources/App/Data/deep/b.txt",
            "Sources/App/alone.txt", "Sources/CZ/module.modulemap", "Sources/CZ/cz.h", "Shared/shared.h",
        ] { try BuildPackage.write("", to: "\(root)/\(file)") }
        return (root, try BuildRecipe.native(folder: folder, root: root, product: "App"))
    }

    /// Names of a module that SwiftPM has apart from the compiler's other arguments.
    @Test func aliases() throws {
        let directory = try TemporaryDirectory("description")
        let (_, recipe) = try package(directory)
        let driver = try #require(recipe.module("OtherUtil")).driver
        let place = try #require(driver.firstIndex(of: "-module-alias"))
        expect(driver[place + 1], equals: "Util=OtherUtil")
        expect(recipe.module("Kit")?.driver.contains("-module-alias"), equals: false)
    }

    /// What others are compiled with may have been removed: `swift package clean`.
    @Test func cleaned() throws {
        let directory = try TemporaryDirectory("description")
        let (root, recipe) = try package(directory)
        #expect(recipe.isThere)
        var modules = recipe.modules
        modules[0].moduleFile = root + "/App.swiftmodule"
        let other = BuildRecipe(
            system: .native, root: root, product: nil, modules: modules, resources: [], manifests: [])
        #expect(!other.isThere)
        try BuildPackage.write("", to: root + "/App.swiftmodule")
        #expect(other.isThere)
    }

    @Test func roles() throws {
        let directory = try TemporaryDirectory("description")
        let (root, recipe) = try package(directory)
        func role(_ path: String) -> FileRole { recipe.role(of: "\(root)/\(path)") }
        let bundle = "\(root)/.build/some-linux/debug/App_App.resources"
        for (path, expected, line) in [
            ("words.txt", .input(module: "App"), #line),
            ("Words/more.txt", .input(module: "App"), #line),
            ("Sources/App/embedded.txt", .input(module: "App"), #line),
            ("Sources/App/Strings/a.txt", .resource(copies: [bundle + "/a.txt"]), #line),
            // New ones: in a folder of which all is copied, and beside sources.
            ("Sources/App/Strings/b.txt", .resource(copies: [bundle + "/b.txt"]), #line),
            ("Sources/App/Data/deep/c.txt", .resource(copies: [bundle + "/Data/deep/c.txt"]), #line),
            ("Sources/App/b.txt", .none, #line),
            ("Sources/CZ/cz.h", .included(by: recipe.edited.flatMap { $0.sources.map(\.path) }), #line),
            ("Shared/shared.h", .included(by: recipe.edited.flatMap { $0.sources.map(\.path) }), #line),
            ("Shared/other.h", .none, #line),
            // The watcher has no links in its paths; the build has.
            ("Elsewhere/Names.swift", .swift(module: "Linked"), #line),
            ("Elsewhere/New.swift", .newSwift(module: "Linked"), #line),
            ("Sources/Linked/New.swift", .newSwift(module: "Linked"), #line),
            ("Elsewhere/Texts/a.txt", .resource(copies: [bundle + "/Texts/a.txt"]), #line),
            ("Sources/Second/main.swift", .none, #line),
        ] as [(String, FileRole, Int)] {
            expect(
                role(path), equals: expected, "\(path)",
                sourceLocation: SourceLocation(fileID: #fileID, filePath: #filePath, line: line, column: 1))
        }
        expect(
            recipe.source("\(root)/Elsewhere/Names.swift")?.source.path, equals: "\(root)/Sources/Linked/Names.swift")
        for (path, module) in [
            ("Sources/Second/main.swift", "Second"), ("Sources/Second/New.swift", "Second"),
            ("Sources/App/main.swift", nil), ("Sources/App/New.swift", nil), ("Nowhere/New.swift", nil),
            ("Elsewhere/New.swift", nil),
        ] { expect(recipe.otherModule(of: "\(root)/\(path)"), equals: module, "\(path)") }
    }

    @Test func whatIsWatched() throws {
        let directory = try TemporaryDirectory("description")
        let (root, recipe) = try package(directory)
        #expect(
            recipe.watchedDirectories
                == [
                    "Elsewhere/Texts", "Sources/App", "Sources/CZ", "Sources/Kit", "Sources/Linked", "Sources/Second",
                    "Sources/Util", "Words",
                ].map {
                    "\(root)/\($0)"
                })
        #expect(
            recipe.watchedFiles
                == ["Package.swift", "Shared/shared.h", "Sources/App/embedded.txt", "words.txt"].map { "\(root)/\($0)" }
        )
        for (path, isWatched) in [
            ("Sources/App/main.swift", true), ("Sources/App/Strings/new.txt", true), ("Sources/App/Data/x/y", true),
            ("Words/z", true), ("Sources/App/notes.txt", false), ("Sources/App/alone.txt", true),
            ("Elsewhere/Texts/b.txt", true),
        ] { expect(recipe.isWatched("\(root)/\(path)"), equals: isWatched, "\(path)") }
    }
}
