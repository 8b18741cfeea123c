import Glibc
import HotpatchTestSupport

/// Links objects that no compiler has made, and expects that each is either linked, or refused with an error that helps: no trap, no hang,
/// no memory without end.
///
/// `Fuzz [--seed N] [--seconds N] [--workers N] [--inputs A-B] [--keep DIRECTORY]` makes objects, changes them, and hands them to workers:
/// processes that may die. It prints each that did, and a line in the shape of Swift Testing's. The same seed makes the same inputs.
///
/// `Fuzz libraries [--seed N] [--seconds N] [--inputs A-B] [--keep DIRECTORY]` changes shared libraries instead: see `LibraryFuzz`.
///
/// `Fuzz work DIRECTORY SEED FIRST STEP COUNT` is a worker: see `Worker`.
@main
struct Fuzz {
    static func main() throws {
        var arguments = CommandLine.arguments.dropFirst()
        if arguments.first == "work" { try Worker.serve(Array(arguments.dropFirst())) }
        let isOfLibraries = arguments.first == "libraries"
        if isOfLibraries { arguments.removeFirst() }
        var options = Supervisor.Options()
        func number(_ option: String) -> UInt64 {
            guard let value = arguments.popFirst().flatMap({ UInt64($0) }) else { usage("\(option) takes a number") }
            return value
        }
        while let argument = arguments.popFirst() {
            switch argument {
            case "--seed": options.seed = number(argument)
            case "--seconds": options.seconds = Int(clamping: number(argument))
            case "--workers": options.workers = max(1, Int(clamping: number(argument)))
            case "--inputs":
                let ends = (arguments.popFirst() ?? "").split(separator: "-").compactMap { Int($0) }
                guard let first = ends.first, let last = ends.last, first <= last else { usage("--inputs takes A-B") }
                options.inputs = first...last
            case "--keep":
                guard let directory = arguments.popFirst() else { usage("--keep takes a directory") }
                options.keep = directory
            default: usage("there is no option \(argument)")
            }
        }
        let failures = try isOfLibraries ? LibraryFuzz(options).run() : Supervisor(options).run()
        exit(failures == 0 ? 0 : 1)
    }

    private static func usage(_ what: String) -> Never {
        print(
            "\(what). usage: Fuzz [libraries] [--seed N] [--seconds N] [--workers N] [--inputs A-B] [--keep DIRECTORY]")
        exit(64)
    }
}
