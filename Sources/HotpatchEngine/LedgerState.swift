import HotpatchMemory
import HotpatchProcFS
import HotpatchSymbols

/// The ledger, read: what is patched, and where there is room for more.
public struct LedgerState: Sendable {
    /// A record's patch, and where its state word lies.
    package struct Entry: Hashable, Sendable {
        package var record: PatchRecord
        var stateAddress: Address
    }

    package internal(set) var segments: [SegmentRecord] = []
    /// Numbered 1, 2, … in this order.
    public internal(set) var sites: [SiteRecord] = []
    /// Likewise.
    package internal(set) var data: [DataRecord] = []
    var thunks: [ThunkRecord] = []
    var identities: [IdentityRecord] = []
    /// Numbers of patches that segments were made for.
    var owners: Set<UInt32> = []
    /// By the number of the patch whose code they are about.
    var disposals: [UInt32: DisposalRecord] = [:]
    /// Oldest first.
    package internal(set) var patches: [Entry] = []
    /// Records that only a newer version of the patcher knows.
    package internal(set) var unknownRecords = 0
    var layout = Ledger.Layout()
    /// It has read the records so far, and goes on behind them.
    var decoder = LedgerDecoder(isNewer: false)
    var texts: [String] { decoder.texts }
    /// How many records mention each text: all but those of patches that are reverted.
    var mentions: [UInt32] = []
    /// Bytes of all records, and of those that a new edition would be without, identities apart.
    var used = 0
    var forgettable = 0
    /// Parallel to `patches`.
    var extents: [Extent] = []
    /// What identities take, with the number of the patch that has placed them. Ascending by that.
    var identityExtents: [(owner: UInt32, extent: Extent)] = []
    /// Where each patch stands among them.
    var patchIndex: [UInt32: Int] = [:]
    var siteByEntry: [Address: UInt32] = [:]
    /// The numbers of all sites, by the address that is patched.
    var sitesByAddress: [UInt32] = []
    var thunkByAddress: [Address: ThunkRecord] = [:]
    /// Where each name stands among the identities, oldest first.
    var identitiesByName: [String: [Int]] = [:]
    var poolEnds: [Address: (text: Address, data: Address)] = [:]
    var siteLayers = LayerStacks<Layer>()
    var dataLayers = LayerStacks<DataLayer>()
    /// What has ever replaced each site: what a member says is found without a walk over all of them.
    var replacements: [[Address]] = []
    /// What was ever written at each location of data.
    var stored: [[[UInt8]]] = []
    /// The numbers of the locations that a patch is in force on, by address.
    var dataByAddress: [UInt32] = []

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

    /// What a record takes in the ledger: its bytes, and the texts that it mentions.
    struct Extent {
        var length: Int
        var texts: [Int]
    }

    package init() {}

    /// Whether a mapping holds the ledger, or a part of it.
    package static func isLedger(_ region: Region) -> Bool { region.path.hasPrefix(Ledger.mappingName) }

    /// Patches that were made and reverted, and are no longer in the ledger.
    package var forgotten: Int { Int(nextPatch) - 1 - patches.count }

    /// Pools of stubs.
    public var pools: [SegmentRecord] { segments.filter { $0.kind == .stubs } }

    /// The memory that was reserved for a patch alone: code that it linked into the process, and what belongs to that. It stays when the
    /// patch is reverted.
    package func segments(of patch: UInt32) -> [SegmentRecord] { segments.filter { $0.owner == patch && patch != 0 } }

    /// The numbers of the patches that segments were made for, ascending.
    package var linkedOwners: [UInt32] { owners.sorted() }

    /// Whether a patch has linked something into the process.
    func hasLinked(_ patch: UInt32) -> Bool { owners.contains(patch) }

    /// What is known of how a patch's code can be taken away; nil where it has brought none, or an older version has placed it.
    package func disposal(of patch: UInt32) -> DisposalRecord? { disposals[patch] }

    /// Whether the next record may be of one: the ledger was begun by a version that knows them, or will be.
    var takesDisposals: Bool {
        layout.segments.isEmpty || isDueForNewEdition || layout.major == Ledger.major && layout.minor >= 1
    }

    /// How many newer linked objects are in force on each function and each value that a patch in force changes, at the least. What else
    /// lies there does not count: it may go at any time, and what is below it is to be there then.
    package func depth(of patch: PatchRecord) -> Int {
        let depths =
            patch.members.map { siteLayers.count(on: $0.site, above: patch.id, where: hasLinked) }
            + patch.stores.map { dataLayers.count(on: $0.location, above: patch.id, where: hasLinked) }
        return depths.min() ?? 0
    }

    /// Where something of a name lies that was placed in the process: the newest of those whose patch is in force. Where there is none, the
    /// newest of a patch that is reverted, if a later one is in force: its code may refer there.
    package func identity(_ name: String) -> Address? {
        guard let known = identitiesByName[name]?.map({ identities[$0] }) else { return nil }
        if let last = known.last(where: { $0.owner == 0 || isInForce($0.owner) }) { return last.address }
        let newest = patches.last { $0.record.isInForce }?.record.id ?? 0
        return known.last { $0.owner < newest }?.address
    }

    /// Whether a patch in force has placed something of a name in the process.
    package func isPlaced(_ name: String) -> Bool {
        identitiesByName[name]?.contains { identities[$0].owner == 0 || isInForce(identities[$0].owner) } ?? false
    }

