import HotpatchMemory
import HotpatchPlan
import HotpatchProcFS

extension Target {
    /// From outside, pages could only be given back by the process itself, and whoever asks it for that may die before it has done so:
    /// when the next edition lies there, it would be emptied. So they wait for that edition.
    package var givesMemoryBack: Bool { false }

    package func giveBack(_: Range<Address>, then _: UInt64) {}
}

extension PatchEngine {
    /// Finds room for records, and adds to a plan what makes them part of the ledger. The patch that is among them, if any, is in force at
    /// the end of the commit.
    /// - Parameters:
    ///   - plan: has the segments of the transaction by now.
    ///   - mayBeginEdition: false where other writes of the commit are to records as they lie now.
    func record(
        _ records: [LedgerRecord], in plan: inout PatchPlan, state: LedgerState, map: ProcessMap,
        mayBeginEdition: Bool = true
    ) throws(PatchError) {
        let isNewEdition = mayBeginEdition && state.isDueForNewEdition
        let encoder =
            isNewEdition
            ? LedgerEncoder(state.lasting(with: records)) : LedgerEncoder(records, behind: state.texts)
        let blob = encoder.bytes
        let hasPatch = records.contains { if case .patch = $0 { true } else { false } }

        let segment: Ledger.Segment
        let last = state.layout.segments.last
        if isNewEdition {
            segment = try newEdition(holding: blob.count, state: state, map: map, plan: &plan)
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
        } else if let last, last.size - Ledger.headerSize - last.used >= blob.count {
            segment = last
        } else {
            segment = try newSegment(
                holding: blob.count, index: state.layout.segments.count, edition: last?.edition ?? 0, map: map,
                plan: &plan)
            let header = Ledger.header(
                segment: segment.index, edition: segment.edition, size: segment.size, minor: state.layout.minor)
            plan.append(Copy(address: segment.address, bytes: header, purpose: .ledger))
        }
        retire(state.layout.superseded + (isNewEdition ? state.layout.segments : []), in: &plan)
        if !isNewEdition { publish(blob.count, in: segment, state: state, plan: &plan) }
        let start = segment.address + (Ledger.headerSize + segment.used)
        plan.append(Copy(address: start, bytes: blob, purpose: .ledger))
        if hasPatch, let offset = encoder.stateOffset {
            plan.append(Write(word: PatchRecord.State.applied.rawValue, at: start + offset), to: .states)
        }
        addCommitter(to: &plan, at: state.layout.segments.first ?? segment, expected: state.committer)
        // Nobody knows of a new edition yet, and what an old one has left there says nothing.
        if isNewEdition { addCommitter(to: &plan, at: segment, expected: nil) }
    }

    private func newSegment(
        holding size: Int, index: Int, edition: UInt32, map: ProcessMap, plan: inout PatchPlan
    ) throws(PatchError) -> Ledger.Segment {
        let bytes = mappingSize(holding: size)
        guard index == 0 else {
            let address = try place(forLedger: bytes, map: map, plan: plan)
            plan.ledger = LedgerMapping(address..<address + bytes, isShared: false)
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
            plan.ledger = LedgerMapping(agreed..<agreed + bytes, isShared: true)
            return Ledger.Segment(address: agreed, index: 0, edition: edition, size: bytes, used: 0)
        }
        throw noPlaceForLedger
    }

    /// Where the next edition of the ledger is laid down: in what an old one has left, or in new memory.
    private func newEdition(
        holding size: Int, state: LedgerState, map: ProcessMap, plan: inout PatchPlan
    ) throws(PatchError) -> Ledger.Segment {
        let edition = (state.layout.segments.first?.edition ?? 0) + 1
        // As much again, so that not every patch needs another segment.
        let bytes = mappingSize(holding: 2 * size)
        if let spare = state.layout.spare.first(where: { $0.size >= bytes }) {
            return Ledger.Segment(address: spare.address, index: 0, edition: edition, size: spare.size, used: 0)
        }
        let address = try place(forLedger: bytes, map: map, plan: plan)
        plan.ledger = LedgerMapping(address..<address + bytes, isShared: false)
        return Ledger.Segment(address: address, index: 0, edition: edition, size: bytes, used: 0)
    }

