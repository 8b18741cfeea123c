import Glibc
import HotpatchELF
import HotpatchHotLink
import HotpatchObjects
import HotpatchEngine
import HotpatchPlan
import HotpatchReload
import HotpatchRemoteTarget

/// The program that runs, what it was built from, and what of it has been edited since.
final class WatchedProgram: @unchecked Sendable {
    let process: SupervisedProcess
    private(set) var recipe: BuildRecipe
    let snapshot: Snapshot
    /// Where modules whose interfaces have changed lie.
    let overlay: String
    private let session: ObjectSession
    /// For each source the object that runs, where it is no longer the build's.
    private var running: [String: String] = [:]
    /// For each source that was saved without a change of what runs: its object.
    private var latent: [String: String] = [:]
    /// The patches in force, oldest first, and for each source that a patch has changed the object that ran before it; empty where that is
    /// not kept any more.
    private var history: [(patch: UInt32, before: [String: String])] = []
    private var digests: [String: String] = [:]
    /// What its objects have beside them.
    private(set) var sideTables = SideTables()
    /// What its sources held when that was compiled which runs.
    private(set) var live: LiveSources
    /// For each source the object of its last compilation that counts: what was written with it says what the file declares and uses.
    private var adopted: [String: String] = [:]
    /// By source.
    private var images: [String: String] = [:]
    /// Files that have gone, with their modules, as long as the program has something of them.
    private var gone: [String: String] = [:]
    private var transactions = 0
    private var emptyFolders = 0
    /// So many patches can be taken back to what was before them. What the build made is kept for all.
    private static let patchesTakenBack = 16

    /// - Throws: `BuildError`.
    init(
        _ process: SupervisedProcess, recipe: BuildRecipe, options: TargetOptions
    ) throws {
        self.process = process
        self.recipe = recipe
        snapshot = try Snapshot(of: recipe)
        live = LiveSources(snapshot)
        overlay = try snapshot.makeFolder("modules")
        session = ObjectSession(pid: process.pid, options: options, prefersAsking: true)
    }

    /// Reads the program's symbols before they are needed. Not while something is applied.
    func prepare() { try? session.prepare() }

    /// Removes the files that it has made. Nothing is compiled or applied after that.
    func removeFiles() { snapshot.remove() }

    /// Files that were saved: it is not known whether the program was built of what they hold.
    func forgetContents(of paths: some Sequence<String>) {
        for path in paths { live.forget(recipe.source(path)?.source.path ?? path) }
    }

    /// Whether all is there that it has kept aside: whoever cleans up temporary files may have taken it for one of them.
    var hasItsFiles: Bool {
        snapshot.isWhole && (Array(running.values) + latent.values).allSatisfy { access($0, F_OK) == 0 }
    }

    /// What is said of objects, of which only the sources are known to whoever edits.
    func aboutSources(_ text: String) -> String { WatchNotes.aboutSources(text, folder: snapshot.folder) }

    /// A new folder for what is compiled next.
    func newFolder() throws -> String {
        transactions += 1
        return try snapshot.makeFolder("save-\(transactions)")
    }

    /// Removes the folders of what was compiled, but for what is needed of them. Not while something is compiled.
    func removeOldFolders() {
        let needed =
            Array(running.values) + latent.values + adopted.values + history.flatMap { $0.before.values }
            + sideTables.contents.values + live.files
        snapshot.removeFolders(named: "save-", butThoseOf: needed)
        digests = digests.filter { access($0.key, F_OK) == 0 }
    }

    /// A file that the build did not have belongs to the program from now on.
    func takeIn(_ path: String, into module: String) {
        gone[path] = nil
        recipe = recipe.changing(adding: [(path, module)], removing: [])
    }

    /// Which of the program's files that have gone new ones of the same module are, each with its new name.
    func renamed(_ new: [(path: String, module: String)], from gone: Set<String>) -> [(old: String, new: String)] {
        var names: [(old: String, new: String)] = []
        for (path, module) in new {
            let candidates = gone.filter { old in
                recipe.source(old)?.module.name == module && !names.contains { $0.old == old }
            }
            let mates = candidates.filter { Self.name($0) == Self.name(path) }
            if mates.count == 1, let mate = mates.first {
                names.append((mate, path))
                continue
            }
            guard let old = live.source(like: path, among: candidates.sorted()) else { continue }
            names.append((old, path))
        }
        return names
    }

    /// A file is called otherwise from now on; what runs of it is what ran.
    /// - Returns: why that cannot be.
    func rename(_ old: String, to new: String) throws(CommandError) -> String? {
        let base = try base(of: old)
        if Self.name(old) != Self.name(new), Self.hasPrivateNames(base) {
            return
                "\(Self.name(old)) is called \(Self.name(new)) now: what is private in it, or a key of Codable, is another "
                + "thing by that"
        }
        recipe = recipe.renaming(old, to: new)
        (gone[old], gone[new]) = (nil, nil)
        sideTables.rename(old, to: new)
        live.rename(old, to: new)
        running[old] = nil
        running[new] = base
        latent[new] = latent.removeValue(forKey: old)
        adopted[new] = adopted.removeValue(forKey: old)
        images[new] = images.removeValue(forKey: old)
        for index in history.indices { history[index].before[new] = history[index].before.removeValue(forKey: old) }
        return nil
    }

