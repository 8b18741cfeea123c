import CPatchCore
import HotpatchExpectations
import Testing

/// Every class of arm64 instruction, moved: words → text. The entry is 0x401000.
///
/// Where the decoders of different years differ, the text is a ".word".
@Suite struct Arm64MovedTests {
    struct Row: Sendable, CustomTestStringConvertible {
        var code: String
        var assembly: String
        var moved: String
        var stub: UInt64
        var functionLength: Int?
        var line: Int
        var testDescription: String { assembly }

        init(
            _ code: String, _ assembly: String, _ moved: String, stub: UInt64 = near, functionLength: Int? = nil,
            line: Int = #line
        ) {
            self.code = code
            self.assembly = assembly
            self.moved = moved
            self.stub = stub
            self.functionLength = functionLength
            self.line = line
        }

        var relocation: Relocation { Relocation(arm64: words(code), functionLength: functionLength, stub: stub) }
    }

    /// Within reach of adr; only of `b`; of adrp, at the start of a page and elsewhere; of nothing.
    static let near: UInt64 = 0x50_0000
    static let middle: UInt64 = 0x440_1000
    static let page: UInt64 = 0x1040_1000
    static let far: UInt64 = 0x1040_1040
    static let anywhere: UInt64 = 0x4_0040_1040

