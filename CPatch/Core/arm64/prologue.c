// The prologue: what stands at an entry, and whether it may be moved. The scheme is told in relocate.c. Twin:
// x86_64/prologue.c.
#include "relocator.h"

// brk with these operands are written by others: debuggers take 0, the kernel's uprobes 5. With other operands it is a
// compiler's trap.
enum { BREAKPOINT_OF_DEBUGGERS = 0, BREAKPOINT_OF_UPROBES = 5 };

bool hp_arm64_refuse(const relocator *relocator, hp_reason reason, const moved *moved) {
    return hp_refuse(
        HP_ARCH_ARM64, relocator->refusal, reason, relocator->request, moved->offset, ARM64_WORD,
        moved->has_target ? moved->target : 0);
}

bool hp_arm64_refuse_entry(const relocator *relocator, hp_reason reason, uint64_t operand) {
    return hp_refuse(HP_ARCH_ARM64, relocator->refusal, reason, relocator->request, 0, 0, operand);
}

// The moved instruction that starts at `offset` from the entry; NULL if none does.
const moved *hp_arm64_moved_at(const relocator *relocator, uint64_t offset) {
    for (size_t i = 0; i < relocator->moved_count; i++) {
        if (relocator->moved[i].offset == offset) return &relocator->moved[i];
    }
    return NULL;
}

static bool is_call(const moved *moved) { return moved->form == CALL || moved->form == CALL_INDIRECT; }

// br, ret, eret and their authenticated forms; calls are told before.
static bool ends_flow(const moved *moved) {
    return moved->form == JUMP || arm64_is_register_branch(moved->word);
}

// Decides what becomes of an instruction; refuses what cannot be moved anywhere.
static bool classify(const relocator *relocator, moved *moved) {
    moved->kind = hp_arm64_kind(moved->word);
    moved->target = hp_arm64_target(moved->word, moved->kind, relocator->request->entry + moved->offset);
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
    if (moved->kind == ARM64_RESERVED) return hp_arm64_refuse(relocator, HP_UNDECODABLE, moved);
    if (arm64_is_brk(moved->word) && breakpoint) return hp_arm64_refuse(relocator, HP_ALREADY_PATCHED, moved);
    if (moved->kind == ARM64_OWN_ADDRESS || arm64_is_authenticated_blr(moved->word)) {
        return hp_arm64_refuse(relocator, HP_UNMOVABLE, moved);
    }
    return true;
}

// The code given ends where more is needed: the function's own end, or just the end of what could be read.
static bool refuse_end_of_code(const relocator *relocator) {
    const hp_relocation_request *request = relocator->request;
    bool whole = request->function_length != 0 && request->function_length <= request->code_length;
    return hp_arm64_refuse_entry(relocator, whole ? HP_TOO_SHORT : HP_UNREADABLE_ENTRY, 0);
}

static bool has_word(const relocator *relocator, size_t offset) { return relocator->request->code_length >= offset + ARM64_WORD; }

static bool read_instruction(relocator *relocator) {
    if (!has_word(relocator, relocator->end)) return refuse_end_of_code(relocator);
    moved *moved = &relocator->moved[relocator->moved_count];
    moved->offset = relocator->end;
    moved->word = arm64_word(relocator->request->code + relocator->end);
    if (!classify(relocator, moved)) return false;
    relocator->moved_count++;
    relocator->end += ARM64_WORD;
    return true;
}

// Fillers between functions: nop, zeros, and what linkers put into gaps of text.
static bool is_padding(uint32_t word) { return word == ARM64_NOP || word == ARM64_UDF || arm64_is_brk(word); }

// The function ended before the detour does: what follows must be filler. Where its size is not known, zeros may be its data.
static bool read_padding(relocator *relocator, uint32_t needed) {
    bool sized = relocator->request->function_length != 0;
    for (; relocator->end < needed; relocator->end += ARM64_WORD) {
        uint32_t word = has_word(relocator, relocator->end) ? arm64_word(relocator->request->code + relocator->end) : ARM64_UDF;
        if (!is_padding(word) || (word == ARM64_UDF && !(sized && has_word(relocator, relocator->end)))) {
            return hp_arm64_refuse_entry(relocator, sized ? HP_TOO_SHORT : HP_NO_SIZE, 0);
        }
    }
    return true;
}

// What an indirect call must find on a guarded page stays: bti, or a paciasp that stands for one. A paciasp behind a bti is
// moved like anything else.
static bool keep_landing_pad(relocator *relocator) {
    if (!has_word(relocator, 0)) return true;
    uint32_t word = arm64_word(relocator->request->code);
    if (!arm64_is_bti(word) && !arm64_signs(word)) return true;
    relocator->authentication = arm64_signs(word) ? word | ARM64_PAIRED_AUTHENTICATION : 0;
    relocator->out->patch_offset = ARM64_WORD;
    return read_instruction(relocator);
}

