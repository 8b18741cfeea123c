import CPatchCore
import HotpatchExpectations
import Testing

/// What is written outside the relocator, for both architectures on every host.
@Suite struct EncodingTests {
    private func jump(_ arch: hp_arch, _ from: UInt64, _ to: UInt64) -> [UInt8] {
        var out = [UInt8](repeating: 0xa5, count: Int(HP_DETOUR_CAPACITY))
        let length = hp_encode_jump(arch, from, to, &out)
        #expect(out[length...].allSatisfy { $0 == 0xa5 })
        return Array(out[..<length])
    }

    private func island(_ arch: hp_arch, _ from: UInt64, _ slot: UInt64) -> [UInt8] {
        var out = [UInt8](repeating: 0xa5, count: Int(HP_DETOUR_CAPACITY))
        let length = hp_encode_island(arch, from, slot, &out)
        #expect(out[length...].allSatisfy { $0 == 0xa5 })
        return Array(out[..<length])
    }

    @Test func x86_64() {
        expect(jump(HP_ARCH_X86_64, 0x401000, 0x500000), equals: hex("e9 fb ef 0f 00"))  // jmp 0x500000
        expect(jump(HP_ARCH_X86_64, 0x500000, 0x401000), equals: hex("e9 fb 0f f0 ff"))  // jmp 0x401000
        expect(island(HP_ARCH_X86_64, 0x401000, 0x402000), equals: hex("ff 25 fa 0f 00 00"))  // jmp [rip + 0xffa]
    }

    @Test func arm64() {
        expect(jump(HP_ARCH_ARM64, 0x401000, 0x402000), equals: hex("00 04 00 14"))  // b 0x402000
        expect(jump(HP_ARCH_ARM64, 0x402000, 0x401000), equals: hex("00 fc ff 17"))  // b 0x401000
        expect(island(HP_ARCH_ARM64, 0x401000, 0x402000), equals: hex("10 80 00 58 00 02 1f d6"))  // ldr x16; br x16
        expect(
            disassemble(hex("10 80 00 58 00 02 1f d6"), at: 0x401000, arch: HP_ARCH_ARM64),
            equals: "ldr x16, #0x402000; br x16")
    }

