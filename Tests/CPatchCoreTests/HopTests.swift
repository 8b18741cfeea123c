import CPatchCore
import HotpatchExpectations
import Testing

/// Detours of two bytes, through padding near by.
@Suite struct HopTests {
    private func relocation(_ code: [UInt8], hop: UInt64, arch: hp_arch = HP_ARCH_X86_64) -> Relocation? {
        var relocation = Relocation(code, arch: arch)
        relocation.succeeded = code.withUnsafeBufferPointer { buffer in
            var request = hp_relocation_request()
            request.code = buffer.baseAddress
            request.code_length = code.count
            request.function_length = code.count
            request.entry = Relocation.entry
            request.stub = Relocation.stub
            request.slot = Relocation.slot
            return hp_relocate(arch, &request, hop, &relocation.raw, &relocation.refusal)
        }
        return relocation.succeeded ? relocation : nil
    }

    /// memmove of glibc: others jump to its third byte.
    static let memmove = hex("48 89 f8 48 83 fa 20 72 07 c5 fe 6f 06 c3")

    @Test func overwritesTwoBytes() throws {
        let found = try #require(relocation(Self.memmove, hop: Relocation.entry - 21))
        expect(found.expectedBytes, equals: hex("48 89"))
        expect(found.detourBytes, equals: hex("eb e9"))  // jmp 0x400feb
        expect(found.text, equals: "mov rax, rdi; jmp 0x401003")
        expect(found.raw.prologue_length, equals: 3)
        expect(found.pairs, equals: [[0, 8], [3, 11]])
        expect(hp_hop_of(HP_ARCH_X86_64, found.detourBytes, 2, Relocation.entry), equals: Relocation.entry - 21)
        expect(hp_hop_of(HP_ARCH_X86_64, Relocation(Self.memmove).detourBytes, 5, Relocation.entry), equals: 0)
    }

    @Test func behindEndbr64() throws {
        let found = try #require(relocation(hex("f3 0f 1e fa") + Self.memmove, hop: Relocation.entry + 100))
        expect(found.raw.patch_offset, equals: 4)
        expect(found.detourBytes, equals: hex("eb 5e"))  // jmp 0x401064
        expect(found.text, equals: "endbr64; mov rax, rdi; jmp 0x401007")
    }

    /// Back to the third byte, for which five would be too many.
    @Test func aLoopOntoTheThirdByte() throws {
        let loop = hex("89 f8 ff c8 48 ff c7 75 f9 c3")  // mov eax, edi; 1: dec eax; inc rdi; jnz 1b; ret
        expect(Relocation(loop).refusal.reason, equals: HP_BRANCH_INTO_PROLOGUE)
        try expect(#require(relocation(loop, hop: Relocation.entry + 64)).text, equals: "mov eax, edi; jmp 0x401002")
        let second = hex("48 89 f8 75 fc c3")  // jnz 0x401001
        #expect(relocation(second, hop: Relocation.entry + 64) == nil)
    }

    @Test(arguments: [(-126, true), (-127, false), (129, true), (130, false), (4096, false)])
    func reach(offset: Int64, isNear: Bool) {
        let hop = UInt64(bitPattern: Int64(Relocation.entry) + offset)
        expect((relocation(Self.memmove, hop: hop) != nil), equals: isNear)
        #expect(relocation(words("d503201f d65f03c0"), hop: hop, arch: HP_ARCH_ARM64) == nil, "arm64 needs none")
    }

    struct Row: Sendable, CustomTestStringConvertible {
        var code: String
        var piece: Int
        var free: Int
        var testDescription: String
    }

    @Test(arguments: [
        Row(code: "31 c0 c3 0f 1f 44 00 00", piece: 3, free: 5, testDescription: "ret; nop of 5"),
        Row(code: "eb 3b 0f 1f 84 00 00 00 00 00", piece: 2, free: 8, testDescription: "jmp; nop of 8"),
        Row(code: "ff e0 cc cc cc 90 90", piece: 2, free: 5, testDescription: "jmp rax; int3 and nops"),
        Row(code: "c3 66 66 2e 0f 1f 84 00 00 00 00 00 90", piece: 1, free: 12, testDescription: "nop of 11"),
        Row(code: "31 c0 90 90 90 90 90", piece: 2, free: 0, testDescription: "xor: runs on"),
        Row(code: "72 10 90 90 90 90 90", piece: 2, free: 0, testDescription: "jb: may run on"),
        Row(code: "e8 00 00 00 00 90 90 90 90 90", piece: 5, free: 0, testDescription: "call: may return"),
        Row(code: "0f 0b 90 90 90 90 90", piece: 2, free: 0, testDescription: "ud2: a handler may go on behind it"),
        Row(code: "c3 00 00 00 00 00", piece: 1, free: 0, testDescription: "zeros are no padding"),
        Row(code: "c3 90 90 31 c0 90", piece: 1, free: 2, testDescription: "code behind two nops"),
        Row(code: "c3 0f 1f 44 00", piece: 1, free: 0, testDescription: "a nop cut off"),
        Row(code: "b8 c3 90 90 90 90", piece: 2, free: 0, testDescription: "the piece ends inside an instruction"),
        Row(code: "06 c3 90 90 90 90 90", piece: 2, free: 0, testDescription: "no instruction"),
        Row(code: "90 90", piece: 0, free: 0, testDescription: "no piece"),
        Row(code: "c3", piece: 9, free: 0, testDescription: "a piece longer than the code"),
    ])
    func freePadding(row: Row) {
        let code = hex(row.code)
        expect(hp_free_padding(HP_ARCH_X86_64, code, code.count, row.piece), equals: row.free)
        expect(hp_free_padding(HP_ARCH_ARM64, code, code.count, row.piece), equals: 0)
    }
}
