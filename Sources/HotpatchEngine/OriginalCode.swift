import CPatchCore
import Glibc
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

    func read(at address: Address, into buffer: UnsafeMutableRawBufferPointer) throws(MemoryError) {
        try memory.read(at: address, into: buffer)
        let end = address + buffer.count
        var index = state.indexByAddress(from: address - Int(HP_DETOUR_CAPACITY))
        while index < state.sitesByAddress.count {
            // A site has many parts, of which most are none of what was asked for.
            let number = state.sitesByAddress[index]
            let (patchAddress, original) = state.overwritten(number)
            guard patchAddress < end else { return }
            if let found = change(original, at: patchAddress, in: buffer, at: address),
                state.isJump(found, of: state.site(number))
            {
                for (offset, byte) in original.enumerated() {
                    let place = patchAddress + offset - address
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
        let found = UnsafeMutableRawBufferPointer(rebasing: buffer[start..<end])
        let isOriginal = original.withUnsafeBytes { original in
            original.isEmpty || memcmp(original.baseAddress!, found.baseAddress!, original.count) == 0
        }
        return isOriginal ? nil : Array(found)
    }
}
