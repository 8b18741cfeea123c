import CPatchCore
import HotpatchExpectations
import HotpatchMemory
import HotpatchPlan
import Testing

@Suite struct PatchPlanTests {
    private func plan() throws -> PatchPlan {
        var plan = PatchPlan(architecture: .x86_64)
        plan.append(try Detour(), leadingTo: Address(0x7f12_3456_7890))
        return plan
    }

    @Test func golden() throws {
        try expect(
            plan().description,
            equals: """
                plan for x86_64: 1 write, 1 stub
                stub 0x500000, 19 bytes, slot 0x600000, original 0x500008
                    0x500000  ff 25 fa ff 0f 00               jmp qword ptr [rip + 0xffffa]
                    0x500006  cc                              int3
                    0x500007  cc                              int3
                    0x500008  55                              push rbp
                    0x500009  48 89 e5                        mov rbp, rsp
                    0x50000c  41 57                           push r15
                    0x50000e  e9 f3 0f f0 ff                  jmp 0x401006
                slot 0x600000, 8 bytes
                    0x600000  90 78 56 34 12 7f 00 00
                text 0x401000, 5 bytes, entry
                    - 55 48 89 e5 41                  push rbp; mov rbp, rsp; …
                    + e9 fb ef 0f 00                  jmp 0x500000
                move 0x401001 -> 0x500009
                move 0x401004 -> 0x50000c
                keep clear 0x401001..<0x401005
                """)
    }

    /// Everything that a transaction does, in the order in which it is done.
    @Test func goldenOfAllKinds() throws {
        var plan = PatchPlan(architecture: .x86_64)
        plan.segments = [
            Segment(kind: .text, address: Address(0x700000), size: 4096, contents: hex("b8 2a 00 00 00 c3")),
            Segment(kind: .constant, address: Address(0x701000), size: 4096, contents: [UInt8](0..<20)),
            Segment(kind: .data, address: Address(0x702000), size: 8192),
        ]
        plan.callsBefore = [
            Call(
                Address(0x401000), [1, 0x702000], name: "register", answer: .stored(at: Address(0x702008)),
                undo: .call(Call(Address(0x401100), name: "unregister"))),
            Call(Address(0x401200), name: "agree", answer: .zero, undo: .impossible),
        ]
        plan.ledger = LedgerMapping(Address(0x600000)..<Address(0x601000), isShared: true)
        // A stub whose first part ends in bytes that are no instruction, and data behind a thunk's code.
        plan.stubs = [
            StubLayout(
                address: Address(0x703000), bytes: hex("cc 06 07 90 06 08"), originalAddress: Address(0x703003),
                slot: Address(0x704000))
        ]
        plan.thunks = [
            AsyncThunk(
                .x86_64, at: Address(0x703010), replacement: Address(0x1122), contextSize: 64,
                allocate: Address(0x3344), deallocate: Address(0x5566))
        ]
        plan.append(Copy(address: Address(0x600000), bytes: [1, 2], purpose: .ledger))
        plan.append(Copy(address: Address(0x600002), bytes: [3], purpose: .ledger))
        // Whatever order they are added in.
        plan.append(Write(word: 2, at: Address(0x600010)), to: .states)
        plan.append(Write(word: 1, at: Address(0x600008), expected: 0), to: .generation)
        plan.append(Write(word: 0x700000, at: Address(0x500000), expected: 0), to: .data)
        plan.append(
            Write(address: Address(0x510000), kind: .constant, expected: hex("01 02 03"), bytes: hex("04 05 06")),
            to: .data)
        plan.callsAfter = [Call(Address(0x401300), name: "tell")]
        plan.release([Address(0x900000)..<Address(0x901000)], .emptied(then: 0x2144_4552_4954_4552))
        plan.release(
            [Address(0xa00000)..<Address(0xa01000), Address(0xb00000)..<Address(0xb01000)], .unmapped,
            after: Call(Address(0x401400), [0xa00000], name: "forget"))
        // The code of a thunk is the C core's, and its tests'; the words behind it are what only this plan says.
        let thunk = plan.thunks[0]
        let code = thunk.bytes.count - 32
        let lines = plan.description.split(separator: "\n").map(String.init)
        let start = try #require(lines.firstIndex { $0.hasPrefix("async thunk ") })
        let end = try #require(lines.firstIndex { $0.hasPrefix("ledger 0x600000") })
        let printed = lines[start + 1..<end].flatMap { line in
            line.split(separator: " ").dropFirst().prefix { $0.count == 2 }.compactMap { UInt8($0, radix: 16) }
        }
        expect(printed, equals: thunk.bytes)
        expect(
            Array(lines[end - 2..<end]),
            equals: [
                "    \(thunk.address + code)  22 11 00 00 00 00 00 00 40 00 00 00 00 00 00 00",
                "    \(thunk.address + code + 16)  44 33 00 00 00 00 00 00 66 55 00 00 00 00 00 00",
            ])
        expect(
            (lines[..<start] + lines[end...]).joined(separator: "\n"),
            equals: """
                plan for x86_64: 4 writes, 1 stub, 1 thunk, 3 segments, 4 calls, 3 releases
                segment 0x700000, 4096 bytes, text
                    0x700000  b8 2a 00 00 00                  mov eax, 0x2a
                    0x700005  c3                              ret
                segment 0x701000, 4096 bytes, constant
                    0x701000  00 01 02 03 04 05 06 07 08 09 0a 0b 0c 0d 0e 0f
                    0x701010  10 11 12 13
                segment 0x702000, 8192 bytes, data
                call before: register at 0x401000, with (0x1, 0x702000)
                    its result is stored at 0x702008
                    undone by unregister at 0x401100
                call before: agree at 0x401200, with ()
                    must return 0
                    cannot be undone
                ledger mapping 0x600000, 4096 bytes, stays
                stub 0x703000, 6 bytes, slot 0x704000, original 0x703003
                    0x703000  cc                              int3
                    0x703001  06 07
                    0x703003  90                              nop
                    0x703004  06 08
                ledger 0x600000, 3 bytes
                    0x600000  01 02 03
                data 0x600008, 8 bytes, generation
                    - 00 00 00 00 00 00 00 00         0x0
                    + 01 00 00 00 00 00 00 00         0x1
                data 0x500000, 8 bytes, data
                    - 00 00 00 00 00 00 00 00         0x0
                    + 00 00 70 00 00 00 00 00         0x700000
                constant 0x510000, 3 bytes, data
                    - 01 02 03
                    + 04 05 06
                data 0x600010, 8 bytes, state
                    - not compared
                    + 02 00 00 00 00 00 00 00         0x2
                call after: tell at 0x401300, with ()
                call after: forget at 0x401400, with (0xa00000)
                release 0x900000, 4096 bytes, emptied but for its first page
                    0x900000  52 45 54 49 52 45 44 21
                release 0xa00000, 4096 bytes, unmapped
                    if forget could be called
                release 0xb00000, 4096 bytes, unmapped
                    if forget could be called
                """)
        // What undoes it: the memory stays.
        expect(
            plan.reversed().description,
            equals: """
                plan for x86_64: 2 writes, 0 stubs, 1 call
                constant 0x510000, 3 bytes, restored
                    - 04 05 06
                    + 01 02 03
                data 0x500000, 8 bytes, restored
                    - 00 00 70 00 00 00 00 00         0x700000
                    + 00 00 00 00 00 00 00 00         0x0
                call after: unregister at 0x401100, with ()
                """)
    }

