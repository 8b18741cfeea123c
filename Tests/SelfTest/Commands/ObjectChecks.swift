import Glibc
import HotpatchCommands
import HotpatchObjects
import HotpatchRemoteTarget
import HotpatchTestSupport

/// Programs of which files are edited while they run. What is linked into them is compiled on another machine: Tests/arm64/objects.sh.
let objectChecks: [Check] = [
    Check(name: "Swift files edited several times over", run: editsSwift),
    Check(name: "a program edits itself", run: editsItself),
    Check(name: "a C file", run: { try editsC("work-plain") }),
    Check(name: "a C file, out of a branch's reach", run: { try editsC("work-plain", "crowded") }),
    Check(name: "a C file, in guarded pages", run: { try editsC("work-guarded") }),
    Check(name: "a C file, with absolute addresses", run: { try editsC("work-large") }),
    Check(name: "code is freed", run: { try freesCode("aging-plain") }),
    Check(name: "code is freed, with signed return addresses", run: { try freesCode("aging-guarded") }),
    Check(name: "new thread-locals, by descriptors", run: bringsThreadLocals),
    Check(name: "a program's thread-locals, by words", run: { try findsThreadLocals("threads-word") }),
    Check(name: "a program's thread-locals, by numbers", run: { try findsThreadLocals("threads-number") }),
    Check(name: "a program's thread-locals, by long numbers", run: { try findsThreadLocals("threads-far-number") }),
    Check(name: "a library's thread-locals", run: { try findsThreadLocalsOfLibraries("threads-linked") }),
    Check(name: "those of a library that is loaded later", run: { try findsThreadLocalsOfLibraries("threads-late") }),
    Check(name: "what a library and its program both have", run: findsWhatTheProgramHas),
    Check(name: "exceptions", run: { try throwsExceptions("shapes-plain") }),
    Check(name: "exceptions, with signed return addresses", run: { try throwsExceptions("shapes-guarded") }),
    Check(name: "watch: a source that is saved", run: watchesSources),
]

/// A program, and the objects that are applied to it.
private struct Edited {
    let program: Conversation
    private let path: String
    private let session: ObjectSession

    init(_ name: String) throws { try self.init([name]) }

    init(_ words: [String]) throws {
        path = victim(words[0])
        program = try Conversation([path] + words.dropFirst())
        session = ObjectSession(pid: program.pid, options: patient)
    }

    /// The object of an edit, "NAME-3", and that of the one before it.
    static func paths(_ edit: String) throws -> ObjectPair {
        guard let dash = edit.lastIndex(of: "-"), let number = Int(edit[edit.index(after: dash)...]) else {
            throw TestFailure("\(edit) has no number")
        }
        let base = edit[..<dash] + (number > 2 ? "-\(number - 1)" : "")
        return ObjectPair(new: victim(edit + ".o"), base: victim(base + ".o"))
    }

    /// Applies edits, all at once, and says what was applied.
    @discardableResult
    func apply(_ edits: String...) throws -> ObjectSession.Applied {
        let applied = try session.apply(edits.map(Self.paths))
        say("    \(edits.joined(separator: " ")): " + applied.steps.map(\.description).joined(separator: ", "))
        return applied
    }

    /// Expects edits not to be applied, and the process to be as it was.
    func refuses(_ edits: String..., because reason: String, line: Int = #line) throws {
        let before = try state()
        do {
            _ = try session.apply(edits.map(Self.paths))
        } catch let error as CommandError {
            try expect(error.exitCode == .refused && "\(error)".contains(reason), "\(error)", line: line)
            try expect(try state() == before, "it was touched", line: line)
            return
        }
        throw TestFailure("line \(line): \(edits) applied")
    }

    /// - Parameter patches: none for all.
    func revert(_ patches: UInt32...) throws {
        _ = try Revert(pid: program.pid, choice: patches.isEmpty ? .all : .patches(patches), options: patient).run()
    }

    func answers(_ expected: KeyValuePairs<String, String>, line: Int = #line) throws {
        for (question, answer) in expected {
            let found = try program.ask(question, seconds: 60)
            try expect(found == answer, "asked \(question): \(found)", line: line)
        }
    }

    /// What becomes of a patch's code, as it is listed; nil where nothing is.
    func fate(of patch: UInt32) throws -> String? {
        let lines = try List(pid: program.pid, all: true).run().text.split(separator: "\n").drop {
            !$0.hasPrefix("patch \(patch) ")
        }
        return lines.dropFirst().prefix { !$0.hasPrefix("patch ") }.first { $0.contains("its code ") }.map(String.init)
    }

    /// Bytes of code that no file has.
    func placedCode() throws -> UInt {
        var count: UInt = 0
        for line in try maps(of: program.pid) {
            let fields = line.split(separator: " ")
            guard fields.count == 5, fields[1] == "r-xp" else { continue }
            let ends = fields[0].split(separator: "-").compactMap { UInt($0, radix: 16) }
            count += ends[1] - ends[0]
        }
        return count
    }

