import HotpatchExpectations
import HotpatchHotLink
import HotpatchMemory
import HotpatchPlan
import Testing

@Suite struct FixupIndirectionTests {
    @Test func slots() {
        expect(GotSlot.bytes(0x1122_3344_5566_7788), equals: [0x88, 0x77, 0x66, 0x55, 0x44, 0x33, 0x22, 0x11])
        expect(GotSlot.bytes(0).count, equals: GotSlot.size)
    }

    private func text(_ architecture: Architecture, slot: UInt64, landingPad: Bool) -> String? {
        let at = Address(0x10_0000)
        return PltEntry.bytes(architecture, at: at, slot: Address(slot), landingPad: landingPad).map { bytes in
            // Capstone before 5 has no name for the landing pad.
            architecture.disassemble(bytes, at: at).map { $0.text == "hint #0x22" ? "bti c" : $0.text }
                .joined(separator: "; ")
        }
    }

    /// An entry jumps to what the slot holds, from wherever it can be reached.
    @Test func entries() {
        expect(text(.x86_64, slot: 0x10_1000, landingPad: false), equals: "jmp qword ptr [rip + 0xffa]")
        expect(text(.x86_64, slot: 0x10_1000, landingPad: true), equals: "endbr64; jmp qword ptr [rip + 0xff6]")
        #expect(text(.x86_64, slot: 0x8010_0005, landingPad: false) != nil)
        expect(text(.x86_64, slot: 0x8010_0006, landingPad: false), equals: nil)
        expect(text(.arm64, slot: 0x10_1000, landingPad: false), equals: "ldr x16, #0x101000; br x16")
        expect(text(.arm64, slot: 0x10_1000, landingPad: true), equals: "bti c; ldr x16, #0x101000; br x16")
        expect(
            text(.arm64, slot: 0x4000_1238, landingPad: true),
            equals: "bti c; adrp x16, #0x40001000; ldr x16, [x16, #0x238]; br x16")
        expect(text(.arm64, slot: 0x1_0010_0000, landingPad: false), equals: nil)
        expect(text(.arm64, slot: 0x10_1004, landingPad: false), equals: nil)
        for architecture in Architecture.allCases {
            let bytes = PltEntry.bytes(
                architecture, at: Address(0x10_0000), slot: Address(0x4000_1238), landingPad: true)
            #expect((bytes?.count ?? 0) <= PltEntry.size)
        }
    }

    /// The end of an instruction, which x86_64 counts from: immediates may follow the field.
    @Test func ends() {
        let code: [UInt8] = [
            0x55,  // push rbp
            0x48, 0x8d, 0x05, 0, 0, 0, 0,  // lea rax, [rip]
            0xc7, 0x05, 0, 0, 0, 0, 7, 0, 0, 0,  // mov dword ptr [rip], 7
            0x80, 0x3d, 0, 0, 0, 0, 1,  // cmp byte ptr [rip], 1
            0xc3,
        ]
        expect(Architecture.x86_64.instructionEnd(in: code, holding: 4), equals: 8)
        expect(Architecture.x86_64.instructionEnd(in: code, holding: 10), equals: 18)
        expect(Architecture.x86_64.instructionEnd(in: code, from: 8, holding: 10), equals: 18)
        expect(Architecture.x86_64.instructionEnd(in: code, holding: 20), equals: 25)
        expect(Architecture.x86_64.instructionEnd(in: code, holding: 25), equals: 26)
        expect(Architecture.x86_64.instructionEnd(in: code, holding: 26), equals: nil)
        expect(Architecture.x86_64.instructionEnd(in: code, from: 8, holding: 4), equals: nil)
        expect(Architecture.x86_64.instructionEnd(in: code, from: -1, holding: 4), equals: nil)
        // Cut off, and unknown.
        expect(Architecture.x86_64.instructionEnd(in: Array(code.prefix(12)), holding: 10), equals: nil)
        expect(Architecture.x86_64.instructionEnd(in: [0x06, 0x90], holding: 1), equals: nil)
        expect(Architecture.arm64.instructionEnd(in: [UInt8](repeating: 0x1f, count: 12), holding: 5), equals: 8)
    }

    @Test func errors() throws {
        func error(_ type: UInt32, _ problem: FixupProblem) throws -> String {
            let row = try #require(FixupTable(.x86_64).row(type))
            return Fixup(row: row, section: ".text", offset: 0x12, addend: -4, symbol: "price").error(problem)
                .description
        }
        try expect(
            error(4, .doesNotFit(value: -0x8000_0001, range: -0x8000_0000...0x7fff_ffff)),
            equals:
                "the relocation R_X86_64_PLT32 at .text+0x12 for price does not fit. Its value is -0x80000001, and the field"
                + " holds -0x80000000 to 0x7fffffff. Lead the call through an entry of the PLT.")
        #expect(try error(2, .doesNotFit(value: 1 << 40, range: -1...1)).contains("Place the object nearer"))
        #expect(try error(5, .unsupported).contains("R_X86_64_COPY at .text+0x12 for price is not supported. Type 5"))
        #expect(
            FixupError.unknown(architecture: .arm64, type: 9999, section: ".data", offset: 8, symbol: "").description
                .hasPrefix("the relocation of type 9999 at .data+0x8 is unknown. The psABI of arm64"))
    }

    @Test func apply() throws {
        let row = try #require(FixupTable(.x86_64).row(2))
        let fixup = Fixup(row: row, section: ".text", offset: 2, addend: -4, symbol: "price")
        var bytes: [UInt8] = [0x48, 0x8d, 0, 0, 0, 0, 0xc3]
        try fixup.apply(to: &bytes, subject: 0x1000, place: Address(0x2002), got: .null)
        expect(bytes, equals: [0x48, 0x8d, 0xfa, 0xef, 0xff, 0xff, 0xc3])
        #expect(throws: FixupError.self) {
            try fixup.apply(to: &bytes, subject: 0x1000, place: Address(0x1_0000_0000), got: .null)
        }
        #expect(throws: FixupError.self) { try fixup.apply(to: &bytes, at: 4, subject: 0, place: .null, got: .null) }
        expect(bytes, equals: [0x48, 0x8d, 0xfa, 0xef, 0xff, 0xff, 0xc3])
    }
}
