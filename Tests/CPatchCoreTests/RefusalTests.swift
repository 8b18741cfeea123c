import CPatchCore
import HotpatchExpectations
import Testing

/// Every reason to refuse, with the instruction that is blamed. The entry is 0x401000, the stub 0x500000.
@Suite struct RefusalTests {
    struct Row: Sendable, CustomTestStringConvertible {
        var code: String
        var assembly: String
        var reason: hp_reason
        var blamed: String
        var functionLength: Int?
        var stub: UInt64
        var line: Int
        var testDescription: String { assembly }

        init(
            _ code: String, _ assembly: String, _ reason: hp_reason, _ blamed: String = "", functionLength: Int? = nil,
            stub: UInt64 = Relocation.stub, line: Int = #line
        ) {
            self.code = code
            self.assembly = assembly
            self.reason = reason
            self.blamed = blamed
            self.functionLength = functionLength
            self.stub = stub
            self.line = line
        }
    }

    static let far: UInt64 = 0x4040_1000

    static let rows = [
        Row("", "nothing", HP_UNREADABLE_ENTRY, functionLength: 0),
        Row("55 48 89 e5", "four bytes of unknown length", HP_UNREADABLE_ENTRY, functionLength: 0),
        Row("55 48 89 e5", "four bytes of a longer function", HP_UNREADABLE_ENTRY, functionLength: 40),
        Row("55 48 8b 05 10 00", "an instruction cut off", HP_UNREADABLE_ENTRY, functionLength: 40),
        Row("c3", "a one-byte function without filler", HP_TOO_SHORT),
        Row("c3 90 90 90", "ret, and filler for four", HP_TOO_SHORT, functionLength: 1),
        Row("c3 55 48 89 e5", "ret, and the next function", HP_TOO_SHORT, functionLength: 1),
        Row("31 c0 c3 f3 90", "pause is no filler", HP_TOO_SHORT, functionLength: 3),
        Row("f3 0f 1e fa c3 90 90 90", "endbr64; ret, and filler for four", HP_TOO_SHORT, functionLength: 5),
        Row("31 c0 90 90 90", "falls off its end", HP_TOO_SHORT, functionLength: 2),
        Row("06 90 90 90 90", "push es, which is no more", HP_UNDECODABLE),
        Row("62 f5 7c 48 58 c1 90", "vaddph, newer than the decoder", HP_UNDECODABLE),
        Row("89 fb ff d0 90 90", "call rax, one byte early", HP_RETURN_INTO_PROLOGUE, "call rax"),
        Row("ff 14 24 90 90", "call [rsp]", HP_UNMOVABLE, "call qword ptr [rsp]"),
        Row("ff 54 24 08 90 90", "call [rsp + 8]", HP_UNMOVABLE, "call qword ptr [rsp + 8]"),
        Row("90 90 90 ff d4", "call rsp", HP_UNMOVABLE, "call rsp"),
        Row("90 90 ff 2b 90", "jmp far", HP_UNMOVABLE, "ljmp [rbx]"),
        Row("c7 f8 10 00 00 00", "xbegin", HP_UNMOVABLE, "xbegin 0x401016"),
        Row("66 e9 10 00 00 00", "jmp with 66", HP_UNMOVABLE, "jmp 0x1014"),
        Row("67 8b 05 10 00 00 00", "mov eax, [eip + 0x10]", HP_UNMOVABLE, "mov eax, dword ptr [eip + 0x10]"),
        Row("eb fe 90 90 90", "while (1)", HP_SELF_LOOP, "jmp 0x401000", functionLength: 2),
        Row("f3 0f 1e fa eb fa 90 90 90 90", "while (1) from endbr64", HP_SELF_LOOP, "jmp 0x401000", functionLength: 6),
        Row("e9 fb ff ff ff", "jmp near to itself", HP_SELF_LOOP, "jmp 0x401000"),
        Row("8b 05 fa ff ff ff", "reads its own entry", HP_ADDRESS_INTO_PROLOGUE, "mov eax, dword ptr [rip - 6]"),
        Row("48 8d 05 fb ff ff ff", "takes an address inside", HP_ADDRESS_INTO_PROLOGUE, "lea rax, [rip - 5]"),
        Row(
            "8b 05 00 00 01 80", "reads too far away", HP_OUT_OF_REACH, "mov eax, dword ptr [rip - 0x7fff0000]",
            stub: far),
        Row("e9 00 00 01 80", "jumps too far away", HP_OUT_OF_REACH, "jmp 0xffffffff80411005", stub: far),
        Row("74 01 48 89 c8 90", "je into an instruction", HP_BRANCH_INTO_PROLOGUE, "je 0x401003"),
        Row("55 48 89 e5 41 57 eb fa", "body jumps to +2", HP_BRANCH_INTO_PROLOGUE, "jmp 0x401002"),
        Row("55 48 89 e5 41 57 0f 84 f5 ff ff ff", "body je to +1", HP_BRANCH_INTO_PROLOGUE, "je 0x401001"),
        Row("55 48 89 e5 41 57 e8 f8 ff ff ff", "body calls +3", HP_BRANCH_INTO_PROLOGUE, "call 0x401003"),
        Row("55 48 89 e5 41 57 f2 e9 f8 ff ff ff", "body bnd jmp to +4", HP_BRANCH_INTO_PROLOGUE, "bnd jmp 0x401004"),
        Row("55 48 89 e5 41 57 c7 f8 f5 ff ff ff", "body xbegin to +1", HP_BRANCH_INTO_PROLOGUE, "xbegin 0x401001"),
        Row("55 48 89 e5 41 57 06 90 eb f8", "jmp behind unknown bytes", HP_BRANCH_INTO_PROLOGUE, "jmp 0x401002"),
        Row("eb 03 48 ff c8 48 85 c0 75 f8 c3", "a loop entered at its end", HP_BRANCH_INTO_PROLOGUE, "jne 0x401002"),
        Row("eb 7e 48 89 e5 90 c3", "a short detour, and the rest", HP_ALREADY_PATCHED, "jmp 0x401080"),
        Row("cc 48 89 e5 90 c3", "a breakpoint", HP_ALREADY_PATCHED, "int3"),
        Row("55 cc 89 e5 90 c3", "a breakpoint further on", HP_ALREADY_PATCHED, "int3"),
        Row("e9 00 10 00 00 41 57 c3", "a detour, and the rest", HP_ALREADY_PATCHED, "jmp 0x402005"),
        Row("f3 0f 1e fa e9 00 10 00 00 41 57 c3", "the same behind endbr64", HP_ALREADY_PATCHED, "jmp 0x402009"),
        Row(
            "ff 25 00 00 00 00 00 10 40 00 00 00 00 00 c3", "a detour through memory", HP_ALREADY_PATCHED,
            "jmp qword ptr [rip]"),
        Row("55 48 89 e5 41 57", "stub too far", HP_DETOUR_OUT_OF_REACH, stub: 0x1_8040_2000),
        Row("55 48 89 e5 41 57", "stub at the end of the world", HP_DETOUR_OUT_OF_REACH, stub: ~0xf),
    ]