    /// What the program executes of its own file, and the places of all that is mapped.
    func state() throws -> [[UInt8]] {
        let lines = try maps(of: program.pid)
        guard let code = lines.first(where: { $0.contains(" r-xp ") && $0.hasSuffix(path) }) else {
            throw TestFailure("\(path) is not mapped")
        }
        let ends = code.prefix { $0 != " " }.split(separator: "-").compactMap { UInt($0, radix: 16) }
        guard ends.count == 2 else { throw TestFailure("a mapping \(code)") }
        var bytes = [UInt8](repeating: 0, count: Int(ends[1] - ends[0]))
        let memory = open("/proc/\(program.pid)/mem", O_RDONLY | O_CLOEXEC)
        defer { close(memory) }
        guard pread(memory, &bytes, bytes.count, off_t(ends[0])) == bytes.count else {
            throw TestFailure("the memory of \(path) cannot be read")
        }
        return [bytes, lines.flatMap { Array($0.utf8) + [10] }]
    }
}

/// Stored closures, an actor, a struct, a class, constants, a new type with a conformance, a lock, and a file in C.
private func editsSwift() throws {
    let program = try Edited("together")
    let before = try program.state()
    func expectFirst(counted: Int, woven: Int, line: Int = #line) throws {
        try program.answers(
            [
                "hello": "hello v1", "count": "count v1 \(counted)", "": "probe v1 plain", "facts": "20 1 desk 42 20",
                "sums": "6 2", "words": "2 words of 56", "walk": "walks, walks, walks, walks, walks",
                "legs": "4 4 4 4 4", "rest": "rests rests rests rests rests",
                "weave": "\(woven): weaves 2, weaves 2, weaves 2, weaves 2",
            ], line: line)
    }
    try expectFirst(counted: 1, woven: 1)
    try program.answers(["work": "20"])

    // A type and a conformance that the process did not have, of a private protocol; a constant, which another file reads, too.
    let first = try program.apply("Desk-2")
    try expect(first.notes.allSatisfy { !$0.contains("kept") }, first.report.text)
    try program.answers([
        "hello": "hello v2", "count": "count v1 2", "": "probe v2 plain bold[\"a\"] Bold(words: [])",
        "facts": "50 1 desk 42 50", "sums": "105 101",
    ])

    // Several files at once. What they leave alone of what is made when it is first asked for is not taken for changed.
    let second = try program.apply("Kennel-2", "Loom-2", "Words-2", "work-2")
    for constant in ["title", "Words.all"] {
        try expect(!second.report.text.contains(constant), second.report.text)
    }
    let trots = Array(repeating: "trots, as it walks", count: 4).joined(separator: ", ")
    try program.answers([
        "words": "2 words, and 56", "walk": "walks, \(trots)", "legs": "4 5 5 5 5",
        "rest": "rests sleeps sleeps sleeps sleeps",
        "weave": "2: has woven 11, has woven 12, has woven 13, has woven 14", "work": "32",
    ])

    // Edits of what the edits before have brought.
    try program.apply("Desk-3", "Loom-3")
    try program.answers([
        "hello": "hello v2", "count": "count v3 3 [7, 7]", "": "probe v2 plain bolder1 Bold(words: [])",
        "facts": "70 1 desk 42 70", "weave": "3: wove 15, wove 16, wove 17, wove 18",
    ])
    try program.refuses("Desk-4", because: "Meter: stored property 'unit: String' added: restart needed")
    try program.answers(["facts": "70 1 desk 42 70", "count": "count v3 4 [7, 7]"])

    // The one in the middle first: nothing of its loom is in force.
    try program.revert(2)
    try program.answers([
        "weave": "4: wove 19, wove 20, wove 21, wove 22", "legs": "4 4 4 4 4", "facts": "70 1 desk 42 70", "work": "20",
    ])
    try program.revert()
    try expectFirst(counted: 5, woven: 5)
    try expect(try program.state()[0] == before[0], "what was patched is not as it was")
    let status = program.program.finish()
    try expect(status == 0, "it ended with \(status)")
}

/// Tests/Victims/SelfLinked.
private func editsItself() throws {
    let program = try Conversation(victim("self-linked"))
    func answers(_ expected: KeyValuePairs<String, String>, line: Int = #line) throws {
        for (question, answer) in expected {
            let found = try program.ask(question, seconds: 60)
            try expect(found == answer, "asked \(question): \(found)", line: line)
        }
    }
    func apply(_ edit: String) throws {
        let pair = try Edited.paths(edit)
        let applied = try program.ask("apply \(pair.new) \(pair.base)", seconds: 120)
        try expect(applied.hasPrefix("patch "), applied)
    }
    try answers(["hello": "hello v1", "count": "count v1 1"])
    try apply("Desk-2")
    try answers([
        "hello": "hello v2", "count": "count v1 2", "": "probe v2 plain bold[\"a\"] Bold(words: [])",
        "facts": "50 1 desk 42 50", "sums": "105 101",
    ])
    try apply("Desk-3")
    try answers([
        "count": "count v3 3 [7, 7]", "": "probe v2 plain bolder1 Bold(words: [])", "facts": "70 1 desk 42 70",
    ])
    let pair = try Edited.paths("Desk-4")
    let refused = try program.ask("apply \(pair.new) \(pair.base)", seconds: 120)
    try expect(refused.hasPrefix("restartNeeded refused: "), refused)
    try answers(["revert 1": "reverted", "count": "count v3 4 [7, 7]", "hello": "hello v1"])
    try answers(["revert 2": "reverted", "count": "count v1 5", "": "probe v1 plain", "facts": "20 1 desk 42 20"])
    try answers(["sums": "6 2"])
    let status = program.finish()
    try expect(status == 0, "it ended with \(status)")
}

