import CPatchCore
import Memory

/// A plan made flat: one allocation that a C function walks without allocating, locking or calling Swift.
///
/// Moves are sorted by their start, hazards sorted and merged. The writes keep the plan's order.
public final class CommitBlock {
    private let storage: UnsafeMutableRawPointer
    private let block: UnsafeMutablePointer<hp_commit_block>

    public init(_ plan: PatchPlan) {
        let moves = plan.moves.sorted { ($0.from, $0.to) < ($1.from, $1.to) }
        let hazards = Self.merged(plan.hazards)
        let writeOffset = MemoryLayout<hp_commit_block>.stride
        let moveOffset = writeOffset + plan.writes.count * MemoryLayout<hp_write>.stride
        let hazardOffset = moveOffset + moves.count * MemoryLayout<hp_pc_move>.stride
        let size = hazardOffset + hazards.count * MemoryLayout<hp_hazard>.stride

        storage = .allocate(byteCount: size, alignment: 16)
        let writesStart = (storage + writeOffset).bindMemory(to: hp_write.self, capacity: plan.writes.count)
        let movesStart = (storage + moveOffset).bindMemory(to: hp_pc_move.self, capacity: moves.count)
        let hazardsStart = (storage + hazardOffset).bindMemory(to: hp_hazard.self, capacity: hazards.count)
        for (index, write) in plan.writes.enumerated() {
            (writesStart + index).initialize(to: Self.flat(write))
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
                writes: writesStart, write_count: plan.writes.count, moves: movesStart, move_count: moves.count,
                hazards: hazardsStart, hazard_count: hazards.count))
    }

    deinit { storage.deallocate() }

    /// Lends the block, whose memory lives as long as this object.
    public func withUnsafeBlock<Result, Failure: Error>(
        _ body: (UnsafeMutablePointer<hp_commit_block>) throws(Failure) -> Result
    ) throws(Failure) -> Result {
        defer { withExtendedLifetime(self) {} }
        return try body(block)
    }

    /// The writes as they were made: after a commit, also those that were not compared know what stood there before.
    /// Before a commit their expected bytes are zeros.
    public var committedWrites: [Write] {
        defer { withExtendedLifetime(self) {} }
        return UnsafeBufferPointer(start: block.pointee.writes, count: block.pointee.write_count).map { write in
            let count = Int(write.length)
            return Write(
                address: Address(write.address), kind: write.kind == Write.Kind.text.rawValue ? .text : .data,
                expected: withUnsafeBytes(of: write.expected) { Array($0.prefix(count)) },
                bytes: withUnsafeBytes(of: write.bytes) { Array($0.prefix(count)) })
        }
    }

    private static func flat(_ write: Write) -> hp_write {
        var flat = hp_write()
        flat.address = write.address.rawValue
        flat.length = UInt8(write.bytes.count)
        flat.kind = write.kind.rawValue
        flat.compared = write.expected == nil ? 0 : 1
        withUnsafeMutableBytes(of: &flat.expected) { $0.copyBytes(from: write.expected ?? []) }
        withUnsafeMutableBytes(of: &flat.bytes) { $0.copyBytes(from: write.bytes) }
        return flat
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
