import HotpatchObjects
import HotpatchRemoteTarget

/// `apply --base`: link edited objects into a process, and let their functions replace those that the edit changed.
package struct ApplyObject: Sendable {
    package var objects: [ObjectPair]
    package var pid: Int32
    package var dryRun: Bool
    package var options: TargetOptions

    package init(
        objects: [ObjectPair], pid: Int32, dryRun: Bool = false, options: TargetOptions = TargetOptions()
    ) {
        self.objects = objects
        self.pid = pid
        self.dryRun = dryRun
        self.options = options
    }

    package func run() throws(CommandError) -> Report {
        try ObjectSession(pid: pid, options: options).apply(objects, dryRun: dryRun).report
    }
}
