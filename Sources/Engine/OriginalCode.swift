import Memory
import PatchPlan

/// Code as it was before anything was patched: what a stub runs of a patched entry still leads where the entry led.
struct OriginalCode: MemoryReader {
    let memory: any MemoryReader
    private let sites: [SiteRecord]
    private let state: LedgerState

    init(_ memory: any MemoryReader, state: LedgerState) {
        self.memory = memory
        self.state = state
        sites = state.sites.sorted { $0.patchAddress < $1.patchAddress }
    }

    func read(at address: Address, into buffer: UnsafeMutableRawBufferPointer) throws(MemoryError) {
        try memory.read(at: address, into: buffer)
        let end = address + buffer.count
        var index = firstSite(from: address - Write.capacity)
        while index < sites.count, sites[index].patchAddress < end {
            let site = sites[index]
            index += 1
            guard let found = try? memory.bytes(at: site.patchAddress, count: site.original.count),
                state.isJump(found, of: site)
            else { continue }
            for (offset, byte) in site.original.enumerated() {
                let place = site.patchAddress + offset - address
                if place >= 0, place < buffer.count { buffer[place] = byte }
            }
        }
    }

    private func firstSite(from address: Address) -> Int {
        var low = 0
        var high = sites.count
        while low < high {
            let middle = (low + high) / 2
            if sites[middle].patchAddress < address { low = middle + 1 } else { high = middle }
        }
        return low
    }
}
