// Moving an x86_64 entry.
//
// A function's first bytes, the prologue, make way for a five-byte jump, the detour. Their instructions are made anew in a
// stub, so that calling `stub + original_offset` runs the function as it was:
//
//     entry          endbr64             kept where it is; indirect calls must find it
//     patch address  jmp stub            the detour: 5 bytes, inside the prologue's whole instructions
//                    …                   the prologue's tail, left as it was, and the rest of the function
//
// (or two bytes, `jmp hop`, with `jmp stub` in the padding at the hop: hop.c)
//
//     stub           jmp *slot(%rip)     the island; the slot holds the replacement's address
//                    int3, int3
//     original       endbr64             if the entry has one
//                    the prologue's instructions, made to do at their new address what they did at the old one
//                    jmp entry + prologue end
//
// What becomes of an instruction:
//
//   - No relation to its own address: copied.
//   - A RIP-relative operand: copied, with the displacement counted from the stub. `lea` out of reach becomes a constant.
//     An operand inside the overwritten bytes is refused; the address of the entry itself stays the entry's.
//   - jcc and jmp: made near (five or six bytes), to the same address. A jump to another moved instruction goes to its
//     copy, and so does a jump to the entry: a loop that began in the old function stays in it.
//   - loop, loope, loopne, jrcxz exist only as short jumps, so they jump over a jump:
//         jrcxz 1f;  jmp 2f;  1: jmp target;  2:
//   - call: the return address must be the original one. Unwinders find a frame's cleanup and its catch blocks by the
//     return address, and a stub has neither; and the stub can then be left by all who are "in" it by letting them run
//     on, for no stack ever refers to it. So a call becomes a push of the original return address and a jump. This
//     works where that address lies beyond the detour, and then nothing is left to jump back to. (A shadow stack, which
//     Linux gives only to programs that ask for it, would object to the unpaired return.) A call of the function's own
//     entry remains one: a recursion reaches the replacement.
//   - ret, jmp, ud2: copied or made near. Where the function ends with them and is shorter than the detour, the fillers
//     behind it (nop, int3) are overwritten too; where it goes on, so does the prologue.
//   - syscall and int are copied; a thread that the kernel restarts two bytes earlier stands on a moved instruction.
//   - xbegin, far jumps, 66-prefixed branches (which Intel and AMD read differently) and calls through the stack
//     pointer are refused; so is int3, which is somebody's breakpoint.
//
// The passes: read the prologue (prologue.c); scan the body for jumps into it (scan.c); lay out the stub, where all sizes are known
// beforehand because all jumps are near; write it; read it again and compare it with what it shall be. Every moved
// instruction is measured by two decoders, Capstone and instruction.c, and refused where they differ.
#include "relocator.h"

#include <string.h>

enum {
    ORIGINAL_OFFSET = 8,       // after the island's 6 bytes
    JUMP_LENGTH = 5,
};

// ---------------------------------------------------------------------------------------------------------
// Lay out the stub.

// Whether a 32-bit displacement reaches `target` from every place in the stub.
static bool reaches(const relocator *relocator, uint64_t target) {
    int64_t distance = (int64_t)(target - relocator->request->stub);
    return distance > INT32_MIN + HP_STUB_CAPACITY && distance < INT32_MAX - HP_STUB_CAPACITY;
}

static uint32_t size_in_stub(const moved *moved) {
    const uint32_t return_address = 13;
    switch (moved->form) {
    case COPY: case COPY_RIP_RELATIVE: return moved->parsed.length;
    case ADDRESS: return 10;
    case JUMP: return JUMP_LENGTH;
    case CONDITIONAL_JUMP: return 6;
    case SHORT_ONLY_JUMP: return (moved->parsed.address_size ? 3 : 2) + 2 + JUMP_LENGTH;
    case CALL: return return_address + JUMP_LENGTH;
    case CALL_INDIRECT: return return_address + moved->parsed.length;
    }
    return 0;
}

static bool lay_out(relocator *relocator) {
    uint32_t at = ORIGINAL_OFFSET;
    relocator->out->original_offset = at;
    for (size_t i = 0; i < relocator->moved_count; i++) {
        moved *moved = &relocator->moved[i];
        if (moved->form == COPY_RIP_RELATIVE && !reaches(relocator, moved->target)) {
            bool wide = (moved->parsed.rex & 8) != 0;
            if (!x86_is_one_byte(&moved->parsed, 0x8d) || !wide) return hp_x86_refuse(relocator, HP_OUT_OF_REACH, moved);
            moved->form = ADDRESS;
        }
        moved->stub_offset = at;
        at += size_in_stub(moved);
    }
    relocator->out->stub_length = at + (relocator->flow_ended ? 0 : JUMP_LENGTH);
    if (relocator->out->stub_length > HP_STUB_CAPACITY) return hp_x86_refuse_entry(relocator, HP_STUB_OVERFLOW, 0);

    for (size_t i = 0; i < relocator->moved_count; i++) {
        moved *moved = &relocator->moved[i];
        bool jumps = moved->form == JUMP || moved->form == CONDITIONAL_JUMP || moved->form == SHORT_ONLY_JUMP;
        const struct moved *copied = jumps ? hp_x86_moved_at(relocator, moved->target - relocator->request->entry) : NULL;
        bool reached = moved->form == ADDRESS || !moved->has_target || copied != NULL || reaches(relocator, moved->target);
        if (!reached) return hp_x86_refuse(relocator, HP_OUT_OF_REACH, moved);
        if (copied != NULL) moved->target = relocator->request->stub + copied->stub_offset;
    }
    return true;
}

