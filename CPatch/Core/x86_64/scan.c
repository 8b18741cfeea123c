// The body of a function may jump back into its entry, and then the entry cannot be overwritten. Almost no function does,
// and a body can be long; so the scan first asks of each byte position, without decoding, "if a branch's displacement
// lay here, would it lead into the entry?". No branch can escape the question, whatever precedes it. Only where the
// answer is yes are instructions walked, from the prologue's end, to learn whether a branch really stands there; where the
// walk meets bytes it does not know before it arrives, the branch counts as real.
//
// A jump to the entry itself is refused too: the loop it closes would leave the old function in the middle, for the
// replacement. A call of the entry is a recursion, which is meant to reach the replacement.
//
// Computed jumps, and their tables: tables.c.
#include "scan.h"

#include "instruction.h"

#include <string.h>

typedef struct scan {
    const hp_relocation_request *request;
    size_t patch_offset;
    size_t prologue_end;
    hp_relocation *out;
    hp_refusal *refusal;
} scan;

// A walk over the instructions that never goes back.
typedef struct walk {
    size_t at;                    // where `instruction` starts
    bool parsed, lost;
    x86_instruction instruction;
} walk;

// Walks on to the instruction that holds the byte at `position`. False where the walk got lost before.
static bool walk_to(const scan *scan, walk *walk, size_t position) {
    const hp_relocation_request *request = scan->request;
    while (!walk->lost) {
        if (!walk->parsed) {
            size_t left = request->code_length - walk->at;
            walk->parsed = hp_x86_parse(request->code + walk->at, left, &walk->instruction) == X86_PARSED;
            walk->lost = !walk->parsed;
        } else if (position < walk->at + walk->instruction.length) {
            return true;
        } else {
            walk->at += walk->instruction.length;
            walk->parsed = false;
        }
    }
    return false;
}

// A displacement of `width` bytes at `position` would lead to `target` (from the entry), with that opcode before it.
// Returns false where the function must be refused.
static bool judge(const scan *scan, walk *walk, size_t position, size_t width, size_t opcode_length, size_t target) {
    const uint8_t *code = scan->request->code;
    bool to_entry = target == 0 || target == scan->patch_offset;
    bool inside = target > scan->patch_offset && target < scan->patch_offset + scan->out->detour_length;
    bool call = code[position - opcode_length] == 0xe8;
    if (!inside && (!to_entry || call)) return true;

    size_t start = position - opcode_length, length = opcode_length + width;
    if (walk_to(scan, walk, position)) {
        const x86_instruction *found = &walk->instruction;
        bool real = hp_x86_is_relative_branch(found) && walk->at + found->length == position + width &&
                    found->immediate_length == width;
        if (!real) return true;
        start = walk->at;
        length = found->length;
    }
    return hp_refuse(
        HP_ARCH_X86_64, scan->refusal, to_entry ? HP_BRANCH_TO_ENTRY : HP_BRANCH_INTO_PROLOGUE, scan->request, start,
        length, scan->request->entry + target);
}

// jcc, loop, jrcxz and jmp with an 8-bit displacement: only what is near enough can reach back.
static bool scan_short_branches(const scan *scan) {
    const uint8_t *code = scan->request->code;
    size_t limit = scan->patch_offset + scan->out->detour_length;
    size_t end = limit + 128;
    if (end > scan->request->code_length) end = scan->request->code_length;
    walk walk = {.at = scan->prologue_end};
    for (size_t position = scan->prologue_end + 1; position < end; position++) {
        uint8_t opcode = code[position - 1];
        bool branch = (opcode & 0xf0) == 0x70 || (opcode & 0xfc) == 0xe0 || opcode == 0xeb;
        if (!branch) continue;
        size_t target = position + 1 + (size_t)(ptrdiff_t)(int8_t)code[position];
        if (target < limit && !judge(scan, &walk, position, 1, 1, target)) return false;
    }
    return true;
}

// jmp, call, jcc and xbegin with a 32-bit displacement. The arithmetic is modulo 2^32: a superset of what can match.
static bool scan_near_branches(const scan *scan) {
    const uint8_t *code = scan->request->code;
    size_t length = scan->request->code_length;
    uint32_t limit = (uint32_t)scan->patch_offset + scan->out->detour_length;
    walk walk = {.at = scan->prologue_end};
    for (size_t position = scan->prologue_end + 1; position + 4 <= length; position++) {
        uint32_t distance;
        memcpy(&distance, code + position, sizeof distance);
        uint32_t target = distance + (uint32_t)position + 4;
        if (__builtin_expect(target >= limit, 1)) continue;

        uint8_t last = code[position - 1];
        uint8_t before = position >= scan->prologue_end + 2 ? code[position - 2] : 0;
        size_t opcode_length = last == 0xe8 || last == 0xe9 ? 1
            : (before == 0x0f && (last & 0xf0) == 0x80) || (before == 0xc7 && last == 0xf8) ? 2 : 0;
        if (opcode_length != 0 && !judge(scan, &walk, position, 4, opcode_length, target)) return false;
    }
    return true;
}

bool hp_x86_scan_body(
    const hp_relocation_request *request, size_t prologue_end, hp_relocation *out, hp_refusal *refusal
) {
    scan scan = {request, out->patch_offset, prologue_end, out, refusal};
    if (!scan_short_branches(&scan) || !scan_near_branches(&scan)) return false;
    hp_x86_collect_tables(request, out);
    return true;
}
