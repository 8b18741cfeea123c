import ArgumentParser
import HotpatchCommands

struct RevertCommand: ParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "revert", _superCommandName: SwiftHotpatch.name,
        abstract: "Put the process's own functions back.")

    @Argument(help: ArgumentHelp("Patches to revert, as list numbers them.", valueName: "patch-id"))
    var patches: [UInt32] = []

    @Flag(name: .long, help: "Revert every patch of the process, by whomever.")
    var all = false

    @Flag(name: .long, help: "Print what would happen, and do nothing.")
    var dryRun = false

    @OptionGroup var process: ProcessOptions
    @OptionGroup var change: ChangeOptions
    @OptionGroup var log: LogOptions

    func validate() throws {
        if all, !patches.isEmpty {
            throw ValidationError("--all reverts every patch, and \(patches[0]) names one. Say one or the other.")
        }
        if !all, patches.isEmpty { throw ValidationError("No patch is named. Name those to revert, or say --all.") }
    }

    func run() throws {
        let command = Revert(
            pid: process.pid, choice: all ? .all : .patches(patches), dryRun: dryRun, options: change.target)
        log.start()
        change.raisePriority()
        try perform(json: process.json) { () throws(CommandError) in try command.run() }
    }
}
