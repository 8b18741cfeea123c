import HotpatchMemory
import HotpatchPlan
import HotpatchProcFS

/// What a plan that adds records to the ledger leaves to do.
struct LedgerUpdate {
    /// The first segments, of the ledger as it is and as it will be.
    var ledgers: [Ledger.Segment]
    /// Of editions before, which this one takes the place of.
    var superseded: [Ledger.Segment]
}

extension Target {
    /// From outside, pages could only be given back by the process itself, and whoever asks it for that may die before it has done so:
    /// when the next edition lies there, it would be emptied. So they wait for that edition.
    package var givesMemoryBack: Bool { false }

    package func giveBack(_: Range<Address>, then _: UInt64) {}
}

extension PatchEngine {
    /// Finds room for records, and adds to a plan what makes them part of the ledger. The patch that is among them, if any, is in force at
    /// the end of the commit.
    /// - Parameter mayBeginEdition: false where other writes of the commit are to records as they lie now.
    func record(
        _ records: [LedgerRecord], in plan: inout PatchPlan, state: LedgerState, map: ProcessMap,
        mayBeginEdition: Bool = true, allocation: inout Allocation
    ) throws(PatchError) -> LedgerUpdate {
        let isNewEdition = mayBeginEdition && state.isDueForNewEdition
        let encoder =
            isNewEdition
            ? LedgerEncoder(state.lasting(with: records)) : LedgerEncoder(records, behind: state.texts)
        let blob = encoder.bytes
        let hasPatch = records.contains { if case .patch = $0 { true } else { false } }

        let segment: Ledger.Segment
        let last = state.layout.segments.last
        if isNewEdition {
            segment = try newEdition(holding: blob.count, state: state, allocation: &allocation)
            let header = Ledger.header(
                segment: 0, edition: segment.edition, size: segment.size, generation: state.layout.generation + 1,
                used: blob.count)
            plan.append(
                Copy(
                    address: segment.address + Ledger.magic.count, bytes: Array(header.dropFirst(Ledger.magic.count)),
                    purpose: .ledger))
            addGeneration(to: &plan, state: state)
            // Only now a ledger. The old one is retired behind it, so that there is one at every moment.
            plan.append(
                Write(address: segment.address, kind: .data, expected: nil, bytes: Ledger.magic), to: .publication)
            retire(state.layout.superseded + state.layout.segments, in: &plan)
        } else if let last, last.size - Ledger.headerSize - last.used >= blob.count {
            segment = last
            publish(blob.count, in: segment, state: state, plan: &plan)
        } else {
            segment = try newSegment(
                holding: blob.count, index: state.layout.segments.count, edition: last?.edition ?? 0, map: map,
                allocation: &allocation)
            let header = Ledger.header(
                segment: segment.index, edition: segment.edition, size: segment.size, minor: state.layout.minor)
            plan.append(Copy(address: segment.address, bytes: header, purpose: .ledger))
            publish(blob.count, in: segment, state: state, plan: &plan)
        }
        let start = segment.address + (Ledger.headerSize + segment.used)
        plan.append(Copy(address: start, bytes: blob, purpose: .ledger))
        if hasPatch, let offset = encoder.stateOffset {
            plan.append(Write(word: PatchRecord.State.applied.rawValue, at: start + offset), to: .states)
        }
        let first = state.layout.segments.first ?? segment
        return LedgerUpdate(
            ledgers: isNewEdition ? [first, segment] : [first],
            superseded: state.layout.superseded + (isNewEdition ? state.layout.segments : []))
    }

    /// Gives back the memory of the editions that a commit has taken out of use. No other patcher lays anything down there before.
    func giveBack(_ update: LedgerUpdate) {
        guard target.givesMemoryBack else { return }
        let word = Ledger.retired.reversed().reduce(UInt64(0)) { $0 << 8 | UInt64($1) }
        for segment in update.superseded {
            target.giveBack(segment.address..<segment.address + segment.size, then: word)
        }
    }

