import Glibc
import HotpatchExpectations
import HotpatchTestSupport
import Testing

@testable import HotpatchReload

/// Builds that are not SwiftPM's native one.
@Suite struct BuildRecipeOtherTests {
    /// Writes values as MessagePack.
    private struct Stream {
        var bytes: [UInt8] = []

        mutating func string(_ text: String) {
            let count = text.utf8.count
            bytes += count < 32 ? [0xa0 | UInt8(count)] : [0xda, UInt8(count >> 8), UInt8(count & 0xff)]
            bytes += Array(text.utf8)
        }
        /// Byte strings as the tasks have them: each behind two numbers that say what it is.
        mutating func binary(_ text: String) {
            bytes += [0x92, 0xe0, 0x00, 0xc5, UInt8(text.utf8.count >> 8), UInt8(text.utf8.count & 0xff)]
            bytes += Array(text.utf8)
        }
        mutating func task(_ name: [String], _ command: [String], in directory: String = "/") {
            bytes += [0xc0, 0xd3, 0, 0, 0, 0, 0, 0, 1, 0, 0x90 | UInt8(name.count)]
            for word in name { string(word) }
            string("")
            bytes += [0xdc, 0, UInt8(command.count)]
            for word in command { binary(word) }
            bytes += [0x91]
            string("A note")
            bytes += [0x92, 0x90, 0x90]
            string(directory)
            bytes += [0xc3]
        }
    }

