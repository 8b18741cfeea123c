import CPatchCore
import HotpatchMemory

/// A plan made flat: one allocation that a C function walks without allocating, locking or calling Swift.
///
/// Moves are sorted by their start, hazards sorted and merged. The writes keep the plan's order, and their bytes lie one behind the other.
/// Stubs and thunks that lie side by side become one copy.
package final class CommitBlock {
    private let storage: UnsafeMutableRawPointer
    private let block: UnsafeMutablePointer<hp_commit_block>
    /// Words that say that a commit is under way, at most two: whoever commits from inside the process sets them before it checks
    /// anything, and clears them at the end.
    package let underway: [Address]

    package init(_ plan: PatchPlan) {
        underway = plan[.committer].map(\.address)
        let items = Self.items(plan)
        let writes = plan.writes
        let moves = plan.moves.sorted { ($0.from, $0.to) < ($1.from, $1.to) }
        let hazards = Self.merged(plan.hazards)
        let itemOffset = MemoryLayout<hp_commit_block>.stride
        let writeOffset = itemOffset + items.count * MemoryLayout<hp_copy_item>.stride
        let moveOffset = writeOffset + writes.count * MemoryLayout<hp_write>.stride
        let hazardOffset = moveOffset + moves.count * MemoryLayout<hp_pc_move>.stride
        let byteOffset = hazardOffset + hazards.count * MemoryLayout<hp_hazard>.stride
        let written = writes.reduce(0) { $0 + $1.bytes.count }
        let size = byteOffset + items.reduce(0) { $0 + $1.bytes.count } + 2 * written

        storage = .allocate(byteCount: size, alignment: 16)
        let writesStart = (storage + writeOffset).bindMemory(to: hp_write.self, capacity: writes.count)
        let movesStart = (storage + moveOffset).bindMemory(to: hp_pc_move.self, capacity: moves.count)
        let hazardsStart = (storage + hazardOffset).bindMemory(to: hp_hazard.self, capacity: hazards.count)
        let itemsStart = (storage + itemOffset).bindMemory(to: hp_copy_item.self, capacity: items.count)
        var bytes = (storage + byteOffset).bindMemory(to: UInt8.self, capacity: size - byteOffset)
        for (index, item) in items.enumerated() {
            bytes.initialize(from: item.bytes, count: item.bytes.count)
            (itemsStart + index).initialize(
                to: hp_copy_item(
                    address: item.address.rawValue, bytes: bytes, length: item.bytes.count,
                    kind: UInt32(item.kind.rawValue)))
            bytes += item.bytes.count
        }
        var expected = bytes + written
        for (index, write) in writes.enumerated() {
            let count = write.bytes.count
            bytes.initialize(from: write.bytes, count: count)
            if let known = write.expected {
                expected.initialize(from: known, count: count)
            } else {
                expected.initialize(repeating: 0, count: count)
            }
            (writesStart + index).initialize(
                to: hp_write(
                    address: write.address.rawValue, bytes: bytes, expected: expected, length: UInt32(count),
                    kind: write.kind.rawValue, compared: write.expected == nil ? 0 : 1, protection: 0, reserved: 0))
            bytes += count
            expected += count
        }
        for (index, move) in moves.enumerated() {
            (movesStart + index).initialize(to: hp_pc_move(from: move.from.rawValue, to: move.to.rawValue))
        }
        for (index, hazard) in hazards.enumerated() {
            (hazardsStart + index).initialize(
                to: hp_hazard(start: hazard.lowerBound.rawValue, end: hazard.upperBound.rawValue))
        }
        block = storage.bindMemory(to: hp_commit_block.self, capacity: 1)
        block.initialize(
            to: hp_commit_block(
                copies: itemsStart, copy_count: items.count, writes: writesStart, write_count: writes.count,
                moves: movesStart, move_count: moves.count,
                hazards: hazardsStart, hazard_count: hazards.count))
    }

    deinit { storage.deallocate() }

    /// Lends the block, whose memory lives as long as this object.
    package func withUnsafeBlock<Result, Failure: Error>(
        _ body: (UnsafeMutablePointer<hp_commit_block>) throws(Failure) -> Result
    ) throws(Failure) -> Result {
        defer { withExtendedLifetime(self) {} }
        return try body(block)
    }

    private struct Item {
        var address: Address
        var bytes: [UInt8]
        var kind: Write.Kind
    }

    private static func items(_ plan: PatchPlan) -> [Item] {
        var items: [Item] = []
        let code = plan.stubs.map { ($0.address, $0.bytes) } + plan.thunks.map { ($0.address, $0.bytes) }
        for (address, bytes) in code.sorted(by: { $0.0 < $1.0 }) {
            // They are aligned to 16 bytes; what lies between two is never run.
            if let last = items.indices.last, address >= items[last].address,
                case let gap = address - items[last].address - items[last].bytes.count, (0..<16).contains(gap)
            {
                items[last].bytes.append(contentsOf: repeatElement(0, count: gap))
                items[last].bytes.append(contentsOf: bytes)
            } else {
                items.append(Item(address: address, bytes: bytes, kind: .text))
            }
        }
        return items + plan.copies.map { Item(address: $0.address, bytes: $0.bytes, kind: .data) }
    }

    /// What stands, or will stand, in the first compared write at an address; nil where none is.
    package func expected(at address: Address) -> [UInt8]? {
        committedWrites.first { $0.address == address }?.expected
    }

    /// The writes as they were made: after a commit, also those that were not compared know what stood there before.
    /// Before a commit their expected bytes are zeros.
    package var committedWrites: [Write] {
        defer { withExtendedLifetime(self) {} }
        return UnsafeBufferPointer(start: block.pointee.writes, count: block.pointee.write_count).map { write in
            let count = Int(write.length)
            return Write(
                address: Address(write.address), kind: MemoryKind(rawValue: write.kind)!,
                expected: Array(UnsafeBufferPointer(start: write.expected, count: count)),
                bytes: Array(UnsafeBufferPointer(start: write.bytes, count: count)))
        }
    }

    /// Ascending and disjoint, as hp_is_hazard searches them.
    private static func merged(_ hazards: [Range<Address>]) -> [Range<Address>] {
        var merged: [Range<Address>] = []
        for hazard in hazards.sorted(by: { $0.lowerBound < $1.lowerBound }) where !hazard.isEmpty {
            if let last = merged.last, hazard.lowerBound <= last.upperBound {
                merged[merged.count - 1] = last.lowerBound..<max(last.upperBound, hazard.upperBound)
            } else {
                merged.append(hazard)
            }
        }
        return merged
    }
}