    static let rows = [
        Row(
            "a9bf7bfd 910003fd d65f03c0", "stp x29, x30, [sp, #-16]!; mov x29, sp; ret",
            "stp x29, x30, [sp, #-0x10]!; b #0x401004"),
        Row(
            "d503245f a9bf7bfd d65f03c0", "bti c; stp x29, x30, [sp, #-16]!; ret",
            "bti c; stp x29, x30, [sp, #-0x10]!; b #0x401008"),
        Row(
            "d503245f d503233f a9bf7bfd d65f03c0", "bti c; paciasp; stp x29, x30, [sp, #-16]!; ret",
            "bti c; paciasp; b #0x401008"),
        Row(
            "d503233f a9bf7bfd d65f03c0", "paciasp; stp x29, x30, [sp, #-16]!; ret",
            "paciasp; stp x29, x30, [sp, #-0x10]!; b #0x401008"),
        Row("d503237f d10083ff d65f03c0", "pacibsp; sub sp, sp, #32; ret", "pacibsp; sub sp, sp, #0x20; b #0x401008"),
        Row(
            "10000080 d503201f d503201f d503201f d503201f", "adr x0, .+16; nop; nop; nop; nop",
            "adr x0, #0x401010; b #0x401004"),
        Row("10000000 d65f03c0", "adr x0, .; ret", "adr x0, #0x401000; b #0x401004"),
        Row("58000100 d65f03c0", "ldr x0, .+32; ret", "ldr x0, #0x401020; b #0x401004"),
        Row("18000101 d65f03c0", "ldr w1, .+32; ret", "ldr w1, #0x401020; b #0x401004"),
        Row("98000101 d65f03c0", "ldrsw x1, .+32; ret", "ldrsw x1, #0x401020; b #0x401004"),
        Row("1c000101 d65f03c0", "ldr s1, .+32; ret", "ldr s1, #0x401020; b #0x401004"),
        Row("5c000101 d65f03c0", "ldr d1, .+32; ret", "ldr d1, #0x401020; b #0x401004"),
        Row("9c000101 d65f03c0", "ldr q1, .+32; ret", "ldr q1, #0x401020; b #0x401004"),
        Row("d8000100 d65f03c0", "prfm pldl1keep, .+32; ret", "prfm pldl1keep, #0x401020; b #0x401004"),
        Row("5800011f d65f03c0", "ldr xzr, .+32; ret", "ldr xzr, #0x401020; b #0x401004"),
        Row("14000010", "b .+64", "b #0x401040"),
        Row("54000200 d65f03c0", "b.eq .+64; ret", "b.eq #0x401040; b #0x401004"),
        Row("54000211 d65f03c0", "bc.ne .+64; ret", ".word 0x548081d1; b #0x401004"),
        Row("b4000200 d65f03c0", "cbz x0, .+64; ret", "cbz x0, #0x401040; b #0x401004"),
        Row("35000203 d65f03c0", "cbnz w3, .+64; ret", "cbnz w3, #0x401040; b #0x401004"),
        Row("36180200 d65f03c0", "tbz w0, #3, .+64; ret", "tbnz w0, #3, #0x500010; b #0x401040; b #0x401004"),
        Row("b7080200 d65f03c0", "tbnz x0, #33, .+64; ret", "tbz x0, #0x21, #0x500010; b #0x401040; b #0x401004"),
        Row("74020201 d65f03c0", "cbgt w1, w2, .+64; ret", ".word 0x74020041; b #0x500014; b #0x401040; b #0x401004"),
        Row("f5c28201 d65f03c0", "cbeq x1, #5, .+64; ret", ".word 0xf5c28041; b #0x500014; b #0x401040; b #0x401004"),
        Row("74e28201 d65f03c0", "cbbne w1, w2, .+64; ret", ".word 0x74e28041; b #0x500014; b #0x401040; b #0x401004"),
        Row("b4000000 d65f03c0", "cbz x0, .; ret", "cbz x0, #0x500008; b #0x401004"),
        Row("b7080000 d65f03c0", "tbnz x0, #33, .; ret", "tbnz x0, #0x21, #0x500008; b #0x401004"),
        Row("94000010 d65f03c0", "bl .+64; ret", "mov x30, #0x1004; movk x30, #0x40, lsl #16; b #0x401040"),
        Row("94000000 d65f03c0", "bl .; ret", "mov x30, #0x1004; movk x30, #0x40, lsl #16; b #0x401000"),
        Row("d63f0100 d65f03c0", "blr x8; ret", "mov x16, x8; mov x30, #0x1004; movk x30, #0x40, lsl #16; br x16"),
        Row("d63f0200 d65f03c0", "blr x16; ret", "mov x30, #0x1004; movk x30, #0x40, lsl #16; br x16"),
        Row("d63f0220 d65f03c0", "blr x17; ret", "mov x30, #0x1004; movk x30, #0x40, lsl #16; br x17"),
        Row("d63f03c0 d65f03c0", "blr x30; ret", "mov x16, x30; mov x30, #0x1004; movk x30, #0x40, lsl #16; br x16"),
        Row("d61f0040", "br x2", "br x2"),
        Row("d65f03c0", "ret", "ret"),
        Row("d65f0bff", "retaa", ".word 0xd65f0bff"),
        Row("d71f0822", "braa x1, x2", ".word 0xd71f0822"),
        Row(
            "aa0103e0 d65f03c0 aa0203e0", "mov x0, x1; ret, and a neighbour", "mov x0, x1; b #0x401004",
            functionLength: 8),
        Row("d65f03c0 aa0203e0", "ret, a 4-byte function, and a neighbour", "ret", functionLength: 4),
        Row("d4000001 d65f03c0", "svc #0; ret", "svc #0; b #0x401004"),
        Row("d4200020", "brk #1", ".word 0xd4200020; b #0x401004"),
        Row("b8200041 d65f03c0", "ldadd w0, w1, [x2]; ret", ".word 0xb8200041; b #0x401004"),
        Row("2518e3e0 d65f03c0", "ptrue p0.b; ret", ".word 0x2518e3e0; b #0x401004"),
        Row("d65f0200", "ret x16", "ret x16"),
        Row("d503201f", "nop", "nop; b #0x401004"),
        Row("90000040 d65f03c0", "adrp x0, #0x409000; ret", "adr x0, #0x409000; b #0x401004"),
        Row("5400020e", "b.al .+64", "b #0x401040"),
        Row("5400020f", "b.nv .+64", "b #0x401040"),
        Row("d503249f d65f03c0", "bti j; ret", "bti j; ret"),
        Row("d50324df d503201f d65f03c0", "bti jc; nop; ret", "bti jc; nop; b #0x401008"),
        Row("d503241f d503201f d65f03c0", "bti; nop; ret", "bti; nop; b #0x401008"),
        Row("d503233f 14000010", "paciasp; b .+64", "paciasp; b #0x401044"),
        Row("d503233f b4ffffe0 d65f03c0", "paciasp; cbz x0, .-4; ret", "paciasp; cbz x0, #0x50000c; b #0x401008"),
        Row("d503233f d50323bf d65f03c0", "paciasp; autiasp; ret", "paciasp; autiasp; b #0x401008"),
        Row("d503233f 10000000 d65f03c0", "paciasp; adr x0, .; ret", "paciasp; adr x0, #0x401004; b #0x401008"),
        Row("d503245f b4ffffe0 d65f03c0", "bti c; cbz x0, .-4; ret", "bti c; cbz x0, #0x500008; b #0x401008"),
        Row(
            "d503233f 97ffffff d65f03c0", "paciasp; bl .-4; ret",
            "paciasp; mov x30, #0x1008; movk x30, #0x40, lsl #16; b #0x401000"),
        Row("d53b4200 d65f03c0", "mrs x0, nzcv; ret", "mrs x0, nzcv; b #0x401004"),
        Row("9ac20820 d65f03c0", "udiv x0, x1, x2; ret", "udiv x0, x1, x2; b #0x401004"),
        Row("c85f7c20 d65f03c0", "ldxr x0, [x1]; ret", "ldxr x0, [x1]; b #0x401004"),
        Row("d4207d00", "brk #1000", "brk #0x3e8; b #0x401004"),
        Row("c8e0fc41 d65f03c0", "casal x0, x1, [x2]; ret", ".word 0xc8e0fc41; b #0x401004"),
        Row(
            "10000080 d65f03c0 d503201f d503201f d503201f", "adr x0, .+16; ret; nop; nop; nop",
            "adrp x0, #0x401000; add x0, x0, #0x10; b #0x401004", stub: middle),
        Row("1000009f d65f03c0", "adr xzr, .+16; ret", "nop; b #0x401004", stub: middle),
        Row(
            "58000100 d65f03c0", "ldr x0, .+32; ret",
            "adrp x0, #0x401000; add x0, x0, #0x20; ldr x0, [x0]; b #0x401004", stub: middle),
        Row(
            "18000101 d65f03c0", "ldr w1, .+32; ret",
            "adrp x1, #0x401000; add x1, x1, #0x20; ldr w1, [x1]; b #0x401004", stub: middle),
        Row(
            "98000101 d65f03c0", "ldrsw x1, .+32; ret",
            "adrp x1, #0x401000; add x1, x1, #0x20; ldrsw x1, [x1]; b #0x401004", stub: middle),
        Row(
            "1c000101 d65f03c0", "ldr s1, .+32; ret",
            "adrp x16, #0x401000; add x16, x16, #0x20; ldr s1, [x16]; b #0x401004", stub: middle),
        Row(
            "5c000101 d65f03c0", "ldr d1, .+32; ret",
            "adrp x16, #0x401000; add x16, x16, #0x20; ldr d1, [x16]; b #0x401004", stub: middle),
        Row(
            "9c000101 d65f03c0", "ldr q1, .+32; ret",
            "adrp x16, #0x401000; add x16, x16, #0x20; ldr q1, [x16]; b #0x401004", stub: middle),
        Row(
            "d8000100 d65f03c0", "prfm pldl1keep, .+32; ret",
            "adrp x16, #0x401000; add x16, x16, #0x20; prfm pldl1keep, [x16]; b #0x401004", stub: middle),
        Row(
            "5800011f d65f03c0", "ldr xzr, .+32; ret",
            "adrp x16, #0x401000; add x16, x16, #0x20; ldr xzr, [x16]; b #0x401004", stub: middle),
        Row(
            "58000110 d65f03c0", "ldr x16, .+32; ret",
            "adrp x16, #0x401000; add x16, x16, #0x20; ldr x16, [x16]; b #0x401004", stub: middle),
        Row("54000200 d65f03c0", "b.eq .+64; ret", "b.ne #0x4401010; b #0x401040; b #0x401004", stub: middle),
        Row("54000211 d65f03c0", "bc.ne .+64; ret", ".word 0x54000050; b #0x401040; b #0x401004", stub: middle),
        Row("b4000200 d65f03c0", "cbz x0, .+64; ret", "cbnz x0, #0x4401010; b #0x401040; b #0x401004", stub: middle),
        Row("35000203 d65f03c0", "cbnz w3, .+64; ret", "cbz w3, #0x4401010; b #0x401040; b #0x401004", stub: middle),
        Row(
            "36180200 d65f03c0", "tbz w0, #3, .+64; ret", "tbnz w0, #3, #0x4401010; b #0x401040; b #0x401004",
            stub: middle),
        Row(
            "b7080200 d65f03c0", "tbnz x0, #33, .+64; ret", "tbz x0, #0x21, #0x4401010; b #0x401040; b #0x401004",
            stub: middle),
        Row(
            "74020201 d65f03c0", "cbgt w1, w2, .+64; ret", ".word 0x74020041; b #0x4401014; b #0x401040; b #0x401004",
            stub: middle),
        Row(
            "f5c28201 d65f03c0", "cbeq x1, #5, .+64; ret", ".word 0xf5c28041; b #0x4401014; b #0x401040; b #0x401004",
            stub: middle),
        Row("14000010", "b .+64", "b #0x401040", stub: middle),
        Row(
            "94000010 d65f03c0", "bl .+64; ret", "mov x30, #0x1004; movk x30, #0x40, lsl #16; b #0x401040", stub: middle
        ),
        Row(
            "d63f0100 d65f03c0", "blr x8; ret", "mov x16, x8; mov x30, #0x1004; movk x30, #0x40, lsl #16; br x16",
            stub: middle),
        Row("90000040 d65f03c0", "adrp x0, #0x409000; ret", "adrp x0, #0x409000; b #0x401004", stub: middle),
        Row(
            "a9bf7bfd 910003fd d65f03c0", "stp x29, x30, [sp, #-16]!; mov x29, sp; ret",
            "stp x29, x30, [sp, #-0x10]!; mov x29, sp; adrp x16, #0x401000; add x16, x16, #8; ret x16", stub: page),
        Row(
            "d503245f a9bf7bfd 910003fd d65f03c0", "bti c; stp x29, x30, [sp, #-16]!; mov x29, sp; ret",
            "bti c; stp x29, x30, [sp, #-0x10]!; mov x29, sp; adrp x16, #0x401000; add x16, x16, #0xc; ret x16",
            stub: page),
        Row(
            "d503233f a9bf7bfd 17ffffff d65f03c0", "paciasp; stp x29, x30, [sp, #-16]!; b .-4; ret",
            "paciasp; stp x29, x30, [sp, #-0x10]!; b #0x10401010", stub: page),
        Row(
            "d503233f a9bf7bfd 910003fd d65f03c0", "paciasp; stp x29, x30, [sp, #-16]!; mov x29, sp; ret",
            "paciasp; stp x29, x30, [sp, #-0x10]!; mov x29, sp; adrp x16, #0x401000; add x16, x16, #0xc; ret x16",
            stub: page),
        Row(
            "10000080 54000040 d65f03c0 d503201f d503201f", "adr x0, .+16; b.eq .+8; ret; nop; nop",
            "adrp x0, #0x401000; add x0, x0, #0x10; b.ne #0x10401020; adrp x16, #0x401000; add x16, x16, #0xc; ret x16; adrp x16, #0x401000; add x16, x16, #8; ret x16",
            stub: page),
        Row(
            "5c000100 b4000200 d65f03c0", "ldr d0, .+32; cbz x0, .+64; ret",
            "adrp x16, #0x401000; add x16, x16, #0x20; ldr d0, [x16]; cbnz x0, #0x10401024; adrp x16, #0x401000; add x16, x16, #0x44; ret x16; adrp x16, #0x401000; add x16, x16, #8; ret x16",
            stub: page),
        Row(
            "74020081 aa0003f0 d65f03c0 d503201f d503201f", "cbgt w1, w2, .+16; mov x16, x0; ret; nop; nop",
            ".word 0x74020041; b #0x1040101c; adrp x17, #0x401000; add x17, x17, #0x10; ret x17; mov x16, x0; adrp x17, #0x401000; add x17, x17, #8; ret x17",
            stub: page),
        Row("aa0003f1 d65f03c0", "mov x17, x0; ret", "mov x17, x0; ret", stub: page),
        Row(
            "d503201f 94000010", "nop; bl .+64",
            "nop; mov x30, #0x1008; movk x30, #0x40, lsl #16; adrp x16, #0x401000; add x16, x16, #0x44; ret x16",
            stub: page),
        Row(
            "d503201f d63f0060", "nop; blr x3", "nop; mov x16, x3; mov x30, #0x1008; movk x30, #0x40, lsl #16; br x16",
            stub: page),
        Row("d503201f d63f0200", "nop; blr x16", "nop; mov x30, #0x1008; movk x30, #0x40, lsl #16; br x16", stub: page),
        Row(
            "d503201f d63f03c0", "nop; blr x30",
            "nop; mov x16, x30; mov x30, #0x1008; movk x30, #0x40, lsl #16; br x16", stub: page),
        Row(
            "aa0003f0 d63f0060", "mov x16, x0; blr x3",
            "mov x16, x0; mov x17, x3; mov x30, #0x1008; movk x30, #0x40, lsl #16; br x17", stub: page),
        Row(
            "54000040 d65f03c0", "b.eq .+8; ret",
            "b.ne #0x10401018; adrp x16, #0x401000; add x16, x16, #8; ret x16; ret", stub: page),
        Row("b4000000 d65f03c0", "cbz x0, .; ret", "cbz x0, #0x10401008; ret", stub: page),
        Row(
            "d503201f 3607ffe0 d65f03c0", "nop; tbz w0, #0, .-4; ret",
            "nop; tbz w0, #0, #0x10401008; adrp x16, #0x401000; add x16, x16, #8; ret x16", stub: page),
        Row(
            "d503201f 14000000", "nop; b ., a block that ends in a jump to itself", "nop; b #0x1040100c", stub: page),
        Row("14000001 d65f03c0", "b .+4; ret", "b #0x1040100c; ret", stub: page),
        Row("d2800000 d61f0020", "mov x0, #0; br x1", "mov x0, #0; br x1", stub: page),
        Row(
            "19010440 19410440 19810440 d65f03c0", "cpyfp, cpyfm, cpyfe [x0]!, [x1]!, x2!; ret",
            ".word 0x19010440; .word 0x19410440; .word 0x19810440; adrp x16, #0x401000; add x16, x16, #0xc; ret x16",
            stub: far),
        Row(
            "19810440 d503201f d65f03c0", "cpyfe; nop; ret",
            ".word 0x19810440; nop; adrp x16, #0x401000; add x16, x16, #8; ret x16", stub: page),
        Row("d65f03c0 d503201f", "ret; nop", "ret; nop; adrp x16, #0x401000; add x16, x16, #8; ret x16", stub: page),
        Row("d65f03c0 d503201f", "ret; nop", "ret", stub: page, functionLength: 4),
        Row("d65f03c0 00000000", "ret; udf #0", "ret", stub: page, functionLength: 4),
        Row("d65f03c0 d4200020", "ret; brk #1", "ret", stub: page, functionLength: 4),
        Row("d65f0bff d503201f", "retaa; nop", ".word 0xd65f0bff", stub: page, functionLength: 4),
        Row(
            "14000010 d503201f", "b .+64; nop", "adrp x16, #0x401000; add x16, x16, #0x40; ret x16", stub: page,
            functionLength: 4),
        Row(
            "a9bf7bfd 910003fd d503201f d65f03c0", "stp x29, x30, [sp, #-16]!; mov x29, sp; nop; ret",
            "stp x29, x30, [sp, #-0x10]!; mov x29, sp; nop; adrp x16, #0x401000; add x16, x16, #0xc; ret x16", stub: far
        ),
        Row(
            "b4000040 d65f03c0 52800400 d65f03c0", "cbz x0, .+8; ret; mov w0, #32; ret",
            "cbz x0, #0x10401050; ret; mov w0, #0x20; adrp x16, #0x401000; add x16, x16, #0xc; ret x16", stub: far),
        Row("aa0003f0 aa0103f1 d65f03c0", "mov x16, x0; mov x17, x1; ret", "mov x16, x0; mov x17, x1; ret", stub: far),
        Row(
            "a9bf7bfd 910003fd d503201f d503201f d65f03c0", "stp x29, x30, [sp, #-16]!; mov x29, sp; nop; nop; ret",
            "stp x29, x30, [sp, #-0x10]!; mov x29, sp; nop; nop; mov x16, #0x1010; movk x16, #0x40, lsl #16; ret x16",
            stub: anywhere),
        Row(
            "b4000040 d65f03c0 52800400 d65f03c0", "cbz x0, .+8; ret; mov w0, #32; ret",
            "cbz x0, #0x400401050; ret; mov w0, #0x20; ret", stub: anywhere),
        Row(
            "9c000200 1c000280 36080200 74020201 d65f03c0",
            "ldr q0, .+64; ldr s0, .+80; tbz w0, #1, .+64; cbgt w1, w2, .+64; ret",
            "mov x16, #0x1040; movk x16, #0x40, lsl #16; ldr q0, [x16]; mov x16, #0x1054; movk x16, #0x40, lsl #16; ldr s0, [x16]; tbnz w0, #1, #0x400401070; mov x16, #0x1048; movk x16, #0x40, lsl #16; ret x16; .word 0x74020041; b #0x400401084; mov x16, #0x104c; movk x16, #0x40, lsl #16; ret x16; mov x16, #0x1010; movk x16, #0x40, lsl #16; ret x16",
            stub: anywhere),
        Row(
            "10000200 90000001 18000202 94000010 d65f03c0", "adr x0, .+64; adrp x1, .; ldr w2, .+64; bl .+64; ret",
            "mov x0, #0x1040; movk x0, #0x40, lsl #16; mov x1, #0x1000; movk x1, #0x40, lsl #16; mov x2, #0x1048; movk x2, #0x40, lsl #16; ldr w2, [x2]; mov x30, #0x1010; movk x30, #0x40, lsl #16; mov x16, #0x104c; movk x16, #0x40, lsl #16; ret x16",
            stub: anywhere),
        Row(
            "aa0003f0 d8000200 aa0103f1 d65f03c0", "mov x16, x0; prfm pldl1keep, .+64; mov x17, x1; ret",
            "mov x16, x0; nop; mov x17, x1; ret", stub: anywhere),
        Row(
            "d503233f a9bf7bfd 910003fd d503201f d503201f d65f03c0",
            "paciasp; stp x29, x30, [sp, #-16]!; mov x29, sp; nop; nop; ret",
            "paciasp; stp x29, x30, [sp, #-0x10]!; mov x29, sp; nop; nop; mov x16, #0x1014; movk x16, #0x40, lsl #16; ret x16",
            stub: anywhere),
        Row("d65f03c0 d503201f d503201f d503201f", "ret; nop; nop; nop", "ret", stub: anywhere, functionLength: 4),
        Row("d65f03c0 00000000 d503201f d65f03c0", "ret; udf #0; nop; ret", "ret; nop; ret", stub: anywhere),
        Row(
            "aa0103e0 d65f03c0 d503201f 00000000", "mov x0, x1; ret; nop; udf #0", "mov x0, x1; ret", stub: anywhere,
            functionLength: 8),
    ]

    @Test(arguments: rows) func moves(_ row: Row) {
        let relocation = row.relocation
        let place = SourceLocation(fileID: #fileID, filePath: #filePath, line: row.line, column: 1)
        #expect(relocation.succeeded, "\(relocation.refusal.reason)", sourceLocation: place)
        expect(relocation.arm64Text(as: row.moved), equals: row.moved, sourceLocation: place)
    }
}