    /// What `swift build --build-system swiftbuild` of 6.3.1 leaves of a package of the targets App, Core and CSum, as far as it is read.
    @Test func swiftBuild() throws {
        let directory = try TemporaryDirectory("swiftbuild")
        let root = directory.path
        let out = root + "/.build/out"
        let objects = out + "/Intermediates.noindex/Two.build/Debug-linux"
        func folder(_ target: String) -> String { objects + "/\(target).build/Objects-normal/x86_64" }
        var stream = Stream()
        stream.bytes = [0xdc, 0x01, 0x39, 0xcb, 0, 0, 0, 0, 0, 0, 0, 0]
        for (target, module, sources) in [
            ("App", "App", ["App/main.swift", "App/Line.swift"]), ("Core", "Core", ["Core/Shop.swift"]),
            ("App-1DA2DD44-testable", "App", ["App/main.swift", "App/Line.swift"]), ("gen", "gen", ["gen/main.swift"]),
            ("Macros", "Macros", ["Macros/Number.swift"]),
        ] {
            let map = folder(target) + "/\(target)-OutputFileMap.json"
            let list = folder(target) + "/\(target).SwiftFileList"
            var entries: [JSON.Member] = []
            for source in sources {
                let object = folder(target) + "/" + source.split(separator: "/").last!.dropLast(6)
                entries.append(
                    .init(name: root + "/Sources/" + source, value: .object(["object": .string(object + ".o")])))
                try BuildPackage.write("", to: root + "/Sources/" + source)
            }
            try BuildPackage.write(JSON.object(entries).description, to: map)
            try BuildPackage.write(sources.map { root + "/Sources/" + $0 + "\n" }.joined(), to: list)
            try BuildPackage.write(
                sources.map { folder(target) + "/" + $0.split(separator: "/").last!.dropLast(6) + ".o\n" }.joined()
                    + (target == "App" ? out + "/Products/Debug-linux/Core.o\n" : ""),
                to: folder(target) + "/\(target).LinkFileList")
            for _ in 0..<2 {
                stream.bytes.append(0xdc)
                stream.bytes += [0, 77]
                for word in [
                    "builtin-SwiftDriver", "--", "swiftc", "-module-name", module, "-Onone", "@" + list, "-c", "-j2",
                    "-enable-batch-mode", "-incremental", "-output-file-map", map, "-use-frontend-parseable-output",
                    "-save-temps", "-emit-module", "-emit-module-path",
                    folder(target) + "/Modules/\(module).swiftmodule",
                    "-emit-const-values", "-Xfrontend", "-load-plugin-executable", "-Xfrontend",
                    out + "/Products/Debug-linux/Macros#Macros", "-working-directory", "/tmp",
                ] { stream.string(word) }
                stream.bytes.append(0xc2)
            }
        }
        let object = folder("CSum") + "/sum.o"
        let source = root + "/Sources/CSum/sum.c"
        try BuildPackage.write("", to: source)
        stream.task(
            ["CompileC", object, source, "normal", "x86_64", "c", "com.apple.compilers.llvm.clang.1_0.compiler"],
            [
                "/opt/swift/usr/bin/clang", "-x", "c", "-O0", "-MMD", "-MT", "dependencies", "-MF",
                folder("CSum") + "/sum.d",
                "--serialize-diagnostics", folder("CSum") + "/sum.dia", "-c", source, "-o", object,
            ], in: "/tmp")
        for (output, target) in [
            ("App", "App"), ("Core.o", "Core"), ("CSum.o", "CSum"), ("gen", "gen"), ("Macros", "Macros"),
        ] {
            stream.task(
                ["Ld", out + "/Products/Debug-linux/" + output, "normal"],
                ["clang", "-target", "x", "@" + folder(target) + "/\(target).LinkFileList"])
        }
        let copy = out + "/Products/Debug-linux/Two_Core.bundle/greeting.txt"
        stream.task(["CpResource", copy, root + "/Sources/Core/greeting.txt"], ["builtin-copy"])
        // What a plugin has a program of the package make.
        let tool = out + "/Products/Debug-linux/gen"
        let words = root + "/Sources/App/words.txt"
        let made = root + "/.build/plugins/outputs/two/App/destination/Gen/Generated.swift"
        stream.task(["CustomTask", "gen"], [tool, words, made])
        stream.bytes.append(0x93)
        for input in [tool, tool, words] { stream.string(input) }
        stream.bytes.append(0x91)
        stream.string(made)
        try BuildPackage.write("", to: root + "/Plugins/Gen/plugin.swift")
        try BuildPackage.write("", to: words)
        try BuildPackage.write("", to: root + "/Package.swift")
        let store = out + "/Intermediates.noindex/XCBuildData/1.xcbuilddata/task-store.msgpack"
        try BuildPackage.write("", to: store)
        try BuildFiles.write(stream.bytes, to: store)
        try BuildPackage.write("", to: out + "/Products/Debug-linux/App")

        let recipe = try BuildRecipe.find(directory: root, command: ["swift", "run"])
        expect(recipe.system, equals: .swiftBuild)
        expect(recipe.product, equals: "App")
        expect(recipe.modules.filter(\.isInProgram).map(\.name), equals: ["App", "Core"])
        expect(recipe.role(of: words), equals: .input(module: "App"))
        expect(recipe.watchedFiles, equals: [root + "/Package.swift", words])
        for (path, tool) in [
            ("Plugins/Gen/plugin.swift", "Gen"), ("Sources/gen/main.swift", "gen"),
            ("Sources/Macros/Number.swift", "Macros"),
        ] { expect(recipe.role(of: "\(root)/\(path)"), equals: .tool(module: tool), "\(path)") }
        expect(recipe.role(of: root + "/Sources/Core/greeting.txt"), equals: .resource(copies: [copy]))
        let line = root + "/Sources/App/Line.swift"
        expect(recipe.source(line)?.source.object, equals: folder("App") + "/Line.o")
        let command = try recipe.command(for: line)
        #expect(command.objectName == "Line.o" && command.workingDirectory == "/tmp")
        #expect(!command.arguments.contains { $0.contains("save-temps") || $0.contains("OutputFileMap") })
        #expect(command.arguments.contains("-primary-file") && command.arguments.contains(line))
        // It is not linked: its list has not been written here.
        expect(recipe.role(of: source), equals: .none)
        let c = try recipe.command(for: source)
        expect(c.arguments, equals: ["/opt/swift/usr/bin/clang", "-x", "c", "-O0", "-c", source])
        expect(c.workingDirectory, equals: "/tmp")
        expect(
            recipe.buildCommand(),
            equals: ["swift", "build", "--package-path", root, "--build-system", "swiftbuild", "--product", "App"])
        let byProgram = try BuildRecipe.find(directory: "/", executable: out + "/Products/Debug-linux/App")
        #expect(byProgram.root == root && byProgram.product == "App")

        for length in stride(from: 0, to: stream.bytes.count, by: 97) {
            _ = try? BuildTasks(reading: Array(stream.bytes[..<length]), path: "/x")
        }
        #expect(throws: BuildError.self) { try BuildTasks(reading: [0xc1], path: "/x") }
        #expect(throws: BuildError.self) { try BuildTasks(reading: [0xdb, 0xff, 0xff, 0xff, 0xff], path: "/x") }
    }

