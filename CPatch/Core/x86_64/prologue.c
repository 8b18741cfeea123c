// The prologue: what stands at an entry, and whether it may be moved. The scheme is told in relocate.c.
#include "../decode.h"
#include "relocator.h"

#include <string.h>

enum { ENDBR64_LENGTH = 4 };

bool hp_x86_refuse(const relocator *relocator, hp_reason reason, const moved *moved) {
    return hp_refuse(
        HP_ARCH_X86_64, relocator->refusal, reason, relocator->request, moved->offset, moved->parsed.length,
        moved->has_target ? moved->target : 0);
}

bool hp_x86_refuse_entry(const relocator *relocator, hp_reason reason, uint64_t operand) {
    return hp_refuse(HP_ARCH_X86_64, relocator->refusal, reason, relocator->request, 0, 0, operand);
}

// The moved instruction that starts at `offset` from the entry; NULL if none does.
const moved *hp_x86_moved_at(const relocator *relocator, uint64_t offset) {
    for (size_t i = 0; i < relocator->moved_count; i++) {
        if (relocator->moved[i].offset == offset) return &relocator->moved[i];
    }
    return NULL;
}

// `ff /n`
static bool is_group5(const x86_instruction *parsed, unsigned reg) {
    return x86_is_one_byte(parsed, 0xff) && x86_reg(parsed) == reg;
}

static bool is_call(const moved *moved) { return moved->form == CALL || moved->form == CALL_INDIRECT; }

// Whether a memory or register operand involves the stack pointer, which the push before it has moved.
static bool uses_stack_pointer(const x86_instruction *parsed) {
    bool extended = (parsed->rex & 1) != 0;
    if (extended) return false;
    return parsed->has_sib ? (parsed->sib & 7) == 4 : (parsed->modrm & 7) == 4;
}

// Decides what becomes of an instruction; refuses what cannot be moved anywhere.
static bool classify(const relocator *relocator, moved *moved) {
    const x86_instruction *parsed = &moved->parsed;
    uint64_t address = relocator->request->entry + moved->offset;
    moved->form = COPY;
    if (hp_x86_is_relative_branch(parsed)) {
        bool narrowed = parsed->operand_size && (parsed->rex & 8) == 0;
        if (narrowed || parsed->opcode == 0xc7) return hp_x86_refuse(relocator, HP_UNMOVABLE, moved);
        moved->target = hp_x86_target(parsed, x86_code_of(relocator, moved), address);
        moved->has_target = true;
        bool jump = parsed->map == 0 && (parsed->opcode == 0xe9 || parsed->opcode == 0xeb);
        moved->form = jump ? JUMP : x86_is_one_byte(parsed, 0xe8) ? CALL
            : parsed->map == 0 && (parsed->opcode & 0xfc) == 0xe0 ? SHORT_ONLY_JUMP : CONDITIONAL_JUMP;
        return true;
    }
    if (x86_is_one_byte(parsed, 0xcc)) return hp_x86_refuse(relocator, HP_ALREADY_PATCHED, moved);
    if (x86_is_rip_relative(parsed)) {
        moved->target = hp_x86_target(parsed, x86_code_of(relocator, moved), address);
        moved->has_target = true;
        moved->form = COPY_RIP_RELATIVE;
        if (parsed->address_size) return hp_x86_refuse(relocator, HP_UNMOVABLE, moved);
    }
    if (is_group5(parsed, 3) || is_group5(parsed, 5)) return hp_x86_refuse(relocator, HP_UNMOVABLE, moved);
    if (is_group5(parsed, 2) || is_group5(parsed, 4)) {
        if (parsed->operand_size) return hp_x86_refuse(relocator, HP_UNMOVABLE, moved);
        if (is_group5(parsed, 4)) return true;
        moved->form = CALL_INDIRECT;
        if (!x86_is_rip_relative(parsed) && uses_stack_pointer(parsed)) return hp_x86_refuse(relocator, HP_UNMOVABLE, moved);
    }
    return true;
}

// The code given ends where more is needed: the function's own end, or just the end of what could be read.
static bool refuse_end_of_code(const relocator *relocator) {
    const hp_relocation_request *request = relocator->request;
    bool whole = request->function_length != 0 && request->function_length <= request->code_length;
    return hp_x86_refuse_entry(relocator, whole ? HP_TOO_SHORT : HP_UNREADABLE_ENTRY, 0);
}

static bool read_instruction(relocator *relocator, uint32_t offset) {
    const hp_relocation_request *request = relocator->request;
    if (relocator->moved_count == X86_MOVED_CAPACITY) return hp_x86_refuse_entry(relocator, HP_STUB_OVERFLOW, 0);
    moved *moved = &relocator->moved[relocator->moved_count];
    moved->offset = offset;
    size_t left = request->code_length - offset;
    x86_parse_result result = hp_x86_parse(request->code + offset, left, &moved->parsed);
    if (result == X86_CUT_OFF) return refuse_end_of_code(relocator);
    size_t length = moved->parsed.length;
    if (result == X86_PARSED && !classify(relocator, moved)) return false;
    if (result == X86_UNKNOWN ||
        hp_decoded_length(HP_ARCH_X86_64, request->code + offset, length, request->entry + offset) != length) {
        return hp_refuse(
            HP_ARCH_X86_64, relocator->refusal, HP_UNDECODABLE, request, offset, result == X86_PARSED ? length : left, 0);
    }
    relocator->moved_count++;
    return true;
}

