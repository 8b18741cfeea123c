// The window: what stands at an entry, and whether it may be moved. The scheme is told in relocate.c. Twin:
// x86_64/window.c.
#include "mover.h"

// brk with these operands are written by others: debuggers take 0, the kernel's uprobes 5. With other operands it is a
// compiler's trap.
enum { BREAKPOINT_OF_DEBUGGERS = 0, BREAKPOINT_OF_UPROBES = 5 };

bool hp_arm64_refuse(const mover *mover, hp_reason reason, const moved *moved) {
    return hp_refuse(
        HP_ARCH_ARM64, mover->refusal, reason, mover->request, moved->offset, ARM64_WORD,
        moved->has_target ? moved->target : 0);
}

bool hp_arm64_refuse_entry(const mover *mover, hp_reason reason, uint64_t operand) {
    return hp_refuse(HP_ARCH_ARM64, mover->refusal, reason, mover->request, 0, 0, operand);
}

// The moved instruction that starts at `offset` from the entry; NULL if none does.
const moved *hp_arm64_moved_at(const mover *mover, uint64_t offset) {
    for (size_t i = 0; i < mover->moved_count; i++) {
        if (mover->moved[i].offset == offset) return &mover->moved[i];
    }
    return NULL;
}

static bool is_call(const moved *moved) { return moved->form == CALL || moved->form == CALL_INDIRECT; }

// br, ret, eret and their authenticated forms; calls are told before.
static bool ends_flow(const moved *moved) {
    return moved->form == JUMP || arm64_is_register_branch(moved->word);
}

// Decides what becomes of an instruction; refuses what cannot be moved anywhere.
static bool classify(const mover *mover, moved *moved) {
    moved->kind = hp_arm64_kind(moved->word);
    moved->target = hp_arm64_target(moved->word, moved->kind, mover->request->entry + moved->offset);
    moved->has_target = true;
    switch (moved->kind) {
    case ARM64_ADDRESS: case ARM64_PAGE: moved->form = ADDRESS; return true;
    case ARM64_LITERAL: moved->form = LITERAL; return true;
    case ARM64_JUMP: moved->form = JUMP; return true;
    case ARM64_CALL: moved->form = CALL; return true;
    case ARM64_CONDITION: moved->form = arm64_is_always(moved->word) ? JUMP : CONDITIONAL_JUMP; return true;
    case ARM64_ZERO: case ARM64_BIT: case ARM64_COMPARE: moved->form = CONDITIONAL_JUMP; return true;
    case ARM64_PLAIN: case ARM64_OWN_ADDRESS: case ARM64_RESERVED: break;
    }
    moved->has_target = false;
    moved->form = arm64_is_blr(moved->word) ? CALL_INDIRECT : COPY;
    unsigned operand = arm64_brk_operand(moved->word);
    bool breakpoint = operand == BREAKPOINT_OF_DEBUGGERS || operand == BREAKPOINT_OF_UPROBES;
    if (moved->kind == ARM64_RESERVED) return hp_arm64_refuse(mover, HP_UNDECODABLE, moved);
    if (arm64_is_brk(moved->word) && breakpoint) return hp_arm64_refuse(mover, HP_ALREADY_PATCHED, moved);
    if (moved->kind == ARM64_OWN_ADDRESS || arm64_is_authenticated_blr(moved->word)) {
        return hp_arm64_refuse(mover, HP_UNMOVABLE, moved);
    }
    return true;
}

// The code given ends where more is needed: the function's own end, or just the end of what could be read.
static bool refuse_end_of_code(const mover *mover) {
    const hp_relocation_request *request = mover->request;
    bool whole = request->function_length != 0 && request->function_length <= request->code_length;
    return hp_arm64_refuse_entry(mover, whole ? HP_TOO_SHORT : HP_UNREADABLE_ENTRY, 0);
}

static bool has_word(const mover *mover, size_t offset) { return mover->request->code_length >= offset + ARM64_WORD; }

