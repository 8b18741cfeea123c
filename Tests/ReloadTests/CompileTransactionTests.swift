import Glibc
import HotpatchExpectations
import HotpatchTestSupport
import Testing

@testable import HotpatchReload

@Suite struct CompileTransactionTests {
    /// Edited files, compiled; the package itself stays as it is.
    struct Edit {
        let directory: TemporaryDirectory
        let recipe: BuildRecipe
        let transaction: CompileTransaction

        init(_ edits: KeyValuePairs<String, String>, new: [String] = []) throws {
            try self.init(files: edits.map { ($0.key, $0.value) }, new: new)
        }

        init(
            files edits: [(name: String, text: String)], new: [String] = [],
            options changed: (inout CompileOptions) -> Void = { _ in }
        ) throws {
            directory = try TemporaryDirectory("transaction")
            var contents: [String: String] = [:]
            for (name, text) in edits {
                let copy = directory.path + "/edited.\(contents.count)"
                try BuildPackage.write(text, to: copy)
                contents[try BuildPackage.source(name)] = copy
            }
            for name in ["objects", "overlay"] { mkdir(directory.path + "/" + name, 0o700) }
            let added = try new.map { (path: try BuildPackage.source($0), module: String($0.prefix { $0 != "/" })) }
            recipe = try BuildPackage.recipe().changing(adding: added, removing: [])
            var options = CompileOptions()
            options.contents = contents
            options.swift = ["-function-sections"]
            options.clang = ["-ffunction-sections"]
            changed(&options)
            transaction = try recipe.compile(
                edits.map { try BuildPackage.source($0.name) }, into: directory.path + "/objects",
                overlay: directory.path + "/overlay", options: options)
        }

        /// The files that were compiled, dependents with a star.
        var files: [String] {
            transaction.files.map { String($0.source.split(separator: "/").last ?? "") + ($0.isDependent ? "*" : "") }
        }
        var printed: String { String(decoding: transaction.refused.first?.printed ?? [], as: UTF8.self) }

        func symbols(_ file: String) throws -> String {
            let object = try #require(transaction.files.first { $0.source.hasSuffix(file) }).outputs.object
            return try run(["nm", object]).output
        }
    }

    @Test func body() throws {
        let edit = try Edit(["Core/Alone.swift": "// One.\nfunc alone() -> Int { 7 }\n"])
        #expect(edit.transaction.isComplete, "\(edit.printed)")
        expect(edit.files, equals: ["Alone.swift"])
        #expect(edit.transaction.interfaces.isEmpty)
    }

    /// Who uses a function of another file is compiled with it when it is called differently; who does not is not.
    @Test func dependents() throws {
        let edit = try Edit(["Core/Alone.swift": "func alone(_ number: Int = 1) -> Int { number }\n"])
        #expect(edit.transaction.isComplete, "\(edit.printed)")
        expect(edit.files, equals: ["Alone.swift", "Twice.swift*"])
        #expect(try edit.symbols("Twice.swift").contains("$s4Core5aloneyS2iF"))
    }

    @Test func refusedDependent() throws {
        let edit = try Edit(["Core/Alone.swift": "func alone() -> String { \"1\" }\n"])
        #expect(!edit.transaction.isComplete)
        expect(edit.transaction.refused.map(\.source), equals: [try BuildPackage.source("Core/Twice.swift")])
        #expect(edit.printed.contains("Twice.swift:1:") && edit.printed.contains("error:"))
    }

    /// A function that one target begins to declare is seen by another, without a build.
    @Test func acrossModules() throws {
        let edit = try Edit([
            "App/Line.swift": "import Core\nfunc line(_ shop: Shop) -> String { shop.shout() }\n",
            "Core/Names.swift": """
            func name(of shop: Shop) -> String { "shop \\(shop.sold)" }
            extension Shop {
                public var title: String { name(of: self) }
                public func shout() -> String { title + "!" }
            }

            """,
        ])
        #expect(edit.transaction.isComplete, "\(edit.printed)")
        #expect(edit.files.first == "Names.swift" && edit.files.contains("Line.swift"))
        #expect(!edit.files.contains("Alone.swift*"))
        expect(edit.transaction.interfaces.map(\.module).first, equals: "Core")
        #expect(try edit.symbols("Line.swift").contains("U $s4Core4ShopC5shoutSSyF"))
    }

