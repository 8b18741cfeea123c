import HotpatchMemory
import HotpatchProcFS

extension LedgerState {
    /// Reads the ledger of a process; empty where it has none.
    /// - Throws: `LedgerError` where it is damaged, `MemoryError` where it cannot be read.
    package init(of map: ProcessMap, memory: any MemoryReader) throws {
        try self.init(Ledger.layout(of: map, memory: memory), memory: memory)
    }

    init(_ layout: Ledger.Layout, memory: any MemoryReader) throws {
        self.init()
        self.layout = layout
        decoder = LedgerDecoder(isNewer: layout.minor > Ledger.minor)
        try read(behind: [], memory: memory)
    }

    /// Whether nothing was committed since this was read.
    func isRead(to layout: Ledger.Layout) -> Bool {
        layout.generation == self.layout.generation && layout.isGrown(from: self.layout)
            && layout.segments == self.layout.segments
    }

    /// Reads what a commit that was made from this has left: what it has appended, and how it has left the patches that it has reverted.
    /// - Returns: false where that cannot be told from the layout, or is not what such a commit leaves. Then this is of no use any more.
    mutating func advance(
        to layout: Ledger.Layout, reverted: [UInt32], memory: any MemoryReader
    ) throws -> Bool {
        let before = self.layout
        guard layout.generation == before.generation + 1, layout.isGrown(from: before) else { return false }
        self.layout = layout
        for id in reverted {
            guard let index = patchIndex[id] else { return false }
            let state = try memory.value(UInt64.self, at: patches[index].stateAddress)
            guard PatchRecord.State(rawValue: state) == .reverted else { return false }
            revert(patchAt: index)
        }
        try read(behind: before.segments, memory: memory)
        return true
    }

    /// Reads what stands in the segments behind what they held before.
    private mutating func read(behind known: [Ledger.Segment], memory: any MemoryReader) throws {
        let isOld = layout.major < Ledger.major
        let headerSize = isOld ? LedgerVersion2.headerSize : LedgerCoding.headerSize
        let stateOffset = isOld ? LedgerVersion2.stateOffset : LedgerCoding.headerSize
        let counts = (
            sites: sites.count, thunks: thunks.count, identities: identityExtents.count, patches: patches.count
        )
        for segment in layout.segments {
            let skipped = segment.index < known.count ? known[segment.index].used : 0
            if skipped == segment.used { continue }
            used += segment.used - skipped
            let start = segment.address + (Ledger.headerSize + skipped)
            let bytes = try memory.bytes(at: start, count: segment.used - skipped)
            var position = 0
            while position < bytes.count {
                guard bytes.count - position >= headerSize else {
                    throw LedgerError.malformed("segment \(segment.index) ends inside a record")
                }
                var reader = LedgerReader(bytes[position...])
                let length = Int(try reader.integer(UInt32.self))
                guard length >= headerSize, length % 8 == 0, length <= bytes.count - position else {
                    throw LedgerError.malformed(
                        "a record at offset \(skipped + position) of segment \(segment.index) is \(length) bytes long")
                }
                let record = bytes[position..<position + length]
                let records = isOld ? [try LedgerVersion2.decode(record)] : try decoder.decode(record)
                for record in records { try add(record, stateAddress: start + (position + stateOffset)) }
                note(Extent(length: length, texts: decoder.mentioned), of: records.first)
                position += length
            }
        }
        unknownRecords = decoder.unknown
        findPoolEnds(sites: sites[counts.sites...], thunks: thunks[counts.thunks...])
        sortSites(from: counts.sites)
        sortIdentityExtents(from: counts.identities)
        if patches[counts.patches...].contains(where: { !$0.record.stores.isEmpty }) { sortData() }
    }

    /// Counts what a new edition would be without.
    private mutating func note(_ extent: Extent, of record: LedgerRecord?) {
        for text in decoder.texts[mentions.count...] { forgettable += text.utf8.count + 1 }
        mentions += [UInt32](repeating: 0, count: decoder.texts.count - mentions.count)
        if case .patch(let patch)? = record {
            extents.append(extent)
            if patch.state == .reverted {
                forgettable += extent.length
                return
            }
        }
        // Whether they last depends on the patches that stand behind them: see `isDueForNewEdition`.
        if case .identity(let identity)? = record { identityExtents.append((identity.owner, extent)) }
        for number in extent.texts {
            if mentions[number - 1] == 0 { forgettable -= texts[number - 1].utf8.count + 1 }
            mentions[number - 1] += 1
        }
    }

