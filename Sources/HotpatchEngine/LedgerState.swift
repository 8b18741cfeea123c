import HotpatchMemory
import HotpatchProcFS
import HotpatchSymbols

/// The ledger, read: what is patched, and where there is room for more.
public struct LedgerState: Sendable {
    /// A record's patch, and where its state word lies.
    public struct Entry: Hashable, Sendable {
        public var record: PatchRecord
        var stateAddress: Address
    }

    public private(set) var segments: [SegmentRecord] = []
    /// Numbered 1, 2, … in this order.
    public private(set) var sites: [SiteRecord] = []
    /// Likewise.
    public private(set) var data: [DataRecord] = []
    private(set) var thunks: [ThunkRecord] = []
    private(set) var identities: [IdentityRecord] = []
    /// Oldest first.
    public private(set) var patches: [Entry] = []
    /// Records that only a newer version of the patcher knows.
    public private(set) var unknownRecords = 0
    private(set) var layout = Ledger.Layout()
    private(set) var texts: [String] = []
    /// Bytes of all records, and of those that a new edition would be without.
    private var used = 0
    private var forgettable = 0
    private var siteByEntry: [Address: UInt32] = [:]
    private var thunkByAddress: [Address: ThunkRecord] = [:]
    private var identityByName: [String: Address] = [:]
    private var poolEnds: [Address: (text: Address, data: Address)] = [:]
    private var siteLayers = LayerStacks<Layer>()
    private var dataLayers = LayerStacks<DataLayer>()
    /// Of each site, what has ever replaced it: what a member says is found without a walk over all of them.
    private var replacements: [[Address]] = []
    /// Of each location of data, what was ever written there.
    private var stored: [[[UInt8]]] = []
    /// The numbers of the locations that a patch is in force on, by address.
    private var dataByAddress: [UInt32] = []

    /// A patch that is in force on a site.
    struct Layer: PatchLayer {
        var patch: UInt32
        var replacement: Address
        var name: String
    }

    /// A patch that is in force on a location of data.
    struct DataLayer: PatchLayer {
        var patch: UInt32
        var bytes: [UInt8]
    }

    public init() {}

    /// Whether a mapping holds the ledger, or a part of it.
    public static func isLedger(_ region: Region) -> Bool { region.path.hasPrefix(Ledger.mappingName) }

    /// Reads the ledger of a process; empty where it has none.
    /// - Throws: `LedgerError` where it is damaged, `MemoryError` where it cannot be read.
    public init(of map: ProcessMap, memory: any MemoryReader) throws {
        layout = try Ledger.layout(of: map, memory: memory)
        let isOld = layout.major < Ledger.major
        let headerSize = isOld ? LedgerVersion2.headerSize : LedgerCoding.headerSize
        let stateOffset = isOld ? LedgerVersion2.stateOffset : LedgerCoding.headerSize
        var decoder = LedgerDecoder(isNewer: layout.minor > Ledger.minor)
        // Of each text, whether something lasting mentions it.
        var isMentioned: [Bool] = []
        var named: [(owner: UInt32, length: Int, texts: [Int])] = []
        for segment in layout.segments {
            used += segment.used
            let start = segment.address + Ledger.headerSize
            let bytes = try memory.bytes(at: start, count: segment.used)
            var position = 0
            while position < bytes.count {
                guard bytes.count - position >= headerSize else {
                    throw LedgerError.malformed("segment \(segment.index) ends inside a record")
                }
                var reader = LedgerReader(bytes[position...])
                let length = Int(try reader.integer(UInt32.self))
                guard length >= headerSize, length % 8 == 0, length <= bytes.count - position else {
                    throw LedgerError.malformed(
                        "a record at offset \(position) of segment \(segment.index) is \(length) bytes long")
                }
                let record = bytes[position..<position + length]
                let records = isOld ? [try LedgerVersion2.decode(record)] : try decoder.decode(record)
                for record in records { try add(record, stateAddress: start + (position + stateOffset)) }
                if case .patch(let patch)? = records.first, patch.state == .reverted {
                    forgettable += length
                } else if case .identity(let identity)? = records.first {
                    // Whether they count, the patch says, which stands behind them.
                    named.append((identity.owner, length, decoder.mentioned))
                } else {
                    isMentioned += [Bool](repeating: false, count: decoder.texts.count - isMentioned.count)
                    for number in decoder.mentioned { isMentioned[number - 1] = true }
                }
                position += length
            }
        }
        (texts, unknownRecords) = (decoder.texts, decoder.unknown)
        isMentioned += [Bool](repeating: false, count: texts.count - isMentioned.count)
        let lasts = identitiesThatLast
        for record in named {
            if lasts(record.owner) {
                for number in record.texts { isMentioned[number - 1] = true }
            } else {
                forgettable += record.length
            }
        }
        for (text, isMentioned) in zip(texts, isMentioned) where !isMentioned { forgettable += text.utf8.count + 1 }
        findPoolEnds()
        pileUp()
    }

