import CPatchCore
import HotpatchExpectations
import HotpatchTestSupport
import Testing

/// Where things lie: detour, island, PC map; and that nothing lies anywhere else.
@Suite struct LayoutTests {
    @Test func detourAndIsland() {
        let relocation = Relocation(hex("55 48 89 e5 41 57"))
        expect(relocation.expectedBytes, equals: hex("55 48 89 e5 41"))
        expect(relocation.detourBytes, equals: hex("e9 fb ef 0f 00"))  // jmp 0x500000
        // jmp [0x600000]; int3; int3
        expect(Array(relocation.stubBytes.prefix(8)), equals: hex("ff 25 fa ff 0f 00 cc cc"))
        expect(relocation.raw.prologue_length, equals: 6)
        expect(relocation.pairs, equals: [[0, 8], [1, 9], [4, 12], [6, 14]])
    }

    @Test func endbr64StaysInPlaceAndIsCopied() {
        let relocation = Relocation(hex("f3 0f 1e fa 55 48 89 e5 53"))
        expect(relocation.raw.patch_offset, equals: 4)
        expect(relocation.raw.prologue_length, equals: 5)
        expect(relocation.detourBytes, equals: hex("e9 f7 ef 0f 00"))
        expect(relocation.pairs, equals: [[4, 12], [5, 13], [8, 16], [9, 17]])
    }

    @Test func nothingFollowsAReturnAJumpOrACall() {
        expect(Relocation(hex("31 c0 c3 0f 1f 00"), functionLength: 3).pairs, equals: [[0, 8], [2, 10]])
        expect(Relocation(hex("e9 10 00 00 00")).pairs, equals: [[0, 8]])
        let call = Relocation(hex("48 89 fb ff d0 90"))
        expect(call.pairs, equals: [[0, 8], [3, 11]])
        #expect(call.raw.moves_call)
    }

    @Test func addressOutOfReachBecomesAConstant() {
        // lea r9, [entry − 0x7fff0000 + 7], moved 1 GiB up.
        let relocation = Relocation(hex("4c 8d 0d 00 00 01 80"), stub: 0x4040_1000)
        #expect(relocation.succeeded)
        #expect(relocation.text.hasPrefix("movabs r9, 0xffffffff80411007; jmp"))
    }

    @Test func returnAddressesBeyondFourGigabytes() {
        let base: UInt64 = 0x7fff_8765_4000
        let relocation = Relocation(
            hex("e8 10 00 00 00 90"), entry: base, stub: base + 0x100000, slot: base + 0x200000)
        // push sign-extends its 32 bits; the mov then sets the upper half.
        expect(
            disassemble(relocation.moved, at: base + 0x100008),
            equals: "push -0x789abffb; mov dword ptr [rsp + 4], 0x7fff; jmp 0x7fff87654015")
    }

    @Test func stubsAreSmall() {
        // The longest prologue of ordinary instructions, and the most a call can need.
        #expect(Relocation(hex("f3 0f 1e fa 55 48 89 e5 41 57")).raw.stub_length <= 48)
        #expect(Relocation(hex("f3 0f 1e fa 48 83 ec 08 e8 00 10 00 00")).raw.stub_length <= 48)
    }

    @Test func writesNothingBeyondTheOutput() {
        let codes = MovedTests.rows.map { hex($0.code) } + RefusalTests.rows.map { hex($0.code) }
        for code in codes {
            let size = MemoryLayout<hp_relocation>.stride
            let refusalSize = MemoryLayout<hp_refusal>.stride
            let memory = UnsafeMutableRawPointer.allocate(byteCount: 64 + size + 64 + refusalSize + 64, alignment: 64)
            defer { memory.deallocate() }
            memory.initializeMemory(as: UInt8.self, repeating: 0xa5, count: 64 + size + 64 + refusalSize + 64)
            let out = (memory + 64).assumingMemoryBound(to: hp_relocation.self)
            let refusal = (memory + 128 + size).assumingMemoryBound(to: hp_refusal.self)
            let succeeded = code.withUnsafeBufferPointer { buffer in
                var request = hp_relocation_request(
                    code: buffer.baseAddress, code_length: buffer.count, function_length: buffer.count,
                    entry: Relocation.entry, stub: Relocation.stub, slot: Relocation.slot)
                return hp_relocate(HP_ARCH_X86_64, &request, 0, out, refusal)
            }
            let bytes = UnsafeRawBufferPointer(start: memory, count: 64 + size + 64 + refusalSize + 64)
            #expect(bytes[..<64].allSatisfy { $0 == 0xa5 })
            #expect(bytes[(64 + size)..<(128 + size)].allSatisfy { $0 == 0xa5 })
            #expect(bytes[(128 + size + refusalSize)...].allSatisfy { $0 == 0xa5 })
            // What lies behind the stub, inside its array, is untouched as well.
            guard succeeded else { continue }
            withUnsafeBytes(of: out.pointee.stub) { stub in
                #expect(stub.dropFirst(Int(out.pointee.stub_length)).allSatisfy { $0 == 0 }, "\(hex(code))")
            }
            withUnsafeBytes(of: out.pointee.detour) { detour in
                #expect(detour.dropFirst(Int(out.pointee.detour_length)).allSatisfy { $0 == 0 })
            }
        }
    }

    /// Code of any kind, cut at every length: a refusal or a stub, never a read beyond the bytes given (the page behind them
    /// cannot be read) and never a stub that reads differently from what was meant.
    @Test func randomBytes() {
        var generator = SeededGenerator(seed: testSeed())
        let guarded = GuardedBytes()
        var moved = 0
        for _ in 0..<200_000 {
            let count = Int.random(in: 0...40, using: &generator)
            let code = guarded.fill(count) { UInt8.random(in: 0...255, using: &generator) }
            var out = hp_relocation()
            var refusal = hp_refusal()
            var request = hp_relocation_request(
                code: code, code_length: count, function_length: Bool.random(using: &generator) ? 0 : count,
                entry: Relocation.entry, stub: Relocation.stub, slot: Relocation.slot)
            if hp_relocate(HP_ARCH_X86_64, &request, 0, &out, &refusal) {
                moved += 1
                #expect(out.prologue_length >= out.detour_length && out.pc_count > 0)
            } else {
                #expect(refusal.reason != HP_OK)
                // Without an instruction to blame, this would be the check of what was written.
                #expect(refusal.reason != HP_UNMOVABLE || refusal.length > 0)
            }
        }
        #expect(moved > 10_000)
    }

    /// Decoder handles belong to a thread each; whoever moves at the same time gets the same stub.
    @Test func threadsDoNotDisturbEachOther() async {
        let expected = MovedTests.rows.map { Relocation(hex($0.code), functionLength: $0.functionLength).text }
        let agreed = await withTaskGroup(of: Bool.self) { group in
            for _ in 0..<8 {
                group.addTask {
                    for _ in 0..<200 {
                        for (row, text) in zip(MovedTests.rows, expected)
                        where Relocation(hex(row.code), functionLength: row.functionLength).text != text {
                            return false
                        }
                    }
                    return true
                }
            }
            return await group.allSatisfy { $0 }
        }
        #expect(agreed)
    }
}
