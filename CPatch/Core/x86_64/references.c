// What in a stretch of code may refer to a place. Like the scan of a body (scan.c), the pass asks of each byte position, without
// decoding, whether a displacement there would lead to what is wanted; no branch can escape the question, whatever stands before
// it. Data, and the middle of other instructions, give hits that are none: hp_x86_64_check_reference tells them.
//
// `lea x(%rip)` counts as well: whoever takes the address of a label inside a function's first bytes may compare a PC with it.
#include "../arch.h"
#include "instruction.h"

#ifdef __SSE2__
#include <emmintrin.h>
#endif
#include <string.h>

// What an instruction begins with, as far as one byte tells.
enum { OTHER, CALL, JUMP, ESCAPED, XBEGIN, LEA, FORM_COUNT };

static const uint8_t first_byte[256] = {
    [0xe8] = CALL, [0xe9] = JUMP,
    [0x0f] = ESCAPED,                                                          // 0f 80…8f: jcc
    [0xc7] = XBEGIN,                                                           // c7 f8
    [0x8d] = LEA,
};

// What has a 32-bit displacement, and where that lies.
typedef struct form {
    uint8_t displacement;
    uint8_t kind;              // hp_reference_kind
} form;

static const form forms[FORM_COUNT] = {
    [CALL] = {1, HP_REFERENCE_CALL},
    [JUMP] = {1, HP_REFERENCE_JUMP},
    [ESCAPED] = {2, HP_REFERENCE_JUMP},
    [XBEGIN] = {2, HP_REFERENCE_JUMP},
    [LEA] = {2, HP_REFERENCE_ADDRESS},
};

enum {
    LONGEST = 6,               // bytes of a form with its displacement
    STRETCH = 64,              // bytes that are looked at together
};

typedef uint8_t vector __attribute__((vector_size(16)));

// A bit for each byte whose bits are set.
static inline uint64_t bits_of(vector found) {
#ifdef __SSE2__
    return (uint16_t)_mm_movemask_epi8((__m128i)found);
#else
    static const vector bits = {1, 2, 4, 8, 16, 32, 64, 128, 1, 2, 4, 8, 16, 32, 64, 128};
    found &= bits;
    uint64_t halves[2];
    memcpy(halves, &found, sizeof halves);
    // Adds the eight bytes, no two of which have a bit in common.
    return halves[0] * 0x0101010101010101 >> 56 | halves[1] * 0x0101010101010101 >> 56 << 8;
#endif
}

static inline vector bytes_at(const uint8_t *code) {
    vector bytes;
    memcpy(&bytes, code, sizeof bytes);
    return bytes;
}

// A bit for each of the bytes of a stretch with which a form begins.
static uint64_t form_starts(const uint8_t *code) {
    uint64_t starts = 0;
    for (size_t at = 0; at < STRETCH; at += sizeof(vector)) {
        vector first = bytes_at(code + at), second = bytes_at(code + at + 1);
        vector found = (vector)((first & 0xfe) == 0xe8) |                                        // call, jmp
            ((vector)(first == 0x0f) & (vector)((second & 0xf0) == 0x80)) |                      // jcc
            ((vector)(first == 0x8d) & (vector)((second & 0xc7) == 0x05)) |                      // lea
            ((vector)(first == 0xc7) & (vector)(second == 0xf8));                                // xbegin
        starts |= bits_of(found) << at;
    }
    return starts;
}

// Whether the form at `at` refers to what is wanted. Most do not: what they are is not branched on.
static inline bool is_near_reference(
    const uint8_t *code, uint64_t address, size_t at, const hp_reference_targets *wanted, hp_reference *out
) {
    const form *form = &forms[first_byte[code[at]]];
    uint64_t field = address + at + form->displacement;
    int32_t distance;
    memcpy(&distance, code + at + form->displacement, sizeof distance);
    *out = (hp_reference){field, field + sizeof distance + (uint64_t)(int64_t)distance, form->kind, sizeof distance};
    return hp_is_reference_target(wanted, out->target, (hp_reference_kind)form->kind);
}

static size_t find_near(
    const uint8_t *code, size_t length, uint64_t address, const hp_reference_targets *wanted, size_t *from, hp_reference *out,
    size_t capacity
) {
    size_t count = 0;
    for (size_t at = *from; at < length; at += STRETCH) {
        const uint8_t *stretch = code + at;
        uint8_t last[STRETCH + LONGEST] = {0};
        if (length - at < sizeof last) stretch = memcpy(last, stretch, length - at);
        for (uint64_t starts = form_starts(stretch); starts != 0; starts &= starts - 1) {
            size_t start = (size_t)__builtin_ctzll(starts);
            hp_reference found;
            if (__builtin_expect(!is_near_reference(stretch, address + at, start, wanted, &found), 1)) continue;
            if (found.address - address + found.width > length) continue;
            if (count == capacity) {
                *from = at + start;
                return count;
            }
            out[count++] = found;
        }
    }
    *from = length;
    return count;
}

// A bit for each of the bytes of a stretch with which a short branch may begin that leads to what is wanted, which lies so many
// bytes behind the stretch; as far as the lowest 8 bits of distances tell.
static uint64_t short_starts(const uint8_t *code, uint64_t distance, size_t length) {
    static const vector places = {0, 1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12, 13, 14, 15};
    uint64_t starts = 0;
    for (size_t at = 0; at < STRETCH; at += sizeof(vector)) {
        vector bytes = bytes_at(code + at);
        vector found = (vector)((bytes & 0xf0) == 0x70) | (vector)((bytes & 0xfc) == 0xe0) | (vector)(bytes == 0xeb);
        vector target = bytes_at(code + at + 1) + places + (uint8_t)(at + 2 - distance);
        if (length <= UINT8_MAX) found &= (vector)(target < (uint8_t)length);
        starts |= bits_of(found) << at;
    }
    return starts;
}

static size_t find_short(
    const uint8_t *code, size_t length, uint64_t address, const hp_reference_targets *wanted, size_t *from, hp_reference *out,
    size_t capacity
) {
    size_t count = 0;
    for (size_t at = *from; at + 2 <= length; at += STRETCH) {
        const uint8_t *stretch = code + at;
        uint8_t last[STRETCH + 2] = {0};
        if (length - at < sizeof last) stretch = memcpy(last, stretch, length - at);
        uint64_t starts = short_starts(stretch, wanted->start - (address + at), wanted->length);
        for (; starts != 0; starts &= starts - 1) {
            size_t start = at + (size_t)__builtin_ctzll(starts);
            if (start + 2 > length) break;
            uint64_t target = address + start + 2 + (uint64_t)(int64_t)(int8_t)code[start + 1];
            if (!hp_is_reference_target(wanted, target, HP_REFERENCE_JUMP)) continue;
            if (count == capacity) {
                *from = start;
                return count;
            }
            out[count++] = (hp_reference){address + start + 1, target, HP_REFERENCE_JUMP, 1};
        }
    }
    *from = length;
    return count;
}

size_t hp_x86_64_find_references(
    const uint8_t *code, size_t length, uint64_t address, const hp_reference_targets *wanted, hp_reach reach, size_t *from,
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
