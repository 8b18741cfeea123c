// The state of a move, shared by prologue.c (what stands at the entry, and whether it may be moved) and relocate.c (what it
// becomes in the stub).
#pragma once

#include "../arch.h"
#include "instruction.h"
#include "scan.h"

enum {
    X86_MOVED_CAPACITY = 8,    // endbr64, and at most five instructions until five bytes are full
    X86_EXPECTED_CAPACITY = 40,
};

typedef enum form {
    COPY,
    COPY_RIP_RELATIVE,
    ADDRESS,                   // lea out of reach: a constant
    JUMP,
    CONDITIONAL_JUMP,
    SHORT_ONLY_JUMP,           // loop, loope, loopne, jrcxz
    CALL,
    CALL_INDIRECT,
} form;

// An instruction of the prologue.
typedef struct moved {
    x86_instruction parsed;
    form form;
    uint32_t offset;           // from the entry
    uint32_t stub_offset;
    uint64_t target;           // what it refers to; after the layout, what its copy refers to
    bool has_target;
} moved;

// An instruction of the stub, as it shall read.
typedef struct expected {
    uint32_t offset;
    uint32_t length;
    uint64_t target;
    bool has_target;
} expected;

typedef struct relocator {
    const hp_relocation_request *request;
    uint64_t detour_target;    // the stub, or the hop
    hp_relocation *out;
    hp_refusal *refusal;
    moved moved[X86_MOVED_CAPACITY];
    size_t moved_count;
    uint32_t end;              // of the prologue, from the entry
    bool flow_ended;           // no instruction runs on to `end`
    expected expected[X86_EXPECTED_CAPACITY];
    size_t expected_count;
} relocator;

// Reads whole instructions until the detour fits, and decides what becomes of each (moved, end, flow_ended, patch_offset).
bool hp_x86_read_prologue(relocator *relocator);

// Refuses what the prologue as a whole forbids: a loop onto itself, another patcher's detour, references into the
// overwritten bytes.
bool hp_x86_check_prologue(const relocator *relocator);

// The moved instruction that starts at `offset` from the entry; NULL if none does.
const moved *hp_x86_moved_at(const relocator *relocator, uint64_t offset);

// Both return false. The second blames no instruction.
bool hp_x86_refuse(const relocator *relocator, hp_reason reason, const moved *moved);
bool hp_x86_refuse_entry(const relocator *relocator, hp_reason reason, uint64_t operand);

// encode.c, beyond what both architectures do: `condition` is the low half of the opcode, 4 is e, 5 is ne, …
size_t hp_x86_64_encode_conditional_jump(uint8_t *out, uint64_t from, unsigned condition, uint64_t to);
size_t hp_x86_64_encode_short_jump(uint8_t *out, uint64_t from, uint64_t to);

static inline const uint8_t *x86_code_of(const relocator *relocator, const moved *moved) {
    return relocator->request->code + moved->offset;
}

static inline bool x86_is_one_byte(const x86_instruction *parsed, uint8_t opcode) {
    return parsed->legacy && parsed->map == 0 && parsed->opcode == opcode;
}
