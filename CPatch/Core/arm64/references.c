// What in a stretch of code may refer to a place. Instructions are words, so the pass sees them all as they are; what is data
// between them may look like one. An address in two instructions (adrp, add) counts where the add follows within a few words.
// Twin: x86_64/references.c.
#include "../arch.h"
#include "instruction.h"

enum { PAIR_DISTANCE = 16 * ARM64_WORD };  // bytes between adrp and the add that completes it, at most

typedef struct page {
    uint64_t address;          // what adrp put into the register
    uint64_t set_at;           // the address of the adrp, 0 for none
} page;

// What the word at `address` refers to. False for words that refer to nothing.
static bool refers(uint32_t word, uint64_t address, page pages[32], hp_reference *out) {
    arm64_kind kind = hp_arm64_kind(word);
    out->address = address;
    out->target = hp_arm64_target(word, kind, address);
    out->width = ARM64_WORD;
    switch (kind) {
    case ARM64_JUMP: case ARM64_CONDITION: case ARM64_ZERO: case ARM64_BIT: case ARM64_COMPARE:
        out->kind = HP_REFERENCE_JUMP;
        return true;
    case ARM64_CALL:
        out->kind = HP_REFERENCE_CALL;
        return true;
    case ARM64_ADDRESS: case ARM64_LITERAL:
        out->kind = HP_REFERENCE_ADDRESS;
        return true;
    case ARM64_PAGE:
        pages[arm64_rd(word)] = (page){out->target, address};
        return false;
    default: break;
    }
    if ((word & 0xffc00000) != 0x91000000) return false;                       // add xd, xn, #imm12
    const page *base = &pages[arm64_rn(word)];
    if (base->set_at == 0 || address - base->set_at > PAIR_DISTANCE) return false;
    out->target = base->address + (word >> 10 & 0xfff);
    out->kind = HP_REFERENCE_ADDRESS;
    return true;
}

size_t hp_arm64_find_references(
    const uint8_t *code, size_t length, uint64_t address, const hp_reference_targets *wanted, hp_reach reach, size_t *from,
    hp_reference *out, size_t capacity
) {
    page pages[32] = {{0, 0}};
    size_t count = 0;
    // What was passed already may hold the first half of a pair.
    size_t at = *from > PAIR_DISTANCE ? *from - PAIR_DISTANCE : 0;
    for (; reach == HP_REACH_NEAR && at + ARM64_WORD <= length; at += ARM64_WORD) {
        hp_reference found;
        if (!refers(arm64_word(code + at), address + at, pages, &found) || at < *from) continue;
        if (!hp_is_reference_target(wanted, found.target, (hp_reference_kind)found.kind)) continue;
        if (count == capacity) {
            *from = at;
            return count;
        }
        out[count++] = found;
    }
    *from = length;
    return count;
}

hp_verdict hp_arm64_check_reference(
    const uint8_t *code, size_t length, uint64_t address, const hp_reference *reference, size_t *instruction, size_t *size
) {
    (void)code;
    uint64_t position = reference->address - address;
    if (position >= length || length - position < ARM64_WORD) return HP_VERDICT_UNKNOWN;
    *instruction = (size_t)position;
    *size = ARM64_WORD;
    return HP_VERDICT_REAL;
}
