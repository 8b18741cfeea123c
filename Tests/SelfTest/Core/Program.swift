#if arch(arm64)
    /// A random function. Its first instructions are drawn from `items`; it ends in one of two ways.
    struct Program {
        private(set) var code: [UInt32] = []
        /// The first word is one that an indirect call may land on.
        private(set) var isLandingPad = false
        private(set) var signs = false
        /// No instruction needs what another one left on the stack or in x21.
        private(set) var startsAnywhere = true
        private var branches: [Branch] = []

        /// To the other end of the function; where its displacement lies.
        private struct Branch {
            var at: Int
            var shift: UInt32
            var bits: UInt32
        }

        private enum Item {
            case plain([UInt32])
            case bound([UInt32])  // to be run as a whole
            case data(UInt32)  // a literal load
            case address(UInt32)  // adr of data, adrp of it, or adr of the entry
            case branch(UInt32, shift: UInt32, bits: UInt32)
            case call  // bl helper
        }

        private static let items: [Item] =
            [
                0xaa01_03e2,  // mov x2, x1
                0x8b05_0000,  // add x0, x0, x5
                0xd100_1421,  // sub x1, x1, #5
                0xab03_0042,  // adds x2, x2, x3
                0x6b05_0084,  // subs w4, w4, w5
                0xeb02_003f,  // cmp x1, x2
                0x7200_1c7f,  // tst w3, #0xff
                0x9a87_b0c5,  // csel x5, x6, x7, lt
                0x9b09_7d07,  // mul x7, x8, x9
                0xcaca_1d29,  // eor x9, x9, x10, ror #7
                0x93cc_256a,  // extr x10, x11, x12, #9
                0xd343_398b,  // ubfx x11, x12, #3, #12
                0xd2a2_468c,  // movz x12, #0x1234, lsl #16
                0xf288_acec,  // movk x12, #0x4567
                0xd53b_420e,  // mrs x14, nzcv
                0xd51b_420f,  // msr nzcv, x15
                0xd503_201f,  // nop
                0x1e62_2820,  // fadd d0, d1, d2
                0x9e66_0061,  // fmov x1, d3
                0x9e67_0044,  // fmov d4, x2
                0x4ea7_84c5,  // add v5.4s, v6.4s, v7.4s
                0x0e07_3c45,  // umov w5, v2.b[3]
                0xf900_0681,  // str x1, [x20, #8]
                0xf940_0a82,  // ldr x2, [x20, #16]
                0xad01_0680,  // stp q0, q1, [x20, #32]
                0xa941_9a85,  // ldp x5, x6, [x20, #24]
                0x3dc0_1286,  // ldr q6, [x20, #64]
                0x9100_03e0,  // mov x0, sp
                0xaa1e_03e3,  // mov x3, x30
                0xd503_3fdf,  // isb
                0xfa42_1024,  // ccmp x1, x2, #4, ne
                0x9a03_0041,  // adc x1, x2, x3
            ].map { .plain([$0]) }
            + (Machine.hasAtomics ? [.plain([0xf821_0282]), .plain([0xb823_8284])] : [])  // ldadd, swp
            + [
                .bound([0xaa03_03f0, 0xaa10_03f1, 0x8b11_0204]),  // mov x16, x3; mov x17, x16; add x4, x16, x17
                .bound([0xa9bf_0fe2, 0xa8c1_17e4]),  // stp x2, x3, [sp, #-16]!; ldp x4, x5, [sp], #16
                .bound([0xaa1e_03f5, 0xd63f_02c0, 0xaa15_03fe]),  // mov x21, x30; blr x22; mov x30, x21
                // mov x21, x30; mov x30, x22; blr x30; mov x30, x21
                .bound([0xaa1e_03f5, 0xaa16_03fe, 0xd63f_03c0, 0xaa15_03fe]),
                .call, .call,
                // ldr x3, w4, ldrsw x5, xzr
                .data(0x5800_0003), .data(0x1800_0004), .data(0x9800_0005), .data(0x5800_001f),
                .data(0x1c00_0001), .data(0x5c00_0002), .data(0x9c00_0003), .data(0xd800_0000),  // ldr s1, d2, q3, prfm
                // adr, adrp
                .address(0x1000_0007), .address(0x9000_0008), .address(0x1000_0009), .address(0x1000_001f),
                .branch(0x1400_0000, shift: 0, bits: 26),  // b
                .branch(0x5400_0000, shift: 5, bits: 19), .branch(0x5400_0001, shift: 5, bits: 19),  // b.eq, b.ne
                .branch(0x5400_0008, shift: 5, bits: 19), .branch(0x5400_000b, shift: 5, bits: 19),  // b.hi, b.lt
                .branch(0x5400_000e, shift: 5, bits: 19),  // b.al
                .branch(0xb400_0001, shift: 5, bits: 19), .branch(0x3500_0002, shift: 5, bits: 19),  // cbz x1, cbnz w2
                .branch(0x3618_0003, shift: 5, bits: 14), .branch(0xb708_0004, shift: 5, bits: 14),  // tbz w3, tbnz x4
            ] + (Machine.hasHintedBranches ? [.branch(0x5400_0012, shift: 5, bits: 19)] : [])  // bc.cs

        init(using generator: inout some RandomNumberGenerator) {
            let (paciasp, pacibsp): (UInt32, UInt32) = (0xd503_233f, 0xd503_237f)
            let (bti, btiC, btiJ, btiJC): (UInt32, UInt32, UInt32, UInt32) =
                (0xd503_241f, 0xd503_245f, 0xd503_249f, 0xd503_24df)
            let heads = [
                [], [], [paciasp], [pacibsp], [btiC], [btiJC], [bti], [btiJ], [btiC, paciasp], [btiC, pacibsp],
            ]
            code = heads.randomElement(using: &generator)!
            isLandingPad = code.first.map { [paciasp, pacibsp, btiC, btiJC].contains($0) } ?? false
            signs = code.last == paciasp || code.last == pacibsp
            let signature = code.last
            while code.count < 7 { append(Self.items.randomElement(using: &generator)!, using: &generator) }
            var ends: [[UInt32]] = [[0xd65f_03c0]]  // ret
            if !signs { ends.append([0xd61f_02c0]) }  // br x22
            if signature == paciasp { ends = [[0xd503_23bf, 0xd65f_03c0], [0xd65f_0bff]] }  // autiasp; ret … retaa
            if signature == pacibsp { ends = [[0xd503_23ff, 0xd65f_03c0], [0xd65f_0fff]] }  // autibsp; ret … retab
            if signs && !Machine.isAuthenticating { ends.removeLast() }
            code += [0x9100_0400] + ends.randomElement(using: &generator)!  // add x0, x0, #1
            let other = code.count
            code += [0x9100_1c21] + ends.randomElement(using: &generator)!  // add x1, x1, #7
            for branch in branches { refer(branch, to: other) }
        }

        private mutating func refer(_ branch: Branch, to index: Int) {
            let mask: UInt32 = (1 << branch.bits) - 1
            code[branch.at] |= (UInt32(truncatingIfNeeded: index - branch.at) & mask) << branch.shift
        }

        private mutating func append(_ item: Item, using generator: inout some RandomNumberGenerator) {
            let here = code.count * 4
            switch item {
            case .plain(let words): code += words
            case .bound(let words):
                code += words
                startsAnywhere = false
            case .data(let word):
                let target = Machine.data - Machine.entry + 4 * Int.random(in: 0..<24, using: &generator)
                code.append(word | (UInt32(truncatingIfNeeded: (target - here) / 4) & 0x7ffff) << 5)
            case .address(let word):
                let isPage = word >> 31 != 0
                let target = Bool.random(using: &generator) ? Machine.data - Machine.entry + 3 : 0
                let offset = isPage ? (Machine.data >> 12) - (Machine.entry >> 12) : target - here
                let bits = UInt32(truncatingIfNeeded: offset) & 0x1f_ffff
                code.append(word | (bits & 3) << 29 | (bits >> 2) << 5)
            case .branch(let word, let shift, let bits):
                let branch = Branch(at: code.count, shift: shift, bits: bits)
                code.append(word)
                if Bool.random(using: &generator) {
                    branches.append(branch)
                } else {
                    code.append(0x9100_04c6)  // over: add x6, x6, #1
                    refer(branch, to: code.count)
                }
            case .call:
                startsAnywhere = false
                let distance = (Machine.helper - Machine.entry - here - 4) / 4
                code += [0xaa1e_03f5, 0x9400_0000 | UInt32(distance), 0xaa15_03fe]  // mov x21, x30; bl; mov x30, x21
            }
        }
    }
#endif