    /// A program of C from a Makefile, and how bear and CMake write its commands.
    @Test(arguments: [true, false]) func database(_ isBear: Bool) throws {
        let directory = try TemporaryDirectory("database")
        let root = directory.path
        try BuildPackage.write(
            "#include \"a b.h\"\nint twice(int a) { return 2 * a + N; }\n", to: root + "/src/twice.c")
        try BuildPackage.write("int main(void) { return 0; }\n", to: root + "/src/main.c")
        try BuildPackage.write("#define N 1\n", to: root + "/include/a b.h")
        try BuildPackage.write("all:\n", to: root + "/Makefile")
        var entries: [JSON] = []
        for name in ["twice", "main"] {
            let words = ["gcc", "-g", "-O1", "-DX=\"y z\"", "-I", "include", "-c", "-o", "\(name).o", "src/\(name).c"]
            try runTool(
                "sh", "-c", "cd \"$0\" && shift && \"$@\"", root, "x", "gcc", "-g", "-O1", "-DX=\"y z\"", "-I",
                "include", "-c", "-o", "\(name).o", "src/\(name).c")
            entries.append(
                isBear
                    ? .object([
                        "directory": .string(root), "file": .string("src/\(name).c"),
                        "arguments": .array(words.map(JSON.string)), "output": .string("\(name).o"),
                    ])
                    : .object([
                        "directory": .string(root), "file": .string(root + "/src/\(name).c"),
                        "command": .string("gcc -g -O1 '-DX=\"y z\"' -I include -c -o \(name).o src/\(name).c"),
                    ]))
        }
        try BuildPackage.write(JSON.array(entries).description, to: root + "/compile_commands.json")
        let recipe = try BuildRecipe.find(directory: root, command: ["./prog"])
        expect(recipe.system, equals: .database)
        let source = root + "/src/twice.c"
        let command = try recipe.command(for: source)
        expect(command.arguments, equals: ["gcc", "-g", "-O1", "-DX=\"y z\"", "-I", "include", "-c", "src/twice.c"])
        mkdir(root + "/new", 0o700)
        try expect(command.run(into: root + "/new").status, equals: 0)
        try expect([UInt8](readingFile: root + "/new/twice.o"), equals: [UInt8](readingFile: root + "/twice.o"))
        // No rules were written: the compiler is asked.
        expect(recipe.role(of: root + "/include/a b.h"), equals: .included(by: [source]))
        recipe.adopt(command.outputs(in: root + "/new"), of: source)
        expect(recipe.role(of: root + "/include/a b.h"), equals: .included(by: [source]))
        expect(recipe.role(of: source), equals: .clang(module: root))
        expect(recipe.role(of: root + "/Makefile"), equals: .manifest)
        expect(recipe.watchedDirectories, equals: [root + "/include", root + "/src"])
        expect(recipe.buildCommand(), equals: ["make", "-C", root])
    }

