import HotpatchMemory
import HotpatchPlan
import HotpatchProcFS

/// What a patch writes to data, as the ledger tells of it: one location for each range, under all patches that write there.
struct DataStores {
    let state: LedgerState
    /// New ones. They are numbered behind those of the ledger.
    private(set) var locations: [DataRecord] = []
    private(set) var stores: [PatchRecord.Store] = []
    /// The index in `stores` of what is written at each address.
    private var known: [Address: Int] = [:]

    init(state: LedgerState) { self.state = state }

    /// Bytes that are written at an address from now on. Those that a request wants there twice are the last.
    /// - Parameter original: reads what stands there.
    mutating func add(
        _ bytes: [UInt8], at address: Address, kind: DataRecord.Kind, name: String, imagePath: String,
        original: () throws(PatchError) -> [UInt8]
    ) throws(PatchError) {
        let range = address..<address + bytes.count
        if let index = known[address], stores[index].bytes.count == bytes.count {
            stores[index].bytes = bytes
            return
        }
        var location = state.dataInForce(overlapping: range)
        if location == nil { location = locations.first { $0.range.overlaps(range) } }
        if let other = location, other.range != range {
            // A pointer lies where a library that is gone had another: neither is ever put back.
            guard kind == .originalPointer else {
                throw .target(
                    "cannot write \(bytes.count) bytes at \(address). Some of them are among the \(other.original.count) at "
                        + "\(other.address) that a patch has written. Revert it first.")
            }
            location = nil
        }
        if location == nil {
            let new = DataRecord(
                id: state.nextData + UInt32(locations.count), kind: kind, address: address, original: try original(),
                name: name, imagePath: imagePath)
            locations.append(new)
            location = new
        }
        known[address] = stores.count
        stores.append(.init(location: location!.id, bytes: bytes))
    }
}

extension Region {
    /// What its protection says that it holds.
    var memoryKind: MemoryKind {
        permissions.contains(.execute) ? .text : permissions.contains(.write) ? .data : .constant
    }
}

extension PatchEngine {
    /// The writes that take what patches have written to data out of force: the newest of those that remain counts, and where none does,
    /// what stood there before.
    /// - Parameter patches: that are being reverted.
    func restoreData(
        of patches: [PatchRecord], state: LedgerState, memory: any MemoryReader
    ) throws(PatchError) -> (writes: [Write], vanished: [DataRecord]) {
        let leaving = Set(patches.map(\.id))
        var writes: [Write] = []
        var vanished: [DataRecord] = []
        var seen: Set<UInt32> = []
        var known: ProcessMap?
        for store in patches.flatMap(\.stores) where seen.insert(store.location).inserted {
            let location = state.data(store.location)
            if location.kind == .originalPointer { continue }
            let wanted = state.layer(ofData: location.id) { !leaving.contains($0.patch) }?.bytes ?? location.original
            if known == nil { known = try reading("read the mappings") { try target.processMap() } }
            guard let region = known?.region(containing: location.address),
                let found = try? memory.bytes(at: location.address, count: location.original.count)
            else {
                vanished.append(location)
                continue
            }
            if found == wanted { continue }
            guard found == location.original || state.isStored(found, at: location) else {
                let places = [location.imagePath, location.imagePath + " (deleted)", "", "[heap]"]
                guard location.imagePath.isEmpty || places.contains(region.path) else {
                    vanished.append(location)
                    continue
                }
                throw .entryChanged(
                    function: displayName(location.name), address: location.address,
                    expected: state.layer(ofData: location.id)?.bytes ?? location.original, found: found)
            }
            writes.append(
                Write(
                    address: location.address, kind: region.memoryKind, expected: found, bytes: wanted))
        }
        return (writes, vanished)
    }
}
