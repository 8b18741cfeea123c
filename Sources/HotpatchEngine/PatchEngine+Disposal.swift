import HotpatchMemory
import HotpatchPlan
import HotpatchProcFS

/// Code to be searched for: whether any word of a process leads into it.
package struct SearchedCode: Hashable, Sendable {
    /// What no word is to lead into.
    package var ranges: [Range<Address>]
    /// Memory whose words do not count: it is the code's own.
    package var ignored: [Range<Address>]
    /// Tables that the unwinder has of it, and that its own words about it are known by; null where it has none.
    package var tables: Address

    package init(ranges: [Range<Address>], ignored: [Range<Address>] = [], tables: Address = .null) {
        self.ranges = ranges
        self.ignored = ignored
        self.tables = tables
    }
}

/// Some of the code that a commit was to dispose of is led into. Nothing was changed.
package struct CodeIsReached: Error {
    /// By their places among what was searched for, what leads there.
    package var found: [Int: String]

    package init(_ found: [Int: String]) { self.found = found }
}

/// Not all memory of the process could be searched, or not in the time that threads may be held. Nothing was changed.
package struct SearchIsImpossible: Error, CustomStringConvertible {
    package var description: String

    package init(_ description: String) { self.description = description }

    /// To hold all threads until it is done would be a pause that is felt.
    package static let tooLong = SearchIsImpossible("searching its memory takes longer than its threads may be held")
}

extension Target {
    package var searchesMemory: Bool { false }

    package func commit(_ block: CommitBlock, unlessReached code: [SearchedCode]) throws -> CommitSummary {
        throw SearchIsImpossible("a process cannot search its own memory")
    }
}

/// Code of a patch that nothing enters any more.
package struct DeadCode: Sendable {
    /// The number of the patch.
    package var owner: UInt32
    package var code: [Range<Address>]
    package var searched: SearchedCode
    /// The patch, where it counts as in force though none of its replacements is: it goes out of force with its code.
    var entry: LedgerState.Entry?
    var disposal: DisposalRecord
}

extension LedgerState {
    /// How many versions of a function are kept, with the running one, so that one can go back step by step. Code of older ones may be freed.
    package static let versionsKept = 20

    /// Code that no call enters any more, and that may be taken away as soon as nothing else leads into it.
    package var deadCode: [DeadCode] {
        guard disposals.values.contains(where: { !$0.isDisposedOf && $0.disposal.obstacle.isEmpty }) else { return [] }
        let inForce = patches.lazy.map(\.record).filter { $0.state != .reverted }
        let entered = inForce.flatMap { patch in patch.members.map { (patch.id, self.code(of: $0)) } }
        return disposals.values.sorted { $0.owner < $1.owner }.compactMap { record in
            guard !record.isDisposedOf, record.disposal.obstacle.isEmpty else { return nil }
            let entry = entry(record.owner)
            let isLeaving = entry.map { $0.record.state == .applied && depth(of: $0.record) >= Self.versionsKept }
            guard entry.map({ $0.record.state == .reverted }) ?? true || isLeaving == true else { return nil }
            let owned = segments(of: record.owner).filter(\.isPlausible)
            let code = owned.filter { $0.codeSize > 0 }.map(\.code)
            func isInCode(_ address: Address) -> Bool { code.contains { $0.contains(address) } }
            // What was patched in it has a stub that leads back to it.
            guard !code.isEmpty, !entered.contains(where: { id, address in id != record.owner && isInCode(address) }),
                !identities.contains(where: { isInCode($0.address) }), !sites.contains(where: { isInCode($0.entry) })
            else { return nil }
            // Who is inside a thunk goes on in the code that it leads to.
            let thunks = thunks.filter { isInCode($0.replacement) }.map(\.range)
            return DeadCode(
                owner: record.owner, code: code,
                searched: SearchedCode(
                    ranges: (record.disposal.isReachedByData ? owned.map(\.range) : code) + thunks,
                    ignored: owned.map(\.range) + thunks, tables: record.disposal.tables),
                entry: isLeaving == true ? entry : nil, disposal: record)
        }
    }
}

extension SegmentRecord {
    /// The ledger is the target's.
    fileprivate var isPlausible: Bool { kind == .linked && address.rawValue < 1 << 56 }
}

