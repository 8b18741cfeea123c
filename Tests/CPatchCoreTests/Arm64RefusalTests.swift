import CPatchCore
import HotpatchExpectations
import Testing

/// Every reason to refuse arm64 code, with the instruction that is blamed. The entry is 0x401000.
@Suite struct Arm64RefusalTests {
    struct Row: Sendable, CustomTestStringConvertible {
        var code: String
        var assembly: String
        var reason: hp_reason
        var blamed: String
        var stub: UInt64
        var functionLength: Int?
        var line: Int
        var testDescription: String { assembly }

        init(
            _ code: String, _ assembly: String, _ reason: hp_reason, _ blamed: String = "",
            stub: UInt64 = Arm64MovedTests.near, functionLength: Int? = nil, line: Int = #line
        ) {
            self.code = code
            self.assembly = assembly
            self.reason = reason
            self.blamed = blamed
            self.stub = stub
            self.functionLength = functionLength
            self.line = line
        }

        var relocation: Relocation { Relocation(arm64: words(code), functionLength: functionLength, stub: stub) }
    }

    static let page = Arm64MovedTests.page
    static let far = Arm64MovedTests.far

    static let rows = [
        Row("", "nothing", HP_UNREADABLE_ENTRY, functionLength: 0),
        Row("d503201f", "two words needed, one given", HP_UNREADABLE_ENTRY, stub: page, functionLength: 0),
        Row("d503201f", "one word of a longer function", HP_UNREADABLE_ENTRY, stub: page, functionLength: 40),
        Row("d503233f", "paciasp, and nothing", HP_TOO_SHORT),
        Row("d503245f", "bti c, and nothing", HP_TOO_SHORT),
        Row("d65f03c0 d503201f", "ret, and filler for one", HP_TOO_SHORT, stub: far, functionLength: 4),
        Row("d65f03c0 aa0103e0 d65f03c0", "ret, and the next function", HP_TOO_SHORT, stub: page, functionLength: 4),
        Row(
            "aa0103e0 d65f03c0 aa0203e0 d65f03c0", "an 8-byte function, and its neighbour", HP_TOO_SHORT, stub: far,
            functionLength: 8),
        Row("aa0103e0 d503201f d503201f", "falls off its end", HP_TOO_SHORT, stub: page, functionLength: 4),
        Row("00000000 d65f03c0", "zeroed memory", HP_UNDECODABLE, ".word 0x00000000"),
        Row("00000007 d65f03c0", "udf #7", HP_UNDECODABLE, ".word 0x00000007"),
        Row("00010000 d65f03c0", "reserved", HP_UNDECODABLE, ".word 0x00010000"),
        Row("d503201f 00000012 d65f03c0", "reserved further on", HP_UNDECODABLE, ".word 0x00000012", stub: far),
        Row("5500001f d503201f", "retaasppc", HP_UNMOVABLE, ".word 0x5500001f"),
        Row("f380001f d65f03c0", "autiasppc", HP_UNMOVABLE, ".word 0xf380001f"),
        Row("dac1a3fe d65f03c0", "paciasppc", HP_UNMOVABLE, ".word 0xdac1a3fe"),
        Row("dac187fe d65f03c0", "pacnbibsppc", HP_UNMOVABLE, ".word 0xdac187fe"),
        Row("d50324ff d503233f d65f03c0", "pacm; paciasp", HP_UNMOVABLE, "pacm"),
        Row("dc000100 d65f03c0", "an unallocated literal load", HP_UNMOVABLE, ".word 0xdc000100"),
        Row("d73f0822 d65f03c0", "blraa x1, x2", HP_UNMOVABLE, ".word 0xd73f0822"),
        Row("d63f083f d65f03c0", "blraaz x1", HP_UNMOVABLE, ".word 0xd63f083f"),
        // What clang -O2 -march=armv8.8-a makes of a call of memcpy. Where a thread comes to a core that copies differently, the
        // kernel sends it from cpyfm back by one word, from cpyfe by two: to the detour, had cpyfp been moved without them.
        Row("19010440 19410440 19810440 d65f03c0", "cpyfp | cpyfm; cpyfe", HP_UNMOVABLE, ".word 0x19010440"),
        Row(
            "19010440 19410440 19810440 d65f03c0", "cpyfp; cpyfm | cpyfe", HP_UNMOVABLE, ".word 0x19410440", stub: page),
        Row("d503245f 19df0420 19df4420 19df8420", "bti c; setp | setm; sete", HP_UNMOVABLE, ".word 0x19df0420"),
        Row(
            "d503201f d503201f 1d05d440 1d45d440 1d85d440", "cpyptn | cpymtn", HP_UNMOVABLE, ".word 0x1d05d440",
            stub: far
        ),
        Row(
            "d503201f 1ddf0420 1ddf4420 1ddf8420", "setgp; setgm | setge", HP_UNMOVABLE, ".word 0x1ddf4420", stub: far),
        Row("14000000", "while (1)", HP_SELF_LOOP, "b #0x401000"),
        Row("d503245f 17ffffff", "while (1) from bti c", HP_SELF_LOOP, "b #0x401000"),
        Row("d503245f 14000000", "while (1) behind bti c", HP_SELF_LOOP, "b #0x401004"),
        Row("d503233f 14000000", "while (1) behind paciasp", HP_SELF_LOOP, "b #0x401004"),
        Row("5400000e", "b.al onto itself", HP_SELF_LOOP, "b.al #0x401000"),
        Row(
            "d503201f d503201f 17ffffff", "a loop into the second word", HP_BRANCH_INTO_PROLOGUE, "b #0x401004",
            stub: page),
        Row("18000000 d65f03c0", "reads its own entry", HP_ADDRESS_INTO_PROLOGUE, "ldr w0, #0x401000"),
        Row("58ffffe0 d65f03c0", "reads into its own entry", HP_ADDRESS_INTO_PROLOGUE, "ldr x0, #0x400ffc"),
        Row("9cffffc0 d65f03c0", "reads across its own entry", HP_ADDRESS_INTO_PROLOGUE, "ldr q0, #0x400ff8"),
        Row(
            "10000020 d503201f d65f03c0", "takes an address inside", HP_ADDRESS_INTO_PROLOGUE, "adr x0, #0x401004",
            stub: page),
        Row(
            "d503201f 18ffffe0 d65f03c0", "reads the word before", HP_ADDRESS_INTO_PROLOGUE, "ldr w0, #0x401000",
            stub: page),
        Row("94000001 d503201f", "a call of the next word", HP_RETURN_INTO_PROLOGUE, "bl #0x401004", stub: page),
        Row("94000010 d503201f", "bl, one word early", HP_RETURN_INTO_PROLOGUE, "bl #0x401040", stub: page),
        Row("d63f0100 d503201f d503201f", "blr, two words early", HP_RETURN_INTO_PROLOGUE, "blr x8", stub: far),
        Row(
            "d503201f 94000000 d503201f", "a call into the prologue, early", HP_RETURN_INTO_PROLOGUE, "bl #0x401004",
            stub: far),
        Row("d503201f d503201f d503201f 17fffffd", "body jumps to the entry", HP_BRANCH_TO_ENTRY, "b #0x401000"),
        Row("d503201f d503201f 54ffffc1", "body b.ne to the entry", HP_BRANCH_TO_ENTRY, "b.ne #0x401000"),
        Row("d503201f b4ffffe0 d65f03c0", "body cbz to the entry", HP_BRANCH_TO_ENTRY, "cbz x0, #0x401000"),
        Row("d503201f 370fffe0 d65f03c0", "body tbnz to the entry", HP_BRANCH_TO_ENTRY, "tbnz w0, #1, #0x401000"),
        Row("d503201f 74023fe1 d65f03c0", "body cbgt to the entry", HP_BRANCH_TO_ENTRY, ".word 0x74023fe1"),
        Row("d503201f 54fffff0 d65f03c0", "body bc.eq to the entry", HP_BRANCH_TO_ENTRY, ".word 0x54fffff0"),
        Row("d503245f d503201f d503201f 17fffffd", "body jumps to bti c", HP_BRANCH_TO_ENTRY, "b #0x401000"),
        Row("d503245f d503201f d503201f 17fffffe", "body jumps behind bti c", HP_BRANCH_TO_ENTRY, "b #0x401004"),
        Row("d503233f d503201f d503201f 17fffffe", "body jumps behind paciasp", HP_BRANCH_TO_ENTRY, "b #0x401004"),
        Row("d503233f d503201f d503201f 17fffffd", "body jumps to paciasp", HP_BRANCH_TO_ENTRY, "b #0x401000"),
        Row(
            "d503201f d503201f d503201f 17fffffe", "body jumps to +4", HP_BRANCH_INTO_PROLOGUE, "b #0x401004",
            stub: page),
        Row(
            "d503201f d503201f d503201f b5ffffc3", "body cbnz to +4", HP_BRANCH_INTO_PROLOGUE, "cbnz x3, #0x401004",
            stub: page),
        Row(
            "d503201f d503201f d503201f d503201f 3607ffc1", "body tbz to +8", HP_BRANCH_INTO_PROLOGUE,
            "tbz w1, #0, #0x401008", stub: far),
        Row(
            "d503201f d503201f d503201f 97fffffe", "body calls +4", HP_BRANCH_INTO_PROLOGUE, "bl #0x401004", stub: page),
        Row(
            "d503201f d503201f d503201f f4423fc1", "body cbhi to +4", HP_BRANCH_INTO_PROLOGUE, ".word 0xf4423fc1",
            stub: page),
        Row(
            "d503201f d503201f 10ffffe0", "body takes the address of +4", HP_ADDRESS_INTO_PROLOGUE, "adr x0, #0x401004",
            stub: page),
        Row("d503201f d503201f 58ffffc0", "body reads its entry", HP_ADDRESS_INTO_PROLOGUE, "ldr x0, #0x401000"),
        Row("d503201f 18ffffe0", "body reads its entry (w)", HP_ADDRESS_INTO_PROLOGUE, "ldr w0, #0x401000"),
        Row(
            "d503201f d503201f d503201f 9cffff60", "body reads across its entry", HP_ADDRESS_INTO_PROLOGUE,
            "ldr q0, #0x400ff8"),
        Row(
            "ffffffff d503201f 17ffffff", "jump behind an unknown word", HP_BRANCH_INTO_PROLOGUE, "b #0x401004",
            stub: page),
        Row("14000400 d503201f d503201f d65f03c0", "a detour, and the rest", HP_ALREADY_PATCHED, "b #0x402000"),
        Row("d503245f 14000400 d503201f aa0103e0 d65f03c0", "the same behind bti c", HP_ALREADY_PATCHED, "b #0x402004"),
        Row(
            "58000050 d61f0200 00500000 00000000 aa0103e0 d65f03c0", "a detour through a literal", HP_ALREADY_PATCHED,
            "ldr x16, #0x401008"),
        Row("90000051 91004231 d61f0220 aa0103e0", "a detour through adrp", HP_ALREADY_PATCHED, "adrp x17, #0x409000"),
        Row(
            "d2800410 f2a00050 f2c00070 d61f0200 d65f03c0", "a detour through a constant", HP_ALREADY_PATCHED,
            "mov x16, #0x20"),
        Row("d4200000 d65f03c0", "a debugger's breakpoint", HP_ALREADY_PATCHED, ".word 0xd4200000"),
        Row(
            "d503201f d4200000 d65f03c0", "a breakpoint further on", HP_ALREADY_PATCHED, ".word 0xd4200000", stub: page),
        Row("d42000a0 d65f03c0", "a uprobe", HP_ALREADY_PATCHED, ".word 0xd42000a0"),
        Row("d503233f d4200000 d65f03c0", "a breakpoint behind paciasp", HP_ALREADY_PATCHED, ".word 0xd4200000"),
        Row("aa0003f1 aa0103f0 d503201f", "no register to come back through", HP_DETOUR_OUT_OF_REACH, stub: page),
        Row("aa0003f1 aa0103f0 54000200", "no register to leave through", HP_OUT_OF_REACH, "b.eq #0x401048", stub: far),
        Row(
            "aa0003f1 aa0103f0 5c000200", "no register to load through", HP_OUT_OF_REACH, "ldr d0, #0x401048", stub: far
        ),
        Row("aa0003f1 aa0103f0 d63f0060", "no register to call through", HP_UNMOVABLE, "blr x3", stub: far),
        Row("aa0003f1 d503251f d503201f", "chkfeat uses x16", HP_DETOUR_OUT_OF_REACH, stub: page),
    ]

