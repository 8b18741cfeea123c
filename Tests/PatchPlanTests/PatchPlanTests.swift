import CPatchCore
import HotpatchMemory
import HotpatchPlan
import Testing

@Suite struct PatchPlanTests {
    private func plan() throws -> PatchPlan {
        var plan = PatchPlan(architecture: .x86_64)
        plan.append(try Detour(), replacement: Address(0x7f12_3456_7890))
        return plan
    }

    @Test func golden() throws {
        #expect(
            try plan().description == """
                plan for x86_64: 2 writes, 1 stub
                stub 0x500000, 19 bytes, slot 0x600000, original 0x500008
                    0x500000  ff 25 fa ff 0f 00               jmp qword ptr [rip + 0xffffa]
                    0x500006  cc                              int3
                    0x500007  cc                              int3
                    0x500008  55                              push rbp
                    0x500009  48 89 e5                        mov rbp, rsp
                    0x50000c  41 57                           push r15
                    0x50000e  e9 f3 0f f0 ff                  jmp 0x401006
                data 0x600000, 8 bytes
                    - not compared
                    + 90 78 56 34 12 7f 00 00         0x7f1234567890
                text 0x401000, 5 bytes
                    - 55 48 89 e5 41                  push rbp; mov rbp, rsp; …
                    + e9 fb ef 0f 00                  jmp 0x500000
                move 0x401000 -> 0x500008
                move 0x401001 -> 0x500009
                move 0x401004 -> 0x50000c
                move 0x401006 -> 0x50000e
                keep clear 0x401001..<0x401005
                """)
    }

    @Test func undoIsTheExactInverse() throws {
        var plan = PatchPlan(architecture: .x86_64)
        plan.append(try Detour())
        plan.append(try Detour(entry: Address(0x402000), stub: Address(0x500020)))
        plan.writes.append(Write(word: 7, at: Address(0x700000), expected: 9))
        let undo = plan.reversed(movingThreads: true)
        #expect(undo.writes.map(\.address) == plan.writes.map(\.address).reversed())
        #expect(undo.stubs.isEmpty)
        #expect(undo.moves.map(\.from) == plan.moves.map(\.to))
        // Done and undone, memory is what it was.
        var memory: [Address: UInt8] = [:]
        for write in plan.writes { store(write.expected ?? [], at: write.address, in: &memory) }
        let before = memory
        for write in plan.writes + undo.writes {
            #expect(load(write.bytes.count, at: write.address, in: memory) == write.expected)
            store(write.bytes, at: write.address, in: &memory)
        }
        #expect(memory == before)
        // And the undo's undo is the plan, but for the stubs, which are placed once.
        var again = undo.reversed(movingThreads: true)
        again.stubs = plan.stubs
        #expect(again == plan)
        #expect(plan.reversed().moves.isEmpty)
        #expect(plan.reversed().hazards == plan.hazards)
    }

    private func store(_ bytes: [UInt8], at address: Address, in memory: inout [Address: UInt8]) {
        for (offset, byte) in bytes.enumerated() { memory[address + offset] = byte }
    }

    private func load(_ count: Int, at address: Address, in memory: [Address: UInt8]) -> [UInt8] {
        (0..<count).compactMap { memory[address + $0] }
    }

    @Test func writesOfUnknownPastAreLeftOutOfTheUndo() throws {
        let plan = try plan()
        #expect(plan.writes.count == 2)
        #expect(plan.reversed().writes.map(\.kind) == [.text])
    }

    @Test func pages() {
        func write(_ address: UInt64) -> Write {
            Write(address: Address(address), kind: .text, expected: nil, bytes: [1, 2, 3, 4, 5])
        }
        for pageSize in [4096, 16384, 65536] {
            let end = UInt64(pageSize * 16)
            #expect(!write(end - 5).crossesPage(pageSize: pageSize))
            for distance in UInt64(1)...4 { #expect(write(end - distance).crossesPage(pageSize: pageSize)) }
            #expect(!write(end).crossesPage(pageSize: pageSize))
        }
        #expect(write(0x1fffe).crossesPage(pageSize: 4096))
        #expect(!write(0x11ffe).crossesPage(pageSize: 16384))
    }
}
