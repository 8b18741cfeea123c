import Glibc
import HotpatchTestSupport

/// Does to processes, while they are patched, what a patcher must not be hurt by and must not make worse; counts who was harmed.
///
/// `Torture [--short] [--seed N] [--victims DIRECTORY] [--table] [ROW…]` runs the rows and prints a line for each in the shape of
/// Swift Testing's, with its figure; with `--table`, lines of a Markdown table. Rows are named by any part of their names.
///
/// `Torture patch COMMAND…` is the patcher, a process of its own that may be killed: see `Patcher`.
@main
struct Torture {
    static let rows: [Row] = processRows + disturbanceRows + holdRows + hostileRows

    static func main() {
        var arguments = CommandLine.arguments.dropFirst()
        if arguments.first == "patch" { Patcher.serve(Array(arguments.dropFirst())) }
        if arguments.first == "inside" { InsidePatcher.serve(Array(arguments.dropFirst())) }
        var (length, seed, isTable) = (Length.long, UInt64.random(in: 0...UInt64(UInt32.max)), false)
        var victims = products
        var wanted: [String] = []
        while let argument = arguments.popFirst() {
            switch argument {
            case "--short": length = .short
            case "--table": isTable = true
            case "--seed":
                guard let value = arguments.popFirst().flatMap({ UInt64($0) }) else { usage("--seed takes a number") }
                seed = value
            case "--victims":
                guard let value = arguments.popFirst() else { usage("--victims takes a directory") }
                victims = value
            case _ where argument.hasPrefix("-"): usage("there is no option \(argument)")
            default: wanted.append(argument)
            }
        }
        for name in wanted where !rows.contains(where: { $0.name.contains(name) }) { usage("no row is called \(name)") }
        print(isTable ? "| what | tries | harmed | |\n|---|---|---|---|" : "torture: SEED=\(seed)")
        var failures = 0
        for row in rows where wanted.isEmpty || wanted.contains(where: { row.name.contains($0) }) {
            let start = time(nil)
            let figure = Rig(length: length, victims: victims, seed: seed).figure(of: row)
            if figure.harmed != 0 { failures += 1 }
            let text =
                isTable
                ? "| \(row.name) | \(figure.tries) | \(figure.harmed) | \(figure.text) |"
                : (figure.harmed == 0 ? "✔" : "✘") + " Test \"torture: \(row.name)\" "
                    + (figure.harmed == 0 ? "passed" : "failed") + " after \(time(nil) - start) seconds."
                    + "\n    \(figure.tries) tries, \(figure.harmed) harmed. \(figure.text)"
            print(text)
            fflush(nil)
        }
        exit(failures == 0 ? 0 : 1)
    }

    private static func usage(_ what: String) -> Never {
        print("\(what). usage: Torture [--short] [--seed N] [--victims DIRECTORY] [--table] [ROW…]; rows:")
        for row in rows { print("  \(row.name)") }
        exit(64)
    }
}
