import CPatchCore
import HotpatchMemory
import HotpatchPlan
import Testing

@Suite struct CommitBlockTests {
    private func moves(_ pairs: [(UInt64, UInt64)]) -> [PCMove] {
        pairs.map { PCMove(from: Address($0.0), to: Address($0.1)) }
    }

    private func ranges(_ pairs: [(UInt64, UInt64)]) -> [Range<Address>] { pairs.map { Address($0.0)..<Address($0.1) } }

    @Test func movesAreSorted() {
        var plan = PatchPlan(architecture: .x86_64)
        plan.moves = moves([(30, 3), (10, 1), (20, 2)])
        CommitBlock(plan).withUnsafeBlock { block in
            let moves = UnsafeBufferPointer(start: block.pointee.moves, count: block.pointee.move_count)
            #expect(moves.map(\.from) == [10, 20, 30])
            #expect([5, 10, 20, 30, 31].map { hp_moved_pc(block, $0) } == [5, 1, 2, 3, 31])
        }
    }

    @Test func hazardsAreSortedAndMerged() {
        var plan = PatchPlan(architecture: .x86_64)
        plan.hazards = ranges([(30, 34), (10, 14), (14, 16), (12, 13), (20, 20), (33, 40)])
        CommitBlock(plan).withUnsafeBlock { block in
            let hazards = UnsafeBufferPointer(start: block.pointee.hazards, count: block.pointee.hazard_count)
            #expect(hazards.map { [$0.start, $0.end] } == [[10, 16], [30, 40]])
            #expect(
                [9, 10, 15, 16, 20, 29, 39, 40].map { hp_is_hazard(block, $0) } == [
                    false, true, true, false, false, false, true, false,
                ])
        }
    }

    @Test func writesKeepTheirOrderAndBytes() {
        var plan = PatchPlan(architecture: .x86_64)
        let full = [UInt8](1...16)
        plan.writes = [
            Write(word: 0x0102_0304_0506_0708, at: Address(0x9000)),
            Write(address: Address(0x1000), kind: .text, expected: full.reversed(), bytes: full),
        ]
        let block = CommitBlock(plan)
        block.withUnsafeBlock { block in
            #expect(block.pointee.write_count == 2)
            let first = block.pointee.writes[0]
            let second = block.pointee.writes[1]
            #expect(first.address == 0x9000 && first.length == 8 && first.compared == 0)
            #expect(first.kind == UInt8(HP_WRITE_DATA.rawValue))
            #expect(
                withUnsafeBytes(of: first.bytes) { Array($0) } == [8, 7, 6, 5, 4, 3, 2, 1]
                    + Array(repeating: 0, count: 8))
            #expect(second.compared != 0 && second.kind == UInt8(HP_WRITE_TEXT.rawValue))
            #expect(withUnsafeBytes(of: second.expected) { Array($0) } == full.reversed())
            #expect(withUnsafeBytes(of: second.bytes) { Array($0) } == full)
            // What a commit does where it does not compare.
            withUnsafeMutableBytes(of: &block.pointee.writes[0].expected) { $0[0] = 42 }
        }
        #expect(block.committedWrites[0].expected == [42, 0, 0, 0, 0, 0, 0, 0])
        #expect(block.committedWrites[1] == plan.writes[1])
        #expect(block.committedWrites[0].reversed?.bytes.first == 42)
    }

    @Test func anEmptyPlan() {
        CommitBlock(PatchPlan(architecture: .arm64)).withUnsafeBlock { block in
            #expect(block.pointee.write_count == 0 && block.pointee.move_count == 0 && block.pointee.hazard_count == 0)
            #expect(hp_moved_pc(block, 7) == 7 && !hp_is_hazard(block, 7))
        }
    }
}