/// Tests/Victims/commands/objects/work.c. In its last edition, a vector is loaded by 16 bytes; a variable of the C library is found
/// through the GOT. Where the program is crowded, nothing is free within the reach of a branch: entries take longer detours, and calls are led
/// through the PLT.
private func editsC(_ name: String, _ options: String...) throws {
    let program = try Edited([name] + options)
    let before = try program.state()[0]
    try program.answers(["": "20 1 one"])
    try program.answers(["": "22 2 two"])
    try program.apply(name + "-2")
    try program.answers(["": "1330 3 THREE"])
    try program.apply(name + "-3")
    try program.answers(["": "432 28004 four"])
    try program.revert()
    try program.answers(["": "20 5 five"])
    try expect(try program.state()[0] == before, "what was patched is not as it was")
}

/// Tests/Victims/commands/objects/aging.c. Code is freed once nothing leads into it: not while a thread sleeps in it.
private func freesCode(_ name: String) throws {
    let program = try Edited(name)
    try program.apply(name + "-2")
    try program.answers(["sleep": "sleeps"])
    try program.revert(1)
    let fate = try program.fate(of: 1) ?? "nothing"
    try expect(fate.contains("its code waits: ") && fate.contains(", on the stack of thread "), fate)
    let before = try program.placedCode()
    // Another thread gets the stack.
    try program.answers(["": "1", "wake": "207"])
    try program.answers(["sleep": "sleeps", "wake": "107"])
    // Again where the machine is too slow to search in time.
    for number in UInt32(2)..<60 {
        try program.apply(name + "-2")
        try program.answers(["": "2"])
        try program.revert(number)
        try program.answers(["": "1"])
        guard try program.fate(of: 1)?.contains("its code was freed") == true else { continue }
        try expect(try program.placedCode() < before, "as much code is mapped as before")
        let status = program.program.finish()
        try expect(status == 0, "it ended with \(status)")
        return
    }
    throw TestFailure("not freed: \(try program.fate(of: 1) ?? "nothing")")
}

/// Each thread gets one of its own when it first asks for it.
private func bringsThreadLocals() throws {
    let program = try Edited("threads-descriptor")
    try program.answers(["": "204 101"])
    try program.apply("threads-descriptor-2")
    // 103 + 3051 and + 4062; 101 + 2051.
    try program.answers(["": "\(3154 + 7216) 2152"])
    try program.apply("threads-descriptor-3")
    // 7216 + 73 + 5073 and + 84 + 6084; 2152 + 62 + 3062.
    try program.answers(["": "\(12362 + 18530) 5276"])
    try program.revert()
    try program.answers(["": "\(18537 + 18545) 5280"])
}

/// Code that finds variables by their distance from the thread pointer finds those that there are.
private func findsThreadLocals(_ name: String) throws {
    let program = try Edited(name)
    try program.answers(["": "204 101"])
    let applied = try program.apply(name + "-2")
    try expect(applied.report.text.contains("base: its value is kept: each thread has its own"), applied.report.text)
    // 103 + 12 and + 22; 101 + 11.
    try program.answers(["": "\(115 + 137) 112"])
    try program.refuses(name + "-3", because: "thread-local variable")
    // 137 + 32 and + 42; 112 + 21.
    try program.answers(["": "\(169 + 211) 133"])
}

/// By what the dynamic linker knows of a library.
private func findsThreadLocalsOfLibraries(_ name: String) throws {
    let program = try Edited(name)
    try program.answers(["": "204 101"])
    try program.apply(name + "-2")
    // 103 + 1012 and + 1022; 101 + 1011.
    try program.answers(["": "\(1115 + 2137) 1112"])
    try program.revert()
    // 2137 + 23 and + 24; 1112 + 12.
    try program.answers(["": "\(2160 + 2184) 1124"])
}

/// A library's new code uses the program's copy of its variable, and the program's version of its function, as its old code does.
private func findsWhatTheProgramHas() throws {
    let program = try Edited("shared")
    try program.answers(["": "607 6 1 1"])
    try program.apply("shared-2")
    try program.answers(["": "1307 13 1 1"])
}

/// What new code throws, new code catches: the runtime finds its tables.
private func throwsExceptions(_ name: String) throws {
    let program = try Edited(name)
    try program.answers(["60": "v1 square 9 caught too much 120 #1"])
    try program.apply(name + "-2")
    try program.answers(["20": "v1 square 9000 60shape77 #2"])
    try program.answers(["60": "v1 square 9000 CAUGHT way too much 180shape77 #3"])
    try program.revert()
    try program.answers(["60": "v1 square 9 caught too much 120 #4"])
}
