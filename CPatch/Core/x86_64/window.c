// The window: what stands at an entry, and whether it may be moved. The scheme is told in relocate.c.
#include "../decode.h"
#include "mover.h"

#include <string.h>

enum { ENDBR64_LENGTH = 4 };

bool hp_x86_refuse(const mover *mover, hp_reason reason, const moved *moved) {
    return hp_refuse(
        HP_ARCH_X86_64, mover->refusal, reason, mover->request, moved->offset, moved->parsed.length,
        moved->has_target ? moved->target : 0);
}

bool hp_x86_refuse_entry(const mover *mover, hp_reason reason, uint64_t operand) {
    return hp_refuse(HP_ARCH_X86_64, mover->refusal, reason, mover->request, 0, 0, operand);
}

// The moved instruction that starts at `offset` from the entry; NULL if none does.
const moved *hp_x86_moved_at(const mover *mover, uint64_t offset) {
    for (size_t i = 0; i < mover->moved_count; i++) {
        if (mover->moved[i].offset == offset) return &mover->moved[i];
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
static bool classify(const mover *mover, moved *moved) {
    const x86_instruction *parsed = &moved->parsed;
    uint64_t address = mover->request->entry + moved->offset;
    moved->form = COPY;
    if (hp_x86_is_relative_branch(parsed)) {
        bool narrowed = parsed->operand_size && (parsed->rex & 8) == 0;
        if (narrowed || parsed->opcode == 0xc7) return hp_x86_refuse(mover, HP_UNMOVABLE, moved);
        moved->target = hp_x86_target(parsed, x86_code_of(mover, moved), address);
        moved->has_target = true;
        bool jump = parsed->map == 0 && (parsed->opcode == 0xe9 || parsed->opcode == 0xeb);
        moved->form = jump ? JUMP : x86_is_one_byte(parsed, 0xe8) ? CALL
            : parsed->map == 0 && (parsed->opcode & 0xfc) == 0xe0 ? SHORT_ONLY_JUMP : CONDITIONAL_JUMP;
        return true;
    }
    if (x86_is_one_byte(parsed, 0xcc)) return hp_x86_refuse(mover, HP_ALREADY_PATCHED, moved);
    if (x86_is_rip_relative(parsed)) {
        moved->target = hp_x86_target(parsed, x86_code_of(mover, moved), address);
        moved->has_target = true;
        moved->form = COPY_RIP_RELATIVE;
        if (parsed->address_size) return hp_x86_refuse(mover, HP_UNMOVABLE, moved);
    }
    if (is_group5(parsed, 3) || is_group5(parsed, 5)) return hp_x86_refuse(mover, HP_UNMOVABLE, moved);
    if (is_group5(parsed, 2) || is_group5(parsed, 4)) {
        if (parsed->operand_size) return hp_x86_refuse(mover, HP_UNMOVABLE, moved);
        if (is_group5(parsed, 4)) return true;
        moved->form = CALL_INDIRECT;
        if (!x86_is_rip_relative(parsed) && uses_stack_pointer(parsed)) return hp_x86_refuse(mover, HP_UNMOVABLE, moved);
    }
    return true;
}

// The code given ends where more is needed: the function's own end, or just the end of what could be read.
static bool refuse_end_of_code(const mover *mover) {
    const hp_relocation_request *request = mover->request;
    bool whole = request->function_length != 0 && request->function_length <= request->code_length;
    return hp_x86_refuse_entry(mover, whole ? HP_TOO_SHORT : HP_UNREADABLE_ENTRY, 0);
}

static bool read_instruction(mover *mover, uint32_t offset) {
    const hp_relocation_request *request = mover->request;
    if (mover->moved_count == X86_MOVED_CAPACITY) return hp_x86_refuse_entry(mover, HP_STUB_OVERFLOW, 0);
    moved *moved = &mover->moved[mover->moved_count];
    moved->offset = offset;
    size_t left = request->code_length - offset;
    x86_parse_result result = hp_x86_parse(request->code + offset, left, &moved->parsed);
    if (result == X86_CUT_OFF) return refuse_end_of_code(mover);
    size_t length = moved->parsed.length;
    if (result == X86_PARSED && !classify(mover, moved)) return false;
    if (result == X86_UNKNOWN ||
        hp_decoded_length(HP_ARCH_X86_64, request->code + offset, length, request->entry + offset) != length) {
        return hp_refuse(
            HP_ARCH_X86_64, mover->refusal, HP_UNDECODABLE, request, offset, result == X86_PARSED ? length : left, 0);
    }
    mover->moved_count++;
    return true;
}

// The function ended before the detour does: what follows must be filler. Where its size is not known, only what nobody writes
// for another purpose is one.
static bool read_padding(mover *mover, uint32_t needed) {
    const hp_relocation_request *request = mover->request;
    hp_reason reason = request->function_length != 0 ? HP_TOO_SHORT : HP_NO_SIZE;
    while (mover->end < needed) {
        x86_instruction filler;
        x86_parse_result result = hp_x86_parse(request->code + mover->end, request->code_length - mover->end, &filler);
        if (result != X86_PARSED || !hp_x86_is_padding(&filler)) return hp_x86_refuse_entry(mover, reason, 0);
        mover->end += filler.length;
    }
    return true;
}

bool hp_x86_read_window(mover *mover) {
    static const uint8_t endbr64[ENDBR64_LENGTH] = {0xf3, 0x0f, 0x1e, 0xfa};
    const hp_relocation_request *request = mover->request;
    if (request->code_length >= sizeof endbr64 && memcmp(request->code, endbr64, sizeof endbr64) == 0) {
        mover->moved[0].parsed.length = mover->end = mover->out->patch_offset = ENDBR64_LENGTH;
        mover->moved_count = 1;
    }
    uint32_t needed = mover->end + mover->out->detour_length;
    while (mover->end < needed) {
        bool known = request->function_length != 0;
        if (known ? mover->end >= request->function_length : mover->flow_ended) {
            // Another function may stand there, unless flow has ended and fillers follow.
            return mover->flow_ended ? read_padding(mover, needed) : hp_x86_refuse_entry(mover, HP_TOO_SHORT, 0);
        }
        // Behind a return the function may go on, for those who jump there; int3 there is a filler.
        if (mover->flow_ended && mover->end < request->code_length && request->code[mover->end] == 0xcc) {
            mover->end++;
            continue;
        }
        if (!read_instruction(mover, mover->end)) return false;
        const moved *last = &mover->moved[mover->moved_count - 1];
        mover->end += last->parsed.length;
        mover->flow_ended = is_call(last) || hp_x86_ends_flow(&last->parsed);
        if (is_call(last) && mover->end < needed) return hp_x86_refuse(mover, HP_RETURN_INTO_WINDOW, last);
    }
    return true;
}

// Whether code other than filler follows the jump at the entry. A function that only jumps on (a call in tail position)
// ends there; a detour is followed by what is left of the function it was written into. An unconditional jump out of a
// function with its own code right behind is nothing a compiler writes.
static bool code_follows(const mover *mover, const moved *first) {
    const hp_relocation_request *request = mover->request;
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

static bool check_first(const mover *mover) {
    const hp_relocation_request *request = mover->request;
    const moved *first = &mover->moved[mover->out->patch_offset == 0 ? 0 : 1];
    uint64_t distance = first->target - request->entry;
    if (first->form == JUMP && (distance == 0 || distance == mover->out->patch_offset)) {
        return hp_x86_refuse(mover, HP_SELF_LOOP, first);
    }
    bool leaves = first->form == JUMP && distance >= request->function_length;
    bool leaves_through_memory = is_group5(&first->parsed, 4) && x86_is_rip_relative(&first->parsed);
    if (request->function_length != 0 && (leaves || leaves_through_memory) && code_follows(mover, first)) {
        return hp_x86_refuse(mover, HP_ALREADY_PATCHED, first);
    }
    return true;
}

static bool check_targets(const mover *mover) {
    uint64_t patch = mover->out->patch_offset;
    for (size_t i = 0; i < mover->moved_count; i++) {
        const moved *moved = &mover->moved[i];
        if (!moved->has_target) continue;
        uint64_t offset = moved->target - mover->request->entry;
        bool overwritten = offset >= patch && offset < patch + mover->out->detour_length;
        bool entry = offset == 0 || offset == patch;
        if (x86_is_rip_relative(&moved->parsed)) {
            bool address_of_entry = x86_is_one_byte(&moved->parsed, 0x8d) && entry;
            if (overwritten && !address_of_entry) return hp_x86_refuse(mover, HP_ADDRESS_INTO_WINDOW, moved);
        } else if (moved->form == CALL) {
            if (offset < mover->end && !entry) return hp_x86_refuse(mover, HP_BRANCH_INTO_WINDOW, moved);
        } else if (offset < mover->end && hp_x86_moved_at(mover, offset) == NULL) {
            return hp_x86_refuse(mover, HP_BRANCH_INTO_WINDOW, moved);
        }
    }
    return true;
}

bool hp_x86_check_window(const mover *mover) { return check_first(mover) && check_targets(mover); }