    private static func name(_ path: String) -> Substring { path.split(separator: "/").last ?? "" }

    /// Private declarations have a number in their names that is made of their file's: `33_` and 32 hexadecimal digits.
    private static func hasPrivateNames(_ object: String) -> Bool {
        guard let file = try? ObjectFile(ElfImage(path: object)) else { return true }
        return file.symbols.contains { symbol in
            let name = Array(symbol.name.utf8)
            guard name.count > 35 else { return false }
            return (0..<name.count - 35).contains { start in
                name[start...].starts(with: "33_".utf8)
                    && name[(start + 3)..<(start + 35)].allSatisfy {
                        (0x30...0x39).contains($0) || (0x41...0x46).contains($0)
                    }
            }
        }
    }

    /// A file that was taken in has gone before anything of it ran: it is as if it had never been.
    /// - Returns: false where the program has it.
    func leaveOut(_ path: String) -> Bool {
        guard let source = recipe.source(path)?.source, source.isNew, snapshot.object(of: source.path) == nil,
            !history.contains(where: { $0.before[source.path] != nil })
        else { return false }
        recipe = recipe.changing(adding: [], removing: [source.path])
        (running[source.path], latent[source.path], adopted[source.path]) = (nil, nil, nil)
        return true
    }

    /// Files have gone, and what was compiled since does without them. What the program has of them stays in it.
    /// - Parameter recipe: that of this program without them.
    func leaveOut(_ paths: Set<String>, by recipe: BuildRecipe) {
        for path in paths {
            gone[path] = self.recipe.source(path)?.module.name
            (latent[path], adopted[path]) = (nil, nil)
        }
        self.recipe = recipe
    }

    /// Objects of nothing for the files that have gone: a function that has moved from one of them to another file is known by the objects
    /// of both. Where one cannot be made, the linker tells of such a function.
    private func objectsOfGone() -> [String: String] {
        var objects: [String: String] = [:]
        for (source, module) in gone where running[source] ?? snapshot.object(of: source) != nil {
            let recipe = recipe.changing(adding: [(source, module)], removing: [])
            objects[source] = try? nothing(inPlaceOf: source, by: recipe)
        }
        return objects
    }

    // MARK: Compiling

    /// Compiles what is saved, on whichever thread, while nothing is applied.
    func compiler(of recipe: BuildRecipe, _ options: CompileOptions, _ process: CompilerProcess) -> WatchedCompiler {
        WatchedCompiler(
            tables: sideTables, live: live,
            compiler: SideTables.Compiler(
                recipe: recipe, overlay: overlay, options: options, process: process,
                added: { [running, snapshot] file in
                    let base = running[file.source] ?? snapshot.object(of: file.source)
                    return WatchedCompiler.added(base, file.outputs.object)
                },
                typeText: { AddedProperty.text(ofType: $0) }))
    }

    // MARK: Applying

    enum Outcome {
        case applied(ObjectSession.Applied)
        /// The edit was taken back.
        case reverted(patches: [UInt32], summary: CommitSummary?)
        /// The code is what runs already.
        case nothing(notes: [String])
    }

    /// Lets the process run what was compiled.
    /// - Throws: `CommandError`. Unless its exit code is `inconsistent` the process runs what it ran before.
    func apply(_ compiled: WatchedCompiler.Compiled) throws(CommandError) -> Outcome {
        let outcome = try apply(compiled.transaction)
        sideTables = compiled.tables
        live = compiled.live
        return outcome
    }

    private func apply(_ transaction: CompileTransaction) throws(CommandError) -> Outcome {
        var changed: [String: String] = [:]
        for file in transaction.files {
            let base = try base(of: file.source)
            latent[file.source] = nil
            guard digest(base) != digest(file.outputs.object) else { continue }
            changed[file.source] = file.outputs.object
        }
        if changed.isEmpty {
            adopt(transaction)
            return .nothing(notes: [])
        }
        changed.merge(objectsOfGone()) { object, _ in object }
        if let entries = undone(by: changed) {
            let patches = entries.map { history[$0].patch }
            let summary = try session.revert(patches)
            for entry in entries.reversed() {
                for (source, object) in history.remove(at: entry).before { running[source] = object }
            }
            adopt(transaction)
            return .reverted(patches: patches, summary: summary)
        }
        // A transaction changes one image. What others use comes first.
        var images: [String] = []
        for source in transaction.files.map(\.source) + gone.keys.sorted() where changed[source] != nil {
            let image = try image(of: source)
            if !images.contains(image) { images.append(image) }
        }
        var all: ObjectSession.Applied?
        var notes: [String] = []
        let before = history.count
        for image in images {
            var part: [String: String] = [:]
            for (source, object) in changed where try self.image(of: source) == image { part[source] = object }
            let applied: ObjectSession.Applied
            do throws(CommandError) { applied = try apply(part, in: image) } catch {
                throw takeBack(behind: before, after: error)
            }
            guard applied.patch != nil else {
                notes += applied.notes
                continue
            }
            guard var sum = all else {
                all = applied
                continue
            }
            sum.functions += applied.functions
            sum.notes += applied.notes
            sum.kept += applied.kept
            sum.summary?.totalNanoseconds += applied.summary?.totalNanoseconds ?? 0
            all = sum
        }
        adopt(transaction)
        guard var all else { return .nothing(notes: notes) }
        all.notes += notes
        return .applied(all)
    }