    @Test func undoIsTheExactInverse() throws {
        var plan = PatchPlan(architecture: .x86_64)
        plan.append(try Detour(), leadingTo: Address(0x7f12_3456_7890))
        plan.append(try Detour(entry: Address(0x402000), stub: Address(0x500020)), leadingTo: Address(0x403000))
        plan.append(Write(word: 7, at: Address(0x700000), expected: 9), to: .data)
        plan.append(Write(word: 2, at: Address(0x800000), expected: 1), to: .restored)
        // Each commit says for itself which ledger it is made from, and who makes it.
        plan.append(Write(word: 4, at: Address(0x900000), expected: 3), to: .generation)
        plan.append(Write(word: 0, at: Address(0x900008), expected: 0), to: .committer)
        let undo = plan.reversed()
        let undone = plan.writes.dropFirst(2)
        expect(plan.writes.prefix(2).map(\.address), equals: [Address(0x900000), Address(0x900008)])
        expect(undo.writes.map(\.address), equals: undone.map(\.address).reversed())
        #expect(undo.stubs.isEmpty && undo.copies.isEmpty)
        // A jump of one instruction: nobody can be inside.
        #expect(undo.moves.isEmpty && undo.hazards.isEmpty)
        // Done and undone, memory is what it was.
        var memory: [Address: UInt8] = [:]
        for write in undone { store(write.expected ?? [], at: write.address, in: &memory) }
        let before = memory
        for write in undone + undo.writes {
            expect(load(write.bytes.count, at: write.address, in: memory), equals: write.expected)
            store(write.bytes, at: write.address, in: &memory)
        }
        expect(memory, equals: before)
        expect(undo.reversed().writes, equals: Array(undone))
    }

