// Which arm64 instructions depend on their own address (Arm ARM C4.1: data processing (immediate), branches, loads and
// stores), and where the displacement lies in them. The set is closed, and told by masks: an instruction that is newer than
// any decoder is still known to be movable. Twin: x86_64/instruction.c.
#include "instruction.h"

// FEAT_PAuth_LR takes the instruction's own address as a modifier.
static bool uses_own_address(uint32_t word) {
    return (word & 0xff000000) == 0x55000000 ||    // retaasppc, retabsppc
           (word & 0xff800000) == 0xf3800000 ||    // autiasppc, autibsppc
           (word & 0xffffdbff) == 0xdac183fe ||    // paciasppc, pacibsppc, pacnbiasppc, pacnbibsppc
           word == 0xd50324ff ||                   // pacm: makes a paciasp behind it one of these
           (word & 0xff000000) == 0xdc000000;      // a literal load of no known register
}

arm64_kind hp_arm64_kind(uint32_t word) {
    switch (word >> 26 & 7) {
    case 4:
        if ((word & 0x1f000000) == 0x10000000) return word >> 31 ? ARM64_PAGE : ARM64_ADDRESS;
        break;
    case 5:
        if ((word & 0x7c000000) == 0x14000000) return word >> 31 ? ARM64_CALL : ARM64_JUMP;
        if ((word & 0xff000000) == 0x54000000) return ARM64_CONDITION;
        if ((word & 0x7e000000) == 0x34000000) return ARM64_ZERO;
        if ((word & 0x7e000000) == 0x36000000) return ARM64_BIT;
        if ((word & 0x7e000000) == 0x74000000) return ARM64_COMPARE;
        break;
    case 6: case 7:
        if ((word & 0x3b000000) == 0x18000000 && word >> 24 != 0xdc) return ARM64_LITERAL;
        break;
    default: break;
    }
    if (uses_own_address(word)) return ARM64_OWN_ADDRESS;
    return (word & 0x9e000000) == 0 ? ARM64_RESERVED : ARM64_PLAIN;
}

// Where a displacement in words lies.
typedef struct field {
    unsigned shift, bits;
} field;

static field field_of(arm64_kind kind) {
    switch (kind) {
    case ARM64_JUMP: case ARM64_CALL: return (field){0, 26};
    case ARM64_CONDITION: case ARM64_ZERO: case ARM64_LITERAL: return (field){5, 19};
    case ARM64_BIT: return (field){5, 14};
    case ARM64_COMPARE: return (field){5, 9};
    default: return (field){0, 0};
    }
}

// adr and adrp: immhi in bits 23 to 5, immlo in bits 30 and 29.
enum { ADR_FIELD = 0x60ffffe0, PAGE_BITS = 12 };

static int64_t sign_extended(uint64_t value, unsigned bits) {
    return (int64_t)(value << (64 - bits)) >> (64 - bits);
}

uint64_t hp_arm64_target(uint32_t word, arm64_kind kind, uint64_t address) {
    if (kind == ARM64_ADDRESS || kind == ARM64_PAGE) {
        uint64_t offset = (uint64_t)sign_extended((word >> 5 & 0x7ffff) << 2 | (word >> 29 & 3), 21);
        return kind == ARM64_ADDRESS ? address + offset : (address >> PAGE_BITS << PAGE_BITS) + (offset << PAGE_BITS);
    }
    field field = field_of(kind);
    if (field.bits == 0) return 0;
    uint64_t words = word >> field.shift & ((1u << field.bits) - 1);
    return address + ((uint64_t)sign_extended(words, field.bits) << 2);
}

static bool fits(int64_t value, unsigned bits) {
    return value >= -((int64_t)1 << (bits - 1)) && value < (int64_t)1 << (bits - 1);
}

bool hp_arm64_retarget(uint32_t *word, arm64_kind kind, uint64_t address, uint64_t target) {
    if (kind == ARM64_ADDRESS || kind == ARM64_PAGE) {
        unsigned shift = kind == ARM64_PAGE ? PAGE_BITS : 0;
        if (target & (((uint64_t)1 << shift) - 1)) return false;
        int64_t offset = (int64_t)(target - (address >> shift << shift)) >> shift;
        if (!fits(offset, 21)) return false;
        uint32_t immediate = (uint32_t)offset & 0x1fffff;
        *word = (*word & ~(uint32_t)ADR_FIELD) | (immediate & 3) << 29 | immediate >> 2 << 5;
        return true;
    }
    field field = field_of(kind);
    int64_t distance = (int64_t)(target - address);
    if (field.bits == 0 || (distance & 3) != 0 || !fits(distance >> 2, field.bits)) return false;
    uint32_t mask = (1u << field.bits) - 1;
    *word = (*word & ~(mask << field.shift)) | ((uint32_t)(distance >> 2) & mask) << field.shift;
    return true;
}

uint32_t hp_arm64_inverted(uint32_t word, arm64_kind kind) {
    return word ^ (kind == ARM64_CONDITION ? 1u : 1u << 24);
}

