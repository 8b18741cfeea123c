import CPatchCore
import HotpatchMemory
import HotpatchPlan

/// Code as it was before anything was patched: what a stub runs of a patched entry still leads where the entry led.
final class OriginalCode: MemoryReader {
    let memory: any MemoryReader
    private let state: LedgerState

    init(_ memory: any MemoryReader, state: LedgerState) {
        self.memory = memory
        self.state = state
    }

    /// The same of other memory.
    init(_ memory: any MemoryReader, as other: OriginalCode) {
        self.memory = memory
        state = other.state
    }

    func read(at address: Address, into buffer: UnsafeMutableRawBufferPointer) throws(MemoryError) {
        try memory.read(at: address, into: buffer)
        let end = address + buffer.count
        var index = state.indexByAddress(from: address - Int(HP_DETOUR_CAPACITY))
        while index < state.sitesByAddress.count {
            let site = state.site(state.sitesByAddress[index])
            guard site.patchAddress < end else { return }
            if let found = change(site.original, at: site.patchAddress, in: buffer, at: address),
                state.isJump(found, of: site)
            {
                for (offset, byte) in site.original.enumerated() {
                    let place = site.patchAddress + offset - address
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
}
