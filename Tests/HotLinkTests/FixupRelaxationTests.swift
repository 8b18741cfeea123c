import HotpatchExpectations
import HotpatchHotLink
import HotpatchMemory
import HotpatchPlan
import Testing

/// What linkers make of code, by byte tables: also what the linkers at hand do not make, or only with options.
@Suite struct FixupRelaxationTests {
    struct Case: Sendable {
        var type: UInt32
        /// The field's offset, in both.
        var offset: Int
        var code: [UInt8]
        var live: [UInt8]
        /// Name of the row that tells the field, where it is, and what the addend is raised by; nil: it is refused.
        var expected: Expected?
        var line: Int

        init(
            _ type: UInt32, _ offset: Int, _ code: [UInt8], _ live: [UInt8], _ expected: Expected?, line: Int = #line
        ) {
            (self.type, self.offset, self.code, self.live, self.expected, self.line) = (
                type, offset, code, live, expected, line
            )
        }
    }

    struct Expected: Equatable, Sendable {
        var name: String
        var offset: Int
        var addendChange: Int64
        var value: Int64

        init(_ name: String, _ offset: Int, _ addendChange: Int64, _ value: Int64) {
            (self.name, self.offset, self.addendChange, self.value) = (name, offset, addendChange, value)
        }
    }

