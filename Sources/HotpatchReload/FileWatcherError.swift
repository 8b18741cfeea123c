import Glibc
import HotpatchMemory

/// Why files cannot be watched.
package enum FileWatcherError: Error, Hashable, Sendable, CustomStringConvertible {
    /// The kernel watches no further directory for this user.
    case tooManyWatches(path: String, watched: Int, limit: Int?)
    /// The kernel makes no further instance of inotify for this user.
    case tooManyInstances
    case notADirectory(path: String)
    case cannotWatch(path: String, code: Int32)

    package var description: String {
        switch self {
        case .tooManyWatches(let path, let watched, let limit):
            let known = limit.map { ", which is \($0)" } ?? ""
            return
                "cannot watch \(path). It would be directory \(watched + 1) of this command, and the programs of a user may not "
                + "watch more directories together than fs.inotify.max_user_watches\(known). Raise it (sudo sysctl "
                + "fs.inotify.max_user_watches=524288), or watch fewer directories."
        case .tooManyInstances:
            return
                "cannot watch files. The programs of this user have as many instances of inotify as fs.inotify.max_user_instances "
                + "allows, or this one has no descriptor left (ulimit -n). Raise it (sudo sysctl fs.inotify.max_user_instances=512)."
        case .notADirectory(let path):
            return "cannot watch \(path). There is no such directory. Name one that exists."
        case .cannotWatch(let path, let code):
            return
                "cannot watch \(path). \(errorText(code)). Check that it can be read, and that descriptors are left "
                + "(ulimit -n)."
        }
    }
}