    @Test(arguments: rows) func refuses(_ row: Row) {
        let relocation = row.relocation
        let place = SourceLocation(fileID: #fileID, filePath: #filePath, line: row.line, column: 1)
        #expect(!relocation.succeeded, sourceLocation: place)
        let refusal = relocation.refusal
        expect(refusal.reason, equals: row.reason, sourceLocation: place)
        let bytes = withUnsafeBytes(of: refusal.bytes) { Array($0.prefix(Int(refusal.length))) }
        expect(arm64Text(bytes, at: refusal.address, as: row.blamed), equals: row.blamed, sourceLocation: place)
        // A decoder that does not know it still leaves something to read.
        expect((refusal.instruction.0 == 0), equals: bytes.isEmpty, sourceLocation: place)
        let offset = Int(refusal.address - Relocation.entry)
        expect(Array(words(row.code).dropFirst(offset).prefix(bytes.count)), equals: bytes, sourceLocation: place)
    }

    @Test func placesThatCannotBe() {
        let code = words("a9bf7bfd 910003fd d65f03c0")
        func reason(entry: UInt64 = Relocation.entry, stub: UInt64 = Arm64MovedTests.near, slot: UInt64 = 0x51_0000)
            -> hp_reason
        { Relocation(code, arch: HP_ARCH_ARM64, entry: entry, stub: stub, slot: slot).refusal.reason }
        expect(reason(), equals: HP_OK)
        expect(reason(entry: 0x40_1002), equals: HP_UNREADABLE_ENTRY)
        expect(reason(entry: ~3), equals: HP_UNREADABLE_ENTRY)
        expect(reason(stub: 0x50_0002), equals: HP_DETOUR_OUT_OF_REACH)
        expect(reason(stub: ~0xf), equals: HP_DETOUR_OUT_OF_REACH)
        expect(reason(slot: 0x51_0004), equals: HP_DETOUR_OUT_OF_REACH)  // two stores would be needed to change it
        expect(reason(slot: 0x2_0051_0000), equals: HP_DETOUR_OUT_OF_REACH)
    }
}
