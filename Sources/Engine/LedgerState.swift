import Memory
import Symbols

/// The ledger, read: what is patched, and where there is room for more.
public struct LedgerState: Sendable {
    /// A record's patch, and where its state word lies.
    public struct Entry: Hashable, Sendable {
        public var record: PatchRecord
        var stateAddress: Address
    }

    public private(set) var pools: [PoolRecord] = []
    public private(set) var sites: [UInt32: SiteRecord] = [:]
    /// Oldest first.
    public private(set) var patches: [Entry] = []
    var segments: [Ledger.Segment] = []
    var generation: UInt64 = 0
    private var siteByEntry: [Address: UInt32] = [:]
    private var poolEnds: [Address: (text: Address, data: Address)] = [:]
    private var layers: [UInt32: [Layer]] = [:]
    /// Of each site, all there have ever been.
    private var replacements: [UInt32: Set<Address>] = [:]

    /// A patch that is in force on a site.
    struct Layer: Hashable, Sendable {
        var patch: UInt32
        var replacement: Address
        var name: String
    }

    public init() {}

    /// Reads the ledger of a process; empty where it has none.
    /// - Throws: `LedgerError` where it is damaged, `MemoryError` where it cannot be read.
    public init(of map: ProcessMap, memory: any MemoryReader) throws {
        (segments, generation) = try Ledger.segments(of: map, memory: memory)
        let texts = LedgerTexts()
        for segment in segments {
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
                position += length
            }
        }
        for entry in patches where entry.record.state == .applied || entry.record.state == .reverting {
            for member in entry.record.members {
                layers[member.site, default: []].append(
                    Layer(patch: entry.record.id, replacement: member.replacement, name: member.replacementName))
            }
        }
    }

    private mutating func add(_ record: LedgerRecord, stateAddress: Address) throws(LedgerError) {
        switch record {
        case .pool(let pool):
            pools.append(pool)
            poolEnds[pool.address] = (pool.text.lowerBound, pool.data.lowerBound)
        case .site(let site):
            guard site.id < Ledger.largestNumber else { throw .malformed("a site has the number \(site.id)") }
            sites[site.id] = site
            siteByEntry[site.entry] = site.id
            for pool in pools where pool.text.contains(site.stub.lowerBound) {
                guard let ends = poolEnds[pool.address] else { continue }
                poolEnds[pool.address] = (max(ends.text, site.stub.upperBound), max(ends.data, site.slot + 8))
            }
        case .patch(let patch):
            guard patch.id < Ledger.largestNumber else { throw .malformed("a patch has the number \(patch.id)") }
            guard patch.members.allSatisfy({ sites[$0.site] != nil }) else {
                throw .malformed("patch \(patch.id) names a site that is not there")
            }
            patches.append(Entry(record: patch, stateAddress: stateAddress))
            for member in patch.members { replacements[member.site, default: []].insert(member.replacement) }
        }
    }

    public func patch(_ id: UInt32) -> PatchRecord? { entry(id)?.record }

    func entry(_ id: UInt32) -> Entry? { patches.first { $0.record.id == id } }

    /// The site of a function, if it was ever patched.
    public func site(entry: Address) -> SiteRecord? { siteByEntry[entry].flatMap { sites[$0] } }

    /// The patches in force on a site, oldest first; the last one's replacement runs.
    func layers(of site: UInt32) -> [Layer] { layers[site] ?? [] }

    /// Whether bytes found at a site's entry are a jump that this engine has written there.
    public func isJump(_ found: [UInt8], of site: SiteRecord) -> Bool {
        found == site.detour || replacements[site.id]?.contains { site.entry(for: $0) == found } ?? false
    }

    /// Whether bytes found at a site's entry, and the word found in its slot, lead to a replacement.
    public func leads(_ found: [UInt8], slot: Address?, of site: SiteRecord, to replacement: Address) -> Bool {
        found == site.entry(for: replacement) && (found != site.detour || slot == replacement)
    }

    /// What runs instead of a function, if anything does.
    public func replacement(for entry: Address) -> (address: Address, name: String)? {
        site(entry: entry).flatMap { layers(of: $0.id).last }.map { ($0.replacement, $0.name) }
    }

    /// The first free stub and slot of a pool.
    func end(of pool: PoolRecord) -> (text: Address, data: Address) {
        poolEnds[pool.address] ?? (pool.text.lowerBound, pool.data.lowerBound)
    }

    var nextSite: UInt32 { (sites.keys.max() ?? 0) + 1 }
    public var nextPatch: UInt32 { (patches.last?.record.id ?? 0) + 1 }
}
