import HotpatchMemory
import HotpatchProcFS

/// The ledger as an engine inside the process has read it last, so that the next operation reads only what the one before has added.
/// Engines of one process may share it.
///
/// Every commit compares the ledger's generation, and counts it up. So after a commit that was made from a state, the ledger is that state,
/// with what the commit has appended and the patches that it has reverted, exactly if the generation is one more; without a commit, if it
/// is the same. Where another patcher has committed, where a commit failed, and where a new edition was laid down, all is read anew.
package final class KnownLedger {
    /// What was read, and the patches that a commit made from it has reverted; nil where none was made.
    private var known: (state: LedgerState, reverted: [UInt32]?)?

    package init() {}

    func read(_ map: ProcessMap, memory: any MemoryReader) throws -> LedgerState {
        // Taken out, so that it is changed in place, and gone where that fails.
        var before = known
        known = nil
        let layout = try Ledger.layout(of: map, memory: memory)
        if let reverted = before?.reverted, try before!.state.advance(to: layout, reverted: reverted, memory: memory) {
            known = (before!.state, nil)
        } else if let before, before.reverted == nil, before.state.isRead(to: layout) {
            known = before
        } else {
            known = (try LedgerState(layout, memory: memory), nil)
        }
        return known!.state
    }

    /// Notes that a commit was made.
    /// - Parameters:
    ///   - state: what it was made from.
    ///   - reverted: the numbers of the patches that it has taken out of force.
    func note(commitFrom state: LedgerState, reverted: [UInt32]) { known = (state, reverted) }

    func forget() { known = nil }
}
