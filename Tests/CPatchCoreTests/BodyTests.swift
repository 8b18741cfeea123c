import CPatchCore
import TestSupport
import Testing

/// What the body may do without keeping the entry from being patched, and what is said about it.
@Suite struct BodyTests {
    static let window = hex("55 48 89 e5 41 57")  // push rbp; mov rbp, rsp; push r15

    @Test func jumpsToTheEntryAreRefusedCallsAreNot() {
        let jump = Relocation(Self.window + hex("eb f8"))  // jmp 0x401000
        #expect(!jump.succeeded && jump.refusal.reason == HP_BRANCH_TO_ENTRY)
        let near = Relocation(Self.window + hex("0f 85 f4 ff ff ff"))  // jne 0x401000
        #expect(!near.succeeded && near.refusal.reason == HP_BRANCH_TO_ENTRY)
        // A call is a recursion, which is meant to reach the replacement.
        let call = Relocation(Self.window + hex("e8 f5 ff ff ff"))
        #expect(call.succeeded)
    }

    @Test func jumpsToTheEntryBehindEndbr64AreRefused() {
        let body = hex("f3 0f 1e fa") + Self.window
        #expect(Relocation(body + hex("eb f8")).refusal.reason == HP_BRANCH_TO_ENTRY)  // jmp 0x401004
        #expect(Relocation(body + hex("eb f4")).refusal.reason == HP_BRANCH_TO_ENTRY)  // jmp 0x401000
        #expect(Relocation(body + hex("eb f6")).succeeded)  // into endbr64: nobody's
    }

    @Test func branchesIntoTheUntouchedTailOfTheWindowAreFine() {
        let relocation = Relocation(hex("48 8b 05 10 00 00 00") + hex("eb fc"))  // jmp 0x401005
        #expect(relocation.succeeded)
    }

    @Test func bytesThatOnlyLookLikeABranchAreFine() {
        // mov eax, 0xf9ebf8eb: the immediate holds `eb f8` and `eb f9`.
        #expect(Relocation(Self.window + hex("b8 eb f9 eb f7 c3")).succeeded)
        // movabs rax, …: a whole `e9 rel32` to 0x401001 inside the immediate.
        #expect(Relocation(Self.window + hex("48 b8 e9 f4 ff ff ff 00 00 00 c3")).succeeded)
    }

    @Test func aLongWayBackIsFound() {
        // 300 bytes of nops, then jmp 0x401003: no short branch reaches that far, and none is looked for.
        let filler = [UInt8](repeating: 0x90, count: 300)
        let distance = Int32(3 - (Self.window.count + 300 + 5))
        let jump = [0xe9] + withUnsafeBytes(of: distance.littleEndian) { Array($0) }
        let relocation = Relocation(Self.window + filler + jump)
        #expect(!relocation.succeeded)
        #expect(relocation.refusal.reason == HP_BRANCH_INTO_WINDOW)
        #expect(relocation.refusal.address == Relocation.entry + 306)
        #expect(relocation.refusal.operand == Relocation.entry + 3)
    }

    /// Branches of every form, at many distances, to each of the first eight bytes.
    @Test func prefilterMissesNoBranch() {
        var generator = SeededGenerator(seed: testSeed())
        for _ in 0..<4000 {
            let target = Int.random(in: 0..<8, using: &generator)
            let gap = Int.random(in: 0..<140, using: &generator)
            let start = Self.window.count + gap
            let form = Int.random(in: 0..<4, using: &generator)
            let opcode: [UInt8] =
                [[0xeb], [0xe9], [0x0f, UInt8.random(in: 0x80...0x8f, using: &generator)], [0xe2]][form]
            let short = form == 0 || form == 3
            let distance = target - (start + opcode.count + (short ? 1 : 4))
            if short && distance < -128 { continue }
            let bytes = withUnsafeBytes(of: Int32(distance).littleEndian) { Array($0.prefix(short ? 1 : 4)) }
            let code = Self.window + [UInt8](repeating: 0x90, count: gap) + opcode + bytes + [0xc3]
            let relocation = Relocation(code)
            #expect(relocation.succeeded == !(0..<5).contains(target), "\(hex(code))")
        }
    }

    @Test func findsTheTableOfPositionIndependentCode() {
        let relocation = Relocation(
            Self.window + hex("48 8d 15 f3 0f 00 00")  // lea rdx, [0x402000]
                + hex("48 63 04 82")  // movsxd rax, [rdx + rax * 4]
                + hex("48 01 d0")  // add rax, rdx
                + hex("3e ff e0"))  // notrack jmp rax
        #expect(relocation.succeeded)
        #expect(relocation.tables == [0x402000])
        #expect(!relocation.raw.unchecked_indirect_jump)
    }

    @Test func findsTheTableOfAbsoluteCode() {
        let relocation = Relocation(Self.window + hex("ff 24 c5 00 20 40 00"))  // jmp [0x402000 + rax * 8]
        #expect(relocation.succeeded)
        #expect(relocation.tables == [0x402000])
    }

    @Test func callsInTailPositionAreNoTables() {
        for code in ["ff 25 00 10 00 00", "ff 60 10", "41 ff 64 24 08"] {
            let relocation = Relocation(Self.window + hex(code))
            #expect(relocation.succeeded && relocation.tables.isEmpty && !relocation.raw.unchecked_indirect_jump)
        }
    }

    @Test func aJumpThroughARegisterOfUnknownOriginIsUnchecked() {
        let relocation = Relocation(Self.window + hex("ff e0"))
        #expect(relocation.succeeded && relocation.tables.isEmpty && relocation.raw.unchecked_indirect_jump)
    }

    @Test func moreTablesThanFitAreSaidToBe() {
        var code = Self.window
        for i in 0..<UInt8(HP_TABLE_CAPACITY) + 1 { code += hex("ff 24 c5") + [0, i, 0x40, 0] }
        let relocation = Relocation(code)
        #expect(relocation.tables.count == Int(HP_TABLE_CAPACITY))
        #expect(relocation.raw.tables_overflowed)
    }
}