    @Test func linkTimeOptimisation() throws {
        let directory = try TemporaryDirectory("database")
        try BuildPackage.write(
            "[{\"directory\":\"/\",\"file\":\"a.c\",\"command\":\"gcc -flto -c a.c\"}]",
            to: directory.path + "/compile_commands.json")
        #expect(throws: BuildError.notDebug(module: "a.c", flag: "-flto")) {
            try BuildRecipe.find(directory: directory.path)
        }
        for text in ["{}", "[{}]", "[{\"directory\":\"/\",\"file\":\"a.c\",\"command\":\"'\"}]", "["] {
            try BuildPackage.write(text, to: directory.path + "/compile_commands.json")
            #expect(throws: BuildError.self) { try BuildRecipe.find(directory: directory.path) }
        }
    }

    @Test func optimisedSwift() throws {
        let directory = try TemporaryDirectory("optimised")
        let debug = directory.path + "/.build/debug"
        func description(_ arguments: String, whole: Bool) -> String {
            """
            {"swiftCommands":{"C.App":{"executable":"swiftc","moduleName":"App","isLibrary":false,"sources":["/s/a.swift"],
            "objects":["/o/a.swift.o"],"importPath":"/m","outputFileMapPath":"/none","otherArguments":[\(arguments)],
            "wholeModuleOptimization":\(whole)}}}
            """
        }
        for (arguments, whole, flag) in [
            ("\"-Onone\"", true, "-whole-module-optimization"), ("\"-Onone\",\"-O\"", false, "-O"),
            ("\"-wmo\"", false, "-wmo"),
        ] {
            try BuildPackage.write(description(arguments, whole: whole), to: debug + "/description.json")
            #expect(throws: BuildError.notDebug(module: "App", flag: flag)) {
                try BuildRecipe.find(directory: directory.path)
            }
        }
        try BuildPackage.write(description("\"-O\",\"-Onone\"", whole: false), to: debug + "/description.json")
        try expect(BuildRecipe.find(directory: directory.path).modules.map(\.name), equals: ["App"])
    }

    @Test(
        arguments: [
            ("swift run", "swift build", nil), ("swift run App a -c x", "swift build --product App", "App"),
            ("swift run -c debug --package-path x App", "swift build -c debug --package-path x --product App", "App"),
            (
                "swift run --skip-build --build-system=swiftbuild App",
                "swift build --build-system=swiftbuild --product App", "App"
            ),
            ("swift run -Xswiftc -DX -Xcc -O1 -- App", "swift build -Xswiftc -DX -Xcc -O1", nil),
            ("/opt/swift/usr/bin/swift build --product P -v", "/opt/swift/usr/bin/swift build -v --product P", "P"),
            (
                "swift test --filter a.* --parallel --num-workers 2 -Xswiftc -DX",
                "swift build -Xswiftc -DX --build-tests", nil
            ),
            ("./App run", nil, nil), ("swift", nil, nil), ("swift package resolve", nil, nil),
        ] as [(String, String?, String?)])
    func invocations(_ words: String, _ build: String?, _ product: String?) {
        let invocation = BuildInvocation(words.split(separator: " ").map(String.init))
        expect(invocation?.build.joined(separator: " "), equals: build)
        expect(invocation?.product, equals: product)
    }

    /// An option of `swift run` behind the program is the program's.
    @Test(arguments: [
        ("swift run App --skip-build", "swift run --skip-build App --skip-build"),
        ("swift run -c debug App", "swift run --skip-build -c debug App"),
        ("swift run -Xcc --skip-build App", "swift run --skip-build -Xcc --skip-build App"),
        ("swift run --skip-build App", "swift run --skip-build App"), ("swift run", "swift run --skip-build"),
        ("swift test", "swift test"), ("./App", "./App"),
    ])
    func withoutBuilding(_ words: String, _ expected: String) {
        let made = BuildInvocation.withoutBuilding(words.split(separator: " ").map(String.init))
        expect(made.joined(separator: " "), equals: expected)
    }

    @Test(arguments: [
        ("a.o: b.c c.h", ["b.c", "c.h"]), ("a.o : b\\ c.h \\\n  d.h\n", ["b c.h", "d.h"]),
        ("a: x\\#y $$z\n\nb.h:\n/c d: e\n", ["x#y", "$z", "e"]), ("", []), ("a:", []), ("a.o: \\", []),
    ])
    func rules(_ text: String, _ prerequisites: [String]) {
        expect(BuildFiles.prerequisites(Array(text.utf8)), equals: prerequisites)
    }

    /// A program may be called as SwiftPM calls what runs while others are compiled, and is told from it by who starts it.
    @Test func programs() throws {
        let root = try BuildPackage.path()
        let program = root + "/.build/debug/App"
        func isProgram(_ command: String, _ executable: String = program, _ parent: String? = nil) -> Bool {
            BuildRecipe.isProgram(
                executable, of: command.split(separator: " ").map(String.init), directory: root, startedBy: parent)
        }
        #expect(isProgram("swift run") && isProgram("swift run App") && isProgram("make run"))
        #expect(!isProgram("swift run Other"))
        #expect(isProgram("sh run.sh", program, "/bin/sh") && isProgram("swift test", program, "/usr/bin/swift-test"))
        for builder in ["swift-frontend", "swift-build", "swift-run"] {
            #expect(!isProgram("sh run.sh", program, "/usr/bin/" + builder))
        }
        let tool = root + "/.build/debug/Sort-tool"
        #expect(isProgram("swift run Sort-tool", tool) && isProgram("./run", tool))
        #expect(!isProgram("swift run", tool) && !isProgram("./run", tool, "/usr/bin/swift-frontend"))
    }

    /// Before the first build that is what is watched.
    @Test func packages() {
        #expect(BuildRecipe.package(of: ["make", "run"], in: "/usr") == "/usr")
        #expect(BuildRecipe.package(of: ["swift", "run", "App", "--package-path", "x"], in: "/usr") == "/usr")
        let named = BuildRecipe.package(of: ["swift", "run", "--package-path", "lib", "App"], in: "/usr")
        #expect(named.hasSuffix("/lib"))
        #expect(BuildRecipe.package(of: ["swift", "test", "--package-path=/"], in: "/usr") == "/")
    }

    @Test(
        arguments: [
            ("a 'b c' \"d \\\"e\" f\\ g", ["a", "b c", "d \"e", "f g"]), ("", []), ("  '' ", [""]),
            ("a'b'\"c\"", ["abc"]),
            ("\"a\\n\"", ["a\\n"]), ("'", nil), ("\"a", nil), ("a\\", nil),
        ] as [(String, [String]?)])
    func words(_ line: String, _ words: [String]?) {
        expect(CompilerWords.split(Substring(line)), equals: words)
    }
}