bool hp_arm64_read_prologue(relocator *relocator) {
    const hp_relocation_request *request = relocator->request;
    hp_relocation *out = relocator->out;
    if (!keep_landing_pad(relocator)) return false;
    out->detour_length =
        (uint32_t)hp_arm64_encode_detour(out->detour, request->entry + out->patch_offset, request->stub);
    if (out->detour_length == 0) return hp_arm64_refuse_entry(relocator, HP_DETOUR_OUT_OF_REACH, request->stub);

    uint32_t needed = out->patch_offset + out->detour_length;
    while (relocator->end < needed) {
        bool known = request->function_length != 0;
        if (known ? relocator->end + ARM64_WORD > request->function_length : relocator->flow_ended) {
            // Another function may stand there, unless flow has ended and fillers follow.
            return relocator->flow_ended ? read_padding(relocator, needed) : hp_arm64_refuse_entry(relocator, HP_TOO_SHORT, 0);
        }
        // Behind a return the function may go on, for those who jump there; zeros there are fillers.
        if (relocator->flow_ended && has_word(relocator, relocator->end) &&
            arm64_word(request->code + relocator->end) == ARM64_UDF) {
            relocator->end += ARM64_WORD;
            continue;
        }
        if (!read_instruction(relocator)) return false;
        const moved *last = &relocator->moved[relocator->moved_count - 1];
        relocator->flow_ended = is_call(last) || ends_flow(last);
        if (is_call(last) && relocator->end < needed) return hp_arm64_refuse(relocator, HP_RETURN_INTO_PROLOGUE, last);
    }
    return true;
}

// ---------------------------------------------------------------------------------------------------------

// Whether code other than filler stands at `offset` or behind, inside the function. A function that only jumps on (a call in
// tail position, a linker's veneer) ends there; a detour is followed by what is left of the function it was written into. An
// unconditional jump out of a function with its own code right behind is nothing a compiler writes.
static bool code_follows(const relocator *relocator, size_t offset) {
    const hp_relocation_request *request = relocator->request;
    size_t end = request->function_length < request->code_length ? request->function_length : request->code_length;
    for (; offset + ARM64_WORD <= end; offset += ARM64_WORD) {
        if (!is_padding(arm64_word(request->code + offset))) return true;
    }
    return false;
}

// The offset behind a jump through x16 or x17, the registers of veneers and detours, and behind the address it may load from
// there; 0 where the entry is none. The address is made by a few adr, adrp, add, mov, or one literal load.
static size_t end_of_veneer(const relocator *relocator) {
    enum { LONGEST = 5 };
    size_t offset = relocator->out->patch_offset, literal_end = 0;
    for (size_t i = 0; i < LONGEST && has_word(relocator, offset); i++, offset += ARM64_WORD) {
        uint32_t word = arm64_word(relocator->request->code + offset);
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

static bool check_first(const relocator *relocator) {
    const hp_relocation_request *request = relocator->request;
    uint64_t patch = relocator->out->patch_offset;
    const moved *first = hp_arm64_moved_at(relocator, patch);
    uint64_t distance = first->target - request->entry;
    if (first->form == JUMP && distance <= patch) return hp_arm64_refuse(relocator, HP_SELF_LOOP, first);
    if (request->function_length == 0) return true;
    bool leaves = first->form == JUMP && distance >= request->function_length;
    size_t veneer = end_of_veneer(relocator);
    if ((leaves && code_follows(relocator, patch + ARM64_WORD)) || (veneer != 0 && code_follows(relocator, veneer))) {
        return hp_arm64_refuse(relocator, HP_ALREADY_PATCHED, first);
    }
    return true;
}

// A memory copy moves as a whole, or not at all.
static bool check_last(const relocator *relocator) {
    const moved *last = &relocator->moved[relocator->moved_count - 1];
    return !arm64_is_continued(last->word) || hp_arm64_refuse(relocator, HP_UNMOVABLE, last);
}

static bool check_targets(const relocator *relocator) {
    uint64_t patch = relocator->out->patch_offset;
    for (size_t i = 0; i < relocator->moved_count; i++) {
        const moved *moved = &relocator->moved[i];
        if (!moved->has_target) continue;
        uint64_t offset = moved->target - relocator->request->entry;
        bool inside = offset > patch && offset < relocator->end;
        switch (moved->form) {
        case ADDRESS:
            // A page's address is but the base of others.
            if (inside && moved->kind == ARM64_ADDRESS) return hp_arm64_refuse(relocator, HP_ADDRESS_INTO_PROLOGUE, moved);
            break;
        case LITERAL:
            if (arm64_literal_reads(moved->word, offset, patch, relocator->end)) {
                return hp_arm64_refuse(relocator, HP_ADDRESS_INTO_PROLOGUE, moved);
            }
            break;
        case CALL:
            if (inside) return hp_arm64_refuse(relocator, HP_BRANCH_INTO_PROLOGUE, moved);
            break;
        default:
            if (offset < relocator->end && hp_arm64_moved_at(relocator, offset) == NULL) {
                return hp_arm64_refuse(relocator, HP_BRANCH_INTO_PROLOGUE, moved);
            }
        }
    }
    return true;
}

bool hp_arm64_check_prologue(const relocator *relocator) {
    return check_first(relocator) && check_last(relocator) && check_targets(relocator);
}
