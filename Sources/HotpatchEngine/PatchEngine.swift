import CHotpatchLinux
import HotpatchELF
import HotpatchMemory
import HotpatchPlan
import HotpatchProcFS
import HotpatchSymbols

/// Replaces and reverts functions of a target: names and addresses in, a plan, one commit, a receipt.
///
/// Not safe for use by several threads at once; several engines, in several processes, may work on one target.
public final class PatchEngine {
    package let target: any Target
    /// The path of the target's main program: stubs keep clear of its heap.
    let program: String
    /// Whether a function is part of this engine and must not be patched.
    let isOwn: (FunctionSymbol) -> Bool
    /// What is known of the images so far. Engines of one process may share it.
    let references: ReferenceIndex
    /// What is known of the ledger, where the engine is inside the process. Likewise.
    private let knownLedger: KnownLedger
    /// Nanoseconds since 1970, UTC.
    var now: () -> UInt64 = { linux_time() }

    package init(
        target: any Target, program: String, references: ReferenceIndex = ReferenceIndex(),
        ledger: KnownLedger = KnownLedger(), isOwn: @escaping (FunctionSymbol) -> Bool = { _ in false }
    ) {
        self.references = references
        knownLedger = ledger
        self.target = target
        self.program = program
        self.isOwn = isOwn
    }

    /// What is patched now.
    public func state() throws(PatchError) -> LedgerState {
        target.beginOperation()
        defer { target.endOperation() }
        return try look().state
    }

    /// Reads the mappings, and the ledger in them.
    func look() throws(PatchError) -> (map: ProcessMap, state: LedgerState) {
        try reading("read the patch ledger") {
            try LedgerState.read(
                of: { try reading("read the mappings") { try target.processMap() } }, memory: target.memory,
                until: { target.isOutOfTime },
                // From outside, it may have been read while another patcher changed it.
                { [target, knownLedger] map in
                    target.committer == 0
                        ? try LedgerState(of: map, memory: target.memory)
                        : try knownLedger.read(map, memory: target.memory)
                })
        }
    }

    /// Reads what the code of an image refers to, ahead of the first patch of it.
    package func read(_ image: LoadedImage) throws(PatchError) {
        try references.read(image, target.architecture, in: OriginalCode(target.memory, state: try state()))
    }

    /// Computes what `apply` would do. Changes nothing.
    package func plan(_ request: PatchRequest) throws(PatchError) -> PlannedPatch {
        target.beginOperation()
        defer { target.endOperation() }
        let (map, state) = try look()
        return try plan(request, map: map, state: state, reusing: StagedPatch.Reusable())
    }

    /// Makes all the changes of the request, or none.
    public func apply(_ request: PatchRequest) throws(PatchError) -> Receipt {
        target.beginOperation()
        defer { target.endOperation() }
        var staged = StagedPatch(in: target)
        do throws(PatchError) {
            return try retryingOnConflict { (map, state) throws(PatchError) -> Receipt in
                let planned = try plan(request, map: map, state: state, reusing: staged.reusable)
                try stage(planned, in: &staged)
                let summary = try commit(
                    planned.plan, sites: planned.sites, stores: planned.stores, state: state)
                staged.allocation.finalize(for: planned.plan)
                return Receipt(
                    id: planned.id, sites: planned.sites, segments: planned.linked?.segments.map(\.range) ?? [],
                    refused: planned.refused, notes: planned.notes, problems: conclude(planned.plan).map(\.text),
                    summary: summary)
            }
        } catch {
            takeBack(&staged, after: error)
            throw error
        }
    }

    /// Runs `body` again, for as long as the operation has time, where somebody else has changed the target underneath: another
    /// patcher, from inside or outside, or a mapping that appears where a pool was to lie.
    func retryingOnConflict<T>(
        _ body: (ProcessMap, LedgerState) throws(PatchError) -> T
    ) throws(PatchError) -> T {
        target.beginOperation()
        defer { target.endOperation() }
        var pause: UInt64 = 50_000
        var unexplained = 0
        while true {
            let (map, state) = try look()
            let result: Result<T, PatchError>
            do throws(PatchError) { result = .success(try body(map, state)) } catch { result = .failure(error) }
            guard case .failure(let error) = result else { return try result.get() }
            switch error.code {
            case .addressTaken, .underway, .overtaken: break
            case .entryChanged:
                // Another patcher's jump may stand there, which the ledger did not tell of yet.
                let after = try self.state()
                if after.progress == state.progress, !after.isUnfinished { unexplained += 1 }
            default: return try result.get()
            }
            if unexplained == Self.looks { return try result.get() }
            if target.isOutOfTime { throw lasting(error) }
            linux_sleep(pause)
            pause = min(pause * 2, 20_000_000)
        }
    }

    private static let looks = 3

    /// What to say where a passing obstacle has not passed.
    private func lasting(_ error: PatchError) -> PatchError {
        switch error.code {
        case .addressTaken, .overtaken:
            let last = (try? state())?.patches.last?.record
            return .restless(
                pid: target.pid,
                by: last.map { "patch \($0.id) of \($0.origin.fromOutside ? "process \($0.origin.pid)" : "its own")" })
        default: return error
        }
    }

    /// Errors of the modules below, as this module's.
    func reading<T>(_ doing: String, _ body: () throws -> T) throws(PatchError) -> T {
        do { return try body() } catch let error as PatchError {
            throw error.code == .deadline ? error.during(doing) : error
        } catch let error as LedgerError {
            throw .ledger(error)
        } catch let error as SymbolError {
            throw .symbol(error)
        } catch let error as ReadError {
            throw .symbol(SymbolError(error))
        } catch let error as MemoryError {
            throw .memory(error, doing: doing)
        } catch {
            throw .target("cannot \(doing): \(error)")
        }
    }
}

