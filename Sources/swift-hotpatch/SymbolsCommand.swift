import ArgumentParser
import HotpatchCommands
import HotpatchReload

struct SymbolsCommand: ParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "symbols",
        abstract: "Show what can be patched of a program: the functions written in its source, by name.",
        usage: "swift-hotpatch symbols (--pid PID | FILE) [PATTERN] [--in IMAGE] [--all] [--json]")

    @Option(name: .long, help: "The process.")
    var pid: Int32?

    @Argument(
        help: ArgumentHelp(
            "With --pid: a pattern. Without: a file, then a pattern. A pattern has * and ?, or is any part of a name.",
            valueName: "file-or-pattern"))
    var operands: [String] = []

    @Option(name: .customLong("in"), help: ArgumentHelp("Of this image, not of the program.", valueName: "image"))
    var image: String?

    @Flag(
        name: .long,
        help: "Every function that can be found, of libraries and made by compilers too, in the order of addresses.")
    var all = false

    @Flag(name: .long, help: "Print one line of JSON, errors included.")
    var json = false

    func validate() throws {
        let files = pid == nil ? 1 : 0
        guard operands.count >= files else { throw ValidationError("Say --pid PID, or name a file.") }
        guard operands.count <= files + 1 else { throw ValidationError("Only one pattern can be given.") }
        if pid == nil, image != nil { throw ValidationError("--in chooses an image of a process: it needs --pid.") }
    }

    func run() throws {
        let command: SymbolList
        if let pid {
            command = SymbolList(subject: .process(pid), pattern: operands.first, image: image, all: all)
        } else {
            command = SymbolList(subject: .file(operands[0]), pattern: operands.dropFirst().first, all: all)
        }
        try perform(json: json) { () throws(CommandError) in try command.run() }
    }
}
