import HotpatchMemory
import HotpatchPlan

extension SiteRecord {
    /// The bytes at the entry that make a replacement run: a jump straight to it where it is within reach, else the jump to the
    /// island, from where the slot leads on. The slot always names the replacement, so that the island is right at any moment.
    func entry(for replacement: Address) -> [UInt8] {
        guard let architecture = Architecture(elfMachine: machine),
            let jump = architecture.jump(from: patchAddress, to: replacement), jump.count == detour.count
        else { return detour }
        return jump
    }
}

extension PatchPlan {
    /// Makes the entry lead to a replacement; threads found inside the function's own bytes go on in the stub. The slot is
    /// written apart, before.
    /// - Parameter found: what stands at the entry: the function's own bytes, or one of our jumps.
    mutating func lead(_ site: SiteRecord, to replacement: Address, from found: [UInt8]) {
        let wanted = site.entry(for: replacement)
        if found == wanted { return }
        writes.append(Write(address: site.patchAddress, kind: .text, expected: found, bytes: wanted))
        guard found == site.original else { return }
        let inside = site.patchAddress + 1..<site.patchAddress + site.detour.count
        let moved = site.moved.map { $0.move(entry: site.entry, stub: site.stub.lowerBound) }
            .filter { inside.contains($0.from) }
        if !moved.isEmpty { hazards.append(inside) }
        moves += moved
    }

    /// Puts the function's own bytes back. Threads found inside a jump of several instructions start the function anew.
    /// - Parameter found: what stands at the entry, one of our jumps.
    mutating func restore(_ site: SiteRecord, from found: [UInt8]) {
        writes.append(Write(address: site.patchAddress, kind: .text, expected: found, bytes: site.original))
        let restarts = Architecture(elfMachine: site.machine)?.restarts(of: found, at: site.patchAddress) ?? []
        if restarts.isEmpty { return }
        moves += restarts
        hazards.append(site.patchAddress + 1..<site.patchAddress + found.count)
    }
}