extension PatchEngine {
    /// What was disposed of.
    package struct Disposed: Hashable, Sendable {
        /// The numbers of the patches whose code is gone.
        package var patches: [UInt32] = []
        /// The size of the code.
        package var bytes = 0
        /// For how long threads were held; nil where none were.
        package var summary: CommitSummary?
        /// Why code waits that might have gone; nil where none does.
        package var obstacle: String?

        package init() {}
    }

    /// The memory of the process is searched for what leads into old code once in so many patches.
    package static let patchesBetweenDisposals: UInt32 = 8

    /// Takes away code that nothing enters and nothing leads into any more, if it is time for that.
    /// - Parameter receipt: of a patch that has just been made.
    package func disposeOfDeadCode(after receipt: Receipt) throws(PatchError) -> Disposed? {
        receipt.id % Self.patchesBetweenDisposals == 0 ? try disposeOfDeadCode() : nil
    }

    /// Takes away code that nothing enters and nothing leads into any more.
    ///
    /// All memory and all registers of the process are searched for words that lead into it: first while the process runs, which finds
    /// most of what does, and then while its threads are held. What is found once to be led to by nothing stays so. The ledger says so
    /// first, then the unwinder forgets the code, and only then its memory is given back: whoever dies in between leaves code that takes
    /// memory, and nothing that leads nowhere.
    /// - Throws: only what leaves the process in doubt. Whatever else prevents it, the code waits.
    package func disposeOfDeadCode() throws(PatchError) -> Disposed {
        var result = Disposed()
        guard target.searchesMemory else { return result }
        target.beginOperation()
        defer { target.endOperation() }
        do {
            let (map, state) = try look()
            var dead = state.deadCode.filter { $0.code.allSatisfy { isCode($0, in: map) } }
            for _ in 0..<Self.searches where !dead.isEmpty {
                do {
                    try dispose(of: dead, state: state, map: map, &result)
                    break
                } catch let error as CodeIsReached {
                    result.obstacle = error.found.values.first
                    dead = dead.enumerated().filter { error.found[$0.offset] == nil }.map(\.element)
                }
            }
        } catch let error as PatchError where error.outcome != .refused {
            throw error
        } catch { result.obstacle = "\(error)" }
        return result
    }

    /// The first one finds what leads into code while the process runs, the next what appears meanwhile.
    private static let searches = 3

    private func isCode(_ range: Range<Address>, in map: ProcessMap) -> Bool {
        guard let region = map.region(containing: range.lowerBound) else { return false }
        return region.path.isEmpty && region.permissions == [.read, .execute]
            && range.upperBound <= region.range.upperBound
    }

    /// Writes down that code is out of use, if nothing leads into it, and releases it.
    private func dispose(
        of dead: [DeadCode], state: LedgerState, map: ProcessMap, _ result: inout Disposed
    ) throws {
        var plan = PatchPlan(architecture: target.architecture)
        let records = dead.map { code in
            var record = code.disposal
            record.isDisposedOf = true
            return LedgerRecord.disposal(record)
        }
        try record(records, in: &plan, state: state, map: map, mayBeginEdition: false)
        for entry in dead.compactMap(\.entry) {
            let (before, reverted) = (entry.record.state.rawValue, PatchRecord.State.reverted.rawValue)
            plan.append(Write(word: reverted, at: entry.stateAddress, expected: before), to: .states)
        }
        // What the unwinder still knows must be there.
        let calls = dead.map { code in plan.release(code.code, .unmapped, after: code.disposal.disposal.call) }
        result.summary = try commit(
            plan, reverted: dead.compactMap(\.entry?.record.id), state: state, unlessReached: dead.map(\.searched))
        let failures = conclude(plan)
        for (code, call) in zip(dead, calls) {
            if let failure = failures.first(where: { $0.index == call }) {
                result.obstacle = failure.text
                continue
            }
            result.bytes += code.code.reduce(0) { $0 + ($1.upperBound - $1.lowerBound) }
            result.patches.append(code.owner)
        }
    }
}

extension Disposal {
    /// Makes the unwinder forget the code; nil where it does not know it.
    fileprivate var call: Call? {
        deregister == .null ? nil : Call(deregister, [tables.rawValue], name: "__deregister_frame")
    }
}
