import HotpatchObjects
import HotpatchReload
import HotpatchRemoteTarget

/// `watch`: runs a command, and whenever a source of the program that it starts is saved, lets the running program have the new code.
package struct Watch: Sendable {
    /// Program and arguments.
    package var command: [String]
    /// Watch only what lies below these, where there are any.
    package var directories: [String]
    /// Watch only the sources of these targets, where there are any.
    package var targets: [String]
    /// What cannot go into the living process is told, and the program goes on as it is.
    package var keep: Bool
    package var json: Bool
    /// Where the events are written too, as lines of JSON: a file, or the number of a descriptor.
    package var events: String?
    package var verbose: Bool
    package var options: TargetOptions

    package init(
        command: [String], directories: [String] = [], targets: [String] = [], keep: Bool = false, json: Bool = false,
        events: String? = nil, verbose: Bool = false, options: TargetOptions = TargetOptions()
    ) {
        self.command = command
        self.directories = directories
        self.targets = targets
        self.keep = keep
        self.json = json
        self.events = events
        self.verbose = verbose
        self.options = options
    }
}

extension Watch {
    /// Runs until a signal ends it, and the command with it.
    /// - Throws: `CommandError` where it cannot begin.
    package func run() throws(CommandError) -> Never {
        do { try WatchLoop(self, folder: fullPath(".")).run() } catch { throw CommandError(error) }
    }
}
