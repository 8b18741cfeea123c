import ArgumentParser
import Glibc
import HotpatchCommands

struct WatchCommand: ParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "watch",
        abstract: "Run a program, and give it the new code of each source file that is saved.",
        discussion: """
            swift-hotpatch watch -- swift run App

            The program goes on with its state, its tasks and its connections. What cannot go into a living process, the layout of a type for \
            instance, is named; then the program is built and started again.
            """)

    @Option(name: .long, help: ArgumentHelp("Watch only what lies below this. Repeatable.", valueName: "directory"))
    var dir: [String] = []

    @Option(name: .long, help: ArgumentHelp("Only sources of this target. Repeatable.", valueName: "target"))
    var target: [String] = []

    @Flag(name: .long, help: "Never start the program again: what cannot go into it is told, and left.")
    var keep = false

    @Flag(
        name: .long,
        help:
            "Print one line of JSON for each thing that happens, on the standard output: the program prints there too.")
    var json = false

    @Option(
        name: .long,
        help: ArgumentHelp(
            "Write the lines of JSON where nothing else is written: to a file, a FIFO, or a descriptor that is open, by its number.",
            valueName: "file"))
    var events: String?

    @OptionGroup var change: ChangeOptions
    @OptionGroup var log: LogOptions

    @Argument(
        parsing: .postTerminator,
        help: ArgumentHelp("What starts the program, behind --.", valueName: "command"))
    var command: [String] = []

    func validate() throws {
        guard !command.isEmpty else {
            throw ValidationError("watch takes a command that starts the program: watch -- swift run App.")
        }
    }

    func run() throws {
        log.start()
        let watch = Watch(
            command: command, directories: dir, targets: target, keep: keep, json: json, events: events,
            verbose: log.verbose, options: change.target)
        do throws(CommandError) { try watch.run() } catch {
            fail(error, json: json)
            throw ArgumentParser.ExitCode(error.exitCode.rawValue)
        }
    }
}
