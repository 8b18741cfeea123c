import HotpatchMemory
import HotpatchSymbols

/// The ledger, read: what is patched, and where there is room for more.
public struct LedgerState: Sendable {
    /// A record's patch, and where its state word lies.
    public struct Entry: Hashable, Sendable {
        public var record: PatchRecord
        var stateAddress: Address
    }

    public private(set) var pools: [PoolRecord] = []
    /// Numbered 1, 2, … in this order.
    public private(set) var sites: [SiteRecord] = []
    private(set) var thunks: [ThunkRecord] = []
    /// Oldest first.
    public private(set) var patches: [Entry] = []
    private(set) var layout = Ledger.Layout()
    /// Bytes of all records, and of reverted patches.
    private var used = 0
    private var forgettable = 0
    private var siteByEntry: [Address: UInt32] = [:]
    private var thunkByAddress: [Address: ThunkRecord] = [:]
    private var poolEnds: [Address: (text: Address, data: Address)] = [:]
    private var layers: [Layer] = []
    /// Of each site, where in `layers` its newest one is; nil where it is not patched.
    private var newest: [Int?] = []
    /// Of each site, what has ever replaced it: what a member says is found without a walk over all of them.
    private var replacements: [[Address]] = []

    /// A patch that is in force on a site.
    struct Layer: Hashable, Sendable {
        var patch: UInt32
        var replacement: Address
        var name: String
        /// Where the one is that would run if this one were reverted.
        fileprivate var below: Int?
    }

    public init() {}

    /// Reads the ledger of a process; empty where it has none.
    /// - Throws: `LedgerError` where it is damaged, `MemoryError` where it cannot be read.
    public init(of map: ProcessMap, memory: any MemoryReader) throws {
        layout = try Ledger.layout(of: map, memory: memory)
        let texts = LedgerTexts()
        for segment in layout.segments {
            used += segment.used
            let start = segment.address + Ledger.headerSize
            let bytes = try memory.bytes(at: start, count: segment.used)
            // Most of it is sites, of some 250 bytes each.
            sites.reserveCapacity(sites.count + bytes.count / 256)
            siteByEntry.reserveCapacity(sites.count + bytes.count / 256)
            var position = 0
            while position < bytes.count {
                guard bytes.count - position >= LedgerRecord.headerSize else {
                    throw LedgerError.malformed("segment \(segment.index) ends inside a record")
                }
                var reader = LedgerReader(bytes[position...])
                let length = Int(try reader.integer(UInt32.self))
                guard length >= LedgerRecord.headerSize, length % 8 == 0, length <= bytes.count - position else {
                    throw LedgerError.malformed(
                        "a record at offset \(position) of segment \(segment.index) is \(length) bytes long")
                }
                let record = try LedgerRecord(decoding: bytes[position..<position + length], texts: texts)
                try add(record, stateAddress: start + (position + LedgerRecord.stateOffset))
                if case .patch(let patch) = record, patch.state == .reverted { forgettable += length }
                position += length
            }
        }
        findPoolEnds()
        newest = Array(repeating: nil, count: sites.count)
        replacements = Array(repeating: [], count: sites.count)
        for entry in patches {
            for member in entry.record.members {
                replacements[Int(member.site) - 1].append(member.replacement)
            }
        }
        for entry in patches where entry.record.state == .applied || entry.record.state == .reverting {
            for member in entry.record.members {
                let index = Int(member.site) - 1
                layers.append(
                    Layer(
                        patch: entry.record.id, replacement: member.replacement, name: member.replacementName,
                        below: newest[index]))
                newest[index] = layers.count - 1
            }
        }
    }

    private mutating func add(_ record: LedgerRecord, stateAddress: Address) throws(LedgerError) {
        switch record {
        case .pool(let pool):
            pools.append(pool)
        case .site(let site):
            guard site.id == sites.count + 1 else {
                throw .malformed("site \(site.id) stands where \(sites.count + 1) was expected")
            }
            sites.append(site)
            siteByEntry[site.entry] = site.id
        case .patch(let patch):
            guard patch.id < Ledger.largestNumber else { throw .malformed("a patch has the number \(patch.id)") }
            guard patch.members.allSatisfy({ $0.site >= 1 && $0.site <= sites.count }) else {
                throw .malformed("patch \(patch.id) names a site that is not there")
            }
            patches.append(Entry(record: patch, stateAddress: stateAddress))
        case .thunk(let thunk):
            thunks.append(thunk)
            thunkByAddress[thunk.range.lowerBound] = thunk
        }
    }

