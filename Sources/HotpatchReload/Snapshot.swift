import CHotpatchLinux
import Glibc
import HotpatchELF

/// What a program was built of, kept: the objects that were linked, and the sources of them.
///
/// They are copies, for any build writes others in their place. (The compilers of today write aside and rename, so that links would do; but
/// assemblers and editors write in place.) They lie in a folder that only their owner can enter, which goes with this value. What a process
/// that was killed has left is removed when the next one begins.
package final class Snapshot: Sendable {
    package let folder: String
    private let kept: [String: Kept]

    private struct Kept: Sendable {
        var object: String?
        var source: String?
        var compiled: Int
    }

    private static let prefix = "hotpatch-watch-"

    /// The sources that were written after the build had compiled them: their objects are of something else.
    package let edited: [String]

    /// Copies the objects and sources of the modules that a user edits.
    /// - Parameter parent: nil for `$TMPDIR` or `/tmp`.
    /// - Throws: `BuildError`. An object that does not exist is left out.
    package init(of recipe: BuildRecipe, in parent: String? = nil) throws(BuildError) {
        let folder = try Self.makeFolder(in: parent)
        self.folder = folder
        var kept: [String: Kept] = [:]
        var edited: [String] = []
        do throws(BuildError) {
            for module in recipe.edited where module.isInProgram {
                for source in module.sources {
                    let own = folder + "/\(kept.count)"
                    try BuildFiles.makeFolder(own)
                    // The compiler leaves an object of the same code as it is; what it read it writes each time.
                    let compiled = max(
                        BuildFiles.modified(source.object), source.dependencyFile.map(BuildFiles.modified) ?? 0)
                    var copies = Kept(compiled: compiled)
                    for (path, copy) in [(source.object, \Kept.object), (source.path, \Kept.source)] {
                        let place = own + "/" + BuildFiles.split(path).name
                        do throws(BuildError) {
                            try BuildFiles.copy(path, to: place)
                            copies[keyPath: copy] = place
                        } catch {
                            guard case .file(path, _, ENOENT) = error else { throw error }
                        }
                    }
                    if !source.isGenerated, BuildFiles.modified(source.path) > compiled { edited.append(source.path) }
                    kept[source.path] = copies
                }
            }
        } catch {
            BuildFiles.remove(folder)
            throw error
        }
        self.kept = kept
        self.edited = edited
    }

    deinit { remove() }

    /// Removes all files of it, at the end of a process that ends without more ado.
    package func remove() { BuildFiles.remove(folder) }

    /// Removes folders that were made in this one, but for those that hold a file that is needed.
    /// - Parameter prefix: what their names begin with.
    package func removeFolders(named prefix: String, butThoseOf needed: some Sequence<String>) {
        let kept = Set(
            needed.compactMap { path -> String? in
                guard BuildFiles.isBelow(path, folder) else { return nil }
                return path.dropFirst(folder.utf8.count + 1).split(separator: "/").first.map(String.init)
            })
        for name in BuildFiles.list(folder) where name.hasPrefix(prefix) && !kept.contains(name) {
            BuildFiles.remove(folder + "/" + name)
        }
    }

    /// The object that was linked; nil where there was none.
    package func object(of source: String) -> String? { kept[source]?.object }

    /// When the build had compiled a source, in nanoseconds after 1970: another build of it has another time. 0 where it never has.
    package func compiled(_ source: String) -> Int { kept[source]?.compiled ?? 0 }

    /// A copy of the source.
    package func contents(of source: String) -> String? { kept[source]?.source }

    /// A new folder in this one, for whatever goes with it.
    package func makeFolder(_ name: String) throws(BuildError) -> String {
        let path = folder + "/" + name
        try BuildFiles.makeFolder(path)
        return path
    }

    /// The same command for the files as they were: it makes the objects of the program again, with other options for instance.
    package func original(_ command: CompileCommand) throws(BuildError) -> CompileCommand {
        try command.replacing(kept.compactMapValues(\.source), overlay: folder + "/sources.yaml")
    }

    /// Whether all that was kept is there.
    package var isWhole: Bool {
        BuildFiles.isDirectory(folder)
            && kept.values.allSatisfy { [$0.object, $0.source].allSatisfy { $0.map(BuildFiles.isFile) ?? true } }
    }

    /// Where `TMPDIR` leads nowhere, as for other programs, in `/tmp`.
    private static func makeFolder(in parent: String?) throws(BuildError) -> String {
        let parents = parent.map { [$0] } ?? (getenv("TMPDIR").map { [String(cString: $0)] } ?? []) + ["/tmp"]
        var failure: BuildError?
        for parent in parents {
            removeLeftovers(in: parent)
            var template = Array("\(parent)/\(prefix)\(getpid())-XXXXXX".utf8CString)
            guard mkdtemp(&template) == nil else {
                return String(decoding: template.dropLast().map(UInt8.init(bitPattern:)), as: UTF8.self)
            }
            failure = failure ?? .file(path: parent, doing: "make a folder in", code: errno)
        }
        throw failure!
    }

    private static func removeLeftovers(in parent: String) {
        for name in BuildFiles.list(parent) where name.hasPrefix(prefix) {
            let digits = name.dropFirst(prefix.count).prefix { $0 != "-" }
            guard let pid = pid_t(digits), pid > 0, pid != getpid(), kill(pid, 0) != 0, errno == ESRCH else { continue }
            var status = stat()
            let path = parent + "/" + name
            guard lstat(path, &status) == 0, status.st_mode & S_IFMT == S_IFDIR, status.st_uid == getuid() else {
                continue
            }
            BuildFiles.remove(path)
        }
    }
}
