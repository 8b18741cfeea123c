import Glibc
import HotpatchExpectations
import HotpatchTestSupport
import Testing

/// What a client of the library is compiled and linked with.
enum Client {
    private static let package = "/" + #filePath.split(separator: "/").dropLast(3).joined(separator: "/")
    static let victims = package + "/Tests/Victims"

    /// The objects of the library, as SwiftPM links them into a program.
    static func library() throws -> [String] {
        let list = try String(readingFile: products + "/HotpatchScenarios.product/Objects.LinkFileList")
        let paths = list.split(separator: "\n").map { $0.drop { $0 == "'" }.prefix { $0 != "'" } }
        let parts = paths.filter { path in
            guard let folder = path.split(separator: "/").dropLast().last(where: { $0.hasSuffix(".build") }) else {
                return false
            }
            let own = ["HotpatchScenarios.build", "HotpatchCalls.build"]
            return (folder.hasPrefix("Hotpatch") || folder.hasPrefix("CPatch")) && !own.contains(String(folder))
        }
        guard !parts.isEmpty else { throw TestFailure("there is no HotpatchScenarios in \(products)") }
        return parts.map(String.init)
    }

    static func write(_ text: String, to path: String) throws {
        guard let output = fopen(path, "w") else { throw TestFailure("cannot write \(path)") }
        defer { fclose(output) }
        guard fputs(text, output) >= 0 else { throw TestFailure("cannot write \(path)") }
    }

    /// Makes an object of each file, beside it or, where it lies elsewhere, in the directory.
    static func compile(_ files: [String], module: String, in directory: String, _ options: [String]) throws {
        let command = """
            cd \(directory) && for d in \(package)/CPatch/*/include; do set -- "$@" -Xcc -I$d; done
            for m in \(products)/CPatch*.build/module.modulemap \(package)/CPatch/*/include/module.modulemap \(package)/Sources/CHotpatch*/module.modulemap; do
                set -- "$@" -Xcc -fmodule-map-file=$m
            done
            exec swiftc -c -g -Onone -enable-batch-mode -enable-testing -swift-version 6 -module-name \(module) -I \(products)/Modules "$@" \
                \(options.joined(separator: " ")) \(files.joined(separator: " "))
            """
        let result = try run(["sh", "-c", command])
        guard result.status == 0 else { throw TestFailure("cannot compile: \(result)") }
    }
}

/// A program that links edited objects into itself. See Tests/Victims/SelfLinked.
final class SelfLinked {
    let program: Conversation
    private let directory: TemporaryDirectory
    private var texts: [String: String] = [:]
    private var objects: [String: String] = [:]
    private var builds = 0
    private let compiling: [String]

    private static let files = ["Desk", "Shelf"]

    /// - Parameter options: of the linker.
    init(_ options: [String] = []) throws {
        directory = try TemporaryDirectory("self-linked")
        for file in Self.files {
            texts[file] = try String(readingFile: "\(Client.victims)/commands/desk/\(file).swift")
        }
        compiling = options.isEmpty ? [] : ["-static-stdlib"]
        let path = try Self.compile(texts, in: directory.path + "/0", compiling)
        for file in Self.files { objects[file] = path + "/\(file).o" }
        let name = directory.path + "/program"
        let result = try run(
            ["swiftc", "-o", name, path + "/main.o"] + objects.values.sorted() + Client.library() + ["-lcapstone"]
                + options)
        guard result.status == 0 else { throw TestFailure("cannot link: \(result)") }
        program = try Conversation(name)
    }

    /// As SwiftPM compiles a target in debug mode.
    private static func compile(_ texts: [String: String], in directory: String, _ options: [String]) throws -> String {
        guard mkdir(directory, 0o755) == 0 else { throw TestFailure("cannot make \(directory)") }
        for (file, text) in texts { try Client.write(text, to: "\(directory)/\(file).swift") }
        try Client.compile(
            ["Desk.swift", "Shelf.swift", "\(Client.victims)/SelfLinked/main.swift"], module: "Desk", in: directory,
            options)
        return directory
    }

