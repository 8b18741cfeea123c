import Memory
import PatchPlan
import Symbols

/// Replaces and reverts functions of a target: names and addresses in, a plan, one commit, a receipt.
///
/// Not safe for use by several threads at once; several engines, in several processes, may work on one target.
public final class PatchEngine {
    public let target: any Target
    /// The path of the target's main program: stubs keep clear of its heap.
    let program: String
    /// Whether a function is part of this engine and must not be patched.
    let isOwn: (FunctionSymbol) -> Bool
    /// What is known of the images so far. Engines of one process may share it.
    let references: ReferenceIndex

    /// A plan can be overtaken by another patcher, or by a mapping that appears where a pool was to lie.
    static let attempts = 8

    public init(
        target: any Target, program: String, references: ReferenceIndex = ReferenceIndex(),
        isOwn: @escaping (FunctionSymbol) -> Bool = { _ in false }
    ) {
        self.references = references
        self.target = target
        self.program = program
        self.isOwn = isOwn
    }

    /// What is patched now.
    public func state() throws(PatchError) -> LedgerState {
        try reading("read the patch ledger") { try LedgerState(of: target.processMap(), memory: target.memory) }
    }

    /// Computes what `apply` would do. Changes nothing.
    public func plan(_ request: PatchRequest) throws(PatchError) -> PlannedPatch {
        let map = try reading("read the mappings") { try target.processMap() }
        let state = try reading("read the patch ledger") { try LedgerState(of: map, memory: target.memory) }
        return try plan(request, map: map, state: state)
    }

    /// Replaces all the functions of the request, or none.
    public func apply(_ request: PatchRequest) throws(PatchError) -> Receipt {
        try persist { () throws(PatchError) -> Receipt in
            let map = try reading("read the mappings") { try target.processMap() }
            let state = try reading("read the patch ledger") { try LedgerState(of: map, memory: target.memory) }
            let planned = try plan(request, map: map, state: state)
            var mapped: [Range<Address>] = []
            do throws(PatchError) {
                for pool in planned.pools {
                    try reading("map a stub pool") {
                        try target.mapPool(at: pool.address, textSize: pool.textSize, dataSize: pool.dataSize)
                    }
                    mapped.append(pool.text.lowerBound..<pool.data.upperBound)
                }
                let summary = try commit(planned, state: state, map: map, mapped: &mapped)
                return Receipt(id: planned.id, sites: planned.sites, notes: planned.notes, summary: summary)
            } catch {
                if error.outcome != .inconsistent { for range in mapped { target.unmap(range) } }
                throw error
            }
        }
    }

    /// Runs `body` again where the target changed underneath.
    func persist<T>(_ body: () throws(PatchError) -> T) throws(PatchError) -> T {
        for _ in 0..<Self.attempts {
            do throws(PatchError) { return try body() } catch {
                switch error {
                case .addressTaken: continue
                case .entryChanged(function: Self.ledgerName, address: _, expected: _, found: _): continue
                default: throw error
                }
            }
        }
        throw .restless(pid: target.pid, attempts: Self.attempts)
    }

    /// Errors of the modules below, as this module's.
    func reading<T>(_ doing: String, _ body: () throws -> T) throws(PatchError) -> T {
        do { return try body() } catch let error as PatchError {
            throw error
        } catch let error as LedgerError {
            throw .ledger(error)
        } catch let error as SymbolError {
            throw .symbol(error)
        } catch let error as MemoryError {
            throw .memory(error, doing: doing)
        } catch {
            throw .target("cannot \(doing): \(error)")
        }
    }

    /// How a mismatch of the ledger's generation is told from one of a function's entry.
    static let ledgerName = "the patch ledger"
}

// MARK: Commit

