import CPatchCore
import HotpatchMemory
import HotpatchPlan

/// Code as it was before anything was patched: what a stub runs of a patched entry still leads where the entry led.
final class OriginalCode: MemoryReader {
    let memory: any MemoryReader
    private let sites: [SiteRecord]
    private let state: LedgerState

    init(_ memory: any MemoryReader, state: LedgerState) {
        self.memory = memory
        self.state = state
        sites = state.sites.sorted { $0.patchAddress < $1.patchAddress }
    }

    /// The same of other memory.
    init(_ memory: any MemoryReader, as other: OriginalCode) {
        self.memory = memory
        state = other.state
        sites = other.sites
    }

    func read(at address: Address, into buffer: UnsafeMutableRawBufferPointer) throws(MemoryError) {
        try memory.read(at: address, into: buffer)
        let end = address + buffer.count
        var index = firstSite(from: address - Int(HP_DETOUR_CAPACITY))
        while index < sites.count, sites[index].patchAddress < end {
            if let found = change(sites[index].original, at: sites[index].patchAddress, in: buffer, at: address),
                state.isJump(found, of: sites[index])
            {
                for (offset, byte) in sites[index].original.enumerated() {
                    let place = sites[index].patchAddress + offset - address
                    if place >= 0, place < buffer.count { buffer[place] = byte }
                }
            }
            index += 1
        }
    }

    /// What stands at a site; nil where that is what stood there before, or cannot be read.
    private func change(
        _ original: [UInt8], at place: Address, in buffer: UnsafeMutableRawBufferPointer, at address: Address
    ) -> [UInt8]? {
        let start = place - address
        let end = start + original.count
        guard start >= 0, end <= buffer.count else {
            let found = try? memory.bytes(at: place, count: original.count)
            return found == original ? nil : found
        }
        return buffer[start..<end].elementsEqual(original) ? nil : Array(buffer[start..<end])
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
