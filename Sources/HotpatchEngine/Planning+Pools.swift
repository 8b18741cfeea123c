import HotpatchMemory
import HotpatchPlan
import HotpatchProcFS
import HotpatchSymbols

/// Where stubs and segments are to lie.
extension Planning {
    /// A pool within the shortest detour's reach that has room, or a new one; where there is no place for one, and the
    /// architecture has longer detours, the nearest.
    mutating func poolIndex(for function: FunctionSymbol) throws(PatchError) -> Int {
        let architecture = engine.target.architecture
        if let near = nearestPool(to: function.address, reach: architecture.detourReach) { return near }
        let page = engine.target.pageSize
        let text = (Self.textSize + page - 1) / page * page
        let data = (Self.dataSize + page - 1) / page * page
        var found = place(near: function.address, size: text + data)
        if found == nil, architecture.farDetourReach > architecture.detourReach {
            found = place(near: function.address, size: text + data, reach: architecture.farDetourReach)
            if let far = nearestPool(to: function.address, reach: architecture.farDetourReach),
                found.map({ pools[far].text.distance(to: function.address) <= $0.distance(to: function.address) })
                    ?? true
            {
                return far
            }
        }
        guard let address = found else {
            throw .noPool(function: name(function), address: function.address, reach: architecture.farDetourReach)
        }
        let record = SegmentRecord(
            address: address, codeSize: text, dataSize: data, generation: state.layout.generation + 1)
        pools.append(Pool(record))
        return pools.count - 1
    }

    /// Where there is room within reach of an address.
    /// - Parameter reach: in bytes; the shortest detour's, where it is nil.
    func place(near address: Address, size: Int, reach: UInt64? = nil) -> Address? {
        let architecture = engine.target.architecture
        let planned =
            plan.segments.map(\.range) + lanes.reserved
            + pools.filter(\.isNew).map(\.record.range)
        var regions = map.regions + planned.map { Region(range: $0, permissions: .read) }
        regions.sort { $0.range.lowerBound < $1.range.lowerBound }
        return PoolPlacement.address(
            near: address, size: size, reach: reach ?? architecture.detourReach, regions: regions,
            program: engine.program, pageSize: engine.target.pageSize,
            limit: PoolPlacement.limit(architecture, regions: map.regions))
    }

    /// The first pool within reach that has room; where only those beyond the shortest detour's reach have any, the nearest of them.
    private func nearestPool(to entry: Address, reach: UInt64) -> Int? {
        func isUsable(_ index: Int) -> Bool {
            let pool = pools[index]
            return pool.record.code.upperBound - pool.text >= Self.stubReserve
                && pool.record.data.upperBound - pool.data >= 8
                && pool.record.code.lowerBound.distance(to: entry) < reach
                && pool.record.data.upperBound.distance(to: entry) < reach
        }
        guard reach > engine.target.architecture.detourReach else { return pools.indices.first(where: isUsable) }
        return pools.indices.filter(isUsable).min {
            pools[$0].text.distance(to: entry) < pools[$1].text.distance(to: entry)
        }
    }
}
