import HotpatchMemory
import HotpatchPlan
import HotpatchProcFS

/// Records on their way into the ledger: where they are laid down, and the writes that make them part of it.
struct LedgerUpdate {
    /// Laid down where nobody reads yet.
    var copies: [(address: Address, bytes: [UInt8])]
    /// In order; the first refuses a plan that was overtaken.
    var publication: [Write]
    /// The first segments, of the ledger as it is and as it will be.
    var ledgers: [Ledger.Segment]
    /// The address of the state word of the patch that is among the records; nil where none is.
    var stateAddress: Address?
    /// The earlier editions, which this one takes the place of.
    var superseded: [Ledger.Segment]
}

extension Target {
    /// From outside, pages could only be given back by the process itself, and whoever asks it for that may die before it has done so:
    /// when the next edition lies there, it would be emptied. So they wait for that edition.
    package var givesMemoryBack: Bool { false }

    package func giveBack(_: Range<Address>, then _: UInt64) {}
}

extension PatchEngine {
    /// Finds room for records, and computes what adds them to the ledger.
    /// - Parameter mayBeginEdition: false where other writes of the commit are to records as they lie now.
    func updateLedger(
        with records: [LedgerRecord], state: LedgerState, map: ProcessMap, mayBeginEdition: Bool = true,
        allocation: inout Allocation
    ) throws(PatchError) -> LedgerUpdate {
        let isNewEdition = mayBeginEdition && state.isDueForNewEdition
        let encoder =
            isNewEdition
            ? LedgerEncoder(state.lasting(with: records)) : LedgerEncoder(records, behind: state.texts)
        let blob = encoder.bytes
        let hasPatch = records.contains { if case .patch = $0 { true } else { false } }

        var copies: [(address: Address, bytes: [UInt8])] = []
        var publication: [Write] = []
        let segment: Ledger.Segment
        let last = state.layout.segments.last
        if isNewEdition {
            segment = try newEdition(holding: blob.count, state: state, allocation: &allocation)
            let header = Ledger.header(
                segment: 0, edition: segment.edition, size: segment.size, generation: state.layout.generation + 1,
                used: blob.count)
            copies.append((segment.address + Ledger.magic.count, Array(header.dropFirst(Ledger.magic.count))))
            // Only now a ledger. The old one is retired behind it, so that there is one at every moment.
            publication =
                generationWrites(state: state)
                + [Write(address: segment.address, kind: .data, expected: nil, bytes: Ledger.magic)]
                + retirement(of: state.layout.superseded + state.layout.segments)
        } else if let last, last.size - Ledger.headerSize - last.used >= blob.count {
            segment = last
            publication = self.publication(of: blob.count, in: segment, state: state)
        } else {
            segment = try newSegment(
                holding: blob.count, index: state.layout.segments.count, edition: last?.edition ?? 0, map: map,
                allocation: &allocation)
            let header = Ledger.header(
                segment: segment.index, edition: segment.edition, size: segment.size, minor: state.layout.minor)
            copies.append((segment.address, header))
            publication = self.publication(of: blob.count, in: segment, state: state)
        }
        let start = segment.address + (Ledger.headerSize + segment.used)
        copies.append((start, blob))
        let first = state.layout.segments.first ?? segment
        return LedgerUpdate(
            copies: copies, publication: publication, ledgers: isNewEdition ? [first, segment] : [first],
            stateAddress: hasPatch ? encoder.stateOffset.map { start + $0 } : nil,
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

    /// The words that make new records part of the ledger, and refuse a plan that was overtaken.
    private func publication(of size: Int, in segment: Ledger.Segment, state: LedgerState) -> [Write] {
        let retirement = retirement(of: state.layout.superseded)
        if segment.index == 0 {
            return [
                Write(
                    address: segment.address + Ledger.generationOffset, kind: .data,
                    expected: word(state.layout.generation) + word(UInt64(segment.used)),
                    bytes: word(state.layout.generation + 1) + word(UInt64(segment.used + size)))
            ] + retirement
        }
        return generationWrites(state: state) + retirement + [
            Write(
                address: segment.address + Ledger.usedOffset, kind: .data, expected: nil,
                bytes: word(UInt64(segment.used + size)))
        ]
    }

    private func retirement(of segments: [Ledger.Segment]) -> [Write] {
        let word = target.givesMemoryBack ? Ledger.emptied : Ledger.retired
        return segments.map { Write(address: $0.address, kind: .data, expected: Ledger.magic, bytes: word) }
    }

    func generationWrites(state: LedgerState) -> [Write] {
        guard let first = state.layout.segments.first else { return [] }
        return [
            Write(
                address: first.address + Ledger.generationOffset, kind: .data, expected: word(state.layout.generation),
                bytes: word(state.layout.generation + 1))
        ]
    }
}