    /// Takes back the patches of one save: all images get their part of it, or none does.
    /// - Returns: what to throw.
    private func takeBack(behind count: Int, after error: CommandError) -> CommandError {
        let made = history[count...]
        guard !made.isEmpty else { return error }
        do throws(CommandError) { _ = try session.revert(made.map(\.patch)) } catch let second {
            var error = error
            error.description += " Another image has got its part, which could not be taken back: \(second.description)"
            return error
        }
        for entry in made.reversed() {
            for (source, object) in entry.before { running[source] = object }
        }
        history.removeSubrange(count...)
        return error
    }

    /// Lets one image of the process have new objects, by their sources.
    private func apply(
        _ objects: [String: String], in image: String
    ) throws(CommandError) -> ObjectSession.Applied {
        var changed = objects
        var pairs: [ObjectPair] = []
        for (source, object) in changed.sorted(by: { $0.key < $1.key }) {
            pairs.append(ObjectPair(new: object, base: try base(of: source)))
        }
        let applied: ObjectSession.Applied
        do throws(CommandError) {
            applied = try session.apply(pairs)
        } catch  where !error.restartReasons.isEmpty && !(latent.isEmpty && running.isEmpty) {
            // What was added with an earlier save, and not needed by anything then, may be what is missing.
            for (source, object) in latent where changed[source] == nil {
                guard try self.image(of: source) == image else { continue }
                pairs.append(ObjectPair(new: object, base: try base(of: source)))
                changed[source] = object
            }
            for (source, object) in running where changed[source] == nil {
                guard try self.image(of: source) == image else { continue }
                pairs.append(ObjectPair(new: object, base: object))
            }
            do throws(CommandError) { applied = try session.apply(pairs) } catch let other {
                throw other.exitCode == .inconsistent ? other : error
            }
        }
        guard let patch = applied.patch else {
            for (source, object) in changed { latent[source] = object }
            return applied
        }
        var before: [String: String] = [:]
        for (source, object) in changed {
            before[source] = try base(of: source)
            running[source] = object
            latent[source] = nil
            gone[source] = nil
        }
        history.append((patch, before))
        let old = history.count - 1 - Self.patchesTakenBack
        if old >= 0 {
            for (source, object) in history[old].before where object != snapshot.object(of: source) {
                history[old].before[source] = ""
            }
        }
        return applied
    }

    /// The path of the image that a source is part of; of a new file, the one of the others of its module.
    private func image(of source: String) throws(CommandError) -> String {
        if let known = images[source] { return known }
        let mates = recipe.source(source)?.module.sources.map(\.path) ?? []
        let path = try session.image(of: ([source] + mates).compactMap { snapshot.object(of: $0) })
        images[source] = path
        return path
    }

    /// The object that runs of a source; of a file that is new, one of nothing.
    private func base(of source: String) throws(CommandError) -> String {
        if let known = running[source] ?? snapshot.object(of: source) { return known }
        let made = try nothing(inPlaceOf: source, by: recipe)
        running[source] = made
        return made
    }

    private func nothing(inPlaceOf source: String, by recipe: BuildRecipe) throws(CommandError) -> String {
        do throws(BuildError) {
            emptyFolders += 1
            let folder = try snapshot.makeFolder("empty-\(emptyFolders)")
            return try recipe.compileNothing(inPlaceOf: source, into: folder)
        } catch { throw CommandError(error) }
    }

    /// What these files declare and include is from now on what the program has of them.
    private func adopt(_ transaction: CompileTransaction) {
        recipe.adopt(transaction)
        for file in transaction.files { adopted[file.source] = file.outputs.object }
    }

    /// The patches without which the files would be what they are to be: those that have changed nothing else since.
    /// - Returns: their places in the history, ascending; nil where some file never was like this.
    private func undone(by changed: [String: String]) -> [Int]? {
        var first: [String: Int] = [:]
        for (source, object) in changed {
            let wanted = digest(object)
            let place = history.lastIndex { $0.before[source].map { digest($0) == wanted } ?? false }
            guard let place else { return nil }
            first[source] = place
        }
        let entries = history.indices.filter { place in
            history[place].before.keys.contains { source in first[source].map { place >= $0 } ?? false }
        }
        let isAll = entries.allSatisfy { place in
            history[place].before.keys.allSatisfy { source in first[source].map { place >= $0 } ?? false }
        }
        return isAll ? entries : nil
    }

    /// The digest of what a program gets from an object. Objects are never written again.
    private func digest(_ path: String) -> String {
        if let known = digests[path] { return known }
        let made = (try? ObjectFile(ElfImage(path: path)))?.loadedDigest ?? path
        digests[path] = made
        return made
    }
}