    private static let x86_64: [Case] = [
        // call *foo@GOTPCREL(%rip): addr32 call; nop and call; call and nop
        Case(41, 2, [0xff, 0x15, 0, 0, 0, 0], [0xff, 0x15, 1, 0, 0, 0], Expected("GOTPCRELX", 2, 0, 1)),
        Case(41, 2, [0xff, 0x15, 0, 0, 0, 0], [0x67, 0xe8, 1, 0, 0, 0], Expected("PC32", 2, 0, 1)),
        Case(41, 2, [0xff, 0x15, 0, 0, 0, 0], [0x90, 0xe8, 1, 0, 0, 0], Expected("PC32", 2, 0, 1)),
        Case(41, 2, [0xff, 0x15, 0, 0, 0, 0], [0xe8, 1, 0, 0, 0, 0x90], Expected("PC32", 1, 0, 1)),
        Case(41, 2, [0xff, 0x15, 0, 0, 0, 0], [0xe8, 1, 0, 0, 0, 0xcc], nil),
        Case(41, 2, [0xff, 0x15, 0, 0, 0, 0], [0xff, 0x25, 1, 0, 0, 0], nil),
        // jmp *foo@GOTPCREL(%rip): jmp and nop
        Case(41, 2, [0xff, 0x25, 0, 0, 0, 0], [0xe9, 1, 0, 0, 0, 0x90], Expected("PC32", 1, 0, 1)),
        Case(41, 2, [0xff, 0x25, 0, 0, 0, 0], [0x67, 0xe8, 0, 0, 0, 0x90], nil),
        // mov foo@GOTPCREL(%rip), %ecx: lea; mov $foo
        Case(41, 2, [0x8b, 0x0d, 0, 0, 0, 0], [0x8d, 0x0d, 1, 0, 0, 0], Expected("PC32", 2, 0, 1)),
        Case(41, 2, [0x8b, 0x0d, 0, 0, 0, 0], [0xc7, 0xc1, 1, 0, 0, 0], Expected("32", 2, 4, 1)),
        Case(41, 2, [0x8b, 0x0d, 0, 0, 0, 0], [0xc7, 0xc2, 1, 0, 0, 0], nil),
        Case(41, 2, [0x8b, 0x0d, 0, 0, 0, 0], [0x8d, 0x15, 1, 0, 0, 0], nil),
        // mov foo@GOTPCREL(%rip), %r9: lea; mov $foo, with R moved to B
        Case(42, 3, [0x4c, 0x8b, 0x0d, 0, 0, 0, 0], [0x4c, 0x8d, 0x0d, 1, 0, 0, 0], Expected("PC32", 3, 0, 1)),
        Case(
            42, 3, [0x4c, 0x8b, 0x0d, 0, 0, 0, 0], [0x49, 0xc7, 0xc1, 0xff, 0xff, 0xff, 0xff], Expected("32S", 3, 4, -1)
        ),
        Case(42, 3, [0x4c, 0x8b, 0x0d, 0, 0, 0, 0], [0x4c, 0xc7, 0xc1, 1, 0, 0, 0], nil),
        // test %r9, foo@GOTPCREL(%rip); cmp foo@GOTPCREL(%rip), %rsi
        Case(42, 3, [0x4c, 0x85, 0x0d, 0, 0, 0, 0], [0x49, 0xf7, 0xc1, 1, 0, 0, 0], Expected("32S", 3, 4, 1)),
        Case(42, 3, [0x48, 0x3b, 0x35, 0, 0, 0, 0], [0x48, 0x81, 0xfe, 1, 0, 0, 0], Expected("32S", 3, 4, 1)),
        Case(42, 3, [0x48, 0x3b, 0x35, 0, 0, 0, 0], [0x48, 0x81, 0xf6, 1, 0, 0, 0], nil),
        // mov foo@GOTPCREL(%rip), %r25: REX2, R4 and R3 moved to B4 and B3
        Case(
            43, 4, [0xd5, 0x4c, 0x8b, 0x0d, 0, 0, 0, 0], [0xd5, 0x19, 0xc7, 0xc1, 1, 0, 0, 0], Expected("32S", 4, 4, 1)),
        Case(
            43, 4, [0xd5, 0x4c, 0x8b, 0x0d, 0, 0, 0, 0], [0xd5, 0x4c, 0x8d, 0x0d, 1, 0, 0, 0], Expected("PC32", 4, 0, 1)
        ),
        // GOTPCREL: of older assemblers, only mov to lea
        Case(9, 3, [0x48, 0x8b, 0x05, 0, 0, 0, 0], [0x48, 0x8d, 0x05, 1, 0, 0, 0], Expected("PC32", 3, 0, 1)),
        Case(9, 3, [0x48, 0x8b, 0x05, 0, 0, 0, 0], [0x48, 0xc7, 0xc0, 1, 0, 0, 0], nil),
        // A word of data is only that.
        Case(9, 0, [0, 0, 0, 0], [1, 0, 0, 0], Expected("GOTPCREL", 0, 0, 1)),
        // mov, add x@gottpoff(%rip)
        Case(
            22, 3, [0x4c, 0x8b, 0x1d, 0, 0, 0, 0], [0x49, 0xc7, 0xc3, 0xf8, 0xff, 0xff, 0xff],
            Expected("TPOFF32", 3, 4, -8)),
        Case(
            22, 3, [0x4c, 0x03, 0x15, 0, 0, 0, 0], [0x4d, 0x8d, 0x92, 0xf8, 0xff, 0xff, 0xff],
            Expected("TPOFF32", 3, 4, -8)),
        Case(
            22, 3, [0x4c, 0x03, 0x25, 0, 0, 0, 0], [0x49, 0x81, 0xc4, 0xf8, 0xff, 0xff, 0xff],
            Expected("TPOFF32", 3, 4, -8)),
        Case(22, 3, [0x4c, 0x03, 0x15, 0, 0, 0, 0], [0x4d, 0x8d, 0x93, 0xf8, 0xff, 0xff, 0xff], nil),
        // As a base, r12 needs another byte.
        Case(22, 3, [0x4c, 0x03, 0x25, 0, 0, 0, 0], [0x4d, 0x8d, 0xa4, 0xf8, 0xff, 0xff, 0xff], nil),
        Case(
            44, 4, [0xd5, 0x48, 0x8b, 0x05, 0, 0, 0, 0], [0xd5, 0x18, 0xc7, 0xc0, 0xf8, 0xff, 0xff, 0xff],
            Expected("TPOFF32", 4, 4, -8)),
        // lea x@tlsdesc(%rip), %rax and call *x@tlscall(%rax)
        Case(34, 3, [0x48, 0x8d, 0x05, 0, 0, 0, 0], [0x48, 0x8b, 0x05, 1, 0, 0, 0], Expected("GOTTPOFF", 3, 0, 1)),
        Case(
            34, 3, [0x48, 0x8d, 0x05, 0, 0, 0, 0], [0x48, 0xc7, 0xc0, 0xf8, 0xff, 0xff, 0xff],
            Expected("TPOFF32", 3, 4, -8)),
        Case(35, 0, [0xff, 0x10], [0x66, 0x90], Expected("NONE", 0, 0, 0)),
        Case(35, 0, [0xff, 0x10], [0xff, 0x10], Expected("TLSDESC_CALL", 0, 0, 0)),
        Case(35, 0, [0xff, 0x10], [0x90, 0x90], nil),
        // lea x@tlsgd(%rip), %rdi and call: mov %fs:0, %rax and lea x@tpoff(%rax), %rax; or add x@gottpoff(%rip), %rax
        Case(
            19, 4, [0x66, 0x48, 0x8d, 0x3d, 0, 0, 0, 0, 0x66, 0x66, 0x48, 0xe8, 0, 0, 0, 0],
            [0x64, 0x48, 0x8b, 0x04, 0x25, 0, 0, 0, 0, 0x48, 0x8d, 0x80, 0xf8, 0xff, 0xff, 0xff],
            Expected("TPOFF32", 12, 4, -8)),
        Case(
            19, 4, [0x66, 0x48, 0x8d, 0x3d, 0, 0, 0, 0, 0x66, 0x48, 0xff, 0x15, 0, 0, 0, 0],
            [0x64, 0x48, 0x8b, 0x04, 0x25, 0, 0, 0, 0, 0x48, 0x03, 0x05, 1, 0, 0, 0], Expected("GOTTPOFF", 12, 0, 1)),
        Case(
            19, 4, [0x66, 0x48, 0x8d, 0x3d, 0, 0, 0, 0, 0x66, 0x66, 0x48, 0xe8, 0, 0, 0, 0],
            [0x64, 0x48, 0x8b, 0x04, 0x25, 8, 0, 0, 0, 0x48, 0x8d, 0x80, 0xf8, 0xff, 0xff, 0xff], nil),
        // lea x@tlsld(%rip), %rdi and call: mov %fs:0, %rax
        Case(
            20, 3, [0x48, 0x8d, 0x3d, 0, 0, 0, 0, 0xe8, 0, 0, 0, 0],
            [0x66, 0x66, 0x66, 0x64, 0x48, 0x8b, 0x04, 0x25, 0, 0, 0, 0], Expected("NONE", 3, 0, 0)),
        Case(
            20, 3, [0x48, 0x8d, 0x3d, 0, 0, 0, 0, 0xff, 0x15, 0, 0, 0, 0],
            [0x66, 0x66, 0x66, 0x66, 0x64, 0x48, 0x8b, 0x04, 0x25, 0, 0, 0, 0], Expected("NONE", 3, 0, 0)),
        Case(
            20, 3, [0x48, 0x8d, 0x3d, 0, 0, 0, 0, 0xe8, 0, 0, 0, 0],
            [0x66, 0x66, 0x65, 0x64, 0x48, 0x8b, 0x04, 0x25, 0, 0, 0, 0], nil),
    ]