    /// A change that others see, in a module that others use, brings along who uses it there.
    @Test func dependentsInAnotherModule() throws {
        let edit = try Edit([
            "Core/Names.swift": """
            func name(of shop: Shop) -> String { "shop \\(shop.sold)" }
            extension Shop { public var title: Int { name(of: self).count } }

            """
        ])
        expect(
            edit.transaction.refused.map(\.source), equals: [try BuildPackage.source("App/Line.swift")], "\(edit.files)"
        )
        #expect(edit.printed.contains("Line.swift:2:") && edit.printed.contains("error:"))
    }

    @Test func clang() throws {
        let edit = try Edit(["CSum/sum.c": "#include \"sum.h\"\nint csum(int a, int b) { return a + b; }\n"])
        #expect(edit.transaction.isComplete, "\(edit.printed)")
        expect(edit.files, equals: ["sum.c"])
        #expect(try edit.symbols("sum.c").contains("T csum"))
        #expect(try !edit.symbols("sum.c").contains("twice"))
    }

    @Test func newFile() throws {
        let edit = try Edit(
            [
                "Core/New.swift": "func new() -> Int { alone() }\n",
                "Core/Twice.swift": "func twice() -> Int { new() * 2 }\n",
            ], new: ["Core/New.swift"])
        #expect(edit.transaction.isComplete, "\(edit.printed)")
        #expect(Set(edit.files).isSuperset(of: ["New.swift", "Twice.swift"]), "\(edit.files)")
        let command = try edit.recipe.command(for: BuildPackage.source("Core/New.swift"))
        expect(command.objectName, equals: "New.swift.o")
    }

    /// Once a compilation is adopted, the next edit is compared with it.
    @Test func adopted() throws {
        let text = "func alone(_ number: Int = 1) -> Int { number }\n"
        let edit = try Edit(["Core/Alone.swift": text])
        for file in edit.transaction.files { edit.recipe.adopt(file.outputs, of: file.source) }
        let path = try BuildPackage.source("Core/Alone.swift")
        let next = edit.directory.path + "/next"
        mkdir(next, 0o700)
        var options = CompileOptions()
        options.contents = [path: edit.directory.path + "/edited.0"]
        let again = try edit.recipe.compile(
            [path], into: next, overlay: edit.directory.path + "/overlay", options: options)
        expect(again.files.map(\.source), equals: [path])
    }

    /// Who used what a removed file declared is compiled again.
    @Test func removed() throws {
        let recipe = try BuildPackage.recipe()
        let path = try BuildPackage.source("Core/Alone.swift")
        let change = recipe.interfaceChange(removing: path)
        let left = recipe.changing(adding: [], removing: [path])
        expect(left.dependents(of: change, in: "Core"), equals: [try BuildPackage.source("Core/Twice.swift")])
        expect(left.role(of: path), equals: .newSwift(module: "Core"))
        let directory = try TemporaryDirectory("transaction")
        let transaction = try left.compile(
            left.dependents(of: change, in: "Core"), into: directory.path, overlay: directory.path)
        let printed = transaction.refused.map { String(decoding: $0.printed, as: UTF8.self) }.joined()
        #expect(printed.contains("cannot find 'alone'"))
    }

    /// What cannot be compiled is read as it runs by what is saved after it: in its own module and in others.
    @Test func withheld() throws {
        let recipe = try BuildPackage.recipe()
        let directory = try TemporaryDirectory("withheld")
        let live = LiveSources(try Snapshot(of: recipe, in: directory.path))
        let (alone, twice, line) =
            (
                try BuildPackage.source("Core/Alone.swift"), try BuildPackage.source("Core/Twice.swift"),
                try BuildPackage.source("App/Line.swift")
            )
        let overlay = directory.path + "/overlay"
        mkdir(overlay, 0o700)
        var count = 0
        func compile(_ edits: [String: String], withholding withheld: Set<String> = []) throws -> CompileTransaction {
            count += 1
            let folder = directory.path + "/\(count)"
            mkdir(folder, 0o700)
            let read = recipe.withholding(withheld, live)
            #expect(read.unknown.isEmpty && Set(read.contents.keys) == withheld)
            var options = CompileOptions()
            options.contents = read.contents
            for (source, text) in edits {
                let copy = folder + "/edited.\(options.contents.count)"
                try BuildPackage.write(text, to: copy)
                options.contents[source] = copy
            }
            mkdir(folder + "/objects", 0o700)
            return try read.recipe.compile(
                edits.keys.sorted(), into: folder + "/objects", overlay: overlay, options: options)
        }
        let broken = "public func alone() -> Int { nowhere }\npublic func more() -> Int { 2 }\n"
        let edited = "func twice() -> Int { alone() * 3 }\n"
        #expect(try !compile([alone: broken, twice: edited]).isComplete)
        let own = try compile([twice: edited], withholding: [alone])
        #expect(own.isComplete && own.files.map(\.source) == [twice])
        // An interface that was made of what is refused is made again: nobody sees what does not run.
        let both = try compile([
            alone: "public func alone() -> Int { 1 }\npublic func more() -> Int { 2 }\n",
            line: "import Core\nfunc line(_ shop: Shop) -> String { more() }\n",
        ])
        #expect(both.interfaces.map(\.module) == ["Core"] && both.refused.map(\.source) == [line])
        let other = try compile(
            [line: "import Core\nfunc line(_ shop: Shop) -> String { \"\\(more())\" }\n"], withholding: [alone])
        #expect(other.refused.map(\.source) == [line])
        let printed = String(decoding: other.refused.first?.printed ?? [], as: UTF8.self)
        #expect(printed.contains("no member 'more'") || printed.contains("cannot find 'more'"))
        let harmless = try compile(
            [line: "import Core\nfunc line(_ shop: Shop) -> String { \"\" }\n"], withholding: [alone])
        #expect(harmless.isComplete)
    }

