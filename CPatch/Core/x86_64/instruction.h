// One x86_64 instruction taken apart: where its fields lie, not what it does.
#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

typedef enum x86_parse_result {
    X86_PARSED,
    X86_CUT_OFF,   // it goes on beyond the bytes given
    X86_UNKNOWN,   // not an encoding this table knows
} x86_parse_result;

typedef struct x86_instruction {
    uint8_t length;
    uint8_t map;                  // 0: one byte, 1: 0f, 2: 0f 38, 3: 0f 3a; VEX and EVEX use the same numbers, and 5, 6
    uint8_t opcode;
    uint8_t rex;                  // 0 if none, or if VEX/EVEX
    uint8_t modrm;
    uint8_t sib;                  // meaningful where has_sib
    uint8_t modrm_offset;
    uint8_t displacement_offset;
    uint8_t displacement_length;  // of the memory operand: 0, 1 or 4
    uint8_t immediate_length;     // the last bytes; a relative branch's displacement counts as its immediate
    uint8_t repeat;               // the last f2 or f3, 0 if none
    bool has_modrm, has_sib;
    bool legacy;                  // neither VEX nor EVEX
    bool operand_size, address_size;  // prefixes 66, 67
} x86_instruction;

x86_parse_result hp_x86_parse(const uint8_t *code, size_t length, x86_instruction *out);

// Whether it is a jump, call, loop or xbegin with a displacement from its own end.
bool hp_x86_is_relative_branch(const x86_instruction *instruction);

// Whether its memory operand counts from the end of the instruction.
static inline bool x86_is_rip_relative(const x86_instruction *instruction) {
    return instruction->has_modrm && (instruction->modrm & 0xc7) == 0x05;
}

// The ModRM byte's middle field: a register, or which instruction of a group.
static inline unsigned x86_reg(const x86_instruction *instruction) { return instruction->modrm >> 3 & 7; }

// Where a relative branch goes, or what a RIP-relative operand refers to, for the instruction running at `address`.
uint64_t hp_x86_target(const x86_instruction *instruction, const uint8_t *code, uint64_t address);

// Whether what follows it in memory is not run after it: a return, a jump, ud2.
bool hp_x86_ends_flow(const x86_instruction *instruction);

// Whether it is one of the fillers between functions: nop of any length, or int3.
bool hp_x86_is_padding(const x86_instruction *instruction);
