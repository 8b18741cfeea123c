// Where the fields of an x86_64 instruction lie: prefixes, opcode, ModRM, SIB, displacement, immediate (Intel SDM volume 2,
// chapter 2 and the opcode maps of appendix A). This says nothing about what an instruction does and does not need to:
// what is moved verbatim only has to be measured. It is a second opinion on the decoder (both must agree on each moved
// instruction), and at some 5 ns an instruction it is fast enough to walk whole bodies.
#include "instruction.h"

#include <string.h>

// What follows an opcode:
//     .  nothing                 M  ModRM                     x  no such instruction in 64-bit mode
//     b  imm8 or rel8            B  ModRM, imm8               p  a prefix or an escape, handled before
//     z  imm16/32                Z  ModRM, imm16/32           j  rel32
//     w  imm16                   v  imm16/32/64               o  an absolute address of 8 (67: 4) bytes
//     e  imm16, imm8             g  ModRM, imm8 if reg < 2    G  ModRM, imm16/32 if reg < 2
static const char one_byte[256 + 1] =
    "MMMMbzxxMMMMbzxp"   // 00 add, or
    "MMMMbzxxMMMMbzxx"   // 10 adc, sbb
    "MMMMbzpxMMMMbzpx"   // 20 and, sub
    "MMMMbzpxMMMMbzpx"   // 30 xor, cmp
    "pppppppppppppppp"   // 40 REX
    "................"   // 50 push, pop
    "xxpMppppzZbB...."   // 60 EVEX, movslq, push imm, imul
    "bbbbbbbbbbbbbbbb"   // 70 jcc rel8
    "BZxBMMMMMMMMMMMM"   // 80 group 1, test, xchg, mov, lea, pop
    "..........x....."   // 90 nop, xchg, cltq
    "oooo....bz......"   // a0 mov moffs, string instructions
    "bbbbbbbbvvvvvvvv"   // b0 mov imm
    "BBw.ppBZe.w..bx."   // c0 shifts, ret, VEX, mov imm, enter, int
    "MMMMxxx.MMMMMMMM"   // d0 shifts, x87
    "bbbbbbbbjjxb...."   // e0 loop, in, out, call, jmp
    "p.pp..gG......MM";  // f0 lock, group 3, groups 4 and 5

static const char two_byte[256 + 1] =
    "MMMMx.....x.xM.B"   // 00 system, ud2, prefetchw, 3DNow!
    "MMMMMMMMMMMMMMMM"   // 10 movups, hint nops
    "MMMMxxxxMMMMMMMM"   // 20 mov cr, movaps
    "......x.pxpxxxxx"   // 30 rdtsc, escapes
    "MMMMMMMMMMMMMMMM"   // 40 cmovcc
    "MMMMMMMMMMMMMMMM"   // 50
    "MMMMMMMMMMMMMMMM"   // 60
    "BBBBMMM.MMxxMMMM"   // 70 pshuf, emms
    "jjjjjjjjjjjjjjjj"   // 80 jcc rel32
    "MMMMMMMMMMMMMMMM"   // 90 setcc
    "...MBMxx...MBMMM"   // a0 cpuid, shld, group 15
    "MMMMMMMMMMBMMMMM"   // b0 cmpxchg, movzx
    "MMBMBBBM........"   // c0 cmpps, bswap
    "MMMMMMMMMMMMMMMM"   // d0
    "MMMMMMMMMMMMMMMM"   // e0
    "MMMMMMMMMMMMMMMM";  // f0

enum { LONGEST = 15 };  // bytes; a longer instruction faults

typedef struct input {
    const uint8_t *code;
    size_t length;
    size_t at;
} input;

static bool take(input *input, uint8_t *byte) {
    if (input->at >= input->length) return false;
    *byte = input->code[input->at++];
    return true;
}

