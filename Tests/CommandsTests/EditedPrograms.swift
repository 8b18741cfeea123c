import Glibc
import HotpatchExpectations
import HotpatchTestSupport
import Testing

/// A Swift program whose files are edited while it runs.
struct Desk {
    typealias Edits = [(String, String)]

    let victim: Victim
    private let directory: String
    /// The sources, and the objects that run, by the names of the files.
    private var texts: [String: String] = [:]
    private var objects: [String: String] = [:]

    /// The name of the program, its module and the file that most edits are of; in small letters, of the folder of its sources.
    private let name: String
    private let others: [String]
    /// The other file that is edited.
    private let shelf: String

    var object: String { objects[name]! }

    /// - Parameters:
    ///   - files: those that are edited.
    ///   - others: those that are not.
    ///   - options: for linking.
    init(
        _ name: String = "Desk", editing files: [String] = ["Desk", "Shelf"], beside others: [String] = ["main"],
        linking options: [String] = []
    ) throws {
        (self.name, self.others) = (name, others)
        shelf = files.first { $0 != name } ?? "Shelf"
        directory = try Workshop.directory + "/\(name.lowercased())-\(Desk.number.next())"
        guard mkdir(directory, 0o755) == 0 else { throw TestFailure("cannot make \(directory)") }
        for file in files {
            let source = try Workshop.bytes(of: Workshop.sources + "/\(name.lowercased())/\(file).swift")
            texts[file] = String(decoding: source, as: UTF8.self)
            objects[file] = directory + "/0/\(file).o"
        }
        try Desk.compile(name, texts, beside: others, into: directory + "/0")
        let all = (others + files).map { [directory] in "\(directory)/0/\($0).o" }
        let linked = try run(["swiftc", "-o", directory + "/program"] + all + options)
        guard linked.status == 0 else { throw TestFailure("cannot link: \(linked.errors)\(linked.output)") }
        victim = try Victim(directory + "/program")
    }

    static let number = Numbers()
    final class Numbers: @unchecked Sendable {
        private var last = 0
        func next() -> Int {
            last += 1
            return last
        }
    }

    /// As SwiftPM compiles a target in debug mode.
    private static func compile(
        _ name: String, _ texts: [String: String], beside others: [String], into directory: String
    ) throws {
        guard mkdir(directory, 0o755) == 0 else { throw TestFailure("cannot make \(directory)") }
        for (file, text) in texts {
            let source = directory + "/\(file).swift"
            _ = try Workshop.file(String(source.dropFirst(try Workshop.directory.count + 1)), Array(text.utf8))
        }
        let files =
            texts.keys.sorted().map { "\($0).swift" }
            + others.map { "\(Workshop.sources)/\(name.lowercased())/\($0).swift" }
        let result = try run([
            "sh", "-c",
            "cd \(directory) && exec swiftc -c -g -Onone -enable-batch-mode -enable-testing -swift-version 6 -module-name \(name) "
                + files.joined(separator: " "),
        ])
        guard result.status == 0 else { throw TestFailure("cannot compile: \(result.errors)\(result.output)") }
    }

    /// Edits of several files, compiled together, of what was applied last.
    struct Edited {
        var texts: [String: String]
        /// The objects of each edited file.
        var objects: [(file: String, new: String, base: String)]

        var new: String { objects[0].new }
        var base: String { objects[0].base }
        var arguments: [String] { objects.map(\.new) + objects.flatMap { ["--base", $0.base] } }
    }

    func edited(_ edits: Edits, shelf: Edits = []) throws -> Edited {
        var texts = texts
        let edits = [(name, edits), (self.shelf, shelf)].filter { !$0.1.isEmpty }
        for (file, edits) in edits { texts[file] = try edit(texts[file]!, edits) }
        let place = directory + "/\(Desk.number.next() + 1000)"
        try Desk.compile(name, texts, beside: others, into: place)
        return Edited(texts: texts, objects: edits.map { ($0.0, place + "/\($0.0).o", objects[$0.0]!) })
    }