    /// What each patch has laid on the locations that it changes.
    private mutating func pileUp() {
        siteLayers = LayerStacks(locations: sites.count)
        dataLayers = LayerStacks(locations: data.count)
        replacements = Array(repeating: [], count: sites.count)
        stored = Array(repeating: [], count: data.count)
        for entry in patches {
            for member in entry.record.members { replacements[Int(member.site) - 1].append(member.replacement) }
            for store in entry.record.stores { stored[Int(store.location) - 1].append(store.bytes) }
            guard entry.record.isInForce else { continue }
            for member in entry.record.members {
                siteLayers.push(
                    Layer(patch: entry.record.id, replacement: member.replacement, name: member.replacementName),
                    on: member.site)
            }
            for store in entry.record.stores {
                dataLayers.push(DataLayer(patch: entry.record.id, bytes: store.bytes), on: store.location)
            }
        }
        findIdentities()
        dataByAddress = data.filter { layer(ofData: $0.id) != nil }.sorted { $0.address < $1.address }.map(\.id)
    }

    /// The newest of each name counts, of those whose patch is in force. Where there is none, the newest of a patch that is reverted does,
    /// if a later one is in force: its code may refer there.
    private mutating func findIdentities() {
        identityByName = [:]
        guard !identities.isEmpty else { return }
        let inForce = Set(patches.lazy.map(\.record).filter(\.isInForce).map(\.id))
        let newest = inForce.max() ?? 0
        for identity in identities where identity.owner < newest && !inForce.contains(identity.owner) {
            identityByName[identity.name] = identity.address
        }
        for identity in identities where identity.owner == 0 || inForce.contains(identity.owner) {
            identityByName[identity.name] = identity.address
        }
    }

    /// Whether what a patch has placed is kept: where it is not reverted, also where it was made by halves only, or a later one is not.
    private var identitiesThatLast: (_ owner: UInt32) -> Bool {
        let newest = patches.lazy.map(\.record).last { $0.state != .reverted }?.id ?? 0
        return { $0 <= newest }
    }

