// One arm64 instruction: whether it depends on its own address, and how. Twin: x86_64/instruction.h.
#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

enum { ARM64_WORD = 4 };  // bytes of an instruction

// The forms that depend on their own address are few and known, so that all others can be copied without being understood.
typedef enum arm64_kind {
    ARM64_PLAIN,           // does not depend on its own address
    ARM64_ADDRESS,         // adr
    ARM64_PAGE,            // adrp
    ARM64_LITERAL,         // ldr, ldrsw, prfm of a label
    ARM64_JUMP,            // b
    ARM64_CALL,            // bl
    ARM64_CONDITION,       // b.cond, bc.cond
    ARM64_ZERO,            // cbz, cbnz
    ARM64_BIT,             // tbz, tbnz
    ARM64_COMPARE,         // cbgt, cbbeq, … (FEAT_CMPBR)
    ARM64_OWN_ADDRESS,     // signs or authenticates with its own address (FEAT_PAuth_LR), or an unallocated literal load
    ARM64_RESERVED,        // no instruction: udf and its neighbours
} arm64_kind;

arm64_kind hp_arm64_kind(uint32_t word);

// What the instruction at `address` refers to; 0 for kinds that refer to nothing.
uint64_t hp_arm64_target(uint32_t word, arm64_kind kind, uint64_t address);

// Makes the instruction, running at `address`, refer to `target`. False, and unchanged, where it does not reach.
bool hp_arm64_retarget(uint32_t *word, arm64_kind kind, uint64_t address, uint64_t target);

// The condition's opposite, for ARM64_CONDITION (but not al and nv, which are always taken), ARM64_ZERO and ARM64_BIT.
uint32_t hp_arm64_inverted(uint32_t word, arm64_kind kind);

// Bytes that a literal load reads; 0 for prfm.
unsigned hp_arm64_literal_size(uint32_t word);

// Whether a literal load of what lies at `offset` reads bytes of start..<end. All count from one address, and may be negative.
static inline bool arm64_literal_reads(uint32_t word, uint64_t offset, uint64_t start, uint64_t end) {
    int64_t size = hp_arm64_literal_size(word), first = (int64_t)offset;
    return size > 0 && first < (int64_t)end && first + size > (int64_t)start;
}

// The load through the address in a register that does what a literal load does.
uint32_t hp_arm64_load_through(uint32_t literal_load, unsigned address_register);

// Bit 16 and bit 17 where the instruction may read or write x16 or x17. Errs towards yes.
uint32_t hp_arm64_touched(uint32_t word);

// The value that a sequence of adr, adrp, add and mov leaves in a register. False where it is none.
bool hp_arm64_evaluate(const uint8_t *code, size_t length, uint64_t address, unsigned reg, uint64_t *value);

static inline uint32_t arm64_word(const uint8_t *code) {
    uint32_t word;
    memcpy(&word, code, sizeof word);
    return word;
}

static inline unsigned arm64_rd(uint32_t word) { return word & 31; }
static inline unsigned arm64_rn(uint32_t word) { return word >> 5 & 31; }

// b.al, b.nv: both are always taken (Arm ARM C1.2.4).
static inline bool arm64_is_always(uint32_t word) { return (word & 14) == 14; }

// Arm ARM C4.1, unconditional branch (register).
static inline bool arm64_is_register_branch(uint32_t word) { return (word & 0xfe000000) == 0xd6000000; }
static inline bool arm64_is_br(uint32_t word) { return (word & 0xfffffc1f) == 0xd61f0000; }
static inline bool arm64_is_blr(uint32_t word) { return (word & 0xfffffc1f) == 0xd63f0000; }
static inline bool arm64_is_authenticated_br(uint32_t word) { return (word & 0xfefff800) == 0xd61f0800; }
static inline bool arm64_is_authenticated_blr(uint32_t word) { return (word & 0xfefff800) == 0xd63f0800; }

// Hints: bti with any operand; paciasp, pacibsp, which sign the return address and are landing pads as well.
static inline bool arm64_is_bti(uint32_t word) { return (word & 0xffffff3f) == 0xd503241f; }
static inline bool arm64_signs(uint32_t word) { return (word & 0xffffffbf) == 0xd503233f; }

// The first or second of the three instructions of a memory copy or set (FEAT_MOPS, Arm ARM C6.2, CPYFP and SETP). A thread
// that comes to a core which does these differently is sent by the kernel from the second or third to where the first must
// stand, one or two words before (arm64_mops_reset_regs in arch/arm64/include/asm/traps.h).
static inline bool arm64_is_continued(uint32_t word) {
    enum { COPY_OR_SET = 0x19000400, SET = 3 };
    unsigned stage = word >> 22 & 3;
    if (stage == SET) stage = word >> 14 & 3;
    return (word & 0xfb200c00) == COPY_OR_SET && stage < 2;
}

static inline bool arm64_is_brk(uint32_t word) { return (word & 0xffe0001f) == 0xd4200000; }
static inline unsigned arm64_brk_operand(uint32_t word) { return word >> 5 & 0xffff; }

enum {
    ARM64_NOP = 0xd503201f,
    ARM64_UDF = 0,                       // udf #0, which zeroed memory is
    ARM64_PAIRED_AUTHENTICATION = 0x80,  // paciasp and pacibsp with this bit are autiasp and autibsp
};
