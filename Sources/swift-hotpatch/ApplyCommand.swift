import ArgumentParser
import HotpatchCommands

struct ApplyCommand: ParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "apply",
        abstract: "Load a library into a process and let its functions replace the process's own.")

    @Argument(help: ArgumentHelp("A shared library.", valueName: "patch"), completion: .file())
    var library: String

    @Option(
        name: .long,
        help: ArgumentHelp(
            "The patch is an object file (.o), and this is the object of the same source that the process was linked from, or that was applied last.",
            valueName: "object"))
    var base: String?

    @OptionGroup var process: ProcessOptions
    @OptionGroup var change: ChangeOptions
    @OptionGroup var log: LogOptions

    @Option(
        name: .long,
        help: ArgumentHelp(
            "Only functions of the library whose name matches (* and ?), weak and inline ones too. Repeatable.",
            valueName: "pattern"))
    var only: [String] = []

    @Option(
        name: .long,
        help: ArgumentHelp(
            "Replace a function of the target by one of the library with another name. Repeatable.",
            valueName: "old=new"))
    var map: [String] = []

    @Option(
        name: .customLong("in"),
        help: ArgumentHelp("The image of the target to patch, where several define a name.", valueName: "image"))
    var image: String?

    @Flag(name: .long, help: "Print what would happen, and do nothing.")
    var dryRun = false

    @Flag(
        name: .long,
        help:
            "As root: load the library though others may write it, or a folder that it lies in, or it belongs to somebody else."
    )
    var allowUnsafeOwner = false

    func validate() throws { _ = try pairs() }

    private func pairs() throws -> [(old: String, new: String)] {
        try map.map { text in
            // A demangled name may hold an operator: the last = is the one that separates.
            guard let at = text.lastIndex(of: "="), at != text.startIndex, text.index(after: at) != text.endIndex else {
                throw ValidationError("--map takes OLD=NEW, not '\(text)'.")
            }
            return (String(text[..<at]), String(text[text.index(after: at)...]))
        }
    }

    func run() throws {
        if let base {
            let command = ApplyObject(
                objects: [(library, base)], pid: process.pid, dryRun: dryRun, options: change.target)
            log.start()
            change.raise_priority()
            return try perform(json: process.json) { () throws(CommandError) in try command.run() }
        }
        let command = Apply(
            library: library, pid: process.pid, only: only, map: try pairs(), image: image, dryRun: dryRun,
            allowUnsafeOwner: allowUnsafeOwner, options: change.target)
        log.start()
        change.raise_priority()
        try perform(json: process.json) { () throws(CommandError) in try command.run() }
    }
}