    @Test(arguments: rows) func refuses(_ row: Row) {
        let relocation = Relocation(hex(row.code), functionLength: row.functionLength, stub: row.stub)
        let place = SourceLocation(fileID: #fileID, filePath: #filePath, line: row.line, column: 1)
        #expect(!relocation.succeeded, sourceLocation: place)
        let refusal = relocation.refusal
        expect(refusal.reason, equals: row.reason, sourceLocation: place)
        let text = withUnsafeBytes(of: refusal.instruction) { String(decoding: $0.prefix { $0 != 0 }, as: UTF8.self) }
        expect(text, equals: row.blamed, sourceLocation: place)
        // What is blamed is what stands there.
        let offset = Int(refusal.address - Relocation.entry)
        let bytes = withUnsafeBytes(of: refusal.bytes) { Array($0.prefix(Int(refusal.length))) }
        expect(Array(hex(row.code).dropFirst(offset).prefix(bytes.count)), equals: bytes, sourceLocation: place)
        #expect(!String(cString: hp_reason_text(refusal.reason)).isEmpty)
    }

    @Test func refusesAnUnknownArchitecture() {
        let relocation = Relocation([0x90, 0x90, 0x90, 0x90, 0x90], arch: hp_arch(rawValue: 77))
        #expect(!relocation.succeeded)
        expect(relocation.refusal.reason, equals: HP_UNSUPPORTED_ARCHITECTURE)
        expect(hp_detour_reach(hp_arch(rawValue: 77)), equals: 0)
    }

    @Test func everyReasonHasASentenceOfItsOwn() {
        let reasons = (0...HP_ALREADY_PATCHED.rawValue).map { String(cString: hp_reason_text(hp_reason($0))) }
        expect(Set(reasons).count, equals: reasons.count)
        #expect(!reasons.contains("unknown reason"))
    }
}
