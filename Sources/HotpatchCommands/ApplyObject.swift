import HotpatchObjects
import HotpatchRemoteTarget

/// `apply --base`: link edited objects into a process, and let their functions replace those that the edit changed.
public struct ApplyObject: Sendable {
    public var objects: [ObjectPair]
    public var pid: Int32
    public var dryRun: Bool
    public var options: TargetOptions

    public init(
        objects: [ObjectPair], pid: Int32, dryRun: Bool = false, options: TargetOptions = TargetOptions()
    ) {
        self.objects = objects
        self.pid = pid
        self.dryRun = dryRun
        self.options = options
    }

    public func run() throws(CommandError) -> Report {
        try ObjectSession(pid: pid, options: options).apply(objects, dryRun: dryRun).report
    }
}
