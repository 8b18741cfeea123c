import ArgumentParser
import HotpatchCommands

struct ListCommand: ParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "list", abstract: "Show what is patched in a process, from outside and from code.")

    @OptionGroup var process: ProcessOptions

    func run() throws {
        try perform(json: process.json) { () throws(CommandError) in try List(pid: process.pid).run() }
    }
}
