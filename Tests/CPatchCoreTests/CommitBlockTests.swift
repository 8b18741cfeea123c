import CPatchCore
import HotpatchExpectations
import Testing

@Suite struct CommitBlockTests {
    private func withBlock<Result>(
        _ moves: [hp_pc_move], _ hazards: [hp_hazard], _ body: (UnsafePointer<hp_commit_block>) -> Result
    ) -> Result {
        moves.withUnsafeBufferPointer { moves in
            hazards.withUnsafeBufferPointer { hazards in
                var block = hp_commit_block(
                    copies: nil, copy_count: 0, writes: nil, write_count: 0, moves: moves.baseAddress,
                    move_count: moves.count,
                    hazards: hazards.baseAddress, hazard_count: hazards.count)
                return body(&block)
            }
        }
    }

    @Test(arguments: [0, 1, 2, 3, 7, 64]) func searchesEveryElement(count: Int) {
        var moves: [hp_pc_move] = []
        var hazards: [hp_hazard] = []
        for base in stride(from: UInt64(0), to: UInt64(count * 10), by: 10) {
            moves.append(hp_pc_move(from: base + 5, to: base + 1000))
            hazards.append(hp_hazard(start: base + 3, end: base + 7))
        }
        withBlock(moves, hazards) { block in
            for word in 0..<UInt64(count * 10 + 20) {
                let inside = word < UInt64(count * 10)
                let digit = word % 10
                let moved: UInt64 = inside && digit == 5 ? word + 995 : word
                let hazard: Bool = inside && digit >= 3 && digit < 7
                expect(hp_moved_pc(block, word), equals: moved)
                expect(hp_is_hazard(block, word), equals: hazard)
            }
            expect(hp_moved_pc(block, .max), equals: .max)
            #expect(!hp_is_hazard(block, .max))
        }
    }

    @Test func adjacentHazards() {
        withBlock([], [hp_hazard(start: 1, end: 3), hp_hazard(start: 3, end: 5)]) { block in
            expect((0..<7).map { hp_is_hazard(block, $0) }, equals: [false, true, true, true, true, false, false])
        }
    }
}
