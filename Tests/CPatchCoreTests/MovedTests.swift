import CPatchCore
import HotpatchExpectations
import Testing

/// Every class of instruction, moved: bytes → text. The entry is 0x401000, the stub 0x500000.
@Suite struct MovedTests {
    struct Row: Sendable, CustomTestStringConvertible {
        var code: String
        var assembly: String
        var moved: String
        var functionLength: Int?
        var line: Int
        var testDescription: String { assembly }

        init(_ code: String, _ assembly: String, _ moved: String, functionLength: Int? = nil, line: Int = #line) {
            self.code = code
            self.assembly = assembly
            self.moved = moved
            self.functionLength = functionLength
            self.line = line
        }
    }

    static let rows = [
        Row(
            "55 48 89 e5 41 57", "push rbp; mov rbp, rsp; push r15",
            "push rbp; mov rbp, rsp; push r15; jmp 0x401006"),
        Row(
            "f3 0f 1e fa 55 48 89 e5 53", "endbr64; push rbp; mov rbp, rsp; push rbx",
            "endbr64; push rbp; mov rbp, rsp; push rbx; jmp 0x401009"),
        Row("48 8b 05 10 00 00 00", "mov rax, [rip + 0x10]", "mov rax, qword ptr [rip - 0xfeff8]; jmp 0x401007"),
        Row("83 3d 10 00 00 00 07", "cmp dword [rip + 0x10], 7", "cmp dword ptr [rip - 0xfeff8], 7; jmp 0x401007"),
        Row(
            "c5 fa 10 05 10 00 00 00", "vmovss xmm0, [rip + 0x10]",
            "vmovss xmm0, dword ptr [rip - 0xfeff8]; jmp 0x401008"),
        Row("48 8d 3d f9 ff ff ff", "lea rdi, [entry]", "lea rdi, [rip - 0xff00f]; jmp 0x401007"),
        Row(
            "85 ff 74 10 90 90", "test edi, edi; je +0x10; nop; nop",
            "test edi, edi; je 0x401014; nop; jmp 0x401005"),
        Row("0f 84 10 00 00 00", "je near", "je 0x401016; jmp 0x401006"),
        Row("85 ff 75 fc 90 90", "test; jne entry; nop", "test edi, edi; jne 0x500008; nop; jmp 0x401005"),
        Row("ff cf 90 75 fd 90", "dec edi; 1: nop; jne 1b; nop", "dec edi; nop; jne 0x50000a; jmp 0x401005"),
        Row("74 01 90 90 90 90", "je over a nop", "je 0x50000f; nop; nop; nop; jmp 0x401005"),
        Row("e3 10 90 90 90", "jrcxz", "jrcxz 0x50000c; jmp 0x500011; jmp 0x401012; nop; nop; nop; jmp 0x401005"),
        Row("67 e3 10 90 90", "jecxz", "jecxz 0x50000d; jmp 0x500012; jmp 0x401013; nop; nop; jmp 0x401005"),
        Row(
            "e2 fe 90 90 90", "loop onto itself",
            "loop 0x50000c; jmp 0x500011; jmp 0x500008; nop; nop; nop; jmp 0x401005"),
        Row("e9 10 00 00 00", "jmp (a tail call)", "jmp 0x401015"),
        Row("f2 e9 10 00 00 00", "bnd jmp", "jmp 0x401016"),
        Row("ff 25 10 00 00 00", "jmp [rip + 0x10]", "jmp qword ptr [rip - 0xfeff8]"),
        Row("3e ff e0 90 90 90", "notrack jmp rax, then filler", "jmp rax", functionLength: 3),
        Row("31 c0 c3 0f 1f 00", "xor eax, eax; ret, then filler", "xor eax, eax; ret", functionLength: 3),
        Row("e8 10 00 00 00 90", "call", "push 0x401005; mov dword ptr [rsp + 4], 0; jmp 0x401015"),
        Row(
            "67 e8 10 00 00 00 90", "addr32 call, as the linker relaxes it",
            "push 0x401006; mov dword ptr [rsp + 4], 0; jmp 0x401016"),
        Row("e8 fb ff ff ff 90", "call of the entry", "push 0x401005; mov dword ptr [rsp + 4], 0; jmp 0x401000"),
        Row(
            "ff 15 10 00 00 00 90", "call [rip + 0x10]",
            "push 0x401006; mov dword ptr [rsp + 4], 0; jmp qword ptr [rip - 0xff005]"),
        Row(
            "48 89 fb ff d0 90", "mov rbx, rdi; call rax",
            "mov rbx, rdi; push 0x401005; mov dword ptr [rsp + 4], 0; jmp rax"),
        Row(
            "48 89 fb ff 57 10 90", "mov rbx, rdi; call [rdi + 0x10]",
            "mov rbx, rdi; push 0x401006; mov dword ptr [rsp + 4], 0; jmp qword ptr [rdi + 0x10]"),
        Row(
            "41 ff 54 24 08 90", "call [r12 + 8]",
            "push 0x401005; mov dword ptr [rsp + 4], 0; jmp qword ptr [r12 + 8]"),
        Row("b8 3c 00 00 00 0f 05", "mov eax, 60", "mov eax, 0x3c; jmp 0x401005"),
        Row("89 f8 90 0f 05 c3", "mov; nop; syscall", "mov eax, edi; nop; syscall; jmp 0x401005"),
        Row("c3 cc cc cc cc", "ret, then int3", "ret", functionLength: 1),
        Row("31 c0 c3 cc cc c3", "int3 behind a return, inside the function", "xor eax, eax; ret"),
        Row(
            "e3 01 c3 48 ff c0 c3", "a function that goes on behind its return",
            "jrcxz 0x50000c; jmp 0x500011; jmp 0x500012; ret; inc rax; jmp 0x401006"),
        Row("0f 0b 66 90 90", "ud2, then filler", "ud2", functionLength: 2),
    ]

    @Test(arguments: rows) func moves(_ row: Row) {
        let code = hex(row.code)
        let relocation = Relocation(code, functionLength: row.functionLength)
        let place = SourceLocation(fileID: #fileID, filePath: #filePath, line: row.line, column: 1)
        #expect(relocation.succeeded, "\(relocation.refusal.reason)", sourceLocation: place)
        expect(relocation.text, equals: row.moved, sourceLocation: place)
    }
}
