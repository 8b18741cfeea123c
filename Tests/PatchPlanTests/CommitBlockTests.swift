import CPatchCore
import HotpatchExpectations
import HotpatchMemory
import HotpatchPlan
import Testing

@Suite struct CommitBlockTests {
    /// Changes of instructions, each with a thread that goes on elsewhere.
    private func plan(_ changes: [(inside: Range<UInt64>, from: UInt64, to: UInt64)]) -> PatchPlan {
        var plan = PatchPlan(architecture: .x86_64)
        for change in changes {
            let bytes = [UInt8](repeating: 0x90, count: change.inside.count + 1)
            plan.append(
                Write(address: Address(change.inside.lowerBound - 1), kind: .text, expected: nil, bytes: bytes),
                to: .entries, moving: [PCMove(from: Address(change.from), to: Address(change.to))])
        }
        return plan
    }

    @Test func movesAreSorted() {
        let plan = plan([(30..<34, 30, 3), (10..<14, 10, 1), (20..<24, 20, 2)])
        CommitBlock(plan).withUnsafeBlock { block in
            let moves = UnsafeBufferPointer(start: block.pointee.moves, count: block.pointee.move_count)
            expect(moves.map(\.from), equals: [10, 20, 30])
            expect([5, 10, 20, 30, 31].map { hp_moved_pc(block, $0) }, equals: [5, 1, 2, 3, 31])
        }
    }

    @Test func hazardsAreSortedAndMerged() {
        var plan = plan([
            (30..<34, 30, 1), (10..<14, 10, 1), (14..<16, 14, 1), (12..<13, 12, 1), (33..<40, 33, 1),
        ])
        // Nobody can be inside a single instruction, nor is there a way on from elsewhere.
        plan.append(
            Write(address: Address(20), kind: .text, expected: nil, bytes: [1, 2, 3]), to: .entries,
            moving: [PCMove(from: Address(20), to: Address(1)), PCMove(from: Address(23), to: Address(1))])
        CommitBlock(plan).withUnsafeBlock { block in
            let hazards = UnsafeBufferPointer(start: block.pointee.hazards, count: block.pointee.hazard_count)
            expect(hazards.map { [$0.start, $0.end] }, equals: [[10, 16], [30, 40]])
            expect(
                [9, 10, 15, 16, 20, 29, 39, 40].map { hp_is_hazard(block, $0) },
                equals: [
                    false, true, true, false, false, false, true, false,
                ])
        }
    }

    @Test func writesKeepTheirOrderAndBytes() {
        var plan = PatchPlan(architecture: .x86_64)
        let full = (0..<5000).map { UInt8(truncatingIfNeeded: $0 * 7) }
        plan.append(Write(word: 0x0102_0304_0506_0708, at: Address(0x9000)), to: .pointers)
        plan.append(
            Write(address: Address(0x1000), kind: .constant, expected: full.reversed(), bytes: full), to: .data)
        let block = CommitBlock(plan)
        block.withUnsafeBlock { block in
            expect(block.pointee.write_count, equals: 2)
            let first = block.pointee.writes[0]
            let second = block.pointee.writes[1]
            #expect(first.address == 0x9000 && first.length == 8 && first.compared == 0)
            expect(first.kind, equals: UInt8(HP_WRITE_DATA.rawValue))
            expect(Array(UnsafeBufferPointer(start: first.bytes, count: 8)), equals: [8, 7, 6, 5, 4, 3, 2, 1])
            expect(second.bytes, equals: first.bytes + 8, "what lies side by side is written at once")
            #expect(second.compared != 0 && second.kind == UInt8(HP_WRITE_CONSTANT.rawValue))
            expect(second.length, equals: 5000)
            expect(Array(UnsafeBufferPointer(start: second.expected, count: 5000)), equals: full.reversed())
            expect(Array(UnsafeBufferPointer(start: second.bytes, count: 5000)), equals: full)
            // What a commit does where it does not compare.
            first.expected[0] = 42
        }
        expect(block.committedWrites[0].expected, equals: [42, 0, 0, 0, 0, 0, 0, 0])
        expect(block.committedWrites[1], equals: plan.writes[1])
        expect(block.committedWrites[0].reversed?.bytes.first, equals: 42)
    }

    @Test func anEmptyPlan() {
        CommitBlock(PatchPlan(architecture: .arm64)).withUnsafeBlock { block in
            #expect(block.pointee.write_count == 0 && block.pointee.move_count == 0 && block.pointee.hazard_count == 0)
            #expect(hp_moved_pc(block, 7) == 7 && !hp_is_hazard(block, 7))
        }
    }
}
