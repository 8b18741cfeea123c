import HotpatchMemory
import HotpatchPlan

/// Memory that was mapped in a target for a patch, and that nothing leads to before the commit. Unmapped with this value, unless it is
/// finalized.
struct Allocation: ~Copyable {
    private let target: any Target
    private var ranges: [Range<Address>] = []

    init(in target: any Target) { self.target = target }

    /// - Throws: as `Target.mapPool`.
    mutating func mapPool(_ pool: SegmentRecord) throws {
        try target.mapPool(at: pool.address, textSize: pool.codeSize, dataSize: pool.dataSize)
        ranges.append(pool.range)
    }

    /// - Throws: as `Target.mapLedger`.
    mutating func mapLedger(size: Int) throws -> Address {
        let address = try target.mapLedger(size: size, at: nil)
        ranges.append(address..<address + size)
        return address
    }

    /// It stays: the commit has made it reachable, or may have.
    consuming func finalize() { ranges = [] }

    deinit { for range in ranges { target.unmap(range) } }
}

/// A patch between its two phases. It has been *staged*: what it takes is mapped. Nothing has changed for the target's threads until it
/// is *committed*, which is done or not in one piece; where it is not, what was staged goes with this value.
struct StagedPatch: ~Copyable {
    let plan: PatchPlan
    /// Records of the ledger, words of new slots: laid down with the stubs.
    let copies: [(address: Address, bytes: [UInt8])]
    let update: LedgerUpdate
    /// Those that the plan may write to, for an error to name.
    let sites: [SiteRecord]
    let allocation: Allocation
}
