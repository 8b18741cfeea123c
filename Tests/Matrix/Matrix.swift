import Glibc
import HotpatchTestSupport

/// What an edit may do to a process that runs: kinds of declarations by kinds of edits, each tried.
///
/// `Matrix [--table] [--sample N] [--edits N] [--seed N] [NAME…]` makes small programs, starts them, and for each cell compiles the edited
/// file, applies it with the command, and compares what was said, what the program answers then, what it answers to all other questions,
/// and that it goes on with what it has counted; then it reverts the edit and asks again. It prints a line for each program in the shape of
/// Swift Testing's; with `--table`, a table in Markdown. With `--sample N` it tries every Nth cell. `--edits N` is a sequence of so many
/// random edits of one program, while tasks and threads call what is edited. Programs are named by parts of their names.
@main
struct Matrix {
    static let subjects: [Subject] =
        [.functions, .methods, .closures, .values, .types, .conformances, .files, .c, .cFiles, .cxxFiles, .cxx]

    static func main() {
        var arguments = CommandLine.arguments.dropFirst()
        var (isTable, step, edits) = (false, 1, 100)
        var seed = UInt64.random(in: 0...UInt64(UInt32.max))
        var wanted: [String] = []
        func number(_ option: String) -> Int {
            guard let value = arguments.popFirst().flatMap({ Int($0) }), value >= 0 else {
                usage("\(option) takes a number")
            }
            return value
        }
        while let argument = arguments.popFirst() {
            switch argument {
            case "--table": isTable = true
            case "--sample": step = max(1, number(argument))
            case "--edits": edits = number(argument)
            case "--seed": seed = UInt64(number(argument))
            case _ where argument.hasPrefix("-"): usage("there is no option \(argument)")
            default: wanted.append(argument)
            }
        }
        func isWanted(_ name: String) -> Bool { wanted.isEmpty || wanted.contains { name.contains($0) } }
        var isGood = true
        var number = 0
        if isTable { print(Trial.head) }
        for subject in subjects where isWanted(subject.name) {
            let start = time(nil)
            let cells = subject.cells.filter { _ in
                number += 1
                return (number - 1) % step == 0
            }
            let trials = subject.run(cells) + (isTable ? [] : subject.runSequences())
            if isTable {
                for trial in trials { print(trial.row) }
                fflush(nil)
            }
            isGood = report("the edits of \(subject.name)", trials, since: start, isTable) && isGood
        }
        if edits > 0, !isTable, isWanted("random edits") {
            let start = time(nil)
            let trial = RandomEdits(count: edits, seed: seed).run()
            isGood = report("random edits of a program that runs", [trial], since: start, false) && isGood
        }
        exit(isGood ? 0 : 1)
    }

    private static func report(_ name: String, _ trials: [Trial], since start: Int, _ isTable: Bool) -> Bool {
        let failures = trials.filter { $0.failure != nil }
        if !isTable {
            let count = trials.map(\.count).reduce(0, +)
            print(
                "    \(count) tried\n" + (failures.isEmpty ? "✔" : "✘") + " Test \"matrix: \(name)\" "
                    + (failures.isEmpty ? "passed" : "failed") + " after \(time(nil) - start) seconds.")
        }
        fflush(nil)
        for trial in failures {
            let text = Array("    \(trial.name): \(trial.failure!)\n".utf8)
            _ = write(isTable ? 2 : 1, text, text.count)
        }
        return failures.isEmpty
    }

    private static func usage(_ what: String) -> Never {
        print("\(what). usage: Matrix [--table] [--sample N] [--edits N] [--seed N] [NAME…]; names:")
        for subject in subjects { print("  \(subject.name)") }
        exit(64)
    }
}