    /// Each reads its two words in the next page, as far away as it lies itself in its own.
    @Test(arguments: [4096, 65536]) func thunks(size: Int) {
        func page(_ arch: hp_arch) -> [UInt8] {
            var out = [UInt8](repeating: 0xa5, count: size + 16)
            hp_encode_thunks(arch, &out, size)
            #expect(out[size...].allSatisfy { $0 == 0xa5 })
            let first = Array(out[..<Int(HP_THUNK_SIZE)])
            #expect(
                stride(from: 0, to: size, by: first.count).allSatisfy { Array(out[$0..<$0 + first.count]) == first })
            return first
        }
        let (datum, entry) = (0x401000 + size, 0x401008 + size)
        expect(
            disassemble(Array(page(HP_ARCH_X86_64).dropLast(3)), at: 0x401000, arch: HP_ARCH_X86_64),
            equals: "mov r11, qword ptr [rip + \(hexadecimal(datum - 0x401007))]; "
                + "jmp qword ptr [rip + \(hexadecimal(entry - 0x40100d))]")
        expect(page(HP_ARCH_X86_64).suffix(3), equals: [0xcc, 0xcc, 0xcc])
        expect(
            disassemble(Array(page(HP_ARCH_ARM64).dropFirst(4)), at: 0x401004, arch: HP_ARCH_ARM64),
            equals: "ldr x17, #\(hexadecimal(datum)); ldr x16, #\(hexadecimal(entry)); br x16")
        expect(page(HP_ARCH_ARM64).prefix(4), equals: [0x5f, 0x24, 0x03, 0xd5])  // bti c
        if size == 4096 {
            expect(page(HP_ARCH_X86_64), equals: hex("4c 8b 1d f9 0f 00 00 ff 25 fb 0f 00 00 cc cc cc"))
            expect(page(HP_ARCH_ARM64), equals: hex("5f 24 03 d5 f1 7f 00 58 10 80 00 58 00 02 1f d6"))
        }
    }

    private func hexadecimal(_ value: Int) -> String { "0x" + String(value, radix: 16) }

    @Test func arm64IslandsReachFourGigabytes() {
        let from: UInt64 = 0x10_0000_1000
        func text(_ slot: UInt64) -> String {
            disassemble(island(HP_ARCH_ARM64, from, slot), at: from, arch: HP_ARCH_ARM64)
        }
        expect(text(from + (1 << 20) - 8), equals: "ldr x16, #0x1000100ff8; br x16")
        expect(text(from - (1 << 20)), equals: "ldr x16, #0xffff01000; br x16")
        expect(text(from + (1 << 20)), equals: "adrp x16, #0x1000101000; ldr x16, [x16]; br x16")
        expect(text(from + (4 << 30) - 8), equals: "adrp x16, #0x1100000000; ldr x16, [x16, #0xff8]; br x16")
        expect(text(from - (4 << 30)), equals: "adrp x16, #0xf00001000; ldr x16, [x16]; br x16")
        #expect(text(from + (4 << 30)).isEmpty)
        #expect(text(from - (4 << 30) - 8).isEmpty)
    }

    @Test func farReach() {
        expect(hp_far_detour_reach(HP_ARCH_X86_64), equals: hp_detour_reach(HP_ARCH_X86_64))
        expect(hp_far_detour_reach(HP_ARCH_ARM64), equals: UInt64.max)
        expect(hp_far_detour_reach(hp_arch(rawValue: 77)), equals: 0)
        #expect(hp_may_skip_island(HP_ARCH_X86_64) && !hp_may_skip_island(HP_ARCH_ARM64))
        #expect(!hp_may_skip_island(hp_arch(rawValue: 77)))
    }

    /// An arm64 word is an instruction, whether the decoder knows it or not.
    @Test func wordsThatNoDecoderKnows() {
        expect(
            disassemble(words("d503201f 74020201 d65f03c0"), at: 0, arch: HP_ARCH_ARM64),
            equals: "nop; .word 0x74020201; ret"
        )
        #expect(disassembleOne([1, 2, 3], at: 0, arch: HP_ARCH_ARM64) == ("", 0))
    }

    @Test(arguments: [HP_ARCH_X86_64.rawValue, HP_ARCH_ARM64.rawValue]) func reach(_ raw: UInt32) {
        let arch = hp_arch(rawValue: raw)
        let from: UInt64 = 0x10_0000_0000
        let reach = hp_detour_reach(arch) & ~3
        #expect(!jump(arch, from, from - reach).isEmpty)
        #expect(!jump(arch, from, from + reach - 4).isEmpty)
        #expect(jump(arch, from, from + reach + 0x10).isEmpty)
        #expect(jump(arch, from, from - reach - 0x10).isEmpty)
    }

    @Test func arm64AddressesMustBeAligned() {
        #expect(jump(HP_ARCH_ARM64, 0x401000, 0x402002).isEmpty)
        #expect(island(HP_ARCH_ARM64, 0x401000, 0x402004).isEmpty)
    }

    @Test func disassemblyIsCutNotOverrun() {
        var text = [CChar](repeating: 0x55, count: 8)
        let length = text.withUnsafeMutableBufferPointer { buffer in
            hp_disassemble(HP_ARCH_X86_64, [0x48, 0x89, 0xd8], 3, 0, buffer.baseAddress, 4)
        }
        expect(length, equals: 3)
        expect(text, equals: [0x6d, 0x6f, 0x76, 0, 0x55, 0x55, 0x55, 0x55])  // "mov"
        expect(hp_disassemble(HP_ARCH_X86_64, [0x06], 1, 0, &text, text.count), equals: 0)
        expect(text[0], equals: 0)
    }

    @Test func instructionLengths() {
        let rows: [(String, Int)] = [
            ("90", 1), ("48 b8 01 02 03 04 05 06 07 08", 10), ("66 b8 01 02", 4),
            ("66 48 b8 01 02 03 04 05 06 07 08", 11),
            ("f6 c0 01", 3), ("f6 d0", 2), ("f7 05 00 00 00 00 01 02 03 04", 10), ("c8 10 00 01", 4),
            ("a0 01 02 03 04 05 06 07 08", 9), ("67 a0 01 02 03 04", 6), ("64 48 8b 04 25 28 00 00 00", 9),
            ("c5 f8 77", 3), ("c4 e3 7d 18 c1 01", 6), ("62 f1 7c 48 58 84 24 00 01 00 00", 11), ("0f 38 00 c1", 4),
            ("66 0f 3a 0f c1 08", 6), ("0f 20 05", 3), ("06", 0), ("48 8b 05 00 00 00", 0), ("", 0),
            ("66 66 66 66 66 66 66 66 66 66 66 66 66 66 66 90", 0),
        ]
        for (code, length) in rows {
            expect(hp_instruction_length(HP_ARCH_X86_64, hex(code), hex(code).count), equals: length, "\(code)")
        }
        expect(hp_instruction_length(HP_ARCH_ARM64, [0, 0, 0, 0], 4), equals: 4)
        expect(hp_instruction_length(HP_ARCH_ARM64, [0, 0, 0], 3), equals: 0)
    }
}