    private func store(_ bytes: [UInt8], at address: Address, in memory: inout [Address: UInt8]) {
        for (offset, byte) in bytes.enumerated() { memory[address + offset] = byte }
    }

    private func load(_ count: Int, at address: Address, in memory: [Address: UInt8]) -> [UInt8] {
        (0..<count).compactMap { memory[address + $0] }
    }

    /// Whatever order they are added in, writes are made by phase, and entries by address where that is asked for.
    @Test func writesAreMadeByPhase() {
        var plan = PatchPlan(architecture: .x86_64)
        for phase in PatchPlan.Phase.allCases.reversed() {
            for number in [1, 0] {
                plan.append(Write(word: 0, at: Address(UInt64(phase.rawValue * 16 + number * 8))), to: phase)
            }
        }
        let order = PatchPlan.Phase.allCases.flatMap { [$0.rawValue * 16 + 8, $0.rawValue * 16] }
        expect(plan.writes.map { Int($0.address.rawValue) }, equals: order)
        let hops = UInt64(PatchPlan.Phase.hops.rawValue * 16)
        expect(plan[.hops].map(\.address.rawValue), equals: [hops + 8, hops])
        plan.sortEntries()
        var sorted = order
        sorted.swapAt(2 * PatchPlan.Phase.entries.rawValue, 2 * PatchPlan.Phase.entries.rawValue + 1)
        expect(plan.writes.map { Int($0.address.rawValue) }, equals: sorted)
        expect(CommitBlock(plan).underway, equals: plan[.committer].map(\.address))
    }

    /// A call that may have kept a pointer cannot be taken back; those that can be are, the last first.
    @Test func whatUndoesCalls() {
        func call(_ name: String, _ undo: Call.Undo) -> Call { Call(Address(0x1000), name: name, undo: undo) }
        func undo(_ name: String) -> Call.Undo { .call(Call(Address(0x2000), name: name)) }
        var plan = PatchPlan(architecture: .arm64)
        plan.callsBefore = [call("a", undo("not a")), call("b", .nothing), call("c", undo("not c"))]
        #expect(plan.undoesCalls && plan.reversed().callsAfter.map(\.name) == ["not c", "not a"])
        plan.callsAfter = [call("d", .impossible)]
        #expect(!plan.undoesCalls && plan.reversed().callsAfter.map(\.name) == ["not c", "not a"])
    }

    @Test func writesOfUnknownPastAreLeftOutOfTheUndo() throws {
        var plan = try plan()
        plan.append(Write(word: 7, at: Address(0x700000)), to: .pointers)
        expect(plan.writes.count, equals: 2)
        expect(plan.reversed().writes.map(\.kind), equals: [.text])
    }

    /// A replacement within reach is jumped to straight; the slot says where it is all the same.
    @Test func aNearReplacementIsJumpedTo() throws {
        var plan = PatchPlan(architecture: .x86_64)
        plan.append(try Detour(), leadingTo: Address(0x402000))
        expect(plan.writes.map(\.bytes), equals: [hex("e9 fb 0f 00 00")])
        expect(plan.copies.map(\.bytes), equals: [hex("00 20 40 00 00 00 00 00")])
    }

    /// What was added for a function that is left out is taken back, to the last byte.
    @Test func rewindTakesBack() throws {
        var plan = try plan()
        let (before, mark) = (plan, plan.mark)
        plan.append(try Detour(entry: Address(0x402000), stub: Address(0x500020)), leadingTo: Address(0x403000))
        expect(plan.copies.count, equals: 2)
        plan.append(Copy(address: before.copies[0].address + 8, bytes: [1], purpose: .slot))
        plan.segments.append(Segment(kind: .data, address: Address(0x800000), size: 4096))
        plan.callsBefore.append(Call(Address(1), name: "a"))
        plan.callsAfter.append(Call(Address(2), name: "b"))
        let call = plan.release([Address(0)..<Address(1)], .unmapped, after: Call(Address(3), name: "c"))
        #expect(call == 1 && plan.releases == [Release(Address(0)..<Address(1), .unmapped, call: 1)])
        plan.ledger = LedgerMapping(Address(0)..<Address(1), isShared: false)
        for phase in PatchPlan.Phase.allCases { plan.append(Write(word: 1, at: Address(0x900000)), to: phase) }
        plan.rewind(to: mark)
        expect(plan, equals: before)
        // The last copy had grown.
        plan.append(Copy(address: before.copies[0].address + 8, bytes: [1], purpose: .slot))
        expect(plan.copies.count, equals: 1)
        plan.rewind(to: mark)
        expect(plan, equals: before)
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