    /// What a file held that was compiled is known, but where it was saved meanwhile; a header's users are known to have read it.
    @Test func liveSources() throws {
        let recipe = try BuildPackage.recipe()
        let directory = try TemporaryDirectory("live")
        var live = LiveSources(try Snapshot(of: recipe, in: directory.path))
        let alone = try BuildPackage.source("Core/Alone.swift")
        let header = try BuildPackage.source("CSum/include/sum.h")
        #expect(try live.contents(of: alone).map { try String(readingFile: $0) } == "func alone() -> Int { 1 }\n")
        // The build may have read it before or after it was saved.
        var unsure = live
        unsure.forget(alone)
        #expect(unsure.contents(of: alone) == nil && recipe.withholding([alone], unsure).unknown == [alone])
        mkdir(directory.path + "/objects", 0o700)
        let copies = try LiveSources.copy([alone], into: directory.path + "/copies")
        let transaction = try recipe.compile(
            [alone, BuildPackage.source("CSum/sum.c")], into: directory.path + "/objects", overlay: directory.path)
        live.adopt(transaction, copies: copies, contents: [:])
        #expect(live.contents(of: alone) == copies[alone])
        live.rename(alone, to: "/new.swift")
        #expect(live.contents(of: alone) == nil && live.contents(of: "/new.swift") == copies[alone])
        live.forget("/new.swift")
        #expect(live.contents(of: "/new.swift") == nil)
        try BuildPackage.write("another", to: copies[alone] ?? "")
        live.adopt(transaction, copies: copies, contents: [:])
        #expect(live.contents(of: alone) == nil)
        let read = recipe.withholding([alone, header], live)
        #expect(read.contents.isEmpty && read.unknown == [alone, header])
        #expect(recipe.reads(transaction, of: [header]))
        #expect(!recipe.reads(transaction, of: []))
        var other = transaction
        other.files.removeAll { $0.source == alone || $0.source.hasSuffix(".c") }
        #expect(!recipe.reads(other, of: [header]))
    }

    /// An interface that has changed is made once another module's file needs it, and not before.
    @Test func interfacesWhenNeeded() throws {
        let edit = try Edit(["Core/Alone.swift": "public func alone() -> Int { 1 }\npublic func more() -> Int { 2 }\n"])
        #expect(edit.transaction.isComplete, "\(edit.printed)")
        #expect(edit.transaction.interfaces.isEmpty)
        for file in edit.transaction.files { edit.recipe.adopt(file.outputs, of: file.source) }
        let folder = edit.directory.path
        try BuildPackage.write(
            "import Core\nfunc line(_ shop: Shop) -> String { \"\\(more())\" }\n", to: folder + "/line")
        mkdir(folder + "/next", 0o700)
        let line = try BuildPackage.source("App/Line.swift")
        var options = CompileOptions()
        options.contents = [line: folder + "/line", try BuildPackage.source("Core/Alone.swift"): folder + "/edited.0"]
        let next = try edit.recipe.compile(
            [line], into: folder + "/next", overlay: folder + "/overlay", options: options)
        expect(next.interfaces.map(\.module), equals: ["Core"])
        #expect(next.files.map(\.source).contains(line))
    }

