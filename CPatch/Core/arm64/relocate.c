// Moving an arm64 entry.
//
// A function's first instruction, the prologue, makes way for a branch, the detour. It is made anew in a stub, so that calling
// `stub + original_offset` runs the function as it was:
//
//     entry          bti c               kept where it is; indirect calls must find it (on a guarded page)
//     patch address  b stub              the detour: one word, written whole
//                    …                   the rest of the function
//
//     stub           ldr x16, slot       the island; the slot holds the replacement's address
//                    br  x16
//     original       bti c               if the entry has one
//                    the prologue's instructions, made to do at their new address what they did at the old one
//                    b   entry + prologue end
//
// An entry that begins with paciasp keeps it, for it is a landing pad as well. Whoever comes to the detour has signed the
// return address, which the replacement does not expect; so the island begins with autiasp, at the same stack pointer. The
// moved prologue begins with a paciasp of its own, for whoever calls the original.
//
// Where the stub lies farther away than the 128 MiB that `b` reaches, the detour is the shortest that reaches:
//
//     adrp x16, stub; br x16                                   8 bytes, a stub at the start of a page, within 4 GiB
//     adrp x16, stub; add x16, x16, #:lo12:stub; br x16       12 bytes, within 4 GiB
//     ldr x16, 1f; br x16; 1: .quad stub                      16 bytes
//
// and the prologue as long. x16 and x17 are dead at an entry (AAPCS64 section 6.1.1).
//
// What becomes of an instruction:
//
//   - No relation to its own address: copied.
//   - adr, adrp: the same address, by adr, adrp, adrp and add, or a constant. An address inside the overwritten bytes is
//     refused; the address of the entry itself stays the entry's.
//   - A literal load: the same with a new displacement; out of reach, through its own register, or x16 or x17. A literal
//     inside the overwritten bytes is refused.
//   - b, b.cond, cbz, tbz and their like: to the same address. A jump to another moved instruction goes to its copy, and so
//     does a jump to the entry: a loop that began in the old function stays in it. Out of reach, the opposite condition
//     leads over a jump; compare-and-branch has no opposite for every operand, so it leads over a jump over a jump.
//   - bl, blr: the return address must be the original one, for the reasons that x86_64/relocate.c gives; so x30 is set,
//     and the call becomes a jump. Nothing is left to jump back to. A call of the function's own entry remains one.
//   - A jump out of reach goes through x16, or x17, whichever the prologue does not use; if it uses both, it is refused.
//   - Authenticated calls, instructions that sign with their own address, and a debugger's breakpoint are refused; so is the
//     first part of a memory copy or set (FEAT_MOPS) whose last part would stay behind.
//
// The passes: read the prologue (prologue.c); scan the body for references into it (scan.c); write the stub, twice, because only
// then all copies have their place; read it again and compare it with what it shall be.
#include "relocator.h"

// ---------------------------------------------------------------------------------------------------------
// Write the stub and the detour.

static uint64_t here(const relocator *relocator) { return relocator->request->stub + relocator->out->stub_length; }

static void append(relocator *relocator, uint32_t word, expected expected) {
    hp_relocation *out = relocator->out;
    if (out->stub_length + ARM64_WORD > HP_STUB_CAPACITY) {
        relocator->overflowed = true;
        return;
    }
    relocator->expected[out->stub_length / ARM64_WORD] = expected;
    memcpy(out->stub + out->stub_length, &word, sizeof word);
    out->stub_length += ARM64_WORD;
}

static void write_word(relocator *relocator, uint32_t word) { append(relocator, word, (expected){.how = ITSELF, .word = word}); }

static bool write_reference(relocator *relocator, uint32_t word, arm64_kind kind, uint64_t target) {
    if (!hp_arm64_retarget(&word, kind, here(relocator), target)) return false;
    append(relocator, word, (expected){.how = REFERENCE, .target = target});
    return true;
}

// Takes note of instructions that make a register hold an address.
static void append_address(relocator *relocator, const uint8_t *code, size_t length, unsigned reg, uint64_t value) {
    if (relocator->address_count == ARM64_ADDRESS_CAPACITY) {
        relocator->overflowed = true;
        return;
    }
    relocator->addresses[relocator->address_count++] =
        (expected_address){relocator->out->stub_length, (uint32_t)length, reg, value};
    for (size_t at = 0; at < length; at += ARM64_WORD) {
        append(relocator, arm64_word(code + at), (expected){.how = PART_OF_ADDRESS});
    }
}

