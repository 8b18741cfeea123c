import HotpatchExpectations
import HotpatchMemory
import HotpatchPlan
import Testing
import HotpatchTestSupport

/// A switch of position-independent code, at 0x401000, with its table at 0x402000.
@Suite struct JumpTableTests {
    static let table = Address(0x402000)
    static let relative =
        prologue.dropLast() + hex("48 8d 15 f3 0f 00 00 48 63 04 82 48 01 d0 3e ff e0")  // lea; movsxd; add; jmp rax
    static let absolute = prologue.dropLast() + hex("ff 24 c5 00 20 40 00")  // jmp [0x402000 + rax * 8]

    private func memory(relative targets: [Int]) -> BytesMemory {
        let entries = targets.flatMap { offset in
            withUnsafeBytes(of: Int32(0x401000 + offset - 0x402000).littleEndian) { Array($0) }
        }
        return BytesMemory(base: Self.table, contents: entries)
    }

    private func memory(absolute targets: [UInt64]) -> BytesMemory {
        let entries = targets.flatMap { target in withUnsafeBytes(of: (0x401000 + target).littleEndian) { Array($0) } }
        return BytesMemory(base: Self.table, contents: entries)
    }

    @Test func targetsBeyondTheDetourAreFine() throws {
        let detour = try Detour(code: Array(Self.relative), tables: memory(relative: [6, 13, 20, 5]))
        #expect(!detour.hasUncheckedIndirectJump)
        #expect(try !Detour(code: Array(Self.absolute), tables: memory(absolute: [6, 5])).hasUncheckedIndirectJump)
    }