    /// Takes a patch out of force.
    private mutating func revert(patchAt index: Int) {
        guard patches[index].record.state != .reverted else { return }
        patches[index].record.state = .reverted
        let record = patches[index].record
        for member in record.members { siteLayers.remove(record.id, on: member.site) }
        for store in record.stores { dataLayers.remove(record.id, on: store.location) }
        if !record.stores.isEmpty { sortData() }
        forgettable += extents[index].length
        for number in extents[index].texts {
            mentions[number - 1] -= 1
            if mentions[number - 1] == 0 { forgettable += texts[number - 1].utf8.count + 1 }
        }
    }

    /// What a patch has laid on the locations that it changes.
    private mutating func pileUp(_ patch: PatchRecord) {
        for member in patch.members { replacements[Int(member.site) - 1].append(member.replacement) }
        for store in patch.stores { stored[Int(store.location) - 1].append(store.bytes) }
        guard patch.isInForce else { return }
        for member in patch.members {
            siteLayers.push(
                Layer(patch: patch.id, replacement: member.replacement, name: member.replacementName), on: member.site)
        }
        for store in patch.stores {
            dataLayers.push(DataLayer(patch: patch.id, bytes: store.bytes), on: store.location)
        }
    }

    private mutating func sortData() {
        dataByAddress = data.filter { layer(ofData: $0.id) != nil }.sorted { $0.address < $1.address }.map(\.id)
    }

    private mutating func sortSites(from first: Int) {
        // A few are put in their places; to sort all for them would take the longer the more there are.
        guard sites.count - first < 16 else {
            sitesByAddress = sites.indices.sorted { sites[$0].patchAddress < sites[$1].patchAddress }
                .map { UInt32($0) + 1 }
            return
        }
        for site in sites[first...] {
            let place = indexByAddress(from: site.patchAddress)
            sitesByAddress.insert(site.id, at: place)
        }
    }

    /// The first site at an address or behind it: its place in `sitesByAddress`.
    func indexByAddress(from address: Address) -> Int {
        var (low, high) = (0, sitesByAddress.count)
        while low < high {
            let middle = (low + high) / 2
            let middleAddress = sites[Int(sitesByAddress[middle]) - 1].patchAddress
            if middleAddress < address { low = middle + 1 } else { high = middle }
        }
        return low
    }

    private mutating func sortIdentityExtents(from first: Int) {
        let new = identityExtents[max(0, first - 1)...]
        if zip(new, new.dropFirst()).contains(where: { $0.owner > $1.owner }) {
            identityExtents.sort { $0.owner < $1.owner }
        }
    }

    private mutating func add(_ record: LedgerRecord, stateAddress: Address) throws(LedgerError) {
        switch record {
        case .segment(let segment):
            segments.append(segment)
            if segment.owner != 0 { owners.insert(segment.owner) }
        case .site(var site):
            // Version 3 does not say what follows from the order.
            if site.id == 0 { site.id = nextSite }
            guard site.id == nextSite, sites.count < Ledger.mostRecords else {
                throw .malformed("site \(site.id) stands where \(nextSite) was expected")
            }
            sites.append(site)
            siteLayers.addLocation()
            replacements.append([])
            siteByEntry[site.entry] = site.id
        case .data(var location):
            guard data.count < Ledger.mostRecords else { throw .malformed("it has \(data.count) locations of data") }
            location.id = nextData
            data.append(location)
            dataLayers.addLocation()
            stored.append([])
        case .identity(let identity):
            identitiesByName[identity.name, default: []].append(identities.count)
            identities.append(identity)
        case .disposal(let record):
            let isDisposedOf = record.isDisposedOf || disposals[record.owner]?.isDisposedOf == true
            disposals[record.owner] = record
            disposals[record.owner]?.isDisposedOf = isDisposedOf
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
            // Where two have one number, which no patcher makes, the first counts.
            if patchIndex[patch.id] == nil { patchIndex[patch.id] = patches.count }
            patches.append(Entry(record: patch, stateAddress: stateAddress))
            pileUp(patch)
        case .thunk(let thunk):
            thunks.append(thunk)
            thunkByAddress[thunk.range.lowerBound] = thunk
        }
    }

    /// Each site's stub, and each thunk, lies in the pool that starts nearest below it.
    private mutating func findPoolEnds(sites: ArraySlice<SiteRecord>, thunks: ArraySlice<ThunkRecord>) {
        let ordered = pools.sorted { $0.address < $1.address }
        for pool in ordered where poolEnds[pool.address] == nil {
            poolEnds[pool.address] = (pool.code.lowerBound, pool.data.lowerBound)
        }
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
}
