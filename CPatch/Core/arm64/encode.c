// The arm64 instructions that detours and stubs are made of. Encodings: Arm ARM, chapter C6; every displacement counts
// words from the instruction itself. Twin: x86_64/encode.c.
#include "encode.h"

#include "instruction.h"

static size_t put(uint8_t *out, const uint32_t *code, size_t count) {
    memcpy(out, code, count * sizeof *code);
    return count * sizeof *code;
}

size_t hp_arm64_encode_jump(uint8_t *out, uint64_t from, uint64_t to) {
    uint32_t code[] = {
        0x14000000,  // b to
    };
    return hp_arm64_retarget(&code[0], ARM64_JUMP, from, to) ? put(out, code, 1) : 0;
}

// x16 is the register that the procedure-call standard leaves to veneers (AAPCS64 section 6.1.1). A single aligned load
// reads the slot, so that whoever jumps while it is rewritten goes to the old place or to the new one.
size_t hp_arm64_encode_island(uint8_t *out, uint64_t from, uint64_t slot) {
    if (slot % sizeof slot != 0) return 0;
    uint32_t code[] = {
        0x58000010,  // ldr x16, slot
        0xd61f0200,  // br x16
    };
    if (hp_arm64_retarget(&code[0], ARM64_LITERAL, from, slot)) return put(out, code, 2);
    uint32_t far[] = {
        0x90000010,                                      // adrp x16, slot
        0xf9400210 | (uint32_t)(slot & 0xfff) >> 3 << 10,  // ldr x16, [x16, #:lo12:slot]
        0xd61f0200,                                      // br x16
    };
    return hp_arm64_retarget(&far[0], ARM64_PAGE, from, slot & ~(uint64_t)0xfff) ? put(out, far, 3) : 0;
}

// As many instructions as `value` has 16-bit parts that are not zero.
size_t hp_arm64_encode_constant(uint8_t *out, unsigned register_number, uint64_t value) {
    uint32_t rd = register_number & 31;
    uint32_t code[4];
    size_t count = 0;
    for (uint32_t half = 0; half < 4; half++) {
        uint32_t part = value >> (16 * half) & 0xffff;
        if (part == 0 && (value != 0 || half > 0)) continue;
        uint32_t mov = count == 0 ? 0xd2800000 : 0xf2800000;  // movz for the first, movk for the others
        code[count++] = mov | half << 21 | part << 5 | rd;    // mov xd, #part, lsl #(16 * half)
    }
    return put(out, code, count);
}

// Makes `value` the return address, as a `bl` at another place would have.
size_t hp_arm64_encode_return_address(uint8_t *out, uint64_t value) {
    return hp_arm64_encode_constant(out, 30, value);
}

size_t hp_arm64_encode_address(uint8_t *out, uint64_t from, unsigned register_number, uint64_t value) {
    uint32_t rd = register_number & 31;
    uint32_t adr = 0x10000000 | rd;   // adr xd, value
    uint32_t code[] = {
        0x90000000 | rd,                                                // adrp xd, value
        0x91000000 | (uint32_t)(value & 0xfff) << 10 | rd << 5 | rd,    // add xd, xd, #:lo12:value
    };
    if (hp_arm64_retarget(&adr, ARM64_ADDRESS, from, value)) return put(out, &adr, 1);
    if (!hp_arm64_retarget(&code[0], ARM64_PAGE, from, value & ~(uint64_t)0xfff)) {
        return hp_arm64_encode_constant(out, rd, value);
    }
    return put(out, code, (value & 0xfff) == 0 ? 1 : 2);
}

size_t hp_arm64_encode_far_jump(uint8_t *out, uint64_t from, unsigned register_number, uint64_t to) {
    size_t length = hp_arm64_encode_address(out, from, register_number, to);
    uint32_t code[] = {
        0xd65f0000 | (register_number & 31) << 5,  // ret xn
    };
    return length + put(out + length, code, 1);
}

size_t hp_arm64_encode_detour(uint8_t *out, uint64_t from, uint64_t to) {
    if ((to & 3) != 0) return 0;
    size_t length = hp_arm64_encode_jump(out, from, to);
    if (length != 0) return length;
    uint32_t near[] = {
        0x90000010,                                        // adrp x16, to
        0x91000210 | (uint32_t)(to & 0xfff) << 10,         // add x16, x16, #:lo12:to
        0xd61f0200,                                        // br x16
    };
    if (hp_arm64_retarget(&near[0], ARM64_PAGE, from, to & ~(uint64_t)0xfff)) {
        if ((to & 0xfff) != 0) return put(out, near, 3);
        near[1] = near[2];
        return put(out, near, 2);
    }
    uint32_t far[] = {
        0x58000050,                                        // ldr x16, 1f
        0xd61f0200,                                        // br x16
        (uint32_t)to, (uint32_t)(to >> 32),                // 1: .quad to
    };
    return put(out, far, 4);
}
