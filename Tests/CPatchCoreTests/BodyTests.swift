import CPatchCore
import HotpatchExpectations
import HotpatchTestSupport
import Testing

/// What the body may do without keeping the entry from being patched, and what is said about it.
@Suite struct BodyTests {
    static let prologue = hex("55 48 89 e5 41 57")  // push rbp; mov rbp, rsp; push r15

    @Test func jumpsToTheEntryAreRefusedCallsAreNot() {
        let jump = Relocation(Self.prologue + hex("eb f8"))  // jmp 0x401000
        #expect(!jump.succeeded && jump.refusal.reason == HP_BRANCH_TO_ENTRY)
        let near = Relocation(Self.prologue + hex("0f 85 f4 ff ff ff"))  // jne 0x401000
        #expect(!near.succeeded && near.refusal.reason == HP_BRANCH_TO_ENTRY)
        // A call is a recursion, which is meant to reach the replacement.
        let call = Relocation(Self.prologue + hex("e8 f5 ff ff ff"))
        #expect(call.succeeded)
    }

    @Test func jumpsToTheEntryBehindEndbr64AreRefused() {
        let body = hex("f3 0f 1e fa") + Self.prologue
        expect(Relocation(body + hex("eb f8")).refusal.reason, equals: HP_BRANCH_TO_ENTRY)  // jmp 0x401004
        expect(Relocation(body + hex("eb f4")).refusal.reason, equals: HP_BRANCH_TO_ENTRY)  // jmp 0x401000
        #expect(Relocation(body + hex("eb f6")).succeeded)  // into endbr64: nobody's
    }

    @Test func branchesIntoTheUntouchedTailOfThePrologueAreFine() {
        let relocation = Relocation(hex("48 8b 05 10 00 00 00") + hex("eb fc"))  // jmp 0x401005
        #expect(relocation.succeeded)
    }

    @Test func bytesThatOnlyLookLikeABranchAreFine() {
        // mov eax, 0xf9ebf8eb: the immediate holds `eb f8` and `eb f9`.
        #expect(Relocation(Self.prologue + hex("b8 eb f9 eb f7 c3")).succeeded)
        // movabs rax, …: a whole `e9 rel32` to 0x401001 inside the immediate.
        #expect(Relocation(Self.prologue + hex("48 b8 e9 f4 ff ff ff 00 00 00 c3")).succeeded)
    }

    @Test func aLongWayBackIsFound() {
        // 300 bytes of nops, then jmp 0x401003: no short branch reaches that far, and none is looked for.
        let filler = [UInt8](repeating: 0x90, count: 300)
        let distance = Int32(3 - (Self.prologue.count + 300 + 5))
        let jump = [0xe9] + withUnsafeBytes(of: distance.littleEndian) { Array($0) }
        let relocation = Relocation(Self.prologue + filler + jump)
        #expect(!relocation.succeeded)
        expect(relocation.refusal.reason, equals: HP_BRANCH_INTO_PROLOGUE)
        expect(relocation.refusal.address, equals: Relocation.entry + 306)
        expect(relocation.refusal.operand, equals: Relocation.entry + 3)
    }

    /// Branches of every form, at many distances, to each of the first eight bytes.
    @Test func prefilterMissesNoBranch() {
        var generator = SeededGenerator(seed: testSeed())
        for _ in 0..<4000 {
            let target = Int.random(in: 0..<8, using: &generator)
            let gap = Int.random(in: 0..<140, using: &generator)
            let start = Self.prologue.count + gap
            let form = Int.random(in: 0..<4, using: &generator)
            let opcode: [UInt8] =
                [[0xeb], [0xe9], [0x0f, UInt8.random(in: 0x80...0x8f, using: &generator)], [0xe2]][form]
            let short = form == 0 || form == 3
            let distance = target - (start + opcode.count + (short ? 1 : 4))
            if short && distance < -128 { continue }
            let bytes = withUnsafeBytes(of: Int32(distance).littleEndian) { Array($0.prefix(short ? 1 : 4)) }
            let code = Self.prologue + [UInt8](repeating: 0x90, count: gap) + opcode + bytes + [0xc3]
            let relocation = Relocation(code)
            expect(relocation.succeeded, equals: !(0..<5).contains(target), "\(hex(code))")
        }
    }