    private func newSegment(
        holding size: Int, index: Int, edition: UInt32, map: ProcessMap, allocation: inout Allocation
    ) throws(PatchError) -> Ledger.Segment {
        let bytes = mappingSize(holding: size)
        guard index == 0 else {
            let address = try reading("map the patch ledger") { try allocation.mapLedger(size: bytes) }
            return Ledger.Segment(address: address, index: index, edition: edition, size: bytes, used: 0)
        }
        for agreed in Ledger.agreedAddresses {
            if let there = map.region(containing: agreed) {
                // One that another patcher has mapped and not committed to yet, or never will. Only one commit gets through.
                if there.path.hasPrefix(Ledger.mappingName), there.range.lowerBound == agreed, there.count >= bytes {
                    return Ledger.Segment(address: agreed, index: 0, edition: edition, size: there.count, used: 0)
                }
                continue
            }
            if !map.regions(overlapping: agreed..<agreed + bytes).isEmpty { continue }
            // Never unmapped again: another patcher may have adopted it.
            let address = try reading("map the patch ledger") { try target.mapLedger(size: bytes, at: agreed) }
            return Ledger.Segment(address: address, index: 0, edition: edition, size: bytes, used: 0)
        }
        throw .target(
            "process \(target.pid) has no place for the patch ledger: something is mapped at "
                + Ledger.agreedAddresses.map(\.description).joined(separator: ", ") + ". Nothing was changed.")
    }

    /// Where the next edition of the ledger is laid down: in what an old one has left, or in new memory.
    private func newEdition(
        holding size: Int, state: LedgerState, allocation: inout Allocation
    ) throws(PatchError) -> Ledger.Segment {
        let edition = (state.layout.segments.first?.edition ?? 0) + 1
        // As much again, so that not every patch needs another segment.
        let bytes = mappingSize(holding: 2 * size)
        if let spare = state.layout.spare.first(where: { $0.size >= bytes }) {
            return Ledger.Segment(address: spare.address, index: 0, edition: edition, size: spare.size, used: 0)
        }
        let address = try reading("map the patch ledger") { try allocation.mapLedger(size: bytes) }
        return Ledger.Segment(address: address, index: 0, edition: edition, size: bytes, used: 0)
    }

    private func mappingSize(holding size: Int) -> Int {
        (max(Ledger.segmentSize, Ledger.headerSize + size) + target.pageSize - 1) / target.pageSize * target.pageSize
    }

    /// Adds the words that make new records part of the ledger, and refuse a plan that was overtaken.
    private func publish(_ size: Int, in segment: Ledger.Segment, state: LedgerState, plan: inout PatchPlan) {
        let used = UInt64(segment.used)
        if segment.index == 0 {
            let write = Write(
                address: segment.address + Ledger.generationOffset, kind: .data,
                expected: word(state.layout.generation) + word(used),
                bytes: word(state.layout.generation + 1) + word(used + UInt64(size)))
            plan.append(write, to: .generation)
            retire(state.layout.superseded, in: &plan)
        } else {
            addGeneration(to: &plan, state: state)
            retire(state.layout.superseded, in: &plan)
            plan.append(Write(word: used + UInt64(size), at: segment.address + Ledger.usedOffset), to: .publication)
        }
    }

    private func retire(_ segments: [Ledger.Segment], in plan: inout PatchPlan) {
        let word = target.givesMemoryBack ? Ledger.emptied : Ledger.retired
        for segment in segments {
            plan.append(
                Write(address: segment.address, kind: .data, expected: Ledger.magic, bytes: word), to: .publication)
        }
    }

    /// Adds the word that refuses a plan that was overtaken.
    func addGeneration(to plan: inout PatchPlan, state: LedgerState) {
        guard let first = state.layout.segments.first else { return }
        let (address, generation) = (first.address + Ledger.generationOffset, state.layout.generation)
        plan.append(Write(word: generation + 1, at: address, expected: generation), to: .generation)
    }
}