static bool read_instruction(mover *mover) {
    if (!has_word(mover, mover->end)) return refuse_end_of_code(mover);
    moved *moved = &mover->moved[mover->moved_count];
    moved->offset = mover->end;
    moved->word = arm64_word(mover->request->code + mover->end);
    if (!classify(mover, moved)) return false;
    mover->moved_count++;
    mover->end += ARM64_WORD;
    return true;
}

// Fillers between functions: nop, zeros, and what linkers put into gaps of text.
static bool is_padding(uint32_t word) { return word == ARM64_NOP || word == ARM64_UDF || arm64_is_brk(word); }

// The function ended before the detour does: what follows must be filler. Where its size is not known, zeros may be its data.
static bool read_padding(mover *mover, uint32_t needed) {
    bool sized = mover->request->function_length != 0;
    for (; mover->end < needed; mover->end += ARM64_WORD) {
        uint32_t word = has_word(mover, mover->end) ? arm64_word(mover->request->code + mover->end) : ARM64_UDF;
        if (!is_padding(word) || (word == ARM64_UDF && !(sized && has_word(mover, mover->end)))) {
            return hp_arm64_refuse_entry(mover, sized ? HP_TOO_SHORT : HP_NO_SIZE, 0);
        }
    }
    return true;
}

// What an indirect call must find on a guarded page stays: bti, or a paciasp that stands for one. A paciasp behind a bti is
// moved like anything else.
static bool keep_landing_pad(mover *mover) {
    if (!has_word(mover, 0)) return true;
    uint32_t word = arm64_word(mover->request->code);
    if (!arm64_is_bti(word) && !arm64_signs(word)) return true;
    mover->authentication = arm64_signs(word) ? word | ARM64_PAIRED_AUTHENTICATION : 0;
    mover->out->patch_offset = ARM64_WORD;
    return read_instruction(mover);
}

bool hp_arm64_read_window(mover *mover) {
    const hp_relocation_request *request = mover->request;
    hp_relocation *out = mover->out;
    if (!keep_landing_pad(mover)) return false;
    out->detour_length =
        (uint32_t)hp_arm64_encode_detour(out->detour, request->entry + out->patch_offset, request->stub);
    if (out->detour_length == 0) return hp_arm64_refuse_entry(mover, HP_DETOUR_OUT_OF_REACH, request->stub);

    uint32_t needed = out->patch_offset + out->detour_length;
    while (mover->end < needed) {
        bool known = request->function_length != 0;
        if (known ? mover->end + ARM64_WORD > request->function_length : mover->flow_ended) {
            // Another function may stand there, unless flow has ended and fillers follow.
            return mover->flow_ended ? read_padding(mover, needed) : hp_arm64_refuse_entry(mover, HP_TOO_SHORT, 0);
        }
        // Behind a return the function may go on, for those who jump there; zeros there are fillers.
        if (mover->flow_ended && has_word(mover, mover->end) &&
            arm64_word(request->code + mover->end) == ARM64_UDF) {
            mover->end += ARM64_WORD;
            continue;
        }
        if (!read_instruction(mover)) return false;
        const moved *last = &mover->moved[mover->moved_count - 1];
        mover->flow_ended = is_call(last) || ends_flow(last);
        if (is_call(last) && mover->end < needed) return hp_arm64_refuse(mover, HP_RETURN_INTO_WINDOW, last);
    }
    return true;
}

// ---------------------------------------------------------------------------------------------------------

// Whether code other than filler stands at `offset` or behind, inside the function. A function that only jumps on (a call in
// tail position, a linker's veneer) ends there; a detour is followed by what is left of the function it was written into. An
// unconditional jump out of a function with its own code right behind is nothing a compiler writes.
static bool code_follows(const mover *mover, size_t offset) {
    const hp_relocation_request *request = mover->request;
    size_t end = request->function_length < request->code_length ? request->function_length : request->code_length;
    for (; offset + ARM64_WORD <= end; offset += ARM64_WORD) {
        if (!is_padding(arm64_word(request->code + offset))) return true;
    }
    return false;
}