    private func isInForce(_ patch: UInt32) -> Bool { entry(patch)?.record.isInForce == true }

    /// - Parameter id: of a record of this ledger.
    package func data(_ id: UInt32) -> DataRecord { data[Int(id) - 1] }

    /// The newest patch in force on a location of data that satisfies `isWanted`.
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
    package func isStored(_ found: [UInt8], at location: DataRecord) -> Bool {
        // Also of a patch that is not in force: a patcher may have died halfway.
        stored[Int(location.id) - 1].contains(found)
    }

    /// The thread of the process that is committing from inside, or was when it was copied by a fork; 0 for none.
    var committer: UInt64 { layout.committer }

    /// What changes when somebody else commits, or goes on committing.
    var progress: [UInt64] { [layout.generation] + patches.map { $0.record.state.rawValue } }

    /// Whether a commit is under way, or was when its patcher died.
    var isUnfinished: Bool { patches.contains { $0.record.state == .applying || $0.record.state == .reverting } }

    package func patch(_ id: UInt32) -> PatchRecord? { entry(id)?.record }

    func entry(_ id: UInt32) -> Entry? { patchIndex[id].map { patches[$0] } }

    /// The site of a function, if it was ever patched.
    package func site(entry: Address) -> SiteRecord? { siteByEntry[entry].map { site($0) } }

    /// - Parameter id: of a record of this ledger.
    package func site(_ id: UInt32) -> SiteRecord { sites[Int(id) - 1] }

    /// Where a site is overwritten, and what stood there before.
    func overwritten(_ id: UInt32) -> (address: Address, original: [UInt8]) {
        (sites[Int(id) - 1].patchAddress, sites[Int(id) - 1].original)
    }

    /// The newest patch in force on a site that satisfies `isWanted`; the newest of all is the one that runs.
    func layer(of site: UInt32, where isWanted: (Layer) -> Bool = { _ in true }) -> Layer? {
        siteLayers.newest(on: site, where: isWanted)
    }

    /// Whether bytes found at a site's entry are a jump that this engine has written there.
    package func isJump(_ found: [UInt8], of site: SiteRecord) -> Bool {
        if found == site.detour { return true }
        // Also of a patch that is not in force: a patcher that died halfway has left its jump.
        return replacements[Int(site.id) - 1].contains { site.entry(for: $0) == found }
    }

    /// Whether bytes found at a site's entry, and the word found in its slot, lead to a replacement.
    package func leads(_ found: [UInt8], slot: Address?, of site: SiteRecord, to replacement: Address) -> Bool {
        found == site.entry(for: replacement) && (found != site.detour || slot == replacement)
    }

    /// What runs instead of a function, if anything does.
    package func replacement(for entry: Address) -> (address: Address, name: String)? {
        site(entry: entry).flatMap { layer(of: $0.id) }.map { (destination(of: $0.replacement), $0.name) }
    }

    /// The code that replaces a member's function, also where a thunk leads to it.
    package func code(of member: PatchRecord.Member) -> Address { destination(of: member.replacement) }

    func destination(of address: Address) -> Address { thunkByAddress[address]?.replacement ?? address }

    /// The first free stub and slot of a pool.
    func end(of pool: SegmentRecord) -> (text: Address, data: Address) {
        poolEnds[pool.address] ?? (pool.code.lowerBound, pool.data.lowerBound)
    }

    var nextSite: UInt32 { UInt32(sites.count) + 1 }
    var nextData: UInt32 { UInt32(data.count) + 1 }
    package var nextPatch: UInt32 { (patches.last?.record.id ?? 0) + 1 }
}

/// What a patch has laid on a location.
protocol PatchLayer: Sendable {
    /// Its number.
    var patch: UInt32 { get }
}

/// What patches in force have laid on each location, one on another.
struct LayerStacks<Layer: PatchLayer>: Sendable {
    private var layers: [(layer: Layer, below: Int?)] = []
    /// Where each location's newest layer is; nil where it has none.
    private var newest: [Int?] = []

    mutating func addLocation() { newest.append(nil) }

    mutating func push(_ layer: Layer, on location: UInt32) {
        layers.append((layer, newest[Int(location) - 1]))
        newest[Int(location) - 1] = layers.count - 1
    }

    /// Takes out what a patch has laid on a location.
    mutating func remove(_ patch: UInt32, on location: UInt32) {
        var above: Int?
        var next = newest[Int(location) - 1]
        while let index = next {
            next = layers[index].below
            if layers[index].layer.patch != patch {
                above = index
            } else if let above {
                layers[above].below = next
            } else {
                newest[Int(location) - 1] = next
            }
        }
    }

    /// How many layers of such patches lie on a patch's.
    func count(on location: UInt32, above patch: UInt32, where isWanted: (_ patch: UInt32) -> Bool) -> Int {
        var count = 0
        var next = newest[Int(location) - 1]
        while let index = next, layers[index].layer.patch != patch {
            if isWanted(layers[index].layer.patch) { count += 1 }
            next = layers[index].below
        }
        return count
    }

    func newest(on location: UInt32, where isWanted: (Layer) -> Bool) -> Layer? {
        var next = newest[Int(location) - 1]
        while let index = next, !isWanted(layers[index].layer) { next = layers[index].below }
        return next.map { layers[$0].layer }
    }
}

extension PatchRecord {
    /// Also while it is being reverted: it is, until that is done.
    var isInForce: Bool { state == .applied || state == .reverting }
}
