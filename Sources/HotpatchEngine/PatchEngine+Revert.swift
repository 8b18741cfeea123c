import HotpatchMemory
import HotpatchPlan
import HotpatchSymbols

/// A revert, planned against the state of a process at one moment. Nothing has been changed yet.
package struct PlannedRevert: Sendable {
    /// A function that what is reverted has replaced.
    package struct Function: Sendable {
        package var site: SiteRecord
        /// What runs then: the replacement by the newest patch that remains; nil for the function's own code.
        package var next: (patch: UInt32, name: String)?
    }

    package var patches: [PatchRecord]
    /// All that is done to the process.
    package var plan: PatchPlan
    package var functions: [Function]
    /// Functions whose image is gone, so that there is nothing to write.
    package var vanished: [SiteRecord]
    /// Likewise, locations of data.
    package var vanishedData: [DataRecord]
    /// The numbers of the patches that are told, one for each call.
    var told: [UInt32]
}

extension PlannedRevert: CustomStringConvertible {
    package var description: String { plan.description }
}

extension PatchEngine {
    /// What a revert did.
    public struct Reverted: Sendable {
        package var patches: [PatchRecord]
        /// What the commit did.
        public var summary: CommitSummary
        /// Functions that the patches wanted to be told by, and that could not be called.
        package var problems: [String]
        /// Functions whose image is gone, so that there was nothing to write.
        package var vanished: [SiteRecord]
        /// Likewise, locations of data.
        package var vanishedData: [DataRecord]
    }

    /// Takes patches out of force, all or none. Where another patch of the same function remains, the newest one runs; where
    /// none does, the function's own bytes are put back. Stubs stay: a thread may be inside one.
    /// - Parameter ids: patches in force, or interrupted halfway by the death of a patcher.
    /// - Parameter callsBack: has the functions run by which the patches want to be told.
    public func revert(_ ids: [UInt32], callsBack: Bool = false) throws(PatchError) -> Reverted {
        try retryingOnConflict { (_, state) throws(PatchError) -> Reverted in
            try revert(plan(reverting: entries(ids, of: state), callsBack: callsBack, state: state), state: state)
        }
    }

    /// Reverts the patches that are not reverted yet and satisfy `isWanted`; nothing where there are none. Those that somebody else
    /// reverts meanwhile are none of them.
    @discardableResult
    package func revert(
        callsBack: Bool = false, where isWanted: (PatchRecord, LedgerState) -> Bool
    ) throws(PatchError) -> Reverted? {
        try retryingOnConflict { (_, state) throws(PatchError) -> Reverted? in
            let patches = entries(of: state, where: isWanted)
            if patches.isEmpty { return nil }
            return try revert(plan(reverting: patches, callsBack: callsBack, state: state), state: state)
        }
    }

    /// Computes what `revert` would do. Changes nothing.
    package func plan(reverting ids: [UInt32], callsBack: Bool = false) throws(PatchError) -> PlannedRevert {
        target.beginOperation()
        defer { target.endOperation() }
        let state = try look().state
        return try plan(reverting: entries(ids, of: state), callsBack: callsBack, state: state)
    }

    /// Likewise; nil where there is nothing to revert.
    package func planRevert(
        callsBack: Bool = false, where isWanted: (PatchRecord, LedgerState) -> Bool
    ) throws(PatchError) -> PlannedRevert? {
        target.beginOperation()
        defer { target.endOperation() }
        let state = try look().state
        let patches = entries(of: state, where: isWanted)
        return patches.isEmpty ? nil : try plan(reverting: patches, callsBack: callsBack, state: state)
    }

    private func entries(_ ids: [UInt32], of state: LedgerState) throws(PatchError) -> [LedgerState.Entry] {
        var patches: [LedgerState.Entry] = []
        for id in ids {
            guard let entry = state.entry(id) else {
                // What is reverted is forgotten at some time.
                if id > 0, id < state.nextPatch { throw .notInForce(id: id, state: .reverted) }
                throw .noSuchPatch(id: id, pid: target.pid)
            }
            if entry.record.state == .reverted { throw .notInForce(id: id, state: entry.record.state) }
            patches.append(entry)
        }
        return patches
    }