    /// Free addresses behind those that are agreed on: first where a ledger lies already, for not every process has all of them.
    private func place(forLedger size: Int, map: ProcessMap, plan: PatchPlan) throws(PatchError) -> Address {
        func holdsLedger(_ address: Address) -> Bool {
            map.region(containing: address)?.path.hasPrefix(Ledger.mappingName) == true
        }
        let agreed = Ledger.agreedAddresses
        for start in agreed.filter(holdsLedger) + agreed.filter({ !holdsLedger($0) }) {
            for gap in map.gaps(within: start..<start + Ledger.reach) where gap.upperBound - gap.lowerBound >= size {
                let place = gap.lowerBound..<gap.lowerBound + size
                if !plan.segments.contains(where: { $0.range.overlaps(place) }) { return place.lowerBound }
            }
        }
        throw noPlaceForLedger
    }

    private var noPlaceForLedger: PatchError {
        .target(
            "process \(target.pid) has no place for the patch ledger: something is mapped at "
                + Ledger.agreedAddresses.map(\.description).joined(separator: ", ") + ". Nothing was changed.")
    }

    private func mappingSize(holding size: Int) -> Int {
        (max(Ledger.segmentSize, Ledger.headerSize + size) + target.pageSize - 1) / target.pageSize * target.pageSize
    }

    /// Adds the words that make new records part of the ledger, and refuse a plan that was overtaken.
    private func publish(_ size: Int, in segment: Ledger.Segment, state: LedgerState, plan: inout PatchPlan) {
        let used = UInt64(segment.used)
        guard segment.index == 0 else {
            addGeneration(to: &plan, state: state)
            return plan.append(
                Write(word: used + UInt64(size), at: segment.address + Ledger.usedOffset), to: .publication)
        }
        let write = Write(
            address: segment.address + Ledger.generationOffset, kind: .data,
            expected: word(state.layout.generation) + word(used),
            bytes: word(state.layout.generation + 1) + word(used + UInt64(size)))
        plan.append(write, to: .generation)
    }

    /// Takes editions out of use, and has their memory given back. No other patcher lays anything down there before.
    private func retire(_ segments: [Ledger.Segment], in plan: inout PatchPlan) {
        let isGivenBack = target.givesMemoryBack
        let word = isGivenBack ? Ledger.emptied : Ledger.retired
        for segment in segments {
            plan.append(
                Write(address: segment.address, kind: .data, expected: Ledger.magic, bytes: word), to: .publication)
        }
        guard isGivenBack else { return }
        let retired = Ledger.retired.reversed().reduce(UInt64(0)) { $0 << 8 | UInt64($1) }
        plan.release(segments.map { $0.address..<$0.address + $0.size }, .emptied(then: retired))
    }

    /// Adds the words of a commit to the ledger as it is: what refuses a plan that was overtaken, and who commits.
    func addCommit(to plan: inout PatchPlan, state: LedgerState) {
        addGeneration(to: &plan, state: state)
        if let first = state.layout.segments.first {
            addCommitter(to: &plan, at: first, expected: state.committer)
        }
    }

    private func addGeneration(to plan: inout PatchPlan, state: LedgerState) {
        guard let first = state.layout.segments.first else { return }
        let (address, generation) = (first.address + Ledger.generationOffset, state.layout.generation)
        plan.append(Write(word: generation + 1, at: address, expected: generation), to: .generation)
    }

    /// From inside, the word is our own by the time it is compared; from outside, it must say what it said when this was planned.
    /// - Parameters:
    ///   - ledger: a first segment.
    ///   - found: what it says; nil where that does not count.
    private func addCommitter(to plan: inout PatchPlan, at ledger: Ledger.Segment, expected found: UInt64?) {
        let committer = target.committer
        let expected = found.map { committer != 0 ? committer : $0 }
        plan.append(
            Write(word: committer, at: ledger.address + Ledger.committerOffset, expected: expected), to: .committer)
    }
}