// The function ended before the detour does: what follows must be filler. Where its size is not known, only what nobody writes
// for another purpose is one.
static bool read_padding(relocator *relocator, uint32_t needed) {
    const hp_relocation_request *request = relocator->request;
    hp_reason reason = request->function_length != 0 ? HP_TOO_SHORT : HP_NO_SIZE;
    while (relocator->end < needed) {
        x86_instruction filler;
        x86_parse_result result = hp_x86_parse(request->code + relocator->end, request->code_length - relocator->end, &filler);
        if (result != X86_PARSED || !hp_x86_is_padding(&filler)) return hp_x86_refuse_entry(relocator, reason, 0);
        relocator->end += filler.length;
    }
    return true;
}

bool hp_x86_read_prologue(relocator *relocator) {
    static const uint8_t endbr64[ENDBR64_LENGTH] = {0xf3, 0x0f, 0x1e, 0xfa};
    const hp_relocation_request *request = relocator->request;
    if (request->code_length >= sizeof endbr64 && memcmp(request->code, endbr64, sizeof endbr64) == 0) {
        relocator->moved[0].parsed.length = relocator->end = relocator->out->patch_offset = ENDBR64_LENGTH;
        relocator->moved_count = 1;
    }
    uint32_t needed = relocator->end + relocator->out->detour_length;
    while (relocator->end < needed) {
        bool known = request->function_length != 0;
        if (known ? relocator->end >= request->function_length : relocator->flow_ended) {
            // Another function may stand there, unless flow has ended and fillers follow.
            return relocator->flow_ended ? read_padding(relocator, needed) : hp_x86_refuse_entry(relocator, HP_TOO_SHORT, 0);
        }
        // Behind a return the function may go on, for those who jump there; int3 there is a filler.
        if (relocator->flow_ended && relocator->end < request->code_length && request->code[relocator->end] == 0xcc) {
            relocator->end++;
            continue;
        }
        if (!read_instruction(relocator, relocator->end)) return false;
        const moved *last = &relocator->moved[relocator->moved_count - 1];
        relocator->end += last->parsed.length;
        relocator->flow_ended = is_call(last) || hp_x86_ends_flow(&last->parsed);
        if (is_call(last) && relocator->end < needed) return hp_x86_refuse(relocator, HP_RETURN_INTO_PROLOGUE, last);
    }
    return true;
}

// Whether code other than filler follows the jump at the entry. A function that only jumps on (a call in tail position)
// ends there; a detour is followed by what is left of the function it was written into. An unconditional jump out of a
// function with its own code right behind is nothing a compiler writes.
static bool code_follows(const relocator *relocator, const moved *first) {
    const hp_relocation_request *request = relocator->request;
    size_t at = first->offset + first->parsed.length;
    size_t end = request->function_length < request->code_length ? request->function_length : request->code_length;
    while (at < end) {
        x86_instruction next;
        if (hp_x86_parse(request->code + at, request->code_length - at, &next) != X86_PARSED) return true;
        if (!hp_x86_is_padding(&next)) return true;
        at += next.length;
    }
    return false;
}

static bool check_first(const relocator *relocator) {
    const hp_relocation_request *request = relocator->request;
    const moved *first = &relocator->moved[relocator->out->patch_offset == 0 ? 0 : 1];
    uint64_t distance = first->target - request->entry;
    if (first->form == JUMP && (distance == 0 || distance == relocator->out->patch_offset)) {
        return hp_x86_refuse(relocator, HP_SELF_LOOP, first);
    }
    bool leaves = first->form == JUMP && distance >= request->function_length;
    bool leaves_through_memory = is_group5(&first->parsed, 4) && x86_is_rip_relative(&first->parsed);
    if (request->function_length != 0 && (leaves || leaves_through_memory) && code_follows(relocator, first)) {
        return hp_x86_refuse(relocator, HP_ALREADY_PATCHED, first);
    }
    return true;
}

static bool check_targets(const relocator *relocator) {
    uint64_t patch = relocator->out->patch_offset;
    for (size_t i = 0; i < relocator->moved_count; i++) {
        const moved *moved = &relocator->moved[i];
        if (!moved->has_target) continue;
        uint64_t offset = moved->target - relocator->request->entry;
        bool overwritten = offset >= patch && offset < patch + relocator->out->detour_length;
        bool entry = offset == 0 || offset == patch;
        if (x86_is_rip_relative(&moved->parsed)) {
            bool address_of_entry = x86_is_one_byte(&moved->parsed, 0x8d) && entry;
            if (overwritten && !address_of_entry) return hp_x86_refuse(relocator, HP_ADDRESS_INTO_PROLOGUE, moved);
        } else if (moved->form == CALL) {
            if (offset < relocator->end && !entry) return hp_x86_refuse(relocator, HP_BRANCH_INTO_PROLOGUE, moved);
        } else if (offset < relocator->end && hp_x86_moved_at(relocator, offset) == NULL) {
            return hp_x86_refuse(relocator, HP_BRANCH_INTO_PROLOGUE, moved);
        }
    }
    return true;
}

bool hp_x86_check_prologue(const relocator *relocator) { return check_first(relocator) && check_targets(relocator); }