// VEX (c4, c5) and EVEX (62) instead of prefixes and escapes. `first` has been taken.
static x86_parse_result parse_vector_prefix(input *input, uint8_t first, x86_instruction *out, char *form) {
    uint8_t payload[3];
    size_t count = first == 0xc5 ? 1 : first == 0xc4 ? 2 : 3;
    for (size_t i = 0; i < count; i++) {
        if (!take(input, &payload[i])) return X86_CUT_OFF;
    }
    if (!take(input, &out->opcode)) return X86_CUT_OFF;
    out->legacy = false;
    out->map = first == 0xc5 ? 1 : first == 0xc4 ? payload[0] & 0x1f : payload[0] & 0x07;
    if (first == 0x62) {
        // Bit 3 of the first and bit 2 of the second payload byte are fixed; APX gives them another meaning.
        if ((payload[0] & 0x08) != 0 || (payload[1] & 0x04) == 0) return X86_UNKNOWN;
        if (out->map == 5 || out->map == 6) {
            *form = 'M';
            return X86_PARSED;
        }
    }
    switch (out->map) {
    case 1: {
        char legacy = two_byte[out->opcode];
        if (legacy != 'M' && legacy != 'B' && out->opcode != 0x77) legacy = 'M';  // opmask instructions
        *form = legacy;
        return X86_PARSED;
    }
    case 2: *form = 'M'; return X86_PARSED;
    case 3: *form = 'B'; return X86_PARSED;
    default: return X86_UNKNOWN;
    }
}

// Prefixes, escapes and the opcode; leaves in `form` what follows.
static x86_parse_result parse_opcode(input *input, x86_instruction *out, char *form) {
    uint8_t byte;
    for (;;) {
        if (input->at == LONGEST) return X86_UNKNOWN;
        if (!take(input, &byte)) return X86_CUT_OFF;
        if ((byte & 0xf0) == 0x40) {
            out->rex = byte;
            continue;
        }
        bool segment = byte == 0x26 || byte == 0x2e || byte == 0x36 || byte == 0x3e || byte == 0x64 || byte == 0x65;
        if (byte == 0x66) out->operand_size = true;
        else if (byte == 0x67) out->address_size = true;
        else if (byte == 0xf2 || byte == 0xf3) out->repeat = byte;
        else if (byte != 0xf0 && !segment) break;
        out->rex = 0;  // REX counts only right before the opcode
    }
    out->legacy = true;
    if (byte == 0xc4 || byte == 0xc5 || byte == 0x62) {
        if (out->rex != 0 || out->operand_size || out->repeat != 0) return X86_UNKNOWN;
        return parse_vector_prefix(input, byte, out, form);
    }
    if (byte != 0x0f) {
        out->opcode = byte;
        *form = one_byte[byte];
        return X86_PARSED;
    }
    if (!take(input, &byte)) return X86_CUT_OFF;
    out->map = byte == 0x38 ? 2 : byte == 0x3a ? 3 : 1;
    if (out->map != 1 && !take(input, &byte)) return X86_CUT_OFF;
    out->opcode = byte;
    *form = out->map == 1 ? two_byte[byte] : out->map == 2 ? 'M' : 'B';
    // extrq and insertq, of AMD alone, share vmread's opcode and have other operands.
    if (out->map == 1 && byte == 0x78 && (out->operand_size || out->repeat != 0)) return X86_UNKNOWN;
    return X86_PARSED;
}

// ModRM, SIB and displacement.
static x86_parse_result parse_operand(input *input, x86_instruction *out) {
    out->has_modrm = true;
    out->modrm_offset = (uint8_t)input->at;
    if (!take(input, &out->modrm)) return X86_CUT_OFF;
    unsigned mod = out->modrm >> 6, rm = out->modrm & 7;
    // Moves to and from control and debug registers take registers, whatever `mod` says.
    bool registers = mod == 3 || (out->legacy && out->map == 1 && (out->opcode & 0xfc) == 0x20);
    if (registers) {
        out->modrm |= 0xc0;
        return X86_PARSED;
    }
    if (rm == 4) {
        out->has_sib = true;
        if (!take(input, &out->sib)) return X86_CUT_OFF;
    }
    bool absolute = mod == 0 && (rm == 5 || (rm == 4 && (out->sib & 7) == 5));
    out->displacement_offset = (uint8_t)input->at;
    out->displacement_length = mod == 1 ? 1 : mod == 2 || absolute ? 4 : 0;
    input->at += out->displacement_length;
    return X86_PARSED;
}

