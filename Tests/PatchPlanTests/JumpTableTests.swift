import Memory
import PatchPlan
import Testing

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
            return refusal.reason == .branchIntoWindow && refusal.operand == Address(0x401000) + inside
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

    @Test func aTableLongerThanOneReadIsReadWhole() {
        let targets = [Int](repeating: 6, count: 1000) + [3]
        #expect(throws: Refusal.self) { try Detour(code: Array(Self.relative), tables: memory(relative: targets)) }
    }
}