    private mutating func add(_ record: LedgerRecord, stateAddress: Address) throws(LedgerError) {
        switch record {
        case .segment(let segment):
            segments.append(segment)
        case .site(var site):
            // Version 3 does not say what follows from the order.
            if site.id == 0 { site.id = nextSite }
            guard site.id == nextSite, sites.count < Ledger.mostRecords else {
                throw .malformed("site \(site.id) stands where \(nextSite) was expected")
            }
            sites.append(site)
            siteByEntry[site.entry] = site.id
        case .data(var location):
            guard data.count < Ledger.mostRecords else { throw .malformed("it has \(data.count) locations of data") }
            location.id = nextData
            data.append(location)
        case .identity(let identity):
            identities.append(identity)
        case .patch(let patch):
            guard patch.id < Ledger.largestNumber else { throw .malformed("a patch has the number \(patch.id)") }
            guard patch.members.allSatisfy({ $0.site >= 1 && $0.site <= sites.count }) else {
                throw .malformed("patch \(patch.id) names a site that is not there")
            }
            for store in patch.stores {
                guard store.location >= 1, store.location <= data.count,
                    data(store.location).original.count == store.bytes.count
                else { throw .malformed("patch \(patch.id) names a location of data that is not there") }
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
        for pool in pools { poolEnds[pool.address] = (pool.code.lowerBound, pool.data.lowerBound) }
        func take(_ code: Range<Address>, slot: Address?) {
            var (low, high) = (0, ordered.count)
            while low < high {
                let middle = (low + high) / 2
                if ordered[middle].address <= code.lowerBound { low = middle + 1 } else { high = middle }
            }
            guard low > 0, ordered[low - 1].code.contains(code.lowerBound),
                let ends = poolEnds[ordered[low - 1].address]
            else { return }
            poolEnds[ordered[low - 1].address] = (
                max(ends.text, code.upperBound), slot.map { max(ends.data, $0 + 8) } ?? ends.data
            )
        }
        for site in sites { take(site.stub, slot: site.slot) }
        for thunk in thunks { take(thunk.range, slot: nil) }
    }

    /// Whether the next patch is to be recorded in a new edition: in the version that is written today, and so that what is reverted
    /// costs nothing.
    var isDueForNewEdition: Bool {
        if layout.major < Ledger.major { return !layout.segments.isEmpty }
        return layout.minor <= Ledger.minor && forgettable > max(Ledger.tolerated, (used - forgettable) / 8)
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
            let fresh = patch.stores.filter { $0.location > data.count }
            renumber(&known)
            let first = UInt32(locations.count)
            patch.stores =
                known + fresh.map { .init(location: $0.location - UInt32(data.count) + first, bytes: $0.bytes) }
            more[index] = .patch(patch)
        }
        let lasts = identitiesThatLast
        let identities = identities.filter { lasts($0.owner) }
        return segments.map(LedgerRecord.segment) + sites.map(LedgerRecord.site) + thunks.map(LedgerRecord.thunk)
            + identities.map(LedgerRecord.identity) + locations.map(LedgerRecord.data) + kept.map(LedgerRecord.patch)
            + more
    }

    /// Patches that were made and reverted, and are no longer in the ledger.
    public var forgotten: Int { Int(nextPatch) - 1 - patches.count }

    /// Pools of stubs.
    public var pools: [SegmentRecord] { segments.filter { $0.kind == .stubs } }

    /// The memory that was reserved for a patch alone: code that it linked into the process, and what belongs to that. It stays when the
    /// patch is reverted.
    public func segments(of patch: UInt32) -> [SegmentRecord] { segments.filter { $0.owner == patch && patch != 0 } }

    /// Where something of a name lies that a patch in force has placed in the process; the newest.
    public func identity(_ name: String) -> Address? { identityByName[name] }

    /// - Parameter id: of a record of this ledger.
    public func data(_ id: UInt32) -> DataRecord { data[Int(id) - 1] }

    /// The newest patch in force on a location of data, of those that satisfy `isWanted`.
    func layer(ofData id: UInt32, where isWanted: (DataLayer) -> Bool = { _ in true }) -> DataLayer? {
        dataLayers.newest(on: id, where: isWanted)
    }

    /// A location of data that a patch is in force on, and that has bytes in common with a range. No two such locations have.
    func dataInForce(overlapping range: Range<Address>) -> DataRecord? {
        var (low, high) = (0, dataByAddress.count)
        while low < high {
            let middle = (low + high) / 2
            if data(dataByAddress[middle]).range.upperBound <= range.lowerBound {
                low = middle + 1
            } else {
                high = middle
            }
        }
        guard low < dataByAddress.count else { return nil }
        let location = data(dataByAddress[low])
        return location.range.overlaps(range) ? location : nil
    }

    /// Whether bytes found at a location of data were written there by a patch.
    public func isStored(_ found: [UInt8], at location: DataRecord) -> Bool {
        // Also of a patch that is not in force: a patcher may have died halfway.
        stored[Int(location.id) - 1].contains(found)
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
        siteLayers.newest(on: site, where: isWanted)
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
    func end(of pool: SegmentRecord) -> (text: Address, data: Address) {
        poolEnds[pool.address] ?? (pool.code.lowerBound, pool.data.lowerBound)
    }

    var nextSite: UInt32 { UInt32(sites.count) + 1 }
    var nextData: UInt32 { UInt32(data.count) + 1 }
    public var nextPatch: UInt32 { (patches.last?.record.id ?? 0) + 1 }
}

/// What a patch has laid on a location.
protocol PatchLayer: Sendable {
    /// Its number.
    var patch: UInt32 { get }
}

/// What patches in force have laid on each location, one on another.
struct LayerStacks<Layer: PatchLayer>: Sendable {
    private var layers: [(layer: Layer, below: Int?)] = []
    /// Of each location, where its newest layer is; nil where it has none.
    private var newest: [Int?]

    /// - Parameter locations: how many there are, numbered from 1.
    init(locations: Int = 0) { newest = Array(repeating: nil, count: locations) }

    mutating func push(_ layer: Layer, on location: UInt32) {
        layers.append((layer, newest[Int(location) - 1]))
        newest[Int(location) - 1] = layers.count - 1
    }

    func newest(on location: UInt32, where isWanted: (Layer) -> Bool) -> Layer? {
        var next = newest[Int(location) - 1]
        while let index = next, !isWanted(layers[index].layer) { next = layers[index].below }
        return next.map { layers[$0].layer }
    }
}

extension PatchRecord {
    /// Also while it is being reverted: it is, until that is done.
    fileprivate var isInForce: Bool { state == .applied || state == .reverting }

    /// About how many bytes it takes in the ledger, with its texts.
    fileprivate var estimatedSize: Int {
        64 + source.utf8.count + digest.utf8.count + members.reduce(0) { $0 + 8 + $1.replacementName.utf8.count }
            + stores.reduce(0) { $0 + 4 + $1.bytes.count }
    }
}