static void write_address(relocator *relocator, unsigned reg, uint64_t value) {
    uint8_t code[16];
    append_address(relocator, code, hp_arm64_encode_address(code, here(relocator), reg, value), reg, value);
}

// How many bytes a jump at `from` takes. 0: out of reach, and no register to go through.
static size_t jump_length(const relocator *relocator, uint64_t from, uint64_t target) {
    uint8_t code[20];
    size_t length = hp_arm64_encode_jump(code, from, target);
    if (length != 0 || relocator->scratch == 0) return length;
    return hp_arm64_encode_far_jump(code, from, relocator->scratch, target);
}

static bool write_jump(relocator *relocator, uint64_t target) {
    uint8_t code[20];
    if (write_reference(relocator, 0x14000000, ARM64_JUMP, target)) return true;  // b target
    if (relocator->scratch == 0) return false;
    size_t length = hp_arm64_encode_far_jump(code, here(relocator), relocator->scratch, target);
    append_address(relocator, code, length - ARM64_WORD, relocator->scratch, target);
    write_word(relocator, arm64_word(code + length - ARM64_WORD));
    relocator->out->moves_call = true;
    return true;
}

static bool write_conditional_jump(relocator *relocator, const moved *moved, uint64_t target) {
    if (write_reference(relocator, moved->word, moved->kind, target)) return true;
    uint64_t from = here(relocator);
    if (moved->kind == ARM64_COMPARE) {
        uint64_t taken = from + 2 * ARM64_WORD;
        write_reference(relocator, moved->word, moved->kind, taken);                      // cbgt taken
        write_jump(relocator, taken + jump_length(relocator, taken, target));                 // b next
    } else {                                                                          // b.!cond next
        uint64_t next = from + ARM64_WORD + jump_length(relocator, from + ARM64_WORD, target);
        write_reference(relocator, hp_arm64_inverted(moved->word, moved->kind), moved->kind, next);
    }
    return write_jump(relocator, target);                                                 // taken: b target; next:
}

static bool write_literal_load(relocator *relocator, const moved *moved) {
    if (write_reference(relocator, moved->word, ARM64_LITERAL, moved->target)) return true;
    bool vector = (moved->word & 1 << 26) != 0, prefetch = hp_arm64_literal_size(moved->word) == 0;
    bool own = !vector && !prefetch && arm64_rd(moved->word) != 31;
    if (!own && relocator->scratch == 0) {
        if (prefetch) write_word(relocator, ARM64_NOP);  // it is but a hint
        return prefetch;
    }
    unsigned reg = own ? arm64_rd(moved->word) : relocator->scratch;
    write_address(relocator, reg, moved->target);
    write_word(relocator, hp_arm64_load_through(moved->word, reg));
    return true;
}

// Makes the original return address the return address.
static void write_return_address(relocator *relocator, const moved *moved) {
    uint8_t code[16];
    uint64_t address = relocator->request->entry + moved->offset + ARM64_WORD;
    append_address(relocator, code, hp_arm64_encode_return_address(code, address), 30, address);
    relocator->out->moves_call = true;
}

// Through x16 or x17: an entry on a guarded page accepts `br` only from these (from a stub that is guarded, too).
static bool write_indirect_call(relocator *relocator, const moved *moved) {
    unsigned reg = arm64_rn(moved->word);
    bool through_veneer = reg == 16 || reg == 17;
    if (!through_veneer && relocator->scratch == 0) return false;
    unsigned target = through_veneer ? reg : relocator->scratch;
    if (!through_veneer) write_word(relocator, 0xaa0003e0 | reg << 16 | target);          // mov x16, xn
    write_return_address(relocator, moved);
    write_word(relocator, 0xd61f0000 | target << 5);                                      // br x16
    return true;
}

static bool write_moved(relocator *relocator, const moved *moved) {
    bool jumps = moved->form == JUMP || moved->form == CONDITIONAL_JUMP;
    const struct moved *copied = jumps ? hp_arm64_moved_at(relocator, moved->target - relocator->request->entry) : NULL;
    uint64_t target = copied != NULL ? relocator->request->stub + copied->stub_offset : moved->target;
    switch (moved->form) {
    case COPY: write_word(relocator, moved->word); return true;
    case ADDRESS:
        // adr xzr, which has no effect, has no register for add: there it would be the stack pointer.
        if (arm64_rd(moved->word) == 31) write_word(relocator, ARM64_NOP);
        else write_address(relocator, arm64_rd(moved->word), target);
        return true;
    case LITERAL: return write_literal_load(relocator, moved);
    case JUMP: return write_jump(relocator, target);
    case CONDITIONAL_JUMP: return write_conditional_jump(relocator, moved, target);
    case CALL: write_return_address(relocator, moved); return write_jump(relocator, target);
    case CALL_INDIRECT: return write_indirect_call(relocator, moved);
    }
    return false;
}

