/// How long something took, and its parts.
package struct TerminalTimes: Hashable, Sendable {
    package struct Part: Hashable, Sendable {
        package var name: String
        package var nanoseconds: UInt64

        package init(_ name: String, nanoseconds: UInt64) {
            self.name = name
            self.nanoseconds = nanoseconds
        }
    }

    package var nanoseconds: UInt64
    /// In the order they are printed in: `compile`, `link`, `held`.
    package var parts: [Part]

    package init(nanoseconds: UInt64, parts: [Part] = []) {
        self.nanoseconds = nanoseconds
        self.parts = parts
    }
}

/// What became live with one save.
package struct TerminalReload: Hashable, Sendable {
    /// Paths of what was saved.
    package var files: [String]
    /// Names of the functions that run now as they were saved.
    package var functions: [String]
    package var times: TerminalTimes
    /// What runs as before until something happens, each with the reason.
    package var keptOld: [String] = []
    /// Functions that were replaced though nothing calls them, each with the reason.
    package var notReached: [String] = []

    package init(files: [String], functions: [String], times: TerminalTimes) {
        self.files = files
        self.functions = functions
        self.times = times
    }
}

/// What a watching command has to say while it runs.
package enum TerminalEvent: Hashable, Sendable {
    /// The command runs.
    case launched(pid: Int32, command: [String])
    /// The program was found, and what is saved becomes live in it.
    case ready(SupervisedProcess, files: Int)
    /// Files were saved, and are compiled: said again where more follow before they are. Said to programs, and to a person who wants to know
    /// all.
    case saved(files: [String])
    case applied(TerminalReload)
    /// An edit was undone: the original code runs.
    case restored(TerminalReload)
    /// Nothing that runs is different.
    case unchanged(files: [String], TerminalTimes)
    /// Resources were copied to where the program reads them.
    case copied(files: [String])
    /// Resources are gone, and so are their copies.
    case removed(files: [String])
    /// The program is as it was before the save.
    case refused(files: [String], reason: String)
    /// - `files`: empty where a build does not say which. `output`: as the compiler, or the build, has printed it.
    case compileFailed(files: [String], output: String, TerminalTimes)
    /// The compiler's warnings on files that compile. `output`: as the compiler has printed it.
    case warnings(files: [String], output: String)
    /// The command is ended and started again. The old program may serve meanwhile, until the build is done.
    case restarting(reason: String)
    case restarted(pid: Int32, TerminalTimes)
    /// The program executes another one, and is looked for again.
    case executed(SupervisedProcess)
    /// The program has ended; nil where it was the command itself, which was never looked into.
    case exited(SupervisedProcess?, ChildEnd)
    /// Something that must be known, and is no error.
    case notice(String)
    /// Something that nobody can do anything about. Said to programs, and to a person who wants to know all.
    case detail(String)
    /// `what. why. try this.`
    case error(String)

    /// As it is called in JSON.
    package var name: String {
        switch self {
        case .launched: "launched"
        case .ready: "ready"
        case .saved: "saved"
        case .applied: "applied"
        case .restored: "restored"
        case .unchanged: "unchanged"
        case .copied: "copied"
        case .removed: "removed"
        case .refused: "refused"
        case .compileFailed: "compile-failed"
        case .warnings: "warnings"
        case .restarting: "restarting"
        case .restarted: "restarted"
        case .executed: "executed"
        case .exited: "exited"
        case .notice: "notice"
        case .detail: "detail"
        case .error: "error"
        }
    }
}

extension TerminalEvent {
    /// A document of one line. Paths are whole, and times are in microseconds.
    package var json: JSON {
        var members: [JSON.Member] = []
        func add(_ name: String, _ value: JSON) { members.append(JSON.Member(name: name, value: value)) }
        func list(_ texts: [String]) -> JSON { .array(texts.map { .string($0) }) }
        func add(_ times: TerminalTimes) {
            let all = [TerminalTimes.Part("total", nanoseconds: times.nanoseconds)] + times.parts
            add(
                "microseconds",
                .object(all.map { JSON.Member(name: $0.name, value: .number(Int($0.nanoseconds / 1000))) }))
        }
        func add(_ process: SupervisedProcess) {
            add("pid", .number(Int(process.pid)))
            add("executable", .string(process.executable))
        }
        switch self {
        case .launched(let pid, let command):
            add("pid", .number(Int(pid)))
            add("command", list(command))
        case .ready(let process, let files):
            add(process)
            add("files", .number(files))
        case .saved(let files), .copied(let files), .removed(let files): add("files", list(files))
        case .applied(let reload), .restored(let reload):
            add("files", list(reload.files))
            add("functions", list(reload.functions))
            add(reload.times)
            add("kept_old", list(reload.keptOld))
            add("not_reached", list(reload.notReached))
        case .unchanged(let files, let times):
            add("files", list(files))
            add(times)
        case .refused(let files, let reason):
            add("files", list(files))
            add("reason", .string(reason))
        case .compileFailed(let files, let output, let times):
            add("files", list(files))
            add("output", .string(TerminalText.plain(output)))
            add(times)
        case .warnings(let files, let output):
            add("files", list(files))
            add("output", .string(TerminalText.plain(output)))
        case .restarting(let reason): add("reason", .string(reason))
        case .restarted(let pid, let times):
            add("pid", .number(Int(pid)))
            add(times)
        case .executed(let process): add(process)
        case .exited(let process, let end):
            if let process { add(process) }
            switch end {
            case .exited(let code): add("code", .number(Int(code)))
            case .killed(let signal, let core):
                add("signal", .string(ChildEnd.name(of: signal)))
                add("core", .bool(core))
            case .unknown: break
            }
        case .notice(let text), .detail(let text), .error(let text): add("message", .string(text))
        }
        guard case .object(let head) = JSON.document(["event": .string(name)]) else { return .null }
        return .object(head + members)
    }
}
