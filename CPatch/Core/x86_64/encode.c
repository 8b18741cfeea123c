// The x86_64 instructions that detours and stubs are made of. Encodings: Intel SDM volume 2; every displacement counts
// from the end of its instruction. Twin: arm64/encode.c.
#include "relocator.h"

#include <string.h>

// S − P as a 32-bit displacement, where P is the end of the instruction.
static bool displacement(uint64_t end, uint64_t to, uint8_t out[4]) {
    int64_t distance = (int64_t)(to - end);
    if (distance < INT32_MIN || distance > INT32_MAX) return false;
    int32_t narrow = (int32_t)distance;
    memcpy(out, &narrow, sizeof narrow);
    return true;
}

size_t hp_x86_64_encode_jump(uint8_t *out, uint64_t from, uint64_t to) {
    uint8_t code[] = {
        0xe9, 0, 0, 0, 0,  // jmp to
    };
    if (!displacement(from + sizeof code, to, &code[1])) return 0;
    memcpy(out, code, sizeof code);
    return sizeof code;
}

size_t hp_x86_64_encode_short_jump(uint8_t *out, uint64_t from, uint64_t to) {
    int64_t distance = (int64_t)(to - (from + X86_SHORT_DETOUR_LENGTH));
    if (distance < INT8_MIN || distance > INT8_MAX) return 0;
    uint8_t code[] = {
        0xeb, (uint8_t)distance,  // jmp to
    };
    memcpy(out, code, sizeof code);
    return sizeof code;
}

size_t hp_x86_64_encode_conditional_jump(uint8_t *out, uint64_t from, unsigned condition, uint64_t to) {
    uint8_t code[] = {
        0x0f, (uint8_t)(0x80 | (condition & 15)), 0, 0, 0, 0,  // jcc to
    };
    if (!displacement(from + sizeof code, to, &code[2])) return 0;
    memcpy(out, code, sizeof code);
    return sizeof code;
}

size_t hp_x86_64_encode_island(uint8_t *out, uint64_t from, uint64_t slot) {
    uint8_t code[] = {
        0xff, 0x25, 0, 0, 0, 0,  // jmp *slot(%rip)
    };
    if (!displacement(from + sizeof code, slot, &code[2])) return 0;
    memcpy(out, code, sizeof code);
    return sizeof code;
}

size_t hp_x86_64_encode_constant(uint8_t *out, unsigned register_number, uint64_t value) {
    uint8_t code[] = {
        (uint8_t)(0x48 | (register_number >> 3 & 1)), (uint8_t)(0xb8 | (register_number & 7)),  // movabs $value, %reg
        0, 0, 0, 0, 0, 0, 0, 0,
    };
    memcpy(&code[2], &value, sizeof value);
    memcpy(out, code, sizeof code);
    return sizeof code;
}

// Makes `value` the return address, as a call at another place would have: pushes it, changing no flag and no register.
size_t hp_x86_64_encode_return_address(uint8_t *out, uint64_t value) {
    uint8_t code[] = {
        0x68, 0, 0, 0, 0,                    // push $low          (sign-extended to 8 bytes)
        0xc7, 0x44, 0x24, 0x04, 0, 0, 0, 0,  // movl $high, 4(%rsp)
    };
    uint32_t low = (uint32_t)value, high = (uint32_t)(value >> 32);
    memcpy(&code[1], &low, sizeof low);
    memcpy(&code[9], &high, sizeof high);
    memcpy(out, code, sizeof code);
    return sizeof code;
}
