import HotpatchMemory
import HotpatchPlan
import HotpatchProcFS

/// Where the segments of linked objects lie: those of one kind side by side, in blocks of addresses that hold no other, so that the kernel
/// keeps one mapping for all of them, however many objects come.
///
/// A block is known by what lies in it, and takes nothing but addresses: what is free in it is not mapped.
struct SegmentLanes {
    /// The size of a block, which begins at a multiple of it, in bytes.
    static let blockSize = 4 << 20

    private let map: ProcessMap
    private let pageSize: Int
    /// By kind, in the order of their first segments.
    private var blocks: [MemoryKind: [Range<Address>]] = [:]
    /// Placed, and not mapped yet.
    private var taken: [Range<Address>] = []

    /// - Parameter segments: that the process has.
    init(_ segments: [SegmentRecord], map: ProcessMap, pageSize: Int) {
        self.map = map
        self.pageSize = pageSize
        for segment in segments where segment.kind == .linked {
            guard let kind = segment.memoryKind, let block = Self.block(holding: segment),
                blocks[kind]?.contains(block) != true, isLane(block, of: kind)
            else { continue }
            blocks[kind, default: []].append(block)
        }
    }

    /// Addresses that nothing else should take.
    var reserved: [Range<Address>] { blocks.values.flatMap { $0 } + taken }

    /// The block that a segment lies in; nil where it lies in several, or where no process has memory: the ledger is the target's.
    private static func block(holding segment: SegmentRecord) -> Range<Address>? {
        let start = segment.address.roundedDown(to: blockSize)
        let size = segment.codeSize + segment.constantsSize + segment.dataSize
        guard start.rawValue < 1 << 56, segment.address - start + size <= blockSize else { return nil }
        return start..<start + blockSize
    }

    /// Whether all that is mapped in a block is as the segments of a kind are.
    private func isLane(_ block: Range<Address>, of kind: MemoryKind) -> Bool {
        map.regions(overlapping: block).allSatisfy { region in
            region.path.isEmpty && region.permissions == kind.permissions && block.lowerBound <= region.range.lowerBound
                && region.range.upperBound <= block.upperBound
        }
    }

    /// Takes the first place that is free for a segment in a block of its kind.
    /// - Returns: nil where there is none near enough.
    mutating func place(_ kind: MemoryKind, size: Int, near: Address, reach: UInt64) -> Address? {
        for block in blocks[kind] ?? [] {
            let isNear =
                block.lowerBound.distance(to: near) < reach && block.upperBound.distance(to: near) < reach
            guard isNear, let place = free(size, in: block) else { continue }
            take(place)
            return place.lowerBound
        }
        return nil
    }

    /// Nothing else is placed there.
    mutating func take(_ place: Range<Address>) { taken.append(place) }

    private func free(_ size: Int, in block: Range<Address>) -> Range<Address>? {
        // Beside another block a page stays free: an overrun of a neighbour must not run into code.
        let inside = block.lowerBound + pageSize..<block.upperBound - pageSize
        for gap in map.gaps(within: inside) {
            var start = gap.lowerBound
            for range in taken.sorted(by: { $0.lowerBound < $1.lowerBound }) where range.overlaps(gap) {
                if range.lowerBound - start >= size { break }
                start = max(start, range.upperBound)
            }
            if gap.upperBound - start >= size { return start..<start + size }
        }
        return nil
    }

    /// Whether a segment is small enough for a block to hold several.
    static func fits(_ size: Int) -> Bool { size <= blockSize / 4 }

    /// So many free addresses have a block among them.
    static let blockReserve = 2 * blockSize

    /// Begins a block.
    /// - Parameter free: where so many addresses are free.
    mutating func addBlock(of kind: MemoryKind, in free: Address) {
        let start = free.roundedUp(to: Self.blockSize)
        blocks[kind, default: []].append(start..<start + Self.blockSize)
    }
}

extension SegmentRecord {
    /// The kind of memory that the segment is of; nil where it has several.
    fileprivate var memoryKind: MemoryKind? {
        switch (codeSize > 0, constantsSize > 0, dataSize > 0) {
        case (true, false, false): .text
        case (false, true, false): .constant
        case (false, false, true): .data
        default: nil
        }
    }
}

extension MemoryKind {
    /// The protection of memory that is mapped for it.
    fileprivate var permissions: Region.Permissions {
        switch self {
        case .text: [.read, .execute]
        case .constant: .read
        case .data: [.read, .write]
        }
    }
}
