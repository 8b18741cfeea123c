// The state of a move, shared by prologue.c (what stands at the entry, and whether it may be moved) and relocate.c (what it
// becomes in the stub). Twin: x86_64/relocator.h.
#pragma once

#include "../arch.h"
#include "encode.h"
#include "instruction.h"
#include "scan.h"

enum {
    ARM64_MOVED_CAPACITY = 1 + HP_DETOUR_CAPACITY / ARM64_WORD,  // the landing pad, and the words of the longest detour
    ARM64_STUB_WORDS = HP_STUB_CAPACITY / ARM64_WORD,
    ARM64_ADDRESS_CAPACITY = 2 * ARM64_MOVED_CAPACITY + 1,  // a call makes two; the jump back one
};

typedef enum form {
    COPY,
    ADDRESS,                   // adr, adrp
    LITERAL,
    JUMP,
    CONDITIONAL_JUMP,
    CALL,
    CALL_INDIRECT,
} form;

// An instruction of the prologue.
typedef struct moved {
    uint32_t word;
    arm64_kind kind;
    form form;
    uint32_t offset;           // from the entry
    uint32_t stub_offset;
    uint64_t target;           // what it refers to
    bool has_target;
} moved;

// A word of the stub, as it shall read.
typedef struct expected {
    enum { ITSELF, REFERENCE, PART_OF_ADDRESS } how;
    uint32_t word;             // ITSELF
    uint64_t target;           // REFERENCE
} expected;

// Words of the stub that together make a register hold an address, as they shall read.
typedef struct expected_address {
    uint32_t offset;
    uint32_t length;
    unsigned reg;
    uint64_t value;
} expected_address;

typedef struct relocator {
    const hp_relocation_request *request;
    hp_relocation *out;
    hp_refusal *refusal;
    moved moved[ARM64_MOVED_CAPACITY];
    size_t moved_count;
    uint32_t end;              // of the prologue, from the entry
    bool flow_ended;           // no instruction runs on to `end`
    uint32_t authentication;   // autiasp or autibsp, where the entry keeps a paciasp or pacibsp; else 0
    unsigned scratch;          // 16 or 17: dead at the entry, and not used by the prologue; 0 if it uses both
    expected expected[ARM64_STUB_WORDS];
    expected_address addresses[ARM64_ADDRESS_CAPACITY];
    size_t address_count;
    bool is_laid_out;          // the first of two passes over the stub is done
    bool overflowed, shifted;  // the stub is full; an instruction came to lie elsewhere in the second pass
} relocator;

// Reads as many instructions as the detour needs, and decides what becomes of each (moved, end, flow_ended, patch_offset,
// detour).
bool hp_arm64_read_prologue(relocator *relocator);

// Refuses what the prologue as a whole forbids: a loop onto itself, another patcher's detour, references into the
// overwritten bytes.
bool hp_arm64_check_prologue(const relocator *relocator);

// The moved instruction that starts at `offset` from the entry; NULL if none does.
const moved *hp_arm64_moved_at(const relocator *relocator, uint64_t offset);

// Both return false. The second blames no instruction.
bool hp_arm64_refuse(const relocator *relocator, hp_reason reason, const moved *moved);
bool hp_arm64_refuse_entry(const relocator *relocator, hp_reason reason, uint64_t operand);