// opc in bits 31 and 30; bit 26 tells the vector registers.
static unsigned literal_form(uint32_t word) { return word >> 30 | (word >> 24 & 4); }

unsigned hp_arm64_literal_size(uint32_t word) {
    static const uint8_t sizes[8] = {4, 8, 4, 0, 4, 8, 16, 0};  // w, x, ldrsw, prfm; s, d, q
    return sizes[literal_form(word)];
}

uint32_t hp_arm64_load_through(uint32_t literal_load, unsigned address_register) {
    static const uint32_t loads[8] = {
        0xb9400000,  // ldr wt, [xn]
        0xf9400000,  // ldr xt, [xn]
        0xb9800000,  // ldrsw xt, [xn]
        0xf9800000,  // prfm op, [xn]
        0xbd400000,  // ldr st, [xn]
        0xfd400000,  // ldr dt, [xn]
        0x3dc00000,  // ldr qt, [xn]
        ARM64_NOP,
    };
    return loads[literal_form(literal_load)] | address_register << 5 | arm64_rd(literal_load);
}

// ---------------------------------------------------------------------------------------------------------

enum { X16 = 1 << 16, X17 = 1 << 17 };

static uint32_t bit(uint32_t word, unsigned shift) { return (1u << (word >> shift & 31)) & (X16 | X17); }

// Hints and system instructions that name no register and use x16, x17 or pairs all the same.
static bool touches_unnamed(uint32_t word) {
    bool hint = (word & 0xfffff01f) == 0xd503201f;
    unsigned number = word >> 5 & 0x7f;
    return (hint && (number == 8 || number == 10 || number == 12 || number == 14)) ||  // pacia1716 … autib1716
           (hint && number == 40) ||                                                   // chkfeat x16
           (word & 0xffff801f) == 0xdac1801e ||                                        // pacia171615 and its like
           (word & 0xffc00000) == 0xd5400000;                                          // sysp, mrrs, msrr
}

uint32_t hp_arm64_touched(uint32_t word) {
    enum { RD = 0, RN = 5, RA = 10, RM = 16 };
    arm64_kind kind = hp_arm64_kind(word);
    if (touches_unnamed(word)) return X16 | X17;
    switch (kind) {
    case ARM64_ADDRESS: case ARM64_PAGE: case ARM64_ZERO: case ARM64_BIT: return bit(word, RD);
    case ARM64_LITERAL: return (literal_form(word) & 4) || hp_arm64_literal_size(word) == 0 ? 0 : bit(word, RD);
    case ARM64_JUMP: case ARM64_CALL: case ARM64_CONDITION: return 0;
    case ARM64_COMPARE: return bit(word, RD) | bit(word, RM);
    default: break;
    }
    uint32_t ends = bit(word, RD) | bit(word, RN);
    switch (word >> 25 & 15) {
    case 8: case 9:                                      // data processing with an immediate; extr has two sources
        if ((word & 0x1f800000) == 0x12800000) return bit(word, RD);
        return (word & 0x1f800000) == 0x13800000 ? ends | bit(word, RM) : ends;
    case 10: case 11:                                    // branches, exceptions, system
        return arm64_is_register_branch(word) ? ends : (word & 0xff000000) == 0xd5000000 ? bit(word, RD) : 0;
    case 4: case 6: case 12: case 14: {                  // loads and stores
        if ((word & 0x3b000000) == 0x39000000) return ends;                                 // [xn, #imm]
        if ((word & 0x3a000000) == 0x28000000) return ends | bit(word, RA);                 // ldp, stp
        if ((word & 0xffffbc00) == 0xf83f9000 || (word & 0xffe0ec00) == 0xf820a000) return X16 | X17;  // ld64b, st64b…
        uint32_t all = ends | bit(word, RA) | bit(word, RM);
        return all & X16 ? X16 | X17 : all;                                                 // casp names one of two
    }
    default: return ends | bit(word, RA) | bit(word, RM);
    }
}

// ---------------------------------------------------------------------------------------------------------

bool hp_arm64_evaluate(const uint8_t *code, size_t length, uint64_t address, unsigned reg, uint64_t *value) {
    bool known = false;
    for (size_t at = 0; at < length; at += ARM64_WORD) {
        uint32_t word = arm64_word(code + at);
        arm64_kind kind = hp_arm64_kind(word);
        unsigned half = (word >> 21 & 3) * 16;
        uint64_t immediate = (uint64_t)(word >> 5 & 0xffff) << half;
        if (arm64_rd(word) != reg) return false;
        if (kind == ARM64_ADDRESS || kind == ARM64_PAGE) {
            *value = hp_arm64_target(word, kind, address + at);
            known = true;
        } else if ((word & 0xff800000) == 0xd2800000) {          // movz
            *value = immediate;
            known = true;
        } else if (known && (word & 0xff800000) == 0xf2800000) { // movk
            *value = (*value & ~((uint64_t)0xffff << half)) | immediate;
        } else if (known && (word & 0xffc00000) == 0x91000000 && arm64_rn(word) == reg) {  // add #imm12
            *value += word >> 10 & 0xfff;
        } else {
            return false;
        }
    }
    return known;
}