    @Test func findsTheTableOfPositionIndependentCode() {
        let relocation = Relocation(
            Self.prologue + hex("48 8d 15 f3 0f 00 00")  // lea rdx, [0x402000]
                + hex("48 63 04 82")  // movsxd rax, [rdx + rax * 4]
                + hex("48 01 d0")  // add rax, rdx
                + hex("3e ff e0"))  // notrack jmp rax
        #expect(relocation.succeeded)
        expect(relocation.tables, equals: [0x402000])
        #expect(!relocation.raw.unchecked_indirect_jump)
    }

    @Test func findsTheTableOfAbsoluteCode() {
        let relocation = Relocation(Self.prologue + hex("ff 24 c5 00 20 40 00"))  // jmp [0x402000 + rax * 8]
        #expect(relocation.succeeded)
        expect(relocation.tables, equals: [0x402000])
    }

    struct Check {
        var code: String
        /// 0: not known.
        var count: UInt32
        var what: String
    }

    /// What stands before `lea rdx, [table]; movsxd rax, [rdx + rax * 4]; add rax, rdx; jmp rax`.
    static let checks = [
        Check(code: "83 f8 05 77 40", count: 6, what: "cmp eax, 5; ja"),
        Check(code: "48 3d 00 01 00 00 0f 87 40 00 00 00", count: 257, what: "cmp rax, 256; ja"),
        Check(code: "83 f8 05 73 40", count: 5, what: "cmp eax, 5; jae"),
        Check(code: "83 f8 ff 77 40", count: 0, what: "cmp eax, -1; ja: any number"),
        Check(code: "83 f8 05 76 40", count: 0, what: "cmp eax, 5; jbe"),
        Check(code: "39 c8 77 40", count: 0, what: "cmp eax, ecx; ja"),
        Check(code: "83 3f 05 77 40", count: 0, what: "cmp [rdi], 5; ja"),
        Check(code: "83 ff 05 77 40 89 f8", count: 6, what: "cmp edi, 5; ja; mov eax, edi"),
        Check(code: "83 ff 05 77 40 48 63 c7", count: 6, what: "cmp edi, 5; ja; movsxd rax, edi"),
        Check(code: "83 ff 05 77 40 0f b6 c7", count: 0, what: "cmp edi, 5; ja; movzx eax, bh"),
        Check(code: "83 ff 05 77 40 66 89 f8", count: 0, what: "cmp edi, 5; ja; mov ax, di"),
        Check(code: "83 f8 05 77 40 48 98", count: 6, what: "cmp eax, 5; ja; cdqe"),
        Check(code: "83 f8 05 77 40 89 c8", count: 0, what: "cmp eax, 5; ja; mov eax, ecx"),
        Check(code: "83 f8 05 77 40 ff c0", count: 0, what: "cmp eax, 5; ja; inc eax"),
        Check(code: "83 f8 05 77 40 b4 01", count: 0, what: "cmp eax, 5; ja; mov ah, 1"),
        Check(code: "83 f8 05 77 40 b5 01", count: 6, what: "cmp eax, 5; ja; mov ch, 1"),
        Check(code: "83 f8 05 77 40 49 89 c0", count: 6, what: "cmp eax, 5; ja; mov r8, rax"),
        Check(code: "83 f8 05 77 40 e8 00 00 00 00", count: 0, what: "cmp eax, 5; ja; call"),
        Check(code: "83 f8 05 77 40 0f a2", count: 0, what: "cmp eax, 5; ja; cpuid"),
        Check(code: "83 f8 05 89 f8 77 40", count: 0, what: "cmp eax, 5; mov eax, edi; ja"),
        Check(code: "83 f8 05 85 c9 77 40", count: 0, what: "cmp eax, 5; test ecx, ecx; ja"),
        Check(code: "83 f8 05 89 cf 77 40", count: 6, what: "cmp eax, 5; mov edi, ecx; ja"),
        Check(code: "3c 05 77 40", count: 0, what: "cmp al, 5; ja: the rest of rax is not known"),
        Check(code: "3c 05 77 40 0f b6 c0", count: 6, what: "cmp al, 5; ja; movzx eax, al"),
        Check(code: "3c 05 77 40 0f b7 c0", count: 0, what: "cmp al, 5; ja; movzx eax, ax"),
        Check(code: "0f b6 07 3c 05 77 40", count: 6, what: "movzx eax, [rdi]; cmp al, 5; ja"),
        Check(code: "0f b7 07 3c 05 77 40", count: 0, what: "movzx eax, word [rdi]; cmp al, 5; ja"),
        Check(code: "80 fc 05 77 40", count: 0, what: "cmp ah, 5; ja"),
        Check(code: "66 83 f8 05 77 40 0f b7 c0", count: 6, what: "cmp ax, 5; ja; movzx eax, ax"),
        Check(code: "83 e0 07", count: 8, what: "and eax, 7"),
        Check(code: "24 07", count: 0, what: "and al, 7: the rest of rax is not known"),
        Check(code: "83 f8 05 77 40 e9 00 00 00 00", count: 0, what: "cmp eax, 5; ja; jmp: another way leads here"),
    ]

