// The body of a function may jump back into its entry, or read data there, and then the entry cannot be overwritten.
// Instructions are words, so one pass sees them all; nothing can hide between two. A literal pool inside the function may
// look like a branch into the entry: then the function is refused without need.
//
// A jump to the entry itself is refused too: the loop it closes would leave the old function in the middle, for the
// replacement. A call of the entry is a recursion, which is meant to reach the replacement.
//
// A computed jump lands on an instruction, so it can only hit a detour that has more than one: then it is reported as
// unchecked. Twin: x86_64/scan.c.
#include "scan.h"

#include "instruction.h"

// Whether the word may be one of the forms that matter here. One in eight is; this decides the speed of the scan.
static bool may_refer(uint32_t word) {
    return (word & 0x1c000000) == 0x14000000 ||  // branches, exceptions, system
           (word & 0x3b000000) == 0x18000000 ||  // literal loads
           (word & 0x9f000000) == 0x10000000;    // adr
}

typedef struct scan {
    uint64_t patch;      // offsets from the entry: of the detour,
    uint64_t end;        // and of the first byte behind it
} scan;

// Why the word at `offset` is in the way, HP_OK if it is not. `offset` becomes what it refers to.
static hp_reason judge(const scan *scan, uint32_t word, uint64_t *offset) {
    arm64_kind kind = hp_arm64_kind(word);
    if (kind == ARM64_PLAIN || kind == ARM64_RESERVED || kind == ARM64_OWN_ADDRESS) return HP_OK;
    uint64_t target = *offset = hp_arm64_target(word, kind, *offset);
    bool inside = target > scan->patch && target < scan->end;
    switch (kind) {
    case ARM64_ADDRESS: return inside ? HP_ADDRESS_INTO_PROLOGUE : HP_OK;
    case ARM64_LITERAL: return arm64_literal_reads(word, target, scan->patch, scan->end) ? HP_ADDRESS_INTO_PROLOGUE : HP_OK;
    case ARM64_CALL: return inside ? HP_BRANCH_INTO_PROLOGUE : HP_OK;
    default: return inside ? HP_BRANCH_INTO_PROLOGUE : target <= scan->patch ? HP_BRANCH_TO_ENTRY : HP_OK;
    }
}

bool hp_arm64_scan_body(
    const hp_relocation_request *request, size_t prologue_end, hp_relocation *out, hp_refusal *refusal
) {
    scan scan = {out->patch_offset, out->patch_offset + out->detour_length};
    bool single = out->detour_length == ARM64_WORD;
    for (size_t at = prologue_end; at + ARM64_WORD <= request->code_length; at += ARM64_WORD) {
        uint32_t word = arm64_word(request->code + at);
        if (!may_refer(word)) continue;
        uint64_t offset = at;
        hp_reason reason = judge(&scan, word, &offset);
        if (reason != HP_OK) {
            return hp_refuse(HP_ARCH_ARM64, refusal, reason, request, at, ARM64_WORD, request->entry + offset);
        }
        bool computed = arm64_is_br(word) || arm64_is_authenticated_br(word);
        if (computed && !single) out->unchecked_indirect_jump = true;
    }
    return true;
}