    @Test func cancelled() throws {
        let process = CompilerProcess()
        process.cancel()
        let directory = try TemporaryDirectory("transaction")
        let path = try BuildPackage.source("Core/Alone.swift")
        let transaction = try BuildPackage.recipe().compile(
            [path], into: directory.path, overlay: directory.path, process: process)
        #expect(transaction.isCancelled && transaction.files.isEmpty)
    }
}

@Suite struct CompilerProcessTests {
    @Test func printsAndStatus() throws {
        let result = try CompilerProcess().run(.init(["sh", "-c", "pwd; echo no >&2; exit 3"], in: "/usr"))
        expect(result.status, equals: 3)
        expect(result.text, equals: "/usr\nno\n")
        #expect(!result.isCancelled)
        #expect(result.nanoseconds > 0)
    }

    @Test func environmentAndInput() throws {
        let result = try CompilerProcess().run(
            .init(["sh", "-c", "cat; echo $X"], environment: ["X=1", "PATH=/usr/bin:/bin"]))
        expect(result.text, equals: "1\n")
    }

    @Test func unknownProgram() throws {
        #expect(throws: BuildError.notStarted(program: "/no/compiler", code: ENOENT)) {
            try CompilerProcess().run(.init(["/no/compiler"]))
        }
    }

    /// What it started ends with it: it holds the output open.
    @Test func cancel() async throws {
        let process = CompilerProcess()
        let result = Task.detached { try process.run(.init(["sh", "-c", "sleep 600 & sleep 600"])) }
        try await Task.sleep(nanoseconds: 100_000_000)
        process.cancel()
        let ended = try await result.value
        #expect(ended.isCancelled && ended.status == -SIGKILL)
    }

    @Test func tooLong() throws {
        #expect(throws: BuildError.outOfTime(program: "sleep", seconds: 0)) {
            try CompilerProcess().run(.init(["sleep", "600"]), seconds: 0)
        }
    }

    /// A child that is left behind does not keep the result waiting.
    @Test func leftBehind() throws {
        let result = try CompilerProcess().run(.init(["sh", "-c", "sleep 60 & echo $!"]))
        let left = try #require(pid_t(result.text.dropLast()))
        expect(kill(left, SIGKILL), equals: 0)
        expect(result.status, equals: 0)
        #expect(result.nanoseconds < 60_000_000_000)
    }

    @Test func severalAtOnce() throws {
        let programs = (0..<7).map { CompilerProcess.Program(["sh", "-c", "echo \($0); exit \($0)"]) }
        for atOnce in [1, 3, 20] {
            let results = try CompilerProcess().run(all: programs, atOnce: atOnce)
            expect(results.map(\.status), equals: Array(0..<7))
            expect(results.map(\.text), equals: (0..<7).map { "\($0)\n" })
        }
        #expect(throws: BuildError.self) {
            try CompilerProcess().run(all: [.init(["sleep", "600"]), .init(["/no/compiler"])], atOnce: 2)
        }
        #expect(try CompilerProcess().run(all: []).isEmpty)
    }

    @Test func longOutput() throws {
        let result = try CompilerProcess().run(.init(["sh", "-c", "head -c 5000000 /dev/zero"]))
        expect(result.printed.count, equals: 4 << 20)
    }
}

