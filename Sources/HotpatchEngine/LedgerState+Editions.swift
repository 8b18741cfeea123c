import HotpatchMemory

extension LedgerState {
    /// Whether the next patch is to be recorded in a new edition: in the version that is written today, and so that what is reverted
    /// costs nothing.
    var isDueForNewEdition: Bool {
        if layout.major < Ledger.major { return !layout.segments.isEmpty }
        guard layout.minor <= Ledger.minor else { return false }
        let forgettable = forgettable + forgettableIdentities
        return forgettable > max(Ledger.tolerated, (used - forgettable) / 8)
    }

    /// The newest patch that is not reverted. What it and older ones have placed is kept, also of those that are reverted: its code may
    /// refer there.
    private var newestThatLasts: UInt32 { patches.last { $0.record.state != .reverted }?.record.id ?? 0 }

    /// Bytes of the identities, and of texts that only they mention, that a new edition would be without.
    private var forgettableIdentities: Int {
        let newest = newestThatLasts
        var bytes = 0
        var left: [Int: UInt32] = [:]
        for (_, extent) in identityExtents.reversed().prefix(while: { $0.owner > newest }) {
            bytes += extent.length
            for number in extent.texts {
                left[number, default: mentions[number - 1]] -= 1
                if left[number] == 0 { bytes += texts[number - 1].utf8.count + 1 }
            }
        }
        return bytes
    }

    /// The records of a new edition: without what is reverted, but for the latest, and with more. A record stands behind those that it
    /// refers to.
    func lasting(with more: [LedgerRecord]) -> [LedgerRecord] {
        var left = Ledger.history
        var keepsHistory = true
        var kept: [PatchRecord] = []
        for record in patches.lazy.map(\.record).reversed() {
            if record.state == .reverted {
                left -= record.estimatedSize
                keepsHistory = keepsHistory && left >= 0
                if !keepsHistory { continue }
            }
            kept.append(record)
        }
        kept.reverse()
        // Where nothing was written any more, other bytes may stand by now. What is numbered anew starts at 1.
        var new: [UInt32: UInt32] = [:]
        var locations: [DataRecord] = []
        func renumber(_ stores: inout [PatchRecord.Store]) {
            for index in stores.indices where stores[index].location <= data.count {
                let old = stores[index].location
                if new[old] == nil {
                    locations.append(data(old))
                    new[old] = UInt32(locations.count)
                }
                stores[index].location = new[old]!
            }
        }
        for index in kept.indices { renumber(&kept[index].stores) }
        var more = more
        for index in more.indices {
            guard case .patch(var patch) = more[index] else { continue }
            var known = patch.stores.filter { $0.location <= data.count }
            let added = patch.stores.filter { $0.location > data.count }
            renumber(&known)
            let first = UInt32(locations.count)
            patch.stores =
                known + added.map { .init(location: $0.location - UInt32(data.count) + first, bytes: $0.bytes) }
            more[index] = .patch(patch)
        }
        let newest = newestThatLasts
        let identities = identities.filter { $0.owner <= newest }
        let disposals = disposals.values.filter { !$0.isDisposedOf }.sorted { $0.owner < $1.owner }
        return lastingSegments.map(LedgerRecord.segment) + sites.map(LedgerRecord.site)
            + thunks.map(LedgerRecord.thunk) + identities.map(LedgerRecord.identity)
            + disposals.map(LedgerRecord.disposal) + locations.map(LedgerRecord.data) + kept.map(LedgerRecord.patch)
            + more
    }

    /// Without the code that was disposed of. What else such patches have taken stays, and is nobody's: neighbours become one.
    private var lastingSegments: [SegmentRecord] {
        var kept: [SegmentRecord] = []
        var unowned: [SegmentRecord] = []
        for segment in segments {
            let isOfDead = disposals[segment.owner]?.isDisposedOf == true
            if segment.kind == .linked, segment.codeSize == 0, isOfDead || segment.owner == 0 {
                unowned.append(segment)
            } else if !isOfDead {
                kept.append(segment)
            }
        }
        var merged: [SegmentRecord] = []
        for segment in unowned.sorted(by: { $0.address < $1.address }) {
            guard let last = merged.last, last.address + (last.constantsSize + last.dataSize) == segment.address,
                (last.dataSize == 0) == (segment.dataSize == 0), last.constantsSize + last.dataSize < 1 << 30
            else {
                var segment = segment
                segment.owner = 0
                merged.append(segment)
                continue
            }
            merged[merged.count - 1].constantsSize += segment.constantsSize
            merged[merged.count - 1].dataSize += segment.dataSize
        }
        return kept + merged
    }
}

extension PatchRecord {
    /// About how many bytes it takes in the ledger, with its texts.
    fileprivate var estimatedSize: Int {
        64 + source.utf8.count + digest.utf8.count + members.reduce(0) { $0 + 8 + $1.replacementName.utf8.count }
            + stores.reduce(0) { $0 + 4 + $1.bytes.count }
    }
}
