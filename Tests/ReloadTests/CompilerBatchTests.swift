import HotpatchExpectations
import HotpatchTestSupport
import Testing

@testable import HotpatchReload

/// Many files at once: one frontend for several of them.
@Suite struct CompilerBatchTests {
    private typealias Edit = CompileTransactionTests.Edit

    /// Two frontends, of five files and of one; the objects are what a frontend for each makes.
    @Test func objects() throws {
        let (together, apart) = (try edit(processors: 1), try edit(processors: 2))
        #expect(together.transaction.isComplete, "\(together.printed)")
        expect(together.files, equals: ["Alone.swift", "N0.swift", "N1.swift", "N2.swift", "N3.swift", "Twice.swift"])
        expect(together.files, equals: apart.files)
        // A hash of all that the compiler has made, debug information included, stands in each.
        func code(_ edit: Edit) throws -> [String] {
            try edit.transaction.files.map { file in
                let copy = edit.directory.path + "/stripped.o"
                try runTool(
                    "objcopy", "--strip-debug", "--remove-section=.swift_modhash", file.outputs.object,
                    copy)
                return try run(["sha256sum", "--tag", copy]).output.split(separator: " ").last.map(String.init) ?? ""
            }
        }
        expect(try code(together), equals: try code(apart))
        for file in together.transaction.files {
            let name = BuildFiles.split(file.source).name
            #expect(file.outputs.object.hasSuffix("/\(name).o"), "\(file)")
            let references = try #require(together.recipe.references(at: file.outputs.references ?? ""))
            #expect(
                references.nodes.contains { $0.isDeclared && $0.key.name == name.dropLast(6).lowercased() }, "\(file)")
        }
    }

    /// Dependents are found by what each file of a batch declares.
    @Test func dependents() throws {
        let edit = try edit(
            processors: 1, ["Core/Alone.swift": "func alone(_ number: Int = 1) -> Int { number }\n"],
            without: "Core/Twice.swift")
        #expect(edit.transaction.isComplete, "\(edit.printed)")
        expect(edit.files, equals: ["Alone.swift", "N0.swift", "N1.swift", "N2.swift", "N3.swift", "Twice.swift*"])
    }

    /// Only the files with errors are refused, and what was printed is said once.
    @Test func refused() throws {
        let edit = try edit(
            processors: 1, ["Core/N1.swift": "func n1() -> Int { nowhere }\n", "Core/N3.swift": "func n3() { 1 + }\n"])
        expect(
            edit.transaction.refused.map(\.source),
            equals: [try BuildPackage.source("Core/N1.swift"), try BuildPackage.source("Core/N3.swift")])
        #expect(edit.printed.contains("N1.swift:1:20: error:") && edit.printed.contains("N3.swift:1:"))
        #expect(edit.transaction.refused[1].printed.isEmpty)
    }

    /// Where what is printed names no file, each is compiled alone.
    @Test func refusedWithoutAName() throws {
        let edit = try edit(processors: 1, options: { $0.swift += ["-no-such-option"] })
        #expect(edit.transaction.refused.count == 6, "\(edit.transaction.refused)")
        #expect(
            edit.transaction.refused.allSatisfy {
                String(decoding: $0.printed, as: UTF8.self).contains("-no-such-option")
            })
    }

    @Test func warnings() throws {
        let edit = try edit(processors: 1, ["Core/N2.swift": "func n2() -> Int { var two = 2; return two }\n"])
        #expect(edit.transaction.isComplete, "\(edit.printed)")
        let warned = edit.transaction.files.filter { !$0.warnings.isEmpty }
        expect(warned.map(\.source), equals: [try BuildPackage.source("Core/N2.swift")])
        let printed = String(decoding: warned.first?.warnings ?? [], as: UTF8.self)
        #expect(printed.contains("never mutated"))
    }

    /// Six files of Core, compiled for so many processors: by one they are a batch, by two they are few.
    private func edit(
        processors: Int, _ changed: [String: String] = [:], without left: String? = nil,
        options: (inout CompileOptions) -> Void = { _ in }
    ) throws -> Edit {
        var edits = [
            "Core/Alone.swift": "func alone() -> Int { 7 }\n",
            "Core/Twice.swift": "func twice() -> Int { alone() * 2 }\n",
        ]
        for number in 0..<4 { edits["Core/N\(number).swift"] = "func n\(number)() -> Int { alone() + \(number) }\n" }
        if let left { edits[left] = nil }
        edits.merge(changed) { $1 }
        return try Edit(
            files: edits.sorted { $0.key < $1.key }.map { ($0.key, $0.value) },
            new: (0..<4).map { "Core/N\($0).swift" },
            options: {
                $0.processors = processors
                options(&$0)
            })
    }
}