// ---------------------------------------------------------------------------------------------------------
// Write the stub and the detour.

// Takes note that the next instruction of the stub has this length, and refers to `target`.
static uint8_t *mean(relocator *relocator, uint32_t *at, size_t length, bool has_target, uint64_t target) {
    uint8_t *place = relocator->out->stub + *at;
    if (relocator->expected_count < X86_EXPECTED_CAPACITY) {
        relocator->expected[relocator->expected_count++] = (expected){*at, (uint32_t)length, target, has_target};
    }
    *at += (uint32_t)length;
    return place;
}

static void write_jump(relocator *relocator, uint32_t *at, uint64_t target) {
    uint64_t from = relocator->request->stub + *at;
    hp_x86_64_encode_jump(mean(relocator, at, JUMP_LENGTH, true, target), from, target);
}

static void write_return_address(relocator *relocator, uint32_t *at, const moved *moved) {
    uint8_t code[16];
    hp_x86_64_encode_return_address(code, relocator->request->entry + moved->offset + moved->parsed.length);
    memcpy(mean(relocator, at, 5, false, 0), code, 5);
    memcpy(mean(relocator, at, 8, false, 0), code + 5, 8);
    relocator->out->moves_call = true;
}

// Copies the instruction, and counts its displacement from where it will run.
static uint8_t *write_copy(relocator *relocator, uint32_t *at, const moved *moved) {
    uint64_t from = relocator->request->stub + *at;
    uint8_t *place = mean(relocator, at, moved->parsed.length, moved->has_target, moved->target);
    memcpy(place, x86_code_of(relocator, moved), moved->parsed.length);
    if (moved->has_target) {
        int32_t displacement = (int32_t)(moved->target - (from + moved->parsed.length));
        memcpy(place + moved->parsed.displacement_offset, &displacement, sizeof displacement);
    }
    return place;
}

static void write_short_only_jump(relocator *relocator, uint32_t *at, const moved *moved) {
    bool narrow = moved->parsed.address_size;
    uint32_t length = narrow ? 3 : 2;
    uint64_t taken = relocator->request->stub + *at + length + 2;
    uint8_t *place = mean(relocator, at, length, true, taken);
    if (narrow) *place++ = 0x67;                     // count in ecx
    place[0] = moved->parsed.opcode;                 // loop taken
    place[1] = 2;
    place = mean(relocator, at, 2, true, taken + JUMP_LENGTH);
    place[0] = 0xeb;                                 // jmp next
    place[1] = JUMP_LENGTH;
    write_jump(relocator, at, moved->target);            // taken: jmp target
}

static void write_moved(relocator *relocator, uint32_t *at, const moved *moved) {
    switch (moved->form) {
    case COPY:
    case COPY_RIP_RELATIVE: write_copy(relocator, at, moved); break;
    case ADDRESS: {
        unsigned reg = x86_reg(&moved->parsed) | (moved->parsed.rex & 4u) << 1;
        hp_x86_64_encode_constant(mean(relocator, at, 10, false, 0), reg, moved->target);
        break;
    }
    case JUMP: write_jump(relocator, at, moved->target); break;
    case CONDITIONAL_JUMP: {
        uint64_t from = relocator->request->stub + *at;
        uint8_t *place = mean(relocator, at, 6, true, moved->target);
        hp_x86_64_encode_conditional_jump(place, from, moved->parsed.opcode, moved->target);
        break;
    }
    case SHORT_ONLY_JUMP: write_short_only_jump(relocator, at, moved); break;
    case CALL:
        write_return_address(relocator, at, moved);
        write_jump(relocator, at, moved->target);
        break;
    case CALL_INDIRECT:
        write_return_address(relocator, at, moved);
        // ff /2, call, becomes ff /4, jmp: 010 and 100 in bits 3 to 5.
        write_copy(relocator, at, moved)[moved->parsed.modrm_offset] ^= 0x30;
        break;
    }
}

