import Glibc
import HotpatchTestSupport

/// A small program. A file of it, or several, are edited; one asks. It answers questions, each with what one of its declarations does.
struct Subject: Sendable {
    enum Language: Sendable {
        case swift
        case c
        case cxx
    }

    var name: String
    var language: Language
    /// The file that is edited. In Swift it defines `answer(_:)`, in C and C++ `answer`; and counts in `state` how often it is asked.
    var source: String
    /// What it is asked.
    var questions: [String]
    var cells: [Cell]
    var sequences: [EditSequence] = []

    /// The other file: it asks, and shows the count.
    private var main: String {
        switch language {
        case .swift:
            """
            #if canImport(Glibc)
                import Glibc
            #endif
            print("ready")
            fflush(nil)
            while let line = readLine() {
                print("\\(await answer(line)) #\\(state)")
                fflush(nil)
            }
            """
        case .c, .cxx:
            """
            #include <stdio.h>
            #include <string.h>
            #ifdef __cplusplus
            extern "C"
            #endif
            const char *answer(const char *);
            extern int state;
            int main(void) {
                char line[64];
                puts("ready");
                fflush(stdout);
                while (fgets(line, sizeof line, stdin)) {
                    line[strcspn(line, "\\n")] = 0;
                    const char *text = answer(line);
                    printf("%s #%d\\n", text, state);
                    fflush(stdout);
                }
            }
            """
        }
    }

    // MARK: Trials

    func run(_ cells: [Cell]) -> [Trial] {
        guard !cells.isEmpty else { return [] }
        do {
            var bench = try Bench(self)
            return cells.map { cell in
                var trial = Trial(name: "\(cell.kind), \(cell.edit)")
                do {
                    let seen = try bench.check(cell)
                    trial.columns = [cell.kind, cell.edit, seen.verdict, seen.behaviour, seen.state]
                } catch {
                    trial.failure = "\(error)"
                    trial.columns = [cell.kind, cell.edit, "FAILED", "\(error)", ""]
                    // Another process, as this one may be anything.
                    if let other = try? Bench(self) { bench = other }
                }
                return trial
            }
        } catch { return [Trial(name: name, failure: "\(error)")] }
    }

    /// Each in a process of its own.
    func runSequences() -> [Trial] {
        sequences.map { sequence in
            var trial = Trial(name: sequence.name)
            do {
                var bench = try Bench(self)
                try bench.check(sequence)
            } catch { trial.failure = "\(error)" }
            return trial
        }
    }

    /// The program, made and started.
    private struct Bench {
        let subject: Subject
        let directory: TemporaryDirectory
        let victim: Conversation
        private let build: Build
        /// To each question, at first.
        private var ordinary: [String: String] = [:]
        private var asked = 0
        private var edits = 0

        init(_ subject: Subject) throws {
            self.subject = subject
            directory = try TemporaryDirectory("matrix")
            build = try Build(subject.language, subject.source, main: subject.main, in: directory.path)
            victim = try Conversation(build.program)
            for question in subject.questions { ordinary[question] = try ask(question) }
        }

        /// The answer; the count goes on with every question.
        private mutating func ask(_ question: String) throws -> String {
            asked += 1
            let line = try victim.ask(question)
            guard let mark = line.lastIndex(of: "#"), Int(line[line.index(after: mark)...]) == asked else {
                throw TestFailure("state is lost: the answer is '\(line)' to question \(asked)")
            }
            return String(line[..<mark].dropLast())
        }

