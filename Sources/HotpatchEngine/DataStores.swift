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