// The offset behind a jump through x16 or x17, the registers of veneers and detours, and behind the address it may load from
// there; 0 where the entry is none. The address is made by a few adr, adrp, add, mov, or one literal load.
static size_t end_of_veneer(const mover *mover) {
    enum { LONGEST = 5 };
    size_t offset = mover->out->patch_offset, literal_end = 0;
    for (size_t i = 0; i < LONGEST && has_word(mover, offset); i++, offset += ARM64_WORD) {
        uint32_t word = arm64_word(mover->request->code + offset);
        arm64_kind kind = hp_arm64_kind(word);
        if (arm64_is_br(word) && (arm64_rn(word) & ~1u) == 16) {
            return i == 0 ? 0 : literal_end > offset + ARM64_WORD ? literal_end : offset + ARM64_WORD;
        }
        if (kind == ARM64_LITERAL) {
            uint64_t literal = hp_arm64_target(word, kind, offset);
            if (literal <= offset + 3 * ARM64_WORD) literal_end = literal + hp_arm64_literal_size(word);
        }
        bool makes_address = kind == ARM64_ADDRESS || kind == ARM64_PAGE || kind == ARM64_LITERAL ||
                             (word & 0xff800000) == 0x91000000 || (word & 0xdf800000) == 0xd2800000;
        if (!makes_address || (arm64_rd(word) & ~1u) != 16) return 0;
    }
    return 0;
}

static bool check_first(const mover *mover) {
    const hp_relocation_request *request = mover->request;
    uint64_t patch = mover->out->patch_offset;
    const moved *first = hp_arm64_moved_at(mover, patch);
    uint64_t distance = first->target - request->entry;
    if (first->form == JUMP && distance <= patch) return hp_arm64_refuse(mover, HP_SELF_LOOP, first);
    if (request->function_length == 0) return true;
    bool leaves = first->form == JUMP && distance >= request->function_length;
    size_t veneer = end_of_veneer(mover);
    if ((leaves && code_follows(mover, patch + ARM64_WORD)) || (veneer != 0 && code_follows(mover, veneer))) {
        return hp_arm64_refuse(mover, HP_ALREADY_PATCHED, first);
    }
    return true;
}

// A memory copy moves as a whole, or not at all.
static bool check_last(const mover *mover) {
    const moved *last = &mover->moved[mover->moved_count - 1];
    return !arm64_is_continued(last->word) || hp_arm64_refuse(mover, HP_UNMOVABLE, last);
}

static bool check_targets(const mover *mover) {
    uint64_t patch = mover->out->patch_offset;
    for (size_t i = 0; i < mover->moved_count; i++) {
        const moved *moved = &mover->moved[i];
        if (!moved->has_target) continue;
        uint64_t offset = moved->target - mover->request->entry;
        bool inside = offset > patch && offset < mover->end;
        switch (moved->form) {
        case ADDRESS:
            // A page's address is but the base of others.
            if (inside && moved->kind == ARM64_ADDRESS) return hp_arm64_refuse(mover, HP_ADDRESS_INTO_WINDOW, moved);
            break;
        case LITERAL:
            if (arm64_literal_reads(moved->word, offset, patch, mover->end)) {
                return hp_arm64_refuse(mover, HP_ADDRESS_INTO_WINDOW, moved);
            }
            break;
        case CALL:
            if (inside) return hp_arm64_refuse(mover, HP_BRANCH_INTO_WINDOW, moved);
            break;
        default:
            if (offset < mover->end && hp_arm64_moved_at(mover, offset) == NULL) {
                return hp_arm64_refuse(mover, HP_BRANCH_INTO_WINDOW, moved);
            }
        }
    }
    return true;
}

bool hp_arm64_check_window(const mover *mover) {
    return check_first(mover) && check_last(mover) && check_targets(mover);
}