    /// Edits, compiles and applies.
    @discardableResult
    mutating func apply(_ edits: (String, String)..., shelf: Edits = []) throws -> RunResult {
        try apply(try edited(edits, shelf: shelf))
    }

    @discardableResult
    mutating func apply(_ edited: Edited) throws -> RunResult {
        let result = try hotpatch(["apply"] + edited.arguments + ["--pid", victim.id])
        #expect(result.status == 0, "\(result)")
        note(edited)
        return result
    }

    /// What was applied is what runs.
    mutating func note(_ edited: Edited) {
        texts = edited.texts
        for (file, new, _) in edited.objects { objects[file] = new }
    }

    func expect(_ answers: [String], _ asked: [String] = ["hello", "count", "page", "probe"]) throws {
        for (question, answer) in zip(asked, answers) { #expect(try victim.ask(question) == answer) }
    }
}

/// A program in C or C++ of which one file is edited while it runs.
struct EditedC {
    let program: String
    /// The object that it is linked from.
    let base: String
    let original: String
    let text: String
    private let source: String
    private let compiler: [String]

    /// - Parameter changes: of the source in the repository, before anything is compiled.
    init(
        _ source: String, beside other: String, _ compiler: [String], from changes: [(String, String)] = []
    ) throws {
        let end = "-\(Desk.number.next())"
        (self.source, self.compiler) = (source, compiler + ["-g", "-O0"])
        original = String(decoding: try Workshop.bytes(of: Workshop.sources + "/objects/" + source), as: UTF8.self)
        text = try edit(original, changes)
        base = try Self.compile(text, source, self.compiler, "old" + end)
        program = try Workshop.directory + "/program" + end
        try Self.done(self.compiler + ["-o", program, Workshop.sources + "/objects/" + other, base])
    }

    /// - Parameter text: what is edited; nil for what the program was linked from.
    func edited(_ edits: [(String, String)], of text: String? = nil) throws -> (text: String, object: String) {
        let edited = try edit(text ?? self.text, edits)
        return (edited, try Self.compile(edited, source, compiler, "new-\(Desk.number.next())"))
    }

    /// An object of what the program was linked from, made with more options.
    func compiledAnew(with options: [String]) throws -> String {
        try Self.compile(text, source, compiler + options, "new-\(Desk.number.next())")
    }

    private static func compile(_ text: String, _ source: String, _ compiler: [String], _ place: String) throws
        -> String
    {
        guard mkdir(try Workshop.directory + "/" + place, 0o755) == 0 else { throw TestFailure("cannot make \(place)") }
        let file = try Workshop.file(place + "/" + source, Array(text.utf8))
        try done(compiler + ["-c", file, "-o", file + ".o"])
        return file + ".o"
    }

    private static func done(_ command: [String]) throws {
        let result = try run(command)
        guard result.status == 0 else { throw TestFailure("\(command): \(result.errors)") }
    }
}

/// A source with each of some texts, which it has once, replaced.
func edit(_ text: String, _ replacements: [(String, String)]) throws -> String {
    var edited = text
    for (old, new) in replacements {
        let parts = edited.components(of: old)
        guard parts.count == 2 else { throw TestFailure("the source has \(old) \(parts.count - 1) times") }
        edited = parts[0] + new + parts[1]
    }
    return edited
}

extension String {
    /// What stands between the occurrences of a text.
    func components(of text: String) -> [String] {
        var result: [String] = []
        var rest = self[...]
        while let range = rest.firstRange(ofText: text) {
            result.append(String(rest[..<range.lowerBound]))
            rest = rest[range.upperBound...]
        }
        return result + [String(rest)]
    }
}

extension Substring {
    fileprivate func firstRange(ofText text: String) -> Range<Index>? {
        var index = startIndex
        while index < endIndex {
            if self[index...].hasPrefix(text) { return index..<self.index(index, offsetBy: text.count) }
            index = self.index(after: index)
        }
        return nil
    }
}
