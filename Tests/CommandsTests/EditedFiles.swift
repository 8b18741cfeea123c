import Glibc
import HotpatchTestSupport
import Testing

/// A program of several files in C or C++, of which any are edited while it runs. It answers as `answer` of one of them says.
struct EditedFiles {
    let victim: Victim
    private let directory: String
    private let compiler: [String]
    private var texts: [(name: String, text: String)]
    /// What runs of each.
    private var objects: [String: String]

    init(_ texts: [(name: String, text: String)], _ compiler: [String], linking options: [String] = []) throws {
        (self.texts, self.compiler) = (texts, compiler + ["-g", "-O0"])
        directory = try Workshop.directory + "/files-\(Desk.number.next())"
        guard mkdir(directory, 0o755) == 0 else { throw TestFailure("cannot make \(directory)") }
        objects = try Self.compile(texts, self.compiler, into: directory + "/0")
        let main = Workshop.sources + "/objects/answerer.c"
        try Self.done(
            self.compiler + ["-o", directory + "/program", main] + texts.map { [objects] in objects[$0.name]! }
                + options)
        victim = try Victim(directory + "/program")
    }

    private static func compile(
        _ texts: [(name: String, text: String)], _ compiler: [String], into folder: String
    ) throws -> [String: String] {
        guard mkdir(folder, 0o755) == 0 else { throw TestFailure("cannot make \(folder)") }
        var objects: [String: String] = [:]
        for (name, text) in texts {
            let file = folder + "/" + name
            _ = try Workshop.file(String(file.dropFirst(try Workshop.directory.count + 1)), Array(text.utf8))
            try done(compiler + ["-c", file, "-o", file + ".o"])
            objects[name] = file + ".o"
        }
        return objects
    }

    private static func done(_ command: [String]) throws {
        let result = try run(command)
        guard result.status == 0 else { throw TestFailure("\(command): \(result.errors)") }
    }

    /// Edits, compiles and applies what was edited, at once; what was applied is what runs.
    /// - Parameters:
    ///   - edits: of files, what stands there, and what is to stand there.
    ///   - options: for the compiler, besides those of the program.
    mutating func apply(_ edits: (String, String, String)..., compiling options: [String] = []) throws -> RunResult {
        var after = texts
        for (file, old, new) in edits {
            let index = try #require(after.firstIndex { $0.name == file })
            after[index].text = try edit(after[index].text, [(old, new)])
        }
        let edited = after.filter { file in texts.contains { $0.name == file.name && $0.text != file.text } }
        let now = try Self.compile(edited, compiler + options, into: directory + "/\(Desk.number.next())")
        let names = edited.map(\.name)
        let result = try hotpatch(
            ["apply"] + names.map { now[$0]! } + names.flatMap { ["--base", objects[$0]!] } + ["--pid", victim.id])
        guard result.status == 0 else { return result }
        texts = after
        objects.merge(now) { $1 }
        return result
    }
}