    /// Compiles an edit of what was applied last.
    /// - Parameter edits: of each file, texts that it has once, and what replaces them.
    /// - Returns: objects and bases, by turns.
    func edit(_ edits: [String: [(String, String)]]) throws -> [String] {
        builds += 1
        for (file, edits) in edits {
            for (old, new) in edits {
                let parts = texts[file]!.components(of: old)
                guard parts.count == 2 else { throw TestFailure("\(file) has \(old) \(parts.count - 1) times") }
                texts[file] = parts[0] + new + parts[1]
            }
        }
        let path = try Self.compile(texts, in: directory.path + "/\(builds)", compiling)
        return edits.keys.sorted().flatMap { file in
            let base = objects.updateValue(path + "/\(file).o", forKey: file)!
            return [path + "/\(file).o", base]
        }
    }

    func apply(_ paths: [String]) throws -> String {
        try program.ask("apply " + paths.joined(separator: " "), seconds: 60)
    }

    func expect(_ expected: KeyValuePairs<String, String>) throws {
        for (question, answer) in expected {
            let found = try program.ask(question)
            #expect(found == answer, "asked \(question)")
        }
    }
}

extension String {
    /// What stands between the occurrences of a text.
    func components(of text: String) -> [String] {
        var (result, rest) = ([""], self[...])
        while !rest.isEmpty {
            if rest.hasPrefix(text) {
                result.append("")
                rest = rest.dropFirst(text.count)
            } else {
                result[result.count - 1].append(rest.removeFirst())
            }
        }
        return result
    }
}

/// A process links the objects of edited files into itself.
@Suite(.serialized) struct ObjectTests {
    /// Edits in sequence, while four threads call what is patched; each is reverted by its handle, in any order.
    @Test func editsOfItself() throws {
        let victim = try SelfLinked()
        try victim.expect([
            "hello": "hello v1", "count": "count v1 1", "page": "page v1 helper v1 7", "": "probe v1 plain",
            "callers": "calling",
        ])
        let first = try victim.apply(
            try victim.edit(["Desk": [("hello v1", "hello v2")]]))
        #expect(first.hasPrefix("patch 1: closure #1 "), "\(first)")
        try victim.expect(["hello": "hello v2", "count": "count v1 2"])
        // A new type, of which the runtime is told; two files at once; a constant.
        let second = try victim.apply(
            try victim.edit([
                "Desk": [
                    (
                        "private func label(",
                        "private struct Bold: Label { let n: Int; func text() -> String { \"bold \\(labelled(n))\" } }\nprivate func label("
                    ), ("probe v1 \\(label(of: stored))", "probe v2 \\(label(of: stored)) \\(label(of: Bold(n: 3)))"),
                    ("pageSize = 20", "pageSize = 50"),
                ],
                "Shelf": [
                    ("func shelf()", "func labelled(_ n: Int) -> String { \"#\\(n)\" }\nfunc shelf()"),
                    ("shelf v1", "shelf v2"),
                ],
            ]))
        #expect(second.hasPrefix("patch 2: "), "\(second)")
        try victim.expect(["": "probe v2 plain bold #3", "facts": "50 1 desk 42 50", "hello": "hello v2"])
        #expect(try victim.program.ask("shelf").hasPrefix("shelf v2 "))
        let third = try victim.apply(try victim.edit(["Desk": [("hello v2", "hello v3"), ("helper v1", "helper v3")]]))
        #expect(third.hasPrefix("patch 3: "), "\(third)")
        try victim.expect(["hello": "hello v3", "page": "page v1 helper v3 7"])
        try victim.expect(["revert 1": "reverted", "hello": "hello v3", "count": "count v1 3"])
        try victim.expect(["revert 3": "reverted", "hello": "hello v1", "page": "page v1 helper v1 7"])
        try victim.expect(["revert 1": "notInForce"])
        try victim.expect(["revert 2": "reverted", "": "probe v1 plain", "facts": "20 1 desk 42 20", "odd": "0"])
        #expect(victim.program.finish() == 0)
    }