    private func entries(
        of state: LedgerState, where isWanted: (PatchRecord, LedgerState) -> Bool
    ) -> [LedgerState.Entry] {
        state.patches.filter { $0.record.state != .reverted && isWanted($0.record, state) }
    }

    private func revert(_ planned: PlannedRevert, state: LedgerState) throws(PatchError) -> Reverted {
        let summary = try commit(planned.plan, reverted: planned.patches.map(\.id), state: state)
        let problems = conclude(planned.plan).map { failure in
            "patch \(planned.told[failure.index]) is reverted, but its \(failure.text)"
        }
        return Reverted(
            patches: planned.patches, summary: summary, problems: problems, vanished: planned.vanished,
            vanishedData: planned.vanishedData)
    }

    private func plan(
        reverting patches: [LedgerState.Entry], callsBack: Bool, state: LedgerState
    ) throws(PatchError) -> PlannedRevert {
        let memory = PageSnapshot(of: target.memory, pageSize: target.pageSize)
        let leaving = Set(patches.map(\.record.id))
        // What is taken back, as if it were made now.
        var made = PatchPlan(architecture: target.architecture)
        var slots: [(site: SiteRecord, destination: Address)] = []
        var layered: [(site: SiteRecord, next: Address, found: [UInt8])] = []
        var functions: [PlannedRevert.Function] = []
        var vanished: [SiteRecord] = []
        var seen: Set<UInt32> = []
        for member in patches.flatMap(\.record.members) where seen.insert(member.site).inserted {
            let site = state.site(member.site)
            let found: [UInt8]
            do throws(MemoryError) {
                found = try memory.bytes(at: site.patchAddress, count: site.detour.count)
            } catch {
                vanished.append(site)
                continue
            }
            let isKnown = found == site.original || state.isJump(found, of: site)
            let next = state.layer(of: site.id) { !leaving.contains($0.patch) }
            if isKnown { functions.append(.init(site: site, next: next.map { (patch: $0.patch, name: $0.name) })) }
            if let next, isKnown {
                slots.append((site, next.replacement))
                layered.append((site, next.replacement, found))
            } else if isKnown {
                if found == site.original { continue }
                // Nothing is to be found that leads to what is out of force. Who is on the way through the slot goes the old way.
                slots.append((site, site.originalAddress))
                made.append(
                    Write(address: site.patchAddress, kind: .text, expected: site.original, bytes: found), to: .entries)
            } else {
                // A patch is in force, and the bytes are neither its jump nor the function's: somebody else has written them. Where the
                // image was unloaded, the place is not ours any more.
                if try isMapped(site) {
                    throw .entryChanged(
                        function: displayName(site.name), address: site.patchAddress, expected: site.detour,
                        found: found)
                }
                vanished.append(site)
            }
        }
        let data = try restoreData(of: patches.map(\.record), state: state, memory: memory)
        var plan = made.reversed()
        for (site, destination) in slots {
            plan.append(Write(word: destination.rawValue, at: site.slot), to: .slots)
        }
        for (site, next, found) in layered { plan.redirect(site, to: next, from: found) }
        plan.sortEntries()
        for write in data.writes { plan.append(write, to: .restored) }
        addCommit(to: &plan, state: state)
        for patch in patches {
            let (reverting, reverted) = (PatchRecord.State.reverting.rawValue, PatchRecord.State.reverted.rawValue)
            plan.append(
                Write(word: reverting, at: patch.stateAddress, expected: patch.record.state.rawValue), to: .publication)
            plan.append(Write(word: reverted, at: patch.stateAddress), to: .states)
        }
        let told = patches.map(\.record).filter { callsBack && $0.onRevert != .null && $0.state == .applied }
        plan.callsAfter = told.map { Call($0.onRevert, name: "hotpatch_on_revert") }
        return PlannedRevert(
            patches: patches.map(\.record), plan: plan, functions: functions, vanished: vanished,
            vanishedData: data.vanished, told: told.map(\.id))
    }

    /// Whether the site's image still lies at its entry.
    private func isMapped(_ site: SiteRecord) throws(PatchError) -> Bool {
        try reading("read the mappings") {
            guard let region = try target.processMap().region(containing: site.entry) else { return false }
            return [site.imagePath, site.imagePath + " (deleted)", ""].contains(region.path)
        }
    }
}
