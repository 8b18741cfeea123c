// What in a stretch of code may refer to a place. Like the scan of a body (scan.c), the pass asks of each byte position, without
// decoding, whether a displacement there would lead to what is wanted; no branch can escape the question, whatever stands before
// it. Data, and the middle of other instructions, give hits that are none: hp_x86_64_check_reference tells them.
//
// `lea x(%rip)` counts as well: whoever takes the address of a label inside a function's first bytes may compare a PC with it.
#include "../arch.h"
#include "instruction.h"

#include <string.h>

// What an instruction begins with, as far as one byte tells.
enum { OTHER, REL32, ESCAPED, XBEGIN, LEA, REL8 };

static const uint8_t first_byte[256] = {
    [0xe8] = REL32, [0xe9] = REL32,                                            // call, jmp
    [0x0f] = ESCAPED,                                                          // 0f 80…8f: jcc
    [0xc7] = XBEGIN,                                                           // c7 f8
    [0x8d] = LEA,
    [0x70] = REL8, REL8, REL8, REL8, REL8, REL8, REL8, REL8,                   // jcc
    [0x78] = REL8, REL8, REL8, REL8, REL8, REL8, REL8, REL8,
    [0xe0] = REL8, REL8, REL8, REL8,                                           // loopne, loope, loop, jrcxz
    [0xeb] = REL8,                                                             // jmp
};

typedef struct candidate {
    size_t displacement;       // its offset
    hp_reference_kind kind;
} candidate;

// Whether a 32-bit displacement may belong to what begins at `at`. Six bytes are there.
static bool near_candidate(const uint8_t *code, size_t at, candidate *out) {
    uint8_t second = code[at + 1];
    out->kind = HP_REFERENCE_JUMP;
    out->displacement = at + 2;
    switch (first_byte[code[at]]) {
    case REL32:
        out->displacement = at + 1;
        if (code[at] == 0xe8) out->kind = HP_REFERENCE_CALL;
        return true;
    case ESCAPED: return (second & 0xf0) == 0x80;
    case XBEGIN: return second == 0xf8;
    case LEA:
        out->kind = HP_REFERENCE_ADDRESS;
        return (second & 0xc7) == 0x05;
    default: return false;
    }
}

static size_t find_near(
    const uint8_t *code, size_t length, uint64_t address, const hp_wanted *wanted, size_t *from, hp_reference *out,
    size_t capacity
) {
    enum { SHORTEST = 5 };
    size_t count = 0, at = *from;
    for (; at + SHORTEST <= length; at++) {
        if (__builtin_expect(first_byte[code[at]] == OTHER, 1)) continue;
        candidate found;
        if (!near_candidate(code, at, &found)) continue;
        int32_t distance;
        if (found.displacement + sizeof distance > length) continue;
        memcpy(&distance, code + found.displacement, sizeof distance);
        uint64_t target = address + found.displacement + sizeof distance + (uint64_t)(int64_t)distance;
        if (!hp_is_wanted(wanted, target, found.kind)) continue;
        if (count == capacity) {
            *from = at;
            return count;
        }
        out[count++] = (hp_reference){address + found.displacement, target, (uint8_t)found.kind, sizeof distance};
    }
    *from = length;
    return count;
}

static size_t find_short(
    const uint8_t *code, size_t length, uint64_t address, const hp_wanted *wanted, size_t *from, hp_reference *out,
    size_t capacity
) {
    size_t count = 0;
    for (size_t at = *from; at + 2 <= length; at++) {
        if (first_byte[code[at]] != REL8) continue;
        uint64_t target = address + at + 2 + (uint64_t)(int64_t)(int8_t)code[at + 1];
        if (!hp_is_wanted(wanted, target, HP_REFERENCE_JUMP)) continue;
        if (count == capacity) {
            *from = at;
            return count;
        }
        out[count++] = (hp_reference){address + at + 1, target, HP_REFERENCE_JUMP, 1};
    }
    *from = length;
    return count;
}

size_t hp_x86_64_find_references(
    const uint8_t *code, size_t length, uint64_t address, const hp_wanted *wanted, hp_reach reach, size_t *from,
    hp_reference *out, size_t capacity
) {
    return (reach == HP_REACH_SHORT ? find_short : find_near)(code, length, address, wanted, from, out, capacity);
}

hp_verdict hp_x86_64_check_reference(
    const uint8_t *code, size_t length, uint64_t address, const hp_reference *reference, size_t *instruction, size_t *size
) {
    uint64_t position = reference->address - address;
    size_t at = 0;
    while (at < length && at <= position) {
        x86_instruction found;
        if (hp_x86_parse(code + at, length - at, &found) != X86_PARSED) return HP_VERDICT_UNKNOWN;
        if (position >= at + found.length) {
            at += found.length;
            continue;
        }
        *instruction = at;
        *size = found.length;
        bool lea = found.legacy && found.map == 0 && found.opcode == 0x8d && x86_is_rip_relative(&found);
        bool real = reference->kind == HP_REFERENCE_ADDRESS
            ? lea && at + found.displacement_offset == position
            : hp_x86_is_relative_branch(&found) && at + found.length == position + reference->width &&
                found.immediate_length == reference->width;
        return real ? HP_VERDICT_REAL : HP_VERDICT_NONE;
    }
    return HP_VERDICT_UNKNOWN;
}
