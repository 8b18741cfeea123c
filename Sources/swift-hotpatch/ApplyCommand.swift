import ArgumentParser
import HotpatchCommands
import HotpatchObjects

struct ApplyCommand: ParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "apply", _superCommandName: SwiftHotpatch.name,
        abstract:
            "Load a library into a process, or link objects into it, and let their functions replace the process's own."
    )

    @Argument(
        help: ArgumentHelp("A shared library; or object files (.o), each with its --base.", valueName: "patch"),
        completion: .file())
    var patches: [String]

    @Option(
        name: .long,
        help: ArgumentHelp(
            "The object of the same source that the process was linked from, or that was applied last. One for each object of the patch, in the same order: they are applied together.",
            valueName: "object"))
    var base: [String] = []

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

    @Flag(
        name: .long,
        help:
            "Where functions of the library are refused, list them with the reasons and apply the others, in one transaction. The exit code is 5 then."
    )
    var keepGoing = false

    @Flag(name: .long, help: "Print what would happen, and do nothing.")
    var dryRun = false

    @Flag(
        name: .long,
        help:
            "As root: load the library though others may write it, or a folder that it lies in, or it belongs to somebody else."
    )
    var allowUnsafeOwner = false

    func validate() throws {
        _ = try (pairs(), objects())
        if base.isEmpty, patches.count > 1 {
            throw ValidationError("one library is applied at a time, or objects with a --base each.")
        }
    }

    /// Empty where a library is to be applied.
    private func objects() throws -> [ObjectPair] {
        if base.isEmpty { return [] }
        guard patches.count == base.count else {
            throw ValidationError(
                "each object has its --base: there are \(patches.count) of the patch, and \(base.count) of --base.")
        }
        for (what, files) in [("the patch", patches), ("--base", base)] {
            for (number, file) in files.enumerated() where files[..<number].contains(file) {
                throw ValidationError("\(file) is given twice as an object of \(what).")
            }
        }
        guard only.isEmpty, map.isEmpty, image == nil else {
            throw ValidationError(
                "--only, --map and --in are for a library: of an object, what was edited is replaced.")
        }
        guard !keepGoing else {
            throw ValidationError(
                "--keep-going is for a library: the functions of an object were edited together, and go into the program together."
            )
        }
        return zip(patches, base).map { ObjectPair(new: $0, base: $1) }
    }

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
        let objects = try objects()
        if !objects.isEmpty {
            let command = ApplyObject(objects: objects, pid: process.pid, dryRun: dryRun, options: change.target)
            log.start()
            change.raisePriority()
            return try perform(json: process.json) { () throws(CommandError) in try command.run() }
        }
        let command = Apply(
            library: patches[0], pid: process.pid, only: only, map: try pairs(), image: image, keepGoing: keepGoing,
            dryRun: dryRun, allowUnsafeOwner: allowUnsafeOwner, options: change.target)
        log.start()
        change.raisePriority()
        try perform(json: process.json) { () throws(CommandError) in try command.run() }
    }
}