// MARK: Stage

extension PatchEngine {
    /// Maps and fills what a plan takes, and makes its calls before, but for what was staged already.
    private func stage(_ planned: PlannedPatch, in staged: inout StagedPatch) throws(PatchError) {
        for segment in planned.plan.segments where !staged.allocation.holds(segment) {
            try reading("map memory for the patch") { try staged.allocation.reserve(segment) }
        }
        staged.note(mapped: planned)
        for call in planned.plan.callsBefore.dropFirst(staged.calls.count) {
            try make(call)
            staged.note(made: call)
        }
    }

    private func make(_ call: Call) throws(PatchError) {
        let result: UInt64
        do { result = try target.call(call, isCleanup: false) } catch let error as PatchError { throw error } catch {
            throw .target("\(error)")
        }
        switch call.answer {
        case .ignored: break
        case .zero:
            let answer = Int32(truncatingIfNeeded: result)
            if answer == 0 { return }
            let name = call.library.isEmpty ? call.name : "\(call.name) of \(call.library)"
            throw .target(
                "\(name) returned \(answer), which refuses the patch. Nothing was replaced. "
                    + "See the target's own log for its reasons.")
        case .stored(let place):
            try reading("store what \(call.name) returned") { try target.fill(word(result), at: place, .data) }
        }
    }

    /// What a plan has behind its commit: the calls after, and the releases.
    /// - Returns: the calls that failed.
    func conclude(_ plan: PatchPlan) -> [(index: Int, text: String)] {
        let failures = make(plan.callsAfter)
        for release in plan.releases where !failures.contains(where: { $0.index == release.call }) {
            switch release.effect {
            case .unmapped: target.unmap(release.range)
            case .emptied(let word): target.giveBack(release.range, then: word)
            }
        }
        return failures
    }

    /// Calls that end an operation. Returns those that failed.
    private func make(_ calls: [Call]) -> [(index: Int, text: String)] {
        calls.enumerated().compactMap { index, call in
            do { _ = try target.call(call, isCleanup: true) } catch {
                return (index, "\(call.name) could not be run: \(error)")
            }
            return nil
        }
    }

    /// Undoes what was staged for a patch that was not made.
    private func takeBack(_ staged: inout StagedPatch, after error: PatchError) {
        var made = PatchPlan(architecture: target.architecture)
        made.callsBefore = staged.calls
        let isUndone = make(made.reversed().callsAfter).isEmpty && made.undoesCalls
        if isUndone, error.outcome != .inconsistent {
            staged.allocation.abandon()
        } else {
            staged.allocation.release()
        }
    }
}

// MARK: Commit

extension PatchEngine {
    /// - Parameters:
    ///   - sites: those that the plan may write to besides those of the ledger, for an error to name.
    ///   - stores: likewise.
    ///   - reverted: the numbers of the patches that it takes out of force.
    func commit(
        _ plan: PatchPlan, sites: [SiteRecord] = [], stores: [DataStore] = [], reverted: [UInt32] = [],
        state: LedgerState
    ) throws(PatchError) -> CommitSummary {
        do {
            return try commit(
                plan, sites: sites, stores: stores, reverted: reverted, state: state, unlessReached: [])
        } catch let error as PatchError { throw error } catch { throw .target("\(error)") }
    }

    /// - Parameter code: what nothing may lead into.
    /// - Throws: `PatchError`; `CodeIsReached`, `SearchIsImpossible` of code that nothing may lead into.
    func commit(
        _ plan: PatchPlan, sites: [SiteRecord] = [], stores: [DataStore] = [], reverted: [UInt32], state: LedgerState,
        unlessReached code: [SearchedCode]
    ) throws -> CommitSummary {
        if state.committer != 0, state.committer != target.committer, target.hasThread(state.committer) {
            throw PatchError.underway(pid: target.pid, thread: state.committer)
        }
        var ledgerMemory = Allocation(in: target)
        if let ledger = plan.ledger { try reading("map the patch ledger") { try ledgerMemory.reserve(ledger) } }
        let block = CommitBlock(plan)
        do {
            // One that fails may have changed anything.
            knownLedger.forget()
            let summary = try code.isEmpty ? target.commit(block) : target.commit(block, unlessReached: code)
            ledgerMemory.release()
            if target.committer != 0 { knownLedger.note(commitFrom: state, reverted: reverted) }
            return summary
        } catch let error as PatchError {
            if error.outcome == .inconsistent { ledgerMemory.release() }
            throw error
        } catch let mismatch as CommitMismatch {
            let (address, expected, found) = (mismatch.address, mismatch.expected, mismatch.found)
            if block.underway.contains(address) {
                let thread = found.reversed().reduce(0) { $0 << 8 | UInt64($1) }
                throw PatchError.underway(pid: target.pid, thread: thread)
            }
            if plan[.generation].contains(where: { $0.address == address }) {
                throw PatchError.overtaken(pid: target.pid)
            }
            func isWritten(_ site: SiteRecord) -> Bool {
                site.patchAddress == address
                    || target.architecture.hop(of: site.detour, at: site.patchAddress) == address
            }
            let site = sites.first(where: isWritten) ?? state.sites.first(where: isWritten)
            let name =
                site.map { displayName($0.name) } ?? stores.first { $0.address == address }?.name
                ?? state.data.first { $0.address == address }.map { displayName($0.name) }
            throw PatchError.entryChanged(
                function: name ?? "the function", address: address + mismatch.offset, expected: expected, found: found)
        }
    }

    func word(_ value: UInt64) -> [UInt8] { littleEndian(value) }

    func displayName(_ mangled: String) -> String { Demangling.demangle(mangled) ?? mangled }
}
