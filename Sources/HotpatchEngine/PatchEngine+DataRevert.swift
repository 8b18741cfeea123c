import HotpatchMemory
import HotpatchPlan
import HotpatchProcFS

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
