import HotpatchMemory
import HotpatchPlan

extension SiteRecord {
    /// The bytes at the entry that make a replacement run. The slot always names the replacement, so that the island is right at any
    /// moment.
    func entry(for replacement: Address) -> [UInt8] {
        Architecture(elfMachine: machine)?.jump(from: patchAddress, to: replacement, insteadOf: detour) ?? detour
    }
}

extension PatchPlan {
    /// Makes the entry lead to a replacement; threads found inside the function's own bytes go on in the stub. The slot is
    /// written apart, before.
    /// - Parameter found: what stands at the entry: the function's own bytes, or one of our jumps.
    mutating func redirect(_ site: SiteRecord, to replacement: Address, from found: [UInt8]) {
        let wanted = site.entry(for: replacement)
        if found == wanted { return }
        let write = Write(address: site.patchAddress, kind: .text, expected: found, bytes: wanted)
        guard found == site.original else { return append(write, to: .entries) }
        append(entry: write, moving: site.moved, from: site.entry, to: site.stub.lowerBound)
    }
}