    private static func words(_ words: UInt32...) -> [UInt8] {
        words.flatMap { withUnsafeBytes(of: $0.littleEndian, Array.init) }
    }

    private static let nop: UInt32 = 0xd503_201f
    private static let arm64: [Case] = [
        // bl of what is not defined: nop
        Case(283, 0, words(0x9400_0000), words(nop), Expected("NONE", 0, 0, 0)),
        Case(283, 0, words(0x9400_0000), words(0x9400_0001), Expected("CALL26", 0, 0, 4)),
        Case(283, 0, words(0x9400_0000), words(0x1400_0001), nil),
        Case(282, 0, words(0x1400_0000), words(0x17ff_ffff), Expected("JUMP26", 0, 0, -4)),
        // adrp x8 and add x8, x8: nop and adr x8
        Case(275, 0, words(0x9000_0008, 0x9100_0108), words(nop, 0x3000_0008), Expected("NONE", 0, 0, 0)),
        Case(277, 4, words(0x9000_0008, 0x9100_0108), words(nop, 0x3000_0008), Expected("ADR_PREL_LO21", 4, 0, 1)),
        Case(275, 0, words(0x9000_0008, 0x9100_0108), words(nop, 0x3000_0009), nil),
        Case(277, 4, words(0x9000_0008, 0x9100_0108), words(0x9000_0008, 0x3000_0008), nil),
        Case(275, 0, words(0x9000_0008, 0x9100_0109), words(nop, 0x3000_0009), nil),
        Case(275, 0, words(0x9000_0008), words(nop), nil),
        Case(275, 0, words(0x9000_0008), words(0xb000_0008), Expected("ADR_PREL_PG_HI21", 0, 0, 0x1000)),
        // adrp x0 and ldr x0, [x0] of a slot: adrp and add, or nop and adr
        Case(
            311, 0, words(0x9000_0000, 0xf940_0000), words(0xb000_0000, 0xf940_0400),
            Expected("ADR_GOT_PAGE", 0, 0, 0x1000)),
        Case(
            311, 0, words(0x9000_0000, 0xf940_0000), words(0xb000_0000, 0x9100_2000),
            Expected("ADR_PREL_PG_HI21", 0, 0, 0x1000)),
        Case(
            312, 4, words(0x9000_0000, 0xf940_0000), words(0xb000_0000, 0x9100_2000),
            Expected("ADD_ABS_LO12_NC", 4, 0, 8)),
        Case(
            312, 4, words(0x9000_0000, 0xf940_0000), words(0xb000_0000, 0xf940_0400),
            Expected("LD64_GOT_LO12_NC", 4, 0, 8)),
        Case(312, 4, words(0x9000_0000, 0xf940_0000), words(0xb000_0000, 0x9100_2001), nil),
        Case(311, 0, words(0x9000_0000, 0xf940_0000), words(nop, 0x1000_0040), Expected("NONE", 0, 0, 0)),
        Case(312, 4, words(0x9000_0000, 0xf940_0000), words(nop, 0x1000_0040), Expected("ADR_PREL_LO21", 4, 0, 8)),
        // adrp x5 and ldr x5, [x5] of a slot with S - TP: movz and movk
        Case(541, 0, words(0x9000_0005), words(0xd2a0_0025), Expected("TLSLE_MOVW_TPREL_G1", 0, 0, 0x10000)),
        Case(542, 0, words(0xf940_00a5), words(0xf280_0405), Expected("TLSLE_MOVW_TPREL_G0_NC", 0, 0, 0x20)),
        Case(541, 0, words(0x9000_0005), words(0xd2a0_0026), nil),
        Case(542, 0, words(0xf940_00a5), words(0xf2a0_0405), nil),
        // A descriptor's four instructions, of thread-locals of the executable: movz, movk, nop, nop
        Case(562, 0, words(0x9000_0000), words(0xd2a0_0020), Expected("TLSLE_MOVW_TPREL_G1", 0, 0, 0x10000)),
        Case(563, 0, words(0xf940_0001), words(0xf280_0400), Expected("TLSLE_MOVW_TPREL_G0_NC", 0, 0, 0x20)),
        Case(564, 0, words(0x9100_0000), words(nop), Expected("NONE", 0, 0, 0)),
        Case(569, 0, words(0xd63f_0020), words(nop), Expected("NONE", 0, 0, 0)),
        Case(569, 0, words(0xd63f_0020), words(0xd63f_0040), nil),
        // The same of another library's that is there from the start: adrp, ldr, nop, nop
        Case(
            562, 0, words(0x9000_0000, 0xf940_0001), words(0xb000_0000, 0xf940_0400),
            Expected("TLSIE_ADR_GOTTPREL_PAGE21", 0, 0, 0x1000)),
        Case(563, 0, words(0xf940_0001), words(0xf940_0400), Expected("TLSIE_LD64_GOTTPREL_LO12_NC", 0, 0, 8)),
        Case(
            562, 0, words(0x9000_0000, 0xf940_0001), words(0xb000_0000, 0xf940_0401),
            Expected("TLSDESC_ADR_PAGE21", 0, 0, 0x1000)),
    ]

    private func check(_ architecture: Architecture, _ prefix: String, _ cases: [Case]) throws {
        for each in cases {
            let about: Comment = "line \(each.line)"
            let row = try #require(FixupTable(architecture).row(each.type), about)
            let place: LinkedPlace
            do { place = try row.find(in: each.live, from: each.code, at: each.offset) } catch {
                #expect(error == .otherCode && each.expected == nil, about)
                continue
            }
            let found = Expected(
                String(place.row.name.dropFirst(prefix.count)), place.offset, place.addendChange, place.field.value)
            expect(found, equals: each.expected, about)
            // All that differs lies in the mask.
            let mask = try row.mask(of: each.code, at: each.offset)
            for index in each.code.indices where each.code[index] != each.live[index] && architecture == .x86_64 {
                #expect(mask.start <= index && index < mask.start + mask.bits.count, about)
            }
        }
    }

    @Test func x86_64() throws { try check(.x86_64, "R_X86_64_", Self.x86_64) }

    @Test func arm64() throws { try check(.arm64, "R_AARCH64_", Self.arm64) }
}