    @Test(arguments: 1...4) func targetsInsideAreRefused(inside: Int) {
        #expect {
            try Detour(code: Array(Self.relative), tables: memory(relative: [6, 13, inside]))
        } throws: { error in
            guard let refusal = error as? Refusal else { return false }
            return refusal.reason == .branchIntoPrologue && refusal.operand == Address(0x401000) + inside
                && refusal.address == Address(0x401014) && refusal.instruction.hasSuffix("jmp rax")
        }
        #expect(throws: Refusal.self) {
            try Detour(code: Array(Self.absolute), tables: memory(absolute: [6, UInt64(inside)]))
        }
    }

    /// What gcc -Os -fno-pic makes of `again: switch (*p) { case 0: goto again; … }`: the table leads back to the entry, and the
    /// loop would go on in the replacement.
    @Test func targetsAtTheEntryAreRefused() {
        // movzx eax, [rdi]; cmp al, 6; ja; jmp [0x402000 + rax * 8]; mov eax, 7; ret
        let code = hex("0f b6 07 3c 06 77 22 ff 24 c5 00 20 40 00 b8 07 00 00 00 c3")
        let landingPad = hex("f3 0f 1e fa")
        for (code, target) in [(code, 0), (landingPad + code, 4), (landingPad + code, 0)] {
            #expect {
                try Detour(code: code, tables: memory(absolute: [14, UInt64(target), 14]))
            } throws: { error in
                guard let refusal = error as? Refusal else { return false }
                return refusal.reason == .branchToEntry && refusal.operand == Address(0x401000) + target
                    && refusal.instruction.hasPrefix("jmp")
            }
        }
    }

    @Test func entriesBehindTheTableAreNotTakenForIt() throws {
        // 0x4000 leads out of the function and ends the table; the entry behind it would be refused.
        _ = try Detour(code: Array(Self.relative), tables: memory(relative: [6, 0x4000, 2]))
    }

    @Test func aTableThatCannotBeReadIsUnchecked() throws {
        #expect(try Detour(code: Array(Self.relative)).hasUncheckedIndirectJump)
        #expect(try Detour(code: Array(Self.relative), tables: memory(relative: [0x4000])).hasUncheckedIndirectJump)
    }

    // MARK: - Tables whose length the code checks

    /// `llvm::VPIntrinsic::getMemoryPointerParamPos(unsigned)` of Debian's libLLVM-14, with its table at 0x402000: 25 entries, and
    /// then the next function's, some of which lead into this one's first bytes.
    static let checked =
        hex("81 c7 b5 fe ff ff")  //      add edi, -0x14b
        + hex("83 ff 18")  //             cmp edi, 24
        + hex("77 23")  //                ja 0x40102e
        + hex("b9 01 00 00 00")  //       mov ecx, 1
        + hex("48 b8 00 00 00 00 01 00 00 00")  // movabs rax, 0x100000000
        + hex("48 8d 15 df 0f 00 00")  // lea rdx, [0x402000]
        + hex("48 63 34 ba")  //          movsxd rsi, [rdx + rdi * 4]
        + hex("48 01 d6")  //             add rsi, rdx
        + hex("ff e6")  //                jmp rsi
        + hex("48 09 c8 c3")  //          or rax, rcx; ret
        + hex("31 c0 31 c9 48 09 c8 c3")  // xor eax, eax; xor ecx, ecx; or rax, rcx; ret
    static let entries =
        [0x30, 0x30] + [Int](repeating: 0x2e, count: 17) + [0x2a, 0x2e, 0x2e, 0x2e, 0x2e, 0x2a]
    static let neighbours = [0x04, 0x04, 0x1d, 0x1d, 0x06]

    @Test func entriesBeyondTheCheckAreNotTheTables() throws {
        let detour = try Detour(code: Self.checked, tables: memory(relative: Self.entries + Self.neighbours))
        #expect(detour.patchAddress == Address(0x401000) && detour.expected == hex("81 c7 b5 fe ff"))
        #expect(!detour.hasUncheckedIndirectJump)
        let proviso = try #require(detour.provisos.first)
        expect(detour.provisos.count, equals: 1)
        expect(
            proviso.places, equals: Address(0x401009)..<Address(0x401029), "from behind the comparison, with the jump")
        #expect(proviso.refusal.reason == .branchIntoPrologue && proviso.refusal.operand == Address(0x401004))
        expect(proviso.refusal.instruction, equals: "jmp rsi")
        // Where nothing behind the table leads there, nothing depends on its length.
        #expect(try Detour(code: Self.checked, tables: memory(relative: Self.entries)).provisos.isEmpty)
    }

    @Test func entriesBehindOneThatLeadsElsewhereCount() {
        var entries = Self.entries
        entries[3] = 0x4000  // a part of the function that lies elsewhere
        entries[24] = 0x02
        #expect {
            try Detour(code: Self.checked, tables: memory(relative: entries))
        } throws: { error in (error as? Refusal)?.operand == Address(0x401002) }
    }

    /// The same function with another instruction somewhere: what then keeps the index below 25 is not known.
    @Test(arguments: [
        (at: 0x06, code: "83 fe 18"),  // cmp esi, 24: another register
        (at: 0x09, code: "7f 23"),  //    jg: lets negative numbers through
        (at: 0x09, code: "72 23"),  //    jb
        (at: 0x09, code: "90 90"),  //    no jump
        (at: 0x06, code: "83 c7 18"),  // add edi, 24: no comparison
        (at: 0x0b, code: "bf 01 00 00 00"),  // mov edi, 1: not what was compared
        (at: 0x0b, code: "e8 00 00 00 00"),  // call: may change edi
        (at: 0x2e, code: "75 db"),  // jne 0x40100b: past the check
        (at: 0x2e, code: "75 f8"),  // jne 0x401028: to the jump
        (at: 0x2a, code: "06"),  // undecodable
    ])
    func aCheckThatIsNotProvenDoesNotCount(at offset: Int, code: String) {
        var changed = Self.checked
        for (place, byte) in hex(code).enumerated() { changed[offset + place] = byte }
        #expect {
            try Detour(code: changed, tables: memory(relative: Self.entries + Self.neighbours))
        } throws: { error in (error as? Refusal)?.operand == Address(0x401004) }
    }

    @Test func anEntryThatLeadsPastTheCheckUndoesIt() {
        for past in [0x09, 0x0b, 0x28] {
            var entries = Self.entries
            entries[7] = past
            #expect(throws: Refusal.self) {
                try Detour(code: Self.checked, tables: memory(relative: entries + Self.neighbours))
            }
        }
        // To the comparison it may lead, as in a loop.
        var entries = Self.entries
        entries[7] = 0x06
        #expect(throws: Never.self) {
            try Detour(code: Self.checked, tables: memory(relative: entries + Self.neighbours))
        }
    }

    @Test func aTableLongerThanOneReadIsReadWhole() {
        let targets = [Int](repeating: 6, count: 1000) + [3]
        #expect(throws: Refusal.self) { try Detour(code: Array(Self.relative), tables: memory(relative: targets)) }
    }
}