    /// A program hears of what is done to it from outside, and of what is taken back; not of what it does itself.
    @Test func hearsOfChangesFromOutside() throws {
        let victim = try SelfLinked()
        try victim.expect(["listen": "listening"])
        let own = try victim.apply(try victim.edit(["Shelf": [("shelf v1", "shelf v2")]]))
        #expect(own.hasPrefix("patch 1: "), "\(own)")
        func expectTold(_ text: String) throws {
            var found = ""
            for _ in 0..<1000 where found != text {
                found = try victim.program.ask("told")
                usleep(10_000)
            }
            expect(found, equals: text)
        }
        func command(_ arguments: [String]) throws {
            let result = try run([products + "/swift-hotpatch"] + arguments + ["--pid", "\(victim.program.pid)"])
            expect(result.status, equals: 0, "\(result)")
        }
        let edit = try victim.edit(["Desk": [("helper v1", "helper v2")]])
        try command(["apply", edit[0], "--base", edit[1], "--timeout", "60"])
        try victim.expect(["page": "page v1 helper v2 7"])
        let helper = "Desk.(helper in _B4A5841E09606D1A325D8DDBC51C50CF)(Swift.Int) -> Swift.String"
        try expectTold("2: \(helper)")
        try command(["revert", "2"])
        try victim.expect(["page": "page v1 helper v1 7"])
        try expectTold("2: \(helper); 0: ")
        expect(victim.program.finish(), equals: 0)
    }

    /// What is refused has a code and an outcome.
    @Test func refusals() throws {
        let victim = try SelfLinked()
        let base = try victim.edit(["Desk": []])[0]
        #expect(try victim.apply([base, base]) == "nothing")
        func expect(_ paths: [String], _ code: String, _ reason: String) throws {
            let answer = try victim.apply(paths)
            #expect(answer.hasPrefix("\(code) refused: ") && answer.contains(reason), "\(answer)")
        }
        try expect(["/bin/true", base], "object", "/bin/true is not an object file")
        try expect(["/nowhere.o", base], "unreadableFile", "/nowhere.o")
        try expect([], "object", "no object is given")
        try expect([base, base, base, base], "object", "are the same object")
        let grown = try victim.edit(["Desk": [("var level = 1", "var level = 1\n    var unit = \"m\"")]])
        try expect(grown, "restartNeeded", "stored property 'unit: String' added: restart needed")
        let needy = try victim.edit(["Desk": [("\n    var unit = \"m\"", ""), ("helper v1", "helper v2")]])
        try expect(needy, "object", "is not what runs from")
        try victim.expect(["hello": "hello v1", "page": "page v1 helper v1 7"])
        #expect(victim.program.finish() == 0)
    }

    /// With the Swift runtime linked in.
    @Test func withAStaticRuntime() throws {
        let victim = try SelfLinked(["-static-stdlib"])
        let applied = try victim.apply(
            try victim.edit([
                "Desk": [
                    ("hello v1", "hello v2"),
                    (
                        "private func label(",
                        "private struct Bold: Label { func text() -> String { \"bold\" } }\nprivate func label("
                    ), ("probe v1 \\(label(of: stored))", "probe v2 \\(label(of: stored)) \\(label(of: Bold()))"),
                ]
            ]))
        #expect(applied.hasPrefix("patch 1: "), "\(applied)")
        try victim.expect(["hello": "hello v2", "": "probe v2 plain bold", "revert 1": "reverted", "hello": "hello v1"])
        expect(victim.program.finish(), equals: 0)
    }

    /// Nothing can be loaded there that reads DWARF, and without that nobody knows how functions are called.
    @Test func withoutALoader() throws {
        let victim = try SelfLinked(["-static-executable"])
        let answer = try victim.apply(try victim.edit(["Desk": [("hello v1", "hello v2")]]))
        #expect(answer.hasPrefix("object refused: ") && answer.contains("(DWARF) cannot be read"), "\(answer)")
        try victim.expect(["hello": "hello v1"])
        expect(victim.program.finish(), equals: 0)
    }
}
