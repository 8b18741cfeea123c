import HotpatchMemory
import HotpatchPlan

/// Memory that was mapped in a target for a transaction, and that nothing leads to before the commit. It is unmapped with this value,
/// unless it was finalized, or released, before.
struct Allocation: ~Copyable {
    private let target: any Target
    private var segments: [Segment] = []
    private var ledger: Range<Address>?

    init(in target: any Target) { self.target = target }

    /// Maps a segment, and fills it.
    /// - Throws: as `Target.map` and `Target.fill`.
    mutating func reserve(_ segment: Segment) throws {
        try target.map(segment.range, segment.kind)
        segments.append(segment)
        if !segment.contents.isEmpty { try target.fill(segment.contents, at: segment.address, segment.kind) }
    }

    func holds(_ segment: Segment) -> Bool { segments.contains(segment) }

    /// - Throws: as `Target.mapLedger`.
    mutating func reserve(_ mapping: LedgerMapping) throws {
        try target.mapLedger(mapping.range)
        if !mapping.isShared { ledger = mapping.range }
    }

    /// A commit has made it reachable, or may have: it stays, but for the segments that only earlier plans took.
    mutating func finalize(for plan: PatchPlan) {
        for segment in segments where !plan.segments.contains(segment) { target.unmap(segment.range) }
        release()
    }

    /// It stays, though nothing was committed: what was called may have kept a pointer to it.
    mutating func release() { (segments, ledger) = ([], nil) }

    /// Unmaps it.
    mutating func abandon() {
        for range in ranges { target.unmap(range) }
        release()
    }

    private var ranges: [Range<Address>] { segments.map(\.range) + (ledger.map { [$0] } ?? []) }

    deinit { for range in ranges { target.unmap(range) } }
}