x86_parse_result hp_x86_parse(const uint8_t *code, size_t length, x86_instruction *out) {
    memset(out, 0, sizeof *out);
    input input = {code, length, 0};
    char form = 'x';
    x86_parse_result result = parse_opcode(&input, out, &form);
    if (result != X86_PARSED) return result;

    bool wide = (out->rex & 8) != 0;
    uint8_t immediate = out->operand_size && !wide ? 2 : 4;
    bool has_operand = form == 'M' || form == 'B' || form == 'Z' || form == 'g' || form == 'G';
    if (has_operand && (result = parse_operand(&input, out)) != X86_PARSED) return result;
    // Map 8 and above under 8f is AMD's XOP; `pop` is reg 0.
    if (out->legacy && out->map == 0 && out->opcode == 0x8f && x86_reg(out) != 0) return X86_UNKNOWN;
    switch (form) {
    case '.': case 'M': immediate = 0; break;
    case 'b': case 'B': immediate = 1; break;
    case 'w': immediate = 2; break;
    case 'e': immediate = 3; break;
    case 'z': case 'Z': break;
    case 'v': if (wide) immediate = 8; break;
    case 'o': immediate = out->address_size ? 4 : 8; break;
    // With 66, Intel reads four bytes and AMD two. What moves or follows such a branch must look at operand_size.
    case 'j': immediate = 4; break;
    case 'g': immediate = x86_reg(out) < 2 ? 1 : 0; break;
    case 'G': if (x86_reg(out) >= 2) immediate = 0; break;
    default: return X86_UNKNOWN;
    }
    out->immediate_length = immediate;
    input.at += immediate;
    if (input.at > LONGEST) return X86_UNKNOWN;
    if (input.at > length) return X86_CUT_OFF;
    out->length = (uint8_t)input.at;
    return X86_PARSED;
}

bool hp_x86_is_relative_branch(const x86_instruction *instruction) {
    if (!instruction->legacy) return false;
    uint8_t opcode = instruction->opcode;
    if (instruction->map == 1) return (opcode & 0xf0) == 0x80;
    if (instruction->map != 0) return false;
    if (opcode == 0xc7) return instruction->modrm == 0xf8;  // xbegin
    return (opcode & 0xf0) == 0x70 || (opcode & 0xfc) == 0xe0 || opcode == 0xe8 || opcode == 0xe9 || opcode == 0xeb;
}

uint64_t hp_x86_target(const x86_instruction *instruction, const uint8_t *code, uint64_t address) {
    bool branch = hp_x86_is_relative_branch(instruction);
    size_t length = branch ? instruction->immediate_length : instruction->displacement_length;
    size_t offset = branch ? instruction->length - length : instruction->displacement_offset;
    int64_t distance = 0;
    if (length == 1) {
        distance = (int8_t)code[offset];
    } else if (length == 2) {
        int16_t narrow;
        memcpy(&narrow, code + offset, sizeof narrow);
        distance = narrow;
    } else if (length == 4) {
        int32_t narrow;
        memcpy(&narrow, code + offset, sizeof narrow);
        distance = narrow;
    }
    return address + instruction->length + (uint64_t)distance;
}

bool hp_x86_is_padding(const x86_instruction *instruction) {
    if (!instruction->legacy) return false;
    if (instruction->map == 1) return instruction->opcode == 0x1f;
    bool nop = instruction->opcode == 0x90 && instruction->rex == 0 && instruction->repeat == 0;
    return instruction->map == 0 && (nop || instruction->opcode == 0xcc);
}

bool hp_x86_ends_flow(const x86_instruction *instruction) {
    if (!instruction->legacy) return false;
    if (instruction->map == 1) return instruction->opcode == 0x0b;               // ud2
    if (instruction->map != 0) return false;
    switch (instruction->opcode) {
    case 0xc2: case 0xc3: case 0xca: case 0xcb: case 0xcf: return true;          // ret, lret, iret
    case 0xe9: case 0xeb: return true;                                           // jmp
    case 0xff: return x86_reg(instruction) == 4;                                 // jmp *
    default: return false;
    }
}
