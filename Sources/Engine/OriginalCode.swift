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

    /// The same of other memory.
    init(_ memory: any MemoryReader, as other: OriginalCode) {
        self.memory = memory
        state = other.state
        sites = other.sites
    }

    func read(at address: Address, into buffer: UnsafeMutableRawBufferPointer) throws(MemoryError) {
        try memory.read(at: address, into: buffer)
        let end = address + buffer.count
        for index in firstSite(from: address - Write.capacity)..<sites.count {
            let site = sites[index]
            if site.patchAddress >= end { break }
            if let found = bytes(of: site, in: buffer, at: address), found != site.original,
                state.isJump(found, of: site)
            {
                for (offset, byte) in site.original.enumerated() {
                    let place = site.patchAddress + offset - address
                    if place >= 0, place < buffer.count { buffer[place] = byte }
                }
            }
        }
    }

    /// What stands at the site; nil where that cannot be read.
    private func bytes(of site: SiteRecord, in buffer: UnsafeMutableRawBufferPointer, at address: Address) -> [UInt8]? {
        let start = site.patchAddress - address
        let end = start + site.original.count
        if start >= 0, end <= buffer.count { return Array(buffer[start..<end]) }
        return try? memory.bytes(at: site.patchAddress, count: site.original.count)
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