        mutating func check(_ cell: Cell) throws -> (verdict: String, behaviour: String, state: String) {
            edits += 1
            let objects = try build.compile(Self.edit(subject.source, cell.changes), as: "\(edits)")
            let pid = "\(victim.pid)"
            let result = try apply(objects, base: build.objects, victim.pid)
            let verdict = try verdict(result, cell)
            let isApplied = result.status == 0 && result.output.hasPrefix("patch ")
            let before = ordinary
            var expected = ordinary
            if isApplied { expected.merge(cell.answers) { $1 } }
            try checkAnswers(expected, "after it was applied (\(result.output)\(result.errors))")
            if isApplied {
                let reverted = try hotpatch("revert", "--all", "--pid", pid)
                guard reverted.status == 0 else { throw TestFailure("cannot revert: \(reverted)") }
                if cell.remains { ordinary = expected }
                try checkAnswers(ordinary, "after it was reverted")
            }
            let changes = cell.answers.sorted { $0.key < $1.key }.map { "`\(before[$0.key] ?? "")` → `\($0.value)`" }
            let behaviour = changes.isEmpty || !isApplied ? "as before" : changes.joined(separator: ", ")
            return (verdict, behaviour, "kept")
        }

        mutating func check(_ sequence: EditSequence) throws {
            var (text, base, expected) = (subject.source, build.objects, ordinary)
            for (number, step) in sequence.steps.enumerated() {
                text = try Self.edit(text, step.changes)
                let objects = try build.compile(text, as: "step\(number)")
                let result = try apply(objects, base: base, victim.pid)
                guard result.status == 0 else { throw TestFailure("step \(number + 1): \(result)") }
                if result.output.hasPrefix("patch ") { base = objects }
                expected.merge(step.answers) { $1 }
                try checkAnswers(expected, "after step \(number + 1): \(result)")
            }
            let reverted = try hotpatch("revert", "--all", "--pid", "\(victim.pid)")
            guard reverted.status == 0 else { throw TestFailure("cannot revert: \(reverted)") }
            try checkAnswers(ordinary, "after all was reverted")
        }

        private mutating func checkAnswers(_ expected: [String: String], _ moment: String) throws {
            for question in subject.questions {
                let answer = try ask(question)
                guard answer == expected[question] else {
                    throw TestFailure(
                        "\(question) is answered '\(answer)', not '\(expected[question] ?? "")', \(moment)")
                }
            }
        }

        /// A source with each of some texts, which it has once, replaced.
        private static func edit(_ source: String, _ changes: [(String, String)]) throws -> String {
            var text = source
            for (old, new) in changes {
                let parts = text.parts(around: old)
                guard parts.count == 2 else {
                    throw TestFailure("the source has '\(old)' \(parts.count - 1) times")
                }
                text = parts[0] + new + parts[1]
            }
            return text
        }

        /// What the table says of it.
        private func verdict(_ result: RunResult, _ cell: Cell) throws -> String {
            func wrong(_ what: String) -> TestFailure { TestFailure("\(what): \(result)") }
            switch cell.verdict {
            case .applied:
                guard result.status == 0, result.output.hasPrefix("patch ") else { throw wrong("it is not applied") }
            case .nothing:
                guard result.status == 0, result.output.hasPrefix("nothing to apply") else {
                    throw wrong("it is not found to change nothing")
                }
            case .refused(let reason):
                guard result.status == 2 else { throw wrong("it is not refused") }
                guard result.errors.contains(reason) else { throw wrong("the reason is not '\(reason)'") }
                return "refused: `\(reason)`"
            }
            if let note = cell.note, !(result.output + result.errors).contains(note) {
                throw wrong("'\(note)' is not said")
            }
            if let listed = cell.listed {
                let lines = result.output.split(separator: "\n").filter { $0.hasPrefix("  ") }.map { $0.dropFirst(2) }
                guard lines.map(String.init).sorted() == listed.sorted() else { throw wrong("\(listed) is not listed") }
            }
            let note = cell.note.map { ", and says `\($0)`" } ?? ""
            if case .nothing = cell.verdict { return "nothing to do" + note }
            return "applied" + (cell.remains ? ", and a revert leaves it" : "") + note
        }
    }
}

extension String {
    /// What stands before, between and behind the occurrences of a text.
    func parts(around text: String) -> [String] {
        var result: [String] = []
        var (part, rest) = ("", self[...])
        while !rest.isEmpty {
            if rest.hasPrefix(text) {
                result.append(part)
                part = ""
                rest = rest.dropFirst(text.count)
            } else {
                part.append(rest.removeFirst())
            }
        }
        return result + [part]
    }
}