static bool write_all(relocator *relocator) {
    const hp_relocation_request *request = relocator->request;
    hp_relocation *out = relocator->out;
    uint64_t patch = request->entry + out->patch_offset;

    memcpy(out->expected, request->code + out->patch_offset, out->detour_length);
    size_t length = (out->detour_length == X86_DETOUR_LENGTH ? hp_x86_64_encode_jump : hp_x86_64_encode_short_jump)(
        out->detour, patch, relocator->detour_target);
    if (length == 0) return hp_x86_refuse_entry(relocator, HP_DETOUR_OUT_OF_REACH, relocator->detour_target);
    size_t island = hp_x86_64_encode_island(out->stub, request->stub, request->slot);
    if (island == 0) return hp_x86_refuse_entry(relocator, HP_DETOUR_OUT_OF_REACH, request->slot);
    memset(out->stub + island, 0xcc, ORIGINAL_OFFSET - island);

    uint32_t at = ORIGINAL_OFFSET;
    for (size_t i = 0; i < relocator->moved_count; i++) {
        const moved *moved = &relocator->moved[i];
        if (moved->offset >= out->patch_offset) {
            out->pc_map[out->pc_count++] = (hp_pc_pair){moved->offset, at};
        }
        write_moved(relocator, &at, moved);
    }
    if (!relocator->flow_ended) {
        out->pc_map[out->pc_count++] = (hp_pc_pair){relocator->end, at};
        uint64_t back = request->entry + relocator->end;
        if (!reaches(relocator, back)) return hp_x86_refuse_entry(relocator, HP_DETOUR_OUT_OF_REACH, back);
        write_jump(relocator, &at, back);
    }
    out->prologue_length = relocator->end - out->patch_offset;
    return true;
}

// ---------------------------------------------------------------------------------------------------------
// Read what was written.

static bool reads_as(const uint8_t *code, uint64_t address, const expected *expected) {
    x86_instruction parsed;
    if (hp_x86_parse(code, expected->length, &parsed) != X86_PARSED || parsed.length != expected->length) return false;
    bool relative = hp_x86_is_relative_branch(&parsed) || x86_is_rip_relative(&parsed);
    if (relative != expected->has_target) return false;
    return !relative || hp_x86_target(&parsed, code, address) == expected->target;
}

// Never false, unless this file is wrong; and then better here than in a process that was to be patched.
static bool check_written(const relocator *relocator) {
    const hp_relocation_request *request = relocator->request;
    const hp_relocation *out = relocator->out;
    const expected detour = {0, out->detour_length, relocator->detour_target, true};
    const expected island = {0, 6, request->slot, true};
    bool good = reads_as(out->detour, request->entry + out->patch_offset, &detour) &&
                reads_as(out->stub, request->stub, &island) && relocator->expected_count < X86_EXPECTED_CAPACITY;
    uint32_t at = ORIGINAL_OFFSET;
    for (size_t i = 0; good && i < relocator->expected_count; i++) {
        const expected *expected = &relocator->expected[i];
        good = expected->offset == at && reads_as(out->stub + at, request->stub + at, expected);
        at += expected->length;
    }
    for (size_t i = 0; good && i < relocator->moved_count; i++) {
        const moved *moved = &relocator->moved[i];
        uint32_t next = i + 1 < relocator->moved_count ? relocator->moved[i + 1].stub_offset
            : out->stub_length - (relocator->flow_ended ? 0 : JUMP_LENGTH);
        good = next == moved->stub_offset + size_in_stub(moved);
    }
    good = good && at == out->stub_length && relocator->end <= HP_PROLOGUE_CAPACITY;
    return good || hp_x86_refuse_entry(relocator, HP_UNMOVABLE, 0);
}

bool hp_x86_64_relocate(
    const hp_relocation_request *request, uint64_t hop, hp_relocation *out, hp_refusal *refusal
) {
    relocator relocator = {
        .request = request, .detour_target = hop == 0 ? request->stub : hop, .out = out, .refusal = refusal,
    };
    out->detour_length = hop == 0 ? X86_DETOUR_LENGTH : X86_SHORT_DETOUR_LENGTH;
    // Addresses come from files; none of what follows shall have to think of one that wraps around.
    if (request->entry + request->code_length < request->entry) return hp_x86_refuse_entry(&relocator, HP_UNREADABLE_ENTRY, 0);
    if (request->stub > UINT64_MAX - HP_STUB_CAPACITY) {
        return hp_x86_refuse_entry(&relocator, HP_DETOUR_OUT_OF_REACH, request->stub);
    }
    return hp_x86_read_prologue(&relocator) && hp_x86_check_prologue(&relocator) &&
           hp_x86_scan_body(request, relocator.end, out, refusal) && lay_out(&relocator) && write_all(&relocator) &&
           check_written(&relocator);
}

// `jmp rel32`: a signed 32-bit displacement, from the end of the jump's 5 bytes. Less the 5, so that both ways hold.
uint64_t hp_x86_64_detour_reach(void) { return (uint64_t)INT32_MAX - X86_DETOUR_LENGTH; }

uint64_t hp_x86_64_far_detour_reach(void) { return hp_x86_64_detour_reach(); }

bool hp_x86_64_may_skip_island(void) { return true; }

size_t hp_x86_64_instruction_length(const uint8_t *code, size_t length) {
    x86_instruction parsed;
    return hp_x86_parse(code, length, &parsed) == X86_PARSED ? parsed.length : 0;
}

// endbr64, and the jump.
size_t hp_x86_64_entry_span(void) { return 4 + X86_DETOUR_LENGTH; }