    @Test(arguments: checks) func countsWhatChecksLeave(check: Check) {
        let relocation = Relocation(
            Self.prologue + hex(check.code) + hex("48 8d 15 00 10 00 00 48 63 04 82 48 01 d0 ff e0")
                + [UInt8](repeating: 0x90, count: 0x60) + hex("c3"))
        #expect(relocation.succeeded, "\(check.what)")
        expect(relocation.tableCounts, equals: [check.count], "\(check.what)")
        #expect(!relocation.raw.unchecked_indirect_jump, "\(check.what)")
        // The same of a table of addresses: jmp [0x402000 + rax * 8].
        let absolute = Relocation(
            Self.prologue + hex(check.code) + hex("ff 24 c5 00 20 40 00") + [UInt8](repeating: 0x90, count: 0x60)
                + hex("c3"))
        #expect(absolute.tables == [0x402000] && absolute.tableCounts == [check.count], "\(check.what)")
    }

    @Test func twoJumpsThroughOneTableNeedTwoChecks() {
        let jump = hex("ff 24 c5 00 20 40 00")  // jmp [0x402000 + rax * 8]
        let check = hex("83 f8 05 77 10")  //      cmp eax, 5; ja
        let end = [UInt8](repeating: 0x90, count: 0x20) + hex("c3")
        expect(Relocation(Self.prologue + check + jump + check + jump + end).tableCounts, equals: [6, 6])
        expect(Relocation(Self.prologue + check + jump + jump + end).tableCounts, equals: [0])
        expect(Relocation(Self.prologue + jump + check + jump + end).tableCounts, equals: [0])
        // Where there is no room for so many checks, some are forgotten, and no table is.
        let many = (0..<Int(HP_TABLE_CAPACITY) + 1).flatMap { _ in check + jump }
        let relocation = Relocation(Self.prologue + many + check + hex("ff 24 c5 00 30 40 00") + end)
        #expect(Set(relocation.tables) == [0x402000, 0x403000] && !relocation.raw.tables_overflowed)
        #expect(relocation.tableCounts.contains(0) && relocation.tableCounts.last == 6)
    }

    @Test func callsInTailPositionAreNoTables() {
        for code in ["ff 25 00 10 00 00", "ff 60 10", "41 ff 64 24 08"] {
            let relocation = Relocation(Self.prologue + hex(code))
            #expect(relocation.succeeded && relocation.tables.isEmpty && !relocation.raw.unchecked_indirect_jump)
        }
    }

    @Test func aJumpThroughARegisterOfUnknownOriginIsUnchecked() {
        let relocation = Relocation(Self.prologue + hex("ff e0"))
        #expect(relocation.succeeded && relocation.tables.isEmpty && relocation.raw.unchecked_indirect_jump)
    }

    @Test func moreTablesThanFitAreSaidToBe() {
        var code = Self.prologue
        for i in 0..<UInt8(HP_TABLE_CAPACITY) + 1 { code += hex("ff 24 c5") + [0, i, 0x40, 0] }
        let relocation = Relocation(code)
        expect(relocation.tables.count, equals: Int(HP_TABLE_CAPACITY))
        #expect(relocation.raw.tables_overflowed)
    }
}