extension PatchEngine {
    private func commit(
        _ planned: PlannedPatch, state: LedgerState, map: ProcessMap, mapped: inout [Range<Address>]
    ) throws(PatchError) -> CommitSummary {
        let records = planned.records.map { $0.encoded() }
        let size = records.reduce(0) { $0 + $1.count }
        var segment: Ledger.Segment
        var copies = planned.fresh
        if let last = state.segments.last, last.size - Ledger.headerSize - last.used >= size {
            segment = last
        } else {
            segment = try newSegment(holding: size, index: state.segments.count, map: map, mapped: &mapped)
            copies.append((segment.address, Ledger.header(segment: segment.index, size: segment.size)))
        }
        let start = segment.address + (Ledger.headerSize + segment.used)
        var stateWord: Address?
        var blob: [UInt8] = []
        blob.reserveCapacity(size)
        for (record, bytes) in zip(planned.records, records) {
            if case .patch = record { stateWord = start + (blob.count + LedgerRecord.stateOffset) }
            blob += bytes
        }
        copies.append((start, blob))

        var plan = planned.plan
        plan.writes.insert(contentsOf: publication(of: size, in: segment, state: state), at: 0)
        if let stateWord {
            plan.writes.append(
                Write(address: stateWord, kind: .data, expected: nil, bytes: word(PatchRecord.State.applied.rawValue)))
        }
        return try commit(plan, copies: copies, state: state)
    }

    private func newSegment(
        holding size: Int, index: Int, map: ProcessMap, mapped: inout [Range<Address>]
    ) throws(PatchError) -> Ledger.Segment {
        let wanted = max(Ledger.segmentSize, Ledger.headerSize + size)
        let bytes = (wanted + target.pageSize - 1) / target.pageSize * target.pageSize
        guard index == 0 else {
            let address = try reading("map the patch ledger") { try target.mapLedger(size: bytes, at: nil) }
            mapped.append(address..<address + bytes)
            return Ledger.Segment(address: address, index: index, size: bytes, used: 0)
        }
        for home in Ledger.homes {
            if let there = map.region(containing: home) {
                // One that another patcher has mapped and not committed to yet, or never will. Only one commit gets through.
                if there.path.hasPrefix(Ledger.mappingName), there.range.lowerBound == home, there.count >= bytes {
                    return Ledger.Segment(address: home, index: 0, size: there.count, used: 0)
                }
                continue
            }
            if !map.regions(overlapping: home..<home + bytes).isEmpty { continue }
            // Never unmapped again: another patcher may have adopted it.
            let address = try reading("map the patch ledger") { try target.mapLedger(size: bytes, at: home) }
            return Ledger.Segment(address: address, index: 0, size: bytes, used: 0)
        }
        throw .target(
            "process \(target.pid) has no place for the patch ledger: something is mapped at "
                + Ledger.homes.map(\.description).joined(separator: ", ") + ". Nothing was changed.")
    }

    /// The words that make new records part of the ledger, and refuse a plan that was overtaken.
    private func publication(of size: Int, in segment: Ledger.Segment, state: LedgerState) -> [Write] {
        if segment.index == 0 {
            return [
                Write(
                    address: segment.address + Ledger.generationOffset, kind: .data,
                    expected: word(state.generation) + word(UInt64(segment.used)),
                    bytes: word(state.generation + 1) + word(UInt64(segment.used + size)))
            ]
        }
        return generationWrites(state: state) + [
            Write(
                address: segment.address + Ledger.usedOffset, kind: .data, expected: nil,
                bytes: word(UInt64(segment.used + size)))
        ]
    }

    func generationWrites(state: LedgerState) -> [Write] {
        guard let first = state.segments.first else { return [] }
        return [
            Write(
                address: first.address + Ledger.generationOffset, kind: .data, expected: word(state.generation),
                bytes: word(state.generation + 1))
        ]
    }

    func commit(
        _ plan: PatchPlan, copies: [(address: Address, bytes: [UInt8])], state: LedgerState
    ) throws(PatchError) -> CommitSummary {
        let block = CommitBlock(plan, copies: copies)
        do {
            return try target.commit(block)
        } catch PatchError.entryChanged(_, let address, let expected, let found) {
            // The first write of every plan is the ledger's generation.
            if address == plan.writes.first?.address {
                throw .entryChanged(function: Self.ledgerName, address: address, expected: expected, found: found)
            }
            let name = state.sites.first { $0.patchAddress == address }?.name
            throw .entryChanged(
                function: name.map(displayName) ?? "the function", address: address, expected: expected, found: found)
        } catch let error as PatchError {
            throw error
        } catch {
            throw .target("\(error)")
        }
    }

    func word(_ value: UInt64) -> [UInt8] { withUnsafeBytes(of: value.littleEndian) { Array($0) } }

    func displayName(_ mangled: String) -> String { Demangling.demangle(mangled) ?? mangled }
}
