#if arch(arm64)
    import CPatchCore
    import CHotpatchVictims
    import Glibc
    import HotpatchTestSupport

    /// The registers a program is called with, or has left. x16 and x17 belong to whoever jumps (AAPCS64 section 6.1.1).
    struct Registers: Equatable {
        static let (x, target, flags, indirect, vectors, stack, count) = (0, 31, 32, 33, 34, 50, 51)
        var words: [UInt64]

        init(using generator: inout some RandomNumberGenerator) {
            words = (0..<Self.count).map { _ in UInt64.random(in: 0...UInt64.max, using: &generator) }
            words[Self.flags] &= 0xf000_0000
        }

        init() { words = [UInt64](repeating: 0, count: Self.count) }

        /// Without what is not a program's.
        var masked: Registers {
            var masked = self
            for index in [16, 17, Self.target, Self.indirect, Self.stack] { masked.words[index] = 0 }
            return masked
        }
    }

    /// Memory to run programs in. The page of entries is guarded, where the machine can: there an indirect jump must land on
    /// `bti`, and a jump into the middle of a function must not look indirect.
    final class Machine {
        /// Where a stub lies, and how it is reached.
        struct Place {
            var name: String
            var stub: Int
        }

        /// By `b`; by `b`, but not by adr; by adrp and br; by adrp, add and br; by a literal.
        static let places = [
            Place(name: "near", stub: 0x4_0000), Place(name: "middle", stub: 64 << 20),
            Place(name: "page", stub: 256 << 20),
            Place(name: "far", stub: 256 << 20 | 0x8_0040), Place(name: "anywhere", stub: 16 << 30),
        ]
        // Offsets from the start, a multiple of the largest page apart.
        static let harness = 0
        static let stack = 0x1_0000
        static let data = 0x2_0000
        static let entry = 0x3_0000
        static let replacement = entry + 0x1000
        static let helper = entry + 0x1100
        private static let initialData = (0..<128).map { UInt8(truncatingIfNeeded: $0 * 7 + 1) }

        static let isGuarding = victim_auxiliary(26) >> 17 & 1 != 0  // AT_HWCAP2, HWCAP2_BTI
        static let isAuthenticating = victim_auxiliary(16) >> 30 & 1 != 0  // AT_HWCAP, HWCAP_PACA
        static let hasAtomics = victim_auxiliary(16) >> 8 & 1 != 0  // HWCAP_ATOMICS
        static let hasHintedBranches = victim_auxiliary(26) >> 44 & 1 != 0  // HWCAP2_HBC

        private let base: UnsafeMutableRawPointer
        private(set) var refusal = hp_refusal()

        init() throws {
            let wanted = UnsafeMutableRawPointer(bitPattern: 0x20_0000_0000)!
            base = wanted
            let all = PROT_READ | PROT_WRITE | PROT_EXEC
            try Self.map(wanted, 0x3_0000, all)
            try Self.map(wanted + Self.entry, 0x1_0000, Self.isGuarding ? all | 0x10 : all)  // PROT_BTI
            // A stub with its slot on the next page.
            for place in Self.places { try Self.map(wanted + (place.stub & ~0xffff), 0x2_0000, all) }
            put(Self.harnessCode, at: Self.harness)
            // bti c; add x0, x0, #1; ret
            put([0xd503_245f, 0x9100_0400, 0xd65f_03c0], at: Self.replacement)
            // bti jc; mov x11, x30; add x6, x6, #1; ret
            put([0xd503_24df, 0xaa1e_03eb, 0x9100_04c6, 0xd65f_03c0], at: Self.helper)
        }

        deinit {
            munmap(base, 0x4_0000)
            for place in Self.places { munmap(base + (place.stub & ~0xffff), 0x2_0000) }
        }

        private static func map(_ address: UnsafeMutableRawPointer, _ size: Int, _ protection: Int32) throws {
            let fixed: Int32 = 0x10_0000  // MAP_FIXED_NOREPLACE
            let found = mmap(address, size, protection, MAP_PRIVATE | MAP_ANONYMOUS | fixed, -1, 0)
            try expect(found == address, "no memory at \(address)")
        }

        func address(_ offset: Int) -> UInt64 { UInt64(UInt(bitPattern: base + offset)) }

        func put(_ words: [UInt32], at offset: Int) {
            (base + offset).copyMemory(from: words, byteCount: words.count * 4)
            victim_flush_code(base + offset, words.count * 4)
        }

        func load(_ code: [UInt32]) {
            put(code + [UInt32](repeating: 0xd420_0ee0, count: 48 - code.count), at: Self.entry)  // brk
        }

        /// Moves the program that is loaded.
        func relocate(_ code: [UInt32], to place: Place) -> hp_relocation? {
            var out = hp_relocation()
            var request = hp_relocation_request(
                code: (base + Self.entry).assumingMemoryBound(to: UInt8.self), code_length: code.count * 4,
                function_length: code.count * 4, entry: address(Self.entry), stub: address(place.stub),
                slot: address(slot(of: place)))
            return hp_relocate(HP_ARCH_ARM64, &request, 0, &out, &refusal) ? out : nil
        }

        private func slot(of place: Place) -> Int { (place.stub | 0xffff) + 1 }

        /// Writes the stub, leading to the replacement, and the detour.
        func patch(_ relocation: hp_relocation, at place: Place) {
            (base + slot(of: place)).storeBytes(of: address(Self.replacement), as: UInt64.self)
            let stub = withUnsafeBytes(of: relocation.stub) { stub in
                Array(stub.bindMemory(to: UInt32.self).prefix(Int(relocation.stub_length) / 4))
            }
            let detour = withUnsafeBytes(of: relocation.detour) { detour in
                Array(detour.bindMemory(to: UInt32.self).prefix(Int(relocation.detour_length) / 4))
            }
            put(stub, at: place.stub)
            put(detour, at: Self.entry + Int(relocation.patch_offset))
        }

        /// Runs the code at an offset.
        /// - Parameter indirect: entered by `blr`, and not by a jump that may land anywhere.
        /// - Returns: the registers it left, and the bytes at `data`.
        func run(at offset: Int, _ registers: Registers, indirect: Bool) -> (Registers, [UInt8]) {
            let data = base + Self.data
            data.copyMemory(from: Self.initialData, byteCount: Self.initialData.count)
            var state = registers
            state.words[20] = address(Self.data)
            state.words[22] = address(Self.helper)
            state.words[Registers.target] = address(offset)
            state.words[Registers.indirect] = indirect ? 1 : 0
            state.words[Registers.stack] = address(Self.stack + 0x8000)
            typealias Harness = @convention(c) (UnsafeMutablePointer<UInt64>) -> Void
            unsafeBitCast(base + Self.harness, to: Harness.self)(&state.words)
            return (state.masked, Array(UnsafeRawBufferPointer(start: data, count: Self.initialData.count)))
        }

        /// Loads all registers, with a stack of the machine's own, calls, and stores all registers.
        private static let harnessCode: [UInt32] = [
            0xa9b5_7bfd,  // stp x29, x30, [sp, #-176]!
            0xa901_53f3,  // stp x19, x20, [sp, #16]
            0xa902_5bf5,  // stp x21, x22, [sp, #32]
            0xa903_63f7,  // stp x23, x24, [sp, #48]
            0xa904_6bf9,  // stp x25, x26, [sp, #64]
            0xa905_73fb,  // stp x27, x28, [sp, #80]
            0x6d06_27e8,  // stp d8, d9, [sp, #96]
            0x6d07_2fea,  // stp d10, d11, [sp, #112]
            0x6d08_37ec,  // stp d12, d13, [sp, #128]
            0x6d09_3fee,  // stp d14, d15, [sp, #144]
            0xf940_c810,  // ldr x16, [x0, #400]
            0x9100_03f1,  // mov x17, sp
            0xa9bf_0211,  // stp x17, x0, [x16, #-16]!
            0x9100_021f,  // mov sp, x16
            0xad48_8400,  // ldp q0, q1, [x0, #272]
            0xad49_8c02,  // ldp q2, q3, [x0, #304]
            0xad4a_9404,  // ldp q4, q5, [x0, #336]
            0xad4b_9c06,  // ldp q6, q7, [x0, #368]
            0xf940_8010,  // ldr x16, [x0, #256]
            0xd51b_4210,  // msr nzcv, x16
            0xf940_7c10,  // ldr x16, [x0, #248]
            0xf940_8411,  // ldr x17, [x0, #264]
            0xa940_8801,  // ldp x1, x2, [x0, #8]
            0xa941_9003,  // ldp x3, x4, [x0, #24]
            0xa942_9805,  // ldp x5, x6, [x0, #40]
            0xa943_a007,  // ldp x7, x8, [x0, #56]
            0xa944_a809,  // ldp x9, x10, [x0, #72]
            0xa945_b00b,  // ldp x11, x12, [x0, #88]
            0xa946_b80d,  // ldp x13, x14, [x0, #104]
            0xf940_3c0f,  // ldr x15, [x0, #120]
            0xa949_4c12,  // ldp x18, x19, [x0, #144]
            0xa94a_5414,  // ldp x20, x21, [x0, #160]
            0xa94b_5c16,  // ldp x22, x23, [x0, #176]
            0xa94c_6418,  // ldp x24, x25, [x0, #192]
            0xa94d_6c1a,  // ldp x26, x27, [x0, #208]
            0xa94e_741c,  // ldp x28, x29, [x0, #224]
            0xf940_0000,  // ldr x0, [x0]
            0xb400_0071,  // cbz x17, 1f
            0xd63f_0200,  // blr x16
            0x1400_0003,  // b 2f
            0x1000_005e,  // 1: adr x30, 2f
            0xd65f_0200,  // ret x16
            0xf940_07f0,  // 2: ldr x16, [sp, #8]
            0xd53b_4211,  // mrs x17, nzcv
            0xf900_8211,  // str x17, [x16, #256]
            0xa900_0600,  // stp x0, x1, [x16]
            0xa901_0e02,  // stp x2, x3, [x16, #16]
            0xa902_1604,  // stp x4, x5, [x16, #32]
            0xa903_1e06,  // stp x6, x7, [x16, #48]
            0xa904_2608,  // stp x8, x9, [x16, #64]
            0xa905_2e0a,  // stp x10, x11, [x16, #80]
            0xa906_360c,  // stp x12, x13, [x16, #96]
            0xa907_3e0e,  // stp x14, x15, [x16, #112]
            0xa909_4e12,  // stp x18, x19, [x16, #144]
            0xa90a_5614,  // stp x20, x21, [x16, #160]
            0xa90b_5e16,  // stp x22, x23, [x16, #176]
            0xa90c_6618,  // stp x24, x25, [x16, #192]
            0xa90d_6e1a,  // stp x26, x27, [x16, #208]
            0xa90e_761c,  // stp x28, x29, [x16, #224]
            0xf900_7a1e,  // str x30, [x16, #240]
            0xad08_8600,  // stp q0, q1, [x16, #272]
            0xad09_8e02,  // stp q2, q3, [x16, #304]
            0xad0a_9604,  // stp q4, q5, [x16, #336]
            0xad0b_9e06,  // stp q6, q7, [x16, #368]
            0xf940_03f1,  // ldr x17, [sp]
            0x9100_023f,  // mov sp, x17
            0xa941_53f3,  // ldp x19, x20, [sp, #16]
            0xa942_5bf5,  // ldp x21, x22, [sp, #32]
            0xa943_63f7,  // ldp x23, x24, [sp, #48]
            0xa944_6bf9,  // ldp x25, x26, [sp, #64]
            0xa945_73fb,  // ldp x27, x28, [sp, #80]
            0x6d46_27e8,  // ldp d8, d9, [sp, #96]
            0x6d47_2fea,  // ldp d10, d11, [sp, #112]
            0x6d48_37ec,  // ldp d12, d13, [sp, #128]
            0x6d49_3fee,  // ldp d14, d15, [sp, #144]
            0xa8cb_7bfd,  // ldp x29, x30, [sp], #176
            0xd65f_03c0,  // ret
        ]
    }
#endif
