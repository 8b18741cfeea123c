import HotpatchELF

/// Open addressing by hash over the entries of several groups (images). Entries of one hash hang in a chain, so that
/// inserting costs the same however often a name repeats.
struct NameTable: Sendable {
    /// Hash in the upper half, entry + 1 in the lower; 0 is free.
    private var slots: [UInt64]
    /// The next entry + 1 of the same hash; 0 ends the chain.
    private var next: [UInt32]
    /// The first entry of each group, and the end.
    private var bases: [UInt32] = [0]

    init(groups: [[UInt32]], _ time: ReadingTime) {
        var total = 0
        for group in groups {
            // 32 bits of entry numbers; files that exceed them together are not indexed further.
            if total + group.count < Int(UInt32.max) { total += group.count }
            bases.append(UInt32(total))
        }
        var capacity = 16
        while capacity < total * 2 { capacity *= 2 }
        slots = [UInt64](repeating: 0, count: capacity)
        next = [UInt32](repeating: 0, count: total)
        let mask = capacity - 1
        let bases = bases
        slots.withUnsafeMutableBufferPointer { slots in
            next.withUnsafeMutableBufferPointer { next in
                for (number, group) in groups.enumerated() where Int(bases[number + 1] - bases[number]) == group.count {
                    let base = Int(bases[number])
                    group.withUnsafeBufferPointer { group in
                        for index in 0..<group.count {
                            if time.isOver(at: index, "the symbols of the process") { return }
                            let hash = UInt64(group[index])
                            let entry = base &+ index
                            var slot = Int(hash) & mask
                            while slots[slot] != 0, slots[slot] &>> 32 != hash { slot = (slot &+ 1) & mask }
                            if slots[slot] != 0 { next[entry] = UInt32(truncatingIfNeeded: slots[slot]) }
                            slots[slot] = hash &<< 32 | UInt64(entry &+ 1)
                        }
                    }
                }
            }
        }
    }

    /// Calls `body` with group and index of each entry of a hash, last entered first.
    @inline(__always)
    func forEach(_ hash: UInt32, _ body: (_ group: Int, _ index: Int) -> Void) {
        let mask = slots.count - 1
        var slot = Int(hash) & mask
        while slots[slot] != 0, UInt32(truncatingIfNeeded: slots[slot] &>> 32) != hash { slot = (slot &+ 1) & mask }
        var entry = UInt32(truncatingIfNeeded: slots[slot])
        while entry != 0 {
            let number = entry &- 1
            var low = 0
            var high = bases.count - 1
            while high - low > 1 {
                let middle = (low + high) / 2
                if bases[middle] <= number { low = middle } else { high = middle }
            }
            body(low, Int(number &- bases[low]))
            entry = next[Int(number)]
        }
    }
}
