import ArgumentParser
import HotpatchCommands

struct SymbolsCommand: ParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "symbols", abstract: "Show the functions of a process, or of a file.",
        usage: "swift-hotpatch symbols (--pid PID | FILE) [PATTERN] [--in IMAGE] [--json]")

    @Option(name: .long, help: "The process.")
    var pid: Int32?

    @Argument(
        help: ArgumentHelp(
            "With --pid: a pattern. Without: a file, then a pattern. A pattern has * and ?, or is any part of a name.",
            valueName: "file-or-pattern"))
    var operands: [String] = []

    @Option(name: .customLong("in"), help: ArgumentHelp("Only this image of the process.", valueName: "image"))
    var image: String?

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
            command = SymbolList(subject: .process(pid), pattern: operands.first, image: image)
        } else {
            command = SymbolList(subject: .file(operands[0]), pattern: operands.dropFirst().first)
        }
        try perform(json: json) { () throws(CommandError) in try command.run() }
    }
}
