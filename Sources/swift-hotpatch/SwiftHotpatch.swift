import ArgumentParser
import HotpatchCommands
import Glibc
import Logging
import HotpatchRemoteTarget
import SystemPackage
import HotpatchReload

@main
struct SwiftHotpatch: ParsableCommand {
    /// For subcommands, which are parsed apart: one that has a command above it is not searched for requests of completion scripts, and
    /// that search takes as long as the rest.
    static let name = "swift-hotpatch"

    static let configuration = CommandConfiguration(
        commandName: name,
        abstract: "Changes the functions of a running process, without restarting it.",
        discussion: """
            Exit codes: 0 done, 2 refused and the target untouched, 3 failed and rolled back, \
            4 the target may be inconsistent, 5 done but for what was refused (--keep-going), 64 usage.
            """,
        version: "0.1.0",
        subcommands: [ApplyCommand.self, RevertCommand.self, ListCommand.self, SymbolsCommand.self, WatchCommand.self])

    static func main() {
        do {
            var command = try parsed()
            try command.run()
        } catch  where exitCode(for: error) == .validationFailure {
            let usage = UsageError(message(for: error), help: fullMessage(for: error))
            // Nobody knows yet what the arguments mean.
            if CommandLine.arguments.prefix(while: { $0 != "--" }).contains("--json") { print(usage.error.json) }
            write(usage.text)
            exit(withError: ArgumentParser.ExitCode(usage.error.exitCode.rawValue))
        } catch {
            exit(withError: error)
        }
    }
}

extension SwiftHotpatch {
    /// The command that the arguments ask for. A subcommand's own parser is asked first, which takes half as long as the parser of all;
    /// what it has something to say against, or is not to be run, is parsed anew: in the words of the whole command.
    private static func parsed() throws -> any ParsableCommand {
        let arguments = CommandLine.arguments.dropFirst()
        if let name = arguments.first,
            let subcommand = configuration.subcommands.first(where: { $0.configuration.commandName == name }),
            let command = try? subcommand.parseAsRoot(Array(arguments.dropFirst())),
            // Help is a command of its own.
            type(of: command) == subcommand
        {
            return command
        }
        return try parseAsRoot()
    }
}

/// What the argument parser has to say against the arguments, in the shape of all errors.
struct UsageError {
    let error: CommandError
    /// With the usage.
    let text: String

    /// - Parameters:
    ///   - message: what is wrong.
    ///   - help: the same as the parser prints it: a line or more, and then how the command is used.
    init(_ message: String, help: String) {
        var message = message
        if let first = message.first, first.isUppercase {
            message = first.lowercased() + message.dropFirst()
        }
        if let last = message.last, !".!?".contains(last) { message += "." }
        error = CommandError(message, exitCode: .usage)
        let lines = help.split(separator: "\n", omittingEmptySubsequences: false)
        let usage = lines.drop { !$0.hasPrefix("Help:") && !$0.hasPrefix("Usage:") }
        text = (["error: \(printable(message))"] + usage.map { printable(String($0)) }).joined(separator: "\n") + "\n"
    }
}

private func write(_ text: String) { _ = try? FileDescriptor.standardError.writeAll(text.utf8) }

/// What every command that looks at a process takes.
struct ProcessOptions: ParsableArguments {
    @Option(name: .long, help: "The process.")
    var pid: Int32

    @Flag(name: .long, help: "Print one line of JSON, errors included.")
    var json = false
}

/// Says each step on the standard error, where a command was asked to.
struct LogOptions: ParsableArguments {
    @Flag(name: .shortAndLong, help: "Say each step on the standard error.")
    var verbose = false

    func start() {
        let level: Logger.Level = verbose ? .debug : .error
        LoggingSystem.bootstrap { label in
            var handler = StreamLogHandler.standardError(label: label)
            handler.logLevel = level
            return handler
        }
    }
}

/// What every command that changes a process takes.
struct ChangeOptions: ParsableArguments {
    @Option(name: .long, help: ArgumentHelp("Give up after this long.", valueName: "seconds"))
    var timeout = 10.0

    @Option(
        name: .long,
        help: ArgumentHelp(
            "Hold threads no longer than this at a time, before the first write; where that is too short, try again until the timeout. "
                + "By default 50, and up to 400 where it takes that.",
            valueName: "milliseconds"))
    var maxPause: Int?

    @Flag(name: .long, help: "Go on though the target is under seccomp: a filter may kill it for a system call.")
    var allowSeccomp = false

    func validate() throws {
        guard timeout > 0, timeout <= 3600 else {
            throw ValidationError("--timeout takes more than 0 and at most 3600 seconds.")
        }
        if let maxPause, !(1...60_000).contains(maxPause) {
            throw ValidationError("--max-pause takes 1 to 60000 milliseconds.")
        }
    }

    /// A busy machine would keep a command of some tenths of a second waiting for minutes. Without the right to raise its priority,
    /// the command waits.
    func raisePriority() {
        if nice(0) >= 0 { _ = nice(-10) }
    }

    var target: TargetOptions {
        TargetOptions(
            timeout: .milliseconds(Int(timeout * 1000)), maximumPause: maxPause.map { .milliseconds($0) },
            allowSeccomp: allowSeccomp)
    }
}

/// Runs a command, prints what it has to say, and exits with its code.
func perform(json: Bool, _ command: () throws(CommandError) -> Report) throws {
    let exitCode: HotpatchCommands.ExitCode
    do throws(CommandError) {
        let report = try command()
        let output = json ? report.json.description : printable(report.text)
        if !output.isEmpty { print(output) }
        for notice in report.notices { write("note: \(printable(notice))\n") }
        exitCode = report.exitCode
    } catch {
        fail(error, json: json)
        exitCode = error.exitCode
    }
    guard exitCode == .done else { throw ArgumentParser.ExitCode(exitCode.rawValue) }
}

func fail(_ error: CommandError, json: Bool) {
    if json { print(error.json) }
    write("error: \(printable(error.description))\n")
}
