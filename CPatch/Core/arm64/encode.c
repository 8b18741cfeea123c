// The arm64 instructions that detours and stubs are made of. Encodings: Arm ARM, chapter C6; every displacement counts
// words from the instruction itself. Twin: x86_64/encode.c.
#include "../arch.h"

#include <string.h>

// (S − P) / 4 in the low `bits` bits, where P is the instruction.
static bool displacement(uint64_t from, uint64_t to, unsigned bits, uint32_t *out) {
    int64_t distance = (int64_t)(to - from);
    int64_t limit = (int64_t)1 << (bits + 1);
    if ((distance & 3) != 0 || distance < -limit || distance >= limit) return false;
    *out = (uint32_t)((uint64_t)distance >> 2) & (uint32_t)((1u << bits) - 1);
    return true;
}

size_t hp_arm64_encode_jump(uint8_t *out, uint64_t from, uint64_t to) {
    uint32_t words;
    if (!displacement(from, to, 26, &words)) return 0;
    uint32_t code[] = {
        0x14000000 | words,  // b to
    };
    memcpy(out, code, sizeof code);
    return sizeof code;
}

// `condition` is the architecture's code: 0 is eq, 1 is ne, …
size_t hp_arm64_encode_conditional_jump(uint8_t *out, uint64_t from, unsigned condition, uint64_t to) {
    uint32_t words;
    if (!displacement(from, to, 19, &words)) return 0;
    uint32_t code[] = {
        0x54000000 | words << 5 | (condition & 15),  // b.cond to
    };
    memcpy(out, code, sizeof code);
    return sizeof code;
}

// x16 is the register that the procedure-call standard leaves to veneers (AAPCS64 section 6.1.1).
size_t hp_arm64_encode_island(uint8_t *out, uint64_t from, uint64_t slot) {
    uint32_t words;
    if (!displacement(from, slot, 19, &words)) return 0;
    uint32_t code[] = {
        0x58000010 | words << 5,  // ldr x16, slot
        0xd61f0200,               // br x16
    };
    memcpy(out, code, sizeof code);
    return sizeof code;
}

size_t hp_arm64_encode_constant(uint8_t *out, unsigned register_number, uint64_t value) {
    uint32_t rd = register_number & 31;
    uint32_t code[] = {
        0xd2800000 | (uint32_t)(value & 0xffff) << 5 | rd,        // movz xd, #value[15:0]
        0xf2a00000 | (uint32_t)(value >> 16 & 0xffff) << 5 | rd,  // movk xd, #value[31:16], lsl #16
        0xf2c00000 | (uint32_t)(value >> 32 & 0xffff) << 5 | rd,  // movk xd, #value[47:32], lsl #32
        0xf2e00000 | (uint32_t)(value >> 48 & 0xffff) << 5 | rd,  // movk xd, #value[63:48], lsl #48
    };
    memcpy(out, code, sizeof code);
    return sizeof code;
}

// Makes `value` the return address, as a `bl` at another place would have.
size_t hp_arm64_encode_return_address(uint8_t *out, uint64_t value) {
    return hp_arm64_encode_constant(out, 30, value);
}