static unsigned scratch_register(const relocator *relocator) {
    uint32_t touched = 0;
    for (size_t i = 0; i < relocator->moved_count; i++) touched |= hp_arm64_touched(relocator->moved[i].word);
    return (touched & 1 << 16) == 0 ? 16 : (touched & 1 << 17) == 0 ? 17 : 0;
}

static bool write_island(relocator *relocator) {
    uint8_t code[HP_DETOUR_CAPACITY];
    if (relocator->authentication != 0) write_word(relocator, relocator->authentication);
    size_t length = hp_arm64_encode_island(code, here(relocator), relocator->request->slot);
    for (size_t at = 0; at < length; at += ARM64_WORD) {
        // Read again by island_is_good.
        append(relocator, arm64_word(code + at), (expected){.how = PART_OF_ADDRESS});
    }
    relocator->out->original_offset = relocator->out->stub_length;
    return length != 0 || hp_arm64_refuse_entry(relocator, HP_DETOUR_OUT_OF_REACH, relocator->request->slot);
}

static bool write_stub(relocator *relocator) {
    const hp_relocation_request *request = relocator->request;
    hp_relocation *out = relocator->out;
    out->stub_length = out->pc_count = 0;
    relocator->address_count = 0;
    if (!write_island(relocator)) return false;
    for (size_t i = 0; i < relocator->moved_count; i++) {
        moved *moved = &relocator->moved[i];
        if (relocator->is_laid_out && moved->stub_offset != out->stub_length) relocator->shifted = true;
        moved->stub_offset = out->stub_length;
        if (moved->offset >= out->patch_offset) {
            out->pc_map[out->pc_count++] = (hp_pc_pair){moved->offset, out->stub_length};
        }
        if (!write_moved(relocator, moved)) {
            return hp_arm64_refuse(relocator, moved->form == CALL_INDIRECT ? HP_UNMOVABLE : HP_OUT_OF_REACH, moved);
        }
    }
    if (!relocator->flow_ended) {
        uint64_t back = request->entry + relocator->end;
        out->pc_map[out->pc_count++] = (hp_pc_pair){relocator->end, out->stub_length};
        if (!write_jump(relocator, back)) return hp_arm64_refuse_entry(relocator, HP_DETOUR_OUT_OF_REACH, back);
    }
    relocator->is_laid_out = true;
    return !relocator->overflowed || hp_arm64_refuse_entry(relocator, HP_STUB_OVERFLOW, 0);
}

static bool write_all(relocator *relocator) {
    hp_relocation *out = relocator->out;
    relocator->scratch = scratch_register(relocator);
    memcpy(out->expected, relocator->request->code + out->patch_offset, out->detour_length);
    out->prologue_length = relocator->end - out->patch_offset;
    return write_stub(relocator) && write_stub(relocator);
}

// ---------------------------------------------------------------------------------------------------------
// Read what was written.

// Whether the words at `address` jump to `target` through x16: an address or a literal of it, and br.
static bool jumps_through_x16(const uint8_t *code, size_t length, uint64_t address, uint64_t target) {
    if (length < 2 * ARM64_WORD) return false;
    uint32_t first = arm64_word(code);
    arm64_kind kind = hp_arm64_kind(first);
    uint64_t value;
    if (kind == ARM64_LITERAL) {
        if (length != 16 || first >> 24 != 0x58 || arm64_rd(first) != 16 || arm64_word(code + 4) != 0xd61f0200) return false;
        if (hp_arm64_target(first, kind, address) != address + 8) return false;
        memcpy(&value, code + 8, sizeof value);
        return value == target;
    }
    size_t jump = length - ARM64_WORD;
    return arm64_word(code + jump) == 0xd61f0200 && hp_arm64_evaluate(code, jump, address, 16, &value) &&
           value == target;
}

static bool detour_is_good(const relocator *relocator) {
    const hp_relocation *out = relocator->out;
    uint64_t address = relocator->request->entry + out->patch_offset;
    uint32_t word = arm64_word(out->detour);
    if (out->detour_length != ARM64_WORD) {
        return jumps_through_x16(out->detour, out->detour_length, address, relocator->request->stub);
    }
    return hp_arm64_kind(word) == ARM64_JUMP && hp_arm64_target(word, ARM64_JUMP, address) == relocator->request->stub;
}

