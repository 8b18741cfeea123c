import HotpatchELF
import HotpatchEngine
import HotpatchMemory
import HotpatchPlan
import HotpatchProcFS
import HotpatchRemoteTarget
import HotpatchSymbols
import Logging

/// A process to be changed: examined, its symbols read, nothing touched yet.
struct Session {
    let inspection: Inspection
    let process: RemoteProcess
    let index: SymbolIndex
    let target: RemoteTarget
    let engine: PatchEngine
    private let references: ReferenceIndex

    /// - Parameter known: of the same process, before: what it has read is used where that has not changed.
    init(pid: Int32, options: TargetOptions, after known: Session? = nil) throws(CommandError) {
        // Reading a large process, on a busy machine, takes its time too.
        let deadline = Deadline.after(options.timeout)
        do {
            process = try RemoteProcess.examine(pid: pid, allowSeccomp: options.allowSeccomp, deadline: deadline)
            inspection = try Inspection(pid: pid)
            if let known, known.process.startTime != process.startTime {
                throw CommandError(
                    "process \(pid) has ended, and another program has its number. Nothing was touched. Begin anew with it."
                )
            }
            let (index, before): (SymbolIndex, RemoteTarget?)
            // Once it executes another program, its former memory is gone.
            if let known, !known.inspection.memory.isGone, known.index.time.failure == nil {
                known.index.time.begin(options.timeout)
                (index, before) = (try known.index(for: inspection.map), known.target)
                references = known.references
                references.keep(index.images)
            } else {
                (index, before) = (
                    try inspection.symbols(within: ReadingTime(options.timeout)), nil
                )
                references = ReferenceIndex()
            }
            self.index = index
            target = try RemoteTarget(
                process: process, symbols: index, options: options, deadline: deadline, after: before)
            let own = OwnCode(index: index)
            engine = PatchEngine(target: target, program: process.executable, references: references) {
                own.contains($0)
            }
            try index.time.check()
        } catch { throw CommandError(error) }
    }

    /// The symbols for a map of the same program that is read later. A file that was built anew meanwhile is still mapped as it was, and
    /// only has no path any more.
    private func index(for map: ProcessMap) throws -> SymbolIndex {
        func files(_ map: ProcessMap) -> [MappedFile] { map.mappedFiles.filter { !LedgerState.isLedger($0.header) } }
        let (before, now) = (files(index.map), files(map))
        let isSame = before.count == now.count && zip(before, now).allSatisfy { $0.isSame(as: $1) }
        return isSame ? index : try index.refreshed(map: map)
    }

    /// Takes away code of linked objects that nothing leads into any more.
    func disposeOfDeadCode() throws(PatchError) -> PatchEngine.Disposed {
        let disposed = try engine.disposeOfDeadCode()
        Logger(label: "swift-hotpatch").debug("dead code: \(disposed)")
        return disposed
    }

    /// The same, if it is time for that.
    /// - Parameter receipt: of a patch that has just been made.
    func disposeOfDeadCode(after receipt: Receipt) throws(PatchError) -> PatchEngine.Disposed? {
        let disposed = try engine.disposeOfDeadCode(after: receipt)
        if let disposed { Logger(label: "swift-hotpatch").debug("dead code: \(disposed)") }
        return disposed
    }

    /// An error, or why it came to that: what was not read to its end is not there for whoever looks for it.
    func explained(_ error: any Error) -> CommandError {
        let error = CommandError(error)
        guard error.exitCode == .refused, let failure = index.time.failure else { return error }
        return CommandError(failure)
    }
}

extension MappedFile {
    /// Whether the same file lies in the same places, whatever leads to it by now.
    fileprivate func isSame(as other: MappedFile) -> Bool {
        func place(_ region: Region) -> Region {
            var region = region
            if region.path.hasSuffix(" (deleted)") { region.path.removeLast(10) }
            return region
        }
        return regions.elementsEqual(other.regions) { place($0) == place($1) }
    }
}
