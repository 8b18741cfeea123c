import HotpatchMemory
import HotpatchPlan

/// Where a stub pool may lie: near the functions it serves, and where nothing else wants to grow.
package enum PoolPlacement {
    /// Room left for the heap above the break, and for the main stack below it, in bytes.
    static let heapRoom = 1 << 30
    static let stackRoom = 256 << 20
    /// Nothing is placed below: the kernel's mmap_min_addr, with a margin for programs that map low pages.
    static let lowest = Address(1 << 20)
    /// x86_64 gives user addresses of 47 bits; higher ones only on request.
    static let highest = Address(1 << 47)

    /// The first address that a process cannot have.
    ///
    /// arm64 gives 48 bits, but kernels are built for fewer, too (Documentation/arch/arm64/memory.rst): there the highest
    /// mapping, which is the stack or near it, tells how high addresses go.
    static func limit(_ architecture: Architecture, regions: [Region]) -> Address {
        switch architecture {
        case .x86_64: highest
        case .arm64: min(Address(1 << 48), regions.last?.range.upperBound ?? highest)
        }
    }

    /// The start of a free range of `size` bytes, every byte of it within `reach` of `entry`, or nil where there is none.
    ///
    /// The free range nearest to the entry is taken. Excluded: what lies above the heap, or above the last mapping
    /// of the main program (where the heap will start), and what lies below the main stack.
    /// - Parameters:
    ///   - regions: the mappings, ascending.
    ///   - program: the path of the main program.
    ///   - size: a multiple of `pageSize`.
    ///   - limit: where addresses end.
    package static func address(
        near entry: Address, size: Int, reach: UInt64, regions: [Region], program: String, pageSize: Int,
        limit: Address
    ) -> Address? {
        let low = entry.rawValue > reach ? max(lowest, Address(entry.rawValue - reach)) : lowest
        let (end, isBeyond) = entry.rawValue.addingReportingOverflow(reach)
        let high = isBeyond ? limit : min(limit, Address(end))
        var best: Address?
        func consider(_ candidate: Address) {
            if let best, best.distance(to: entry) <= candidate.distance(to: entry) { return }
            best = candidate
        }
        var free = lowest
        var kept = 0  // for the heap to grow into
        for region in regions + [Region(range: limit..<limit, permissions: [])] {
            var start = free + kept
            var end = region.range.lowerBound
            if region.path.hasPrefix("[stack"), end - start >= 0 { end = end - min(stackRoom, end - start) }
            // A page on either side stays free: an overrun of a neighbour must not run into code.
            start = max(start + pageSize, low).roundedUp(to: pageSize)
            end = min(end - pageSize, high).roundedDown(to: pageSize)
            if end > start, end - start >= size {
                // The end nearest to the entry.
                consider(entry <= start ? start : entry >= end ? end - size : start)
            }
            // The program's bss is anonymous and adjoins its last segment: the heap starts above it all the same.
            let adjoins = region.path.isEmpty && region.range.lowerBound == free
            free = max(free, region.range.upperBound)
            if !adjoins {
                kept = region.path == "[heap]" || (region.path == program && !program.isEmpty) ? heapRoom : 0
            }
        }
        return best
    }
}