    /// Each site's stub, and each thunk, lies in the pool that starts nearest below it.
    private mutating func findPoolEnds() {
        let ordered = pools.sorted { $0.address < $1.address }
        for pool in pools { poolEnds[pool.address] = (pool.text.lowerBound, pool.data.lowerBound) }
        func take(_ code: Range<Address>, slot: Address?) {
            var (low, high) = (0, ordered.count)
            while low < high {
                let middle = (low + high) / 2
                if ordered[middle].address <= code.lowerBound { low = middle + 1 } else { high = middle }
            }
            guard low > 0, ordered[low - 1].text.contains(code.lowerBound),
                let ends = poolEnds[ordered[low - 1].address]
            else { return }
            poolEnds[ordered[low - 1].address] = (
                max(ends.text, code.upperBound), slot.map { max(ends.data, $0 + 8) } ?? ends.data
            )
        }
        for site in sites { take(site.stub, slot: site.slot) }
        for thunk in thunks { take(thunk.range, slot: nil) }
    }

    /// Whether the next patch is to be recorded in a new edition, so that what is reverted costs nothing.
    var isDueForNewEdition: Bool { forgettable > max(Ledger.tolerated, (used - forgettable) / 8) }

    /// Without what is reverted. A record stands behind those that it refers to.
    var lasting: [LedgerRecord] {
        pools.map(LedgerRecord.pool) + sites.map(LedgerRecord.site) + thunks.map(LedgerRecord.thunk)
            + patches.map(\.record).filter { $0.state != .reverted }.map(LedgerRecord.patch)
    }

    /// The thread of the process that is committing from inside, or was when it was copied by a fork; 0 for none.
    var committer: UInt64 { layout.committer }

    /// What changes when somebody else commits, or goes on committing.
    var progress: [UInt64] { [layout.generation] + patches.map { $0.record.state.rawValue } }

    /// Whether a commit is under way, or was when its patcher died.
    var isUnfinished: Bool { patches.contains { $0.record.state == .applying || $0.record.state == .reverting } }

    public func patch(_ id: UInt32) -> PatchRecord? { entry(id)?.record }

    func entry(_ id: UInt32) -> Entry? { patches.first { $0.record.id == id } }

    /// The site of a function, if it was ever patched.
    public func site(entry: Address) -> SiteRecord? { siteByEntry[entry].map { site($0) } }

    /// - Parameter id: of a record of this ledger.
    public func site(_ id: UInt32) -> SiteRecord { sites[Int(id) - 1] }

    /// The newest patch in force on a site, of those that satisfy `isWanted`; the newest of all is the one that runs.
    func layer(of site: UInt32, where isWanted: (Layer) -> Bool = { _ in true }) -> Layer? {
        var next = newest[Int(site) - 1]
        while let index = next, !isWanted(layers[index]) { next = layers[index].below }
        return next.map { layers[$0] }
    }

    /// Whether bytes found at a site's entry are a jump that this engine has written there.
    public func isJump(_ found: [UInt8], of site: SiteRecord) -> Bool {
        if found == site.detour { return true }
        // Also of a patch that is not in force: a patcher that died halfway has left its jump.
        return replacements[Int(site.id) - 1].contains { site.entry(for: $0) == found }
    }

    /// Whether bytes found at a site's entry, and the word found in its slot, lead to a replacement.
    public func leads(_ found: [UInt8], slot: Address?, of site: SiteRecord, to replacement: Address) -> Bool {
        found == site.entry(for: replacement) && (found != site.detour || slot == replacement)
    }

    /// What runs instead of a function, if anything does.
    public func replacement(for entry: Address) -> (address: Address, name: String)? {
        site(entry: entry).flatMap { layer(of: $0.id) }.map { (destination(of: $0.replacement), $0.name) }
    }

    /// The code that replaces a member's function, also where a thunk leads to it.
    public func code(of member: PatchRecord.Member) -> Address { destination(of: member.replacement) }

    private func destination(of address: Address) -> Address { thunkByAddress[address]?.replacement ?? address }

    /// The first free stub and slot of a pool.
    func end(of pool: PoolRecord) -> (text: Address, data: Address) {
        poolEnds[pool.address] ?? (pool.text.lowerBound, pool.data.lowerBound)
    }

    var nextSite: UInt32 { UInt32(sites.count) + 1 }
    public var nextPatch: UInt32 { (patches.last?.record.id ?? 0) + 1 }
}