static bool island_is_good(const relocator *relocator) {
    const uint8_t *code = relocator->out->stub;
    uint64_t address = relocator->request->stub, page;
    if (relocator->authentication != 0) {
        if (arm64_word(code) != relocator->authentication) return false;
        code += ARM64_WORD;
        address += ARM64_WORD;
    }
    uint32_t first = arm64_word(code), second = arm64_word(code + 4);
    if (hp_arm64_kind(first) == ARM64_LITERAL) {
        return first >> 24 == 0x58 && arm64_rd(first) == 16 && second == 0xd61f0200 &&
               hp_arm64_target(first, ARM64_LITERAL, address) == relocator->request->slot;
    }
    bool loads = (second & 0xffc003ff) == 0xf9400210;                 // ldr x16, [x16, #offset]
    uint64_t offset = (second >> 10 & 0xfff) * sizeof(uint64_t);
    return hp_arm64_evaluate(code, ARM64_WORD, address, 16, &page) && loads && page + offset == relocator->request->slot &&
           arm64_word(code + 8) == 0xd61f0200;
}

static bool reads_as(uint32_t word, uint64_t address, const expected *expected) {
    arm64_kind kind = hp_arm64_kind(word);
    bool refers = kind != ARM64_PLAIN && kind != ARM64_RESERVED && kind != ARM64_OWN_ADDRESS;
    switch (expected->how) {
    case ITSELF: return kind == ARM64_PLAIN && word == expected->word;
    case REFERENCE: return refers && hp_arm64_target(word, kind, address) == expected->target;
    case PART_OF_ADDRESS: return true;
    }
    return false;
}

// Never false, unless this file is wrong; and then better here than in a process that was to be patched.
static bool check_written(const relocator *relocator) {
    const hp_relocation_request *request = relocator->request;
    const hp_relocation *out = relocator->out;
    bool good = !relocator->shifted && relocator->end <= HP_PROLOGUE_CAPACITY && detour_is_good(relocator) && island_is_good(relocator);
    for (uint32_t at = 0; good && at < out->stub_length; at += ARM64_WORD) {
        good = reads_as(arm64_word(out->stub + at), request->stub + at, &relocator->expected[at / ARM64_WORD]);
    }
    for (size_t i = 0; good && i < relocator->address_count; i++) {
        const expected_address *expected = &relocator->addresses[i];
        uint64_t value;
        good = hp_arm64_evaluate(
                   out->stub + expected->offset, expected->length, request->stub + expected->offset, expected->reg, &value) &&
               value == expected->value;
    }
    return good || hp_arm64_refuse_entry(relocator, HP_UNMOVABLE, 0);
}

bool hp_arm64_relocate(
    const hp_relocation_request *request, uint64_t hop, hp_relocation *out, hp_refusal *refusal
) {
    relocator relocator = {.request = request, .out = out, .refusal = refusal};
    if (hop != 0) return hp_arm64_refuse_entry(&relocator, HP_DETOUR_OUT_OF_REACH, hop);
    // Addresses come from files; none of what follows shall have to think of one that wraps around.
    if (request->entry + request->code_length < request->entry || request->entry % ARM64_WORD != 0) {
        return hp_arm64_refuse_entry(&relocator, HP_UNREADABLE_ENTRY, 0);
    }
    if (request->stub > UINT64_MAX - HP_STUB_CAPACITY) {
        return hp_arm64_refuse_entry(&relocator, HP_DETOUR_OUT_OF_REACH, request->stub);
    }
    return hp_arm64_read_prologue(&relocator) && hp_arm64_check_prologue(&relocator) &&
           hp_arm64_scan_body(request, relocator.end, out, refusal) && write_all(&relocator) && check_written(&relocator);
}

// `b` has a signed 26-bit word displacement: 128 MiB (Arm ARM C6.2, B).
uint64_t hp_arm64_detour_reach(void) { return (uint64_t)1 << 27; }

// A literal holds any address.
uint64_t hp_arm64_far_detour_reach(void) { return UINT64_MAX; }

// The replacement of an entry that keeps its paciasp needs the island; and whether an entry does cannot be told from the
// jump that is to be written.
bool hp_arm64_may_skip_island(void) { return false; }

size_t hp_arm64_instruction_length(const uint8_t *code, size_t length) {
    (void)code;
    return length >= ARM64_WORD ? ARM64_WORD : 0;
}

// bti or paciasp, and the longest of the detours.
size_t hp_arm64_entry_span(void) { return ARM64_WORD + HP_DETOUR_CAPACITY; }
