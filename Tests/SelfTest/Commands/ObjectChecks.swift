import HotpatchCommands
import HotpatchObjects
import HotpatchRemoteTarget
import HotpatchTestSupport

/// Programs of which files are edited while they run. What is linked into them is compiled on another machine: Tests/arm64/objects.sh.
let objectChecks: [Check] = [
    Check(name: "an edited Swift file, applied and reverted", run: editsSwift)
]

/// A program, and the objects that are applied to it.
private struct Desk {
    let program: Conversation
    private let session: ObjectSession

    init(_ name: String) throws {
        program = try Conversation(victim(name))
        session = ObjectSession(pid: program.pid, options: TargetOptions(timeout: 60_000))
    }

    /// Applies edits of files: "Desk-2" is of "Desk", and "Desk-3" of "Desk-2".
    @discardableResult
    func apply(_ edits: String...) throws -> String {
        let pairs = edits.map { edit in
            let parts = edit.split(separator: "-")
            let number = Int(parts[1]) ?? 2
            let base = number == 2 ? String(parts[0]) : "\(parts[0])-\(number - 1)"
            return ObjectPair(new: victim(edit + ".o"), base: victim(base + ".o"))
        }
        let applied = try session.apply(pairs)
        say("    " + applied.steps.map(\.description).joined(separator: ", "))
        return applied.report.text
    }

    func revert(_ patches: UInt32...) throws {
        _ = try Revert(
            pid: program.pid, choice: patches.isEmpty ? .all : .patches(patches),
            options: TargetOptions(timeout: 60_000)
        ).run()
    }

    func expect(_ expected: KeyValuePairs<String, String>, line: Int = #line) throws {
        for (question, answer) in expected {
            let found = try program.ask(question)
            try HotpatchSelfTest.expect(found == answer, "asked \(question): \(found)", line: line)
        }
    }
}

private func editsSwift() throws {
    let desk = try Desk("desk")
    try desk.expect(["page": "page v1 helper v1 7"])
    try desk.apply("Desk-2")
    try desk.expect(["page": "page v1 helper v2 7"])
    try desk.revert()
    try desk.expect(["page": "page v1 helper v1 7"])
}
