import HotpatchObjects
import HotpatchReload
import HotpatchRemoteTarget

/// `watch`: runs a command, and whenever a source of the program that it starts is saved, lets the running program have the new code.
public struct Watch: Sendable {
    /// Program and arguments.
    public var command: [String]
    /// Watch only what lies below these, where there are any.
    public var directories: [String]
    /// Watch only the sources of these targets, where there are any.
    public var targets: [String]
    /// What cannot go into the living process is told, and the program goes on as it is.
    public var keep: Bool
    public var json: Bool
    /// Where the events are written too, as lines of JSON: a file, or the number of a descriptor.
    public var events: String?
    public var verbose: Bool
    public var options: TargetOptions

    public init(
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
    public func run() throws(CommandError) -> Never {
        do { try WatchLoop(self, folder: fullPath(".")).run() } catch { throw CommandError(error) }
    }
}
