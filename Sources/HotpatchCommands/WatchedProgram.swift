import Glibc
import HotpatchELF
import HotpatchObjects
import HotpatchEngine
import HotpatchPlan
import HotpatchReload
import HotpatchRemoteTarget

/// The program that runs, what it was built from, and what of it has been edited since.
final class WatchedProgram: @unchecked Sendable {
    let process: SupervisedProcess
    let recipe: BuildRecipe
    let snapshot: Snapshot
    /// Where modules whose interfaces have changed lie.
    let overlay: String
    private let session: ObjectSession
    /// For each source the object that runs, where it is no longer the build's.
    private var running: [String: String] = [:]
    /// The patches in force, oldest first, with the objects that ran before each.
    private var history: [(patch: UInt32, before: [String: String])] = []
    private var transactions = 0

    /// - Throws: `BuildError`.
    init(
        _ process: SupervisedProcess, recipe: BuildRecipe, options: TargetOptions
    ) throws {
        self.process = process
        self.recipe = recipe
        snapshot = try Snapshot(of: recipe)
        overlay = try snapshot.makeFolder("modules")
        session = ObjectSession(pid: process.pid, options: options)
    }

    /// Reads the program's symbols before they are needed. Not while something is applied.
    func prepare() { try? session.prepare() }

    /// A new folder for what is compiled next.
    func newFolder() throws -> String {
        transactions += 1
        return try snapshot.makeFolder("save-\(transactions)")
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
    func apply(_ transaction: CompileTransaction) throws(CommandError) -> Outcome {
        var pairs: [ObjectPair] = []
        var compiled: [CompileTransaction.File] = []
        for file in transaction.files {
            guard let base = running[file.source] ?? snapshot.object(of: file.source) else {
                throw CommandError(
                    "\(file.source) was not part of the program when it was started. There is no code of it that could be replaced. "
                        + "Start the program again.", needsRestart: true)
            }
            compiled.append(file)
            if !hasSameContents(base, file.outputs.object) {
                pairs.append(ObjectPair(new: file.outputs.object, base: base))
            }
        }
        guard !pairs.isEmpty else {
            adopt(compiled)
            return .nothing(notes: [])
        }
        if let patches = undone(by: compiled) {
            let summary = try session.revert(patches)
            running = history[history.count - patches.count].before
            history.removeLast(patches.count)
            adopt(compiled)
            return .reverted(patches: patches, summary: summary)
        }
        let applied = try session.apply(pairs)
        if let patch = applied.patch { history.append((patch, running)) }
        for file in compiled { running[file.source] = file.outputs.object }
        adopt(compiled)
        return applied.patch == nil ? .nothing(notes: applied.notes) : .applied(applied)
    }

    /// What these files declare and include is from now on what the program has of them.
    private func adopt(_ files: [CompileTransaction.File]) {
        for file in files { recipe.adopt(file.outputs, of: file.source) }
    }

    /// The last patches, where the program was without them what it would be now.
    private func undone(by compiled: [CompileTransaction.File]) -> [UInt32]? {
        var wanted = running
        for file in compiled { wanted[file.source] = file.outputs.object }
        for place in history.indices.reversed() {
            let before = history[place].before
            let isSame = wanted.allSatisfy { source, object in
                guard let other = before[source] ?? snapshot.object(of: source) else { return false }
                return object == other || hasSameContents(object, other)
            }
            if isSame { return history[place...].map(\.patch) }
        }
        return nil
    }

    private func hasSameContents(_ one: String, _ other: String) -> Bool {
        guard let one = try? ElfImage(path: one), let other = try? ElfImage(path: other) else { return false }
        return one.contentsDigest == other.contentsDigest
    }
}