@Suite struct CompiledReferencesTests {
    private func references(_ file: String) throws -> [UInt8] {
        let source = try #require(try BuildPackage.recipe().source(BuildPackage.source(file))?.source)
        return try [UInt8](readingFile: #require(source.referenceFile))
    }

    @Test func reading() throws {
        let references = try CompiledReferences(reading: references("Core/Twice.swift"))
        func node(_ name: String) -> CompiledReferences.Node? {
            references.nodes.first { $0.key.name == name && $0.key.kind == .topLevel && $0.isInterface }
        }
        expect(node("twice")?.isDeclared, equals: true)
        expect(node("alone")?.isDeclared, equals: false)
        #expect(references.changes(to: references).isEmpty)
        #expect(references.externals.contains { $0.contains("Swift.swiftmodule") })
    }

    /// What was cut off or changed anywhere is refused or read, and never traps.
    @Test func malformed() throws {
        let bytes = try references("Core/Alone.swift")
        for length in stride(from: 0, to: bytes.count, by: 7) {
            _ = try? CompiledReferences(reading: Array(bytes[..<length]))
        }
        var generator = SeededGenerator(seed: 14)
        for _ in 0..<500 {
            var changed = bytes
            for _ in 0..<3 {
                changed[Int.random(in: 0..<bytes.count, using: &generator)] = UInt8.random(
                    in: 0...255, using: &generator)
            }
            _ = try? CompiledReferences(reading: changed)
        }
        #expect(throws: CompilerBitstream.Malformed.self) { try CompiledReferences(reading: []) }
        #expect(throws: CompilerBitstream.Malformed.self) { try CompiledReferences(reading: Array("DEPS".utf8)) }
    }

    /// Everything may have changed in a file whose references cannot be read: all files of the module come along.
    @Test func unreadable() throws {
        let recipe = try BuildPackage.recipe()
        let path = try BuildPackage.source("Core/Alone.swift")
        let change = recipe.interfaceChange(
            of: path, .init(object: "/x", dependencies: "/x", references: "/no/such/file"))
        #expect(!change.isEmpty)
        let dependents = recipe.dependents(of: change, in: "Core").map { String($0.split(separator: "/").last!) }
        #expect(
            Set(dependents).isSuperset(of: ["Alone.swift", "Names.swift", "Shop.swift", "Twice.swift", "Line.swift"]))
        expect(recipe.swiftModules(), equals: ["Core", "App"])
    }
}

@Suite struct CompileCommandTests {
    /// For many sources the driver prints a list that is gone, and not the names.
    @Test func manySources() throws {
        let directory = try TemporaryDirectory("many")
        let sources = (0..<300).map { "\(directory.path)/File\($0).swift" }
        for (number, path) in sources.enumerated() {
            try BuildPackage.write("func f\(number)() -> Int { \(number) }\n", to: path)
        }
        var module = BuildModule(
            name: "Many", language: .swift, sources: [], isLocal: true, isInProgram: true, directories: [],
            workingDirectory: directory.path)
        module.driver = ["swiftc", "-module-name", "Many", "-parse-as-library", "-Onone"]
        let jobs = try ModuleJobs(asking: module, for: sources)
        let words = try #require(jobs.command(for: sources[7]))
        #expect(!words.contains("-filelist") && Set(words).isSuperset(of: sources))
        let place = try #require(words.firstIndex(of: "-primary-file"))
        #expect(words[place + 1] == sources[7] && words.filter { $0 == "-primary-file" }.count == 1)
        #expect(words[place - 1] == sources[6] && words[place + 2] == sources[8])
        #expect(try Set(#require(jobs.interfaceCommand)).isSuperset(of: sources))
    }

    @Test func colors() throws {
        let recipe = try BuildPackage.recipe()
        let swift = try recipe.command(for: BuildPackage.source("Core/Alone.swift"))
        let folder = try TemporaryDirectory("colors")
        try BuildPackage.write("func alone() -> Int { \"one\" }\n", to: folder.path + "/edited")
        for isColored in [true, false] {
            let command = try swift.colored(isColored).replacing(
                [swift.source: folder.path + "/edited"], overlay: folder.path + "/overlay")
            let result = try command.run(into: folder.path)
            #expect(result.status == 1 && result.text.contains("error: "), "\(result.text)")
            expect(result.text.contains("\u{1b}["), equals: isColored)
        }
        let c = try recipe.command(for: BuildPackage.source("CSum/sum.c"))
        expect(c.colored(true).arguments.last, equals: "-fdiagnostics-color=always")
        try expect(c.colored(true).run(into: folder.path).status, equals: 0)
    }

    @Test func resource() throws {
        let folder = try TemporaryDirectory("resource")
        let recipe = try BuildPackage.recipe()
        try BuildPackage.write("new", to: folder.path + "/a")
        let copy = folder.path + "/bundle/sub/a"
        for _ in 0..<2 { #expect(try recipe.copyResource(folder.path + "/a", to: copy) == .copied) }
        #expect(try String(readingFile: copy) == "new")
        #expect(throws: BuildError.self) { try recipe.copyResource(folder.path, to: copy) }
        try expect(run(["ls", "-A", folder.path + "/bundle/sub"]).output, equals: "a\n")
        // One that is gone goes from the program, too; and one that was never there does not matter.
        for change in [.removed, nil] as [ResourceChange?] {
            #expect(try recipe.copyResource(folder.path + "/none", to: copy) == change)
        }
        #expect(try run(["ls", "-A", folder.path + "/bundle/sub"]).output == "")
    }
}
