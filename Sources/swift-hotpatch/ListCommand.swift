import ArgumentParser
import HotpatchCommands

struct ListCommand: ParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "list", _superCommandName: SwiftHotpatch.name,
        abstract: "Show what is patched in a process, from outside and from code.")

    @Flag(name: .long, help: "Show the patches that were reverted too, as far back as the process keeps them.")
    var all = false

    @OptionGroup var process: ProcessOptions

    func run() throws {
        try perform(json: process.json) { () throws(CommandError) in try List(pid: process.pid, all: all).run() }
    }
}
