// Fixups of arm64: the relocation types of AAELF64 (chapter 5.7), and what linkers make of the instructions that have them (its
// chapter 5.7.9 and appendix). Twin: x86_64/fixup.c.
#include "../arch.h"

#include "cpatch_fixup.h"
#include "instruction.h"

// Where an instruction, or data, holds a value (Arm ARM, chapter C6).
enum {
    DATA,
    ADR,               // adr, adrp: immhi in bits 23 to 5, immlo in bits 30 and 29
    IMM12,             // add, ldr, str: bits 21 to 10
    IMM14,             // tbz, tbnz: bits 18 to 5
    IMM16,             // movz, movk: bits 20 to 5
    IMM16_SIGNED,      // the same; and bit 30, which makes movn, of the complement, a movz
    IMM19,             // b.cond, cbz, ldr of a label: bits 23 to 5
    IMM26,             // b, bl: bits 25 to 0
};

// What a linker may make of a place.
enum {
    KEPT,
    BRANCH,            // b, bl of what is not defined: nop
    ADDRESS_PAGE,      // adrp of a symbol, followed by add: nop and adr
    ADDRESS_ADD,
    SLOT_PAGE,         // adrp of a slot, followed by ldr: adrp and add, or nop and adr
    SLOT_LOAD,
    TP_SLOT_PAGE,      // adrp of a slot, and ldr: movz and movk
    TP_SLOT_LOAD,
    DESCRIPTOR_PAGE,   // adrp, ldr, add, blr: movz and movk, or adrp and ldr; and nops
    DESCRIPTOR_LOAD,
    DESCRIPTOR_NOP,
};

#define ROW(number, type_name, x, e, f, low, width, c, c_bits, align, ...)                                             \
    {.name = "R_AARCH64_" type_name, .type = number, .arch = HP_ARCH_ARM64, .subject = HP_SUBJECT_##x,                 \
     .expression = HP_EXPRESSION_##e, .field = f, .size = f == DATA ? width / 8 : 4, .lowest = low, .bits = width,     \
     .check = HP_CHECK_##c, .check_bits = c_bits, .alignment = align, .instruction = f != DATA,                        \
     .addend_in_slot = HP_SUBJECT_##x == HP_SUBJECT_GOT_SLOT || HP_SUBJECT_##x == HP_SUBJECT_TP_SLOT ||                \
         HP_SUBJECT_##x == HP_SUBJECT_MODULE_SLOTS || HP_SUBJECT_##x == HP_SUBJECT_LOCAL_MODULE_SLOTS ||               \
         HP_SUBJECT_##x == HP_SUBJECT_DESCRIPTOR_SLOTS,                                                                \
     __VA_ARGS__}
#define WORD(number, type_name, x, e, width, c, ...) ROW(number, type_name, x, e, DATA, 0, width, c, width, 0, __VA_ARGS__)
#define MARKER(number, type_name, bytes, r)                                                                            \
    {.name = "R_AARCH64_" type_name, .type = number, .arch = HP_ARCH_ARM64, .expression = HP_EXPRESSION_NONE,          \
     .size = bytes, .instruction = bytes != 0, .relaxation = r}
#define UNSUPPORTED(number, type_name)                                                                                 \
    {.name = "R_AARCH64_" type_name, .type = number, .arch = HP_ARCH_ARM64, .expression = HP_EXPRESSION_UNSUPPORTED}

// The forms that many types have. Those of _NC are not checked: other instructions hold the other bits.
#define ADR_TO(number, name, x, r) ROW(number, name, x, RELATIVE, ADR, 0, 21, SIGNED, 21, 0, .relaxation = r)
#define ADRP_TO(number, name, x, r) ROW(number, name, x, PAGE, ADR, 12, 21, SIGNED, 33, 12, .relaxation = r)
#define LITERAL(number, name, x) ROW(number, name, x, RELATIVE, IMM19, 2, 19, SIGNED, 21, 2, .relaxation = KEPT)
#define ADD_LOW(number, name, x, r) ROW(number, name, x, ABSOLUTE, IMM12, 0, 12, NONE, 0, 0, .relaxation = r)
#define ADD_LOW_CHECKED(number, name, x) ROW(number, name, x, ABSOLUTE, IMM12, 0, 12, UNSIGNED, 12, 0, .relaxation = KEPT)
#define ADD_HIGH(number, name, x) ROW(number, name, x, ABSOLUTE, IMM12, 12, 12, UNSIGNED, 24, 0, .relaxation = KEPT)
// Loads and stores count in units of what they access: 1 << scale bytes.
#define ACCESS(number, name, x, scale, r)                                                                              \
    ROW(number, name, x, ABSOLUTE, IMM12, scale, 12 - scale, NONE, 0, scale, .relaxation = r)
#define ACCESS_CHECKED(number, name, x, scale)                                                                         \
    ROW(number, name, x, ABSOLUTE, IMM12, scale, 12 - scale, UNSIGNED, 12, scale, .relaxation = KEPT)
#define MOV(number, name, x, e, group) ROW(number, name, x, e, IMM16, 16 * group, 16, NONE, 0, 0, .relaxation = KEPT)
#define MOV_UNSIGNED(number, name, x, e, group)                                                                        \
    ROW(number, name, x, e, IMM16, 16 * group, 16, UNSIGNED, 16 * group + 16, 0, .relaxation = KEPT)
#define MOV_SIGNED(number, name, x, e, group)                                                                          \
    ROW(number, name, x, e, IMM16_SIGNED, 16 * group, 16, SIGNED, 16 * group + 17, 0, .relaxation = KEPT)

// 32 and 16 bits relative to the place may be extended either way by AAELF64; but readers extend the sign, so that what lies 2 GiB and more
// above the place would be looked for below it: that does not fit here.
static const hp_fixup rows[] = {
    MARKER(0, "NONE", 0, KEPT),
    MARKER(256, "NONE", 0, KEPT),  // its number once
    WORD(257, "ABS64", SYMBOL, ABSOLUTE, 64, NONE, .relaxation = KEPT),
    WORD(258, "ABS32", SYMBOL, ABSOLUTE, 32, EITHER, .relaxation = KEPT),
    WORD(259, "ABS16", SYMBOL, ABSOLUTE, 16, EITHER, .relaxation = KEPT),
    WORD(260, "PREL64", SYMBOL, RELATIVE, 64, NONE, .relaxation = KEPT),
    WORD(261, "PREL32", SYMBOL, RELATIVE, 32, SIGNED, .relaxation = KEPT),
    WORD(262, "PREL16", SYMBOL, RELATIVE, 16, SIGNED, .relaxation = KEPT),
    MOV_UNSIGNED(263, "MOVW_UABS_G0", SYMBOL, ABSOLUTE, 0),
    MOV(264, "MOVW_UABS_G0_NC", SYMBOL, ABSOLUTE, 0),
    MOV_UNSIGNED(265, "MOVW_UABS_G1", SYMBOL, ABSOLUTE, 1),
    MOV(266, "MOVW_UABS_G1_NC", SYMBOL, ABSOLUTE, 1),
    MOV_UNSIGNED(267, "MOVW_UABS_G2", SYMBOL, ABSOLUTE, 2),
    MOV(268, "MOVW_UABS_G2_NC", SYMBOL, ABSOLUTE, 2),
    MOV(269, "MOVW_UABS_G3", SYMBOL, ABSOLUTE, 3),
    MOV_SIGNED(270, "MOVW_SABS_G0", SYMBOL, ABSOLUTE, 0),
    MOV_SIGNED(271, "MOVW_SABS_G1", SYMBOL, ABSOLUTE, 1),
    MOV_SIGNED(272, "MOVW_SABS_G2", SYMBOL, ABSOLUTE, 2),
    LITERAL(273, "LD_PREL_LO19", SYMBOL),
    ADR_TO(274, "ADR_PREL_LO21", SYMBOL, KEPT),
    ADRP_TO(275, "ADR_PREL_PG_HI21", SYMBOL, ADDRESS_PAGE),
    ROW(276, "ADR_PREL_PG_HI21_NC", SYMBOL, PAGE, ADR, 12, 21, NONE, 0, 12, .relaxation = ADDRESS_PAGE),
    ADD_LOW(277, "ADD_ABS_LO12_NC", SYMBOL, ADDRESS_ADD),
    ACCESS(278, "LDST8_ABS_LO12_NC", SYMBOL, 0, KEPT),
    ROW(279, "TSTBR14", SYMBOL, RELATIVE, IMM14, 2, 14, SIGNED, 16, 2, .relaxation = KEPT),
    ROW(280, "CONDBR19", SYMBOL, RELATIVE, IMM19, 2, 19, SIGNED, 21, 2, .relaxation = KEPT),
    ROW(282, "JUMP26", PLT, RELATIVE, IMM26, 2, 26, SIGNED, 28, 2, .relaxation = BRANCH, .call = true),
    ROW(283, "CALL26", PLT, RELATIVE, IMM26, 2, 26, SIGNED, 28, 2, .relaxation = BRANCH, .call = true),
    ACCESS(284, "LDST16_ABS_LO12_NC", SYMBOL, 1, KEPT),
    ACCESS(285, "LDST32_ABS_LO12_NC", SYMBOL, 2, KEPT),
    ACCESS(286, "LDST64_ABS_LO12_NC", SYMBOL, 3, KEPT),
    MOV_SIGNED(287, "MOVW_PREL_G0", SYMBOL, RELATIVE, 0),
    MOV(288, "MOVW_PREL_G0_NC", SYMBOL, RELATIVE, 0),
    MOV_SIGNED(289, "MOVW_PREL_G1", SYMBOL, RELATIVE, 1),
    MOV(290, "MOVW_PREL_G1_NC", SYMBOL, RELATIVE, 1),
    MOV_SIGNED(291, "MOVW_PREL_G2", SYMBOL, RELATIVE, 2),
    MOV(292, "MOVW_PREL_G2_NC", SYMBOL, RELATIVE, 2),
    MOV(293, "MOVW_PREL_G3", SYMBOL, RELATIVE, 3),
    ACCESS(299, "LDST128_ABS_LO12_NC", SYMBOL, 4, KEPT),
    MOV_SIGNED(300, "MOVW_GOTOFF_G0", GOT_SLOT, GOT_RELATIVE, 0),
    MOV(301, "MOVW_GOTOFF_G0_NC", GOT_SLOT, GOT_RELATIVE, 0),
    MOV_SIGNED(302, "MOVW_GOTOFF_G1", GOT_SLOT, GOT_RELATIVE, 1),
    MOV(303, "MOVW_GOTOFF_G1_NC", GOT_SLOT, GOT_RELATIVE, 1),
    MOV_SIGNED(304, "MOVW_GOTOFF_G2", GOT_SLOT, GOT_RELATIVE, 2),
    MOV(305, "MOVW_GOTOFF_G2_NC", GOT_SLOT, GOT_RELATIVE, 2),
    MOV(306, "MOVW_GOTOFF_G3", GOT_SLOT, GOT_RELATIVE, 3),
    WORD(307, "GOTREL64", SYMBOL, GOT_RELATIVE, 64, NONE, .relaxation = KEPT),
    WORD(308, "GOTREL32", SYMBOL, GOT_RELATIVE, 32, SIGNED, .relaxation = KEPT),
    LITERAL(309, "GOT_LD_PREL19", GOT_SLOT),
    ROW(310, "LD64_GOTOFF_LO15", GOT_SLOT, GOT_RELATIVE, IMM12, 3, 12, UNSIGNED, 15, 3, .relaxation = KEPT),
    ADRP_TO(311, "ADR_GOT_PAGE", GOT_SLOT, SLOT_PAGE),
    ACCESS(312, "LD64_GOT_LO12_NC", GOT_SLOT, 3, SLOT_LOAD),
    ROW(313, "LD64_GOTPAGE_LO15", GOT_SLOT, GOT_PAGE_RELATIVE, IMM12, 3, 12, UNSIGNED, 15, 3, .relaxation = KEPT),
    WORD(314, "PLT32", PLT, RELATIVE, 32, SIGNED, .call = true),
    WORD(315, "GOTPCREL32", GOT_SLOT, RELATIVE, 32, SIGNED, .relaxation = KEPT),

    ADR_TO(512, "TLSGD_ADR_PREL21", MODULE_SLOTS, KEPT),
    ADRP_TO(513, "TLSGD_ADR_PAGE21", MODULE_SLOTS, KEPT),
    ADD_LOW(514, "TLSGD_ADD_LO12_NC", MODULE_SLOTS, KEPT),
    MOV_SIGNED(515, "TLSGD_MOVW_G1", MODULE_SLOTS, GOT_RELATIVE, 1),
    MOV(516, "TLSGD_MOVW_G0_NC", MODULE_SLOTS, GOT_RELATIVE, 0),
    ADR_TO(517, "TLSLD_ADR_PREL21", LOCAL_MODULE_SLOTS, KEPT),
    ADRP_TO(518, "TLSLD_ADR_PAGE21", LOCAL_MODULE_SLOTS, KEPT),
    ADD_LOW(519, "TLSLD_ADD_LO12_NC", LOCAL_MODULE_SLOTS, KEPT),
    MOV_SIGNED(520, "TLSLD_MOVW_G1", LOCAL_MODULE_SLOTS, GOT_RELATIVE, 1),
    MOV(521, "TLSLD_MOVW_G0_NC", LOCAL_MODULE_SLOTS, GOT_RELATIVE, 0),
    LITERAL(522, "TLSLD_LD_PREL19", LOCAL_MODULE_SLOTS),
    MOV_SIGNED(523, "TLSLD_MOVW_DTPREL_G2", MODULE_OFFSET, ABSOLUTE, 2),
    MOV_SIGNED(524, "TLSLD_MOVW_DTPREL_G1", MODULE_OFFSET, ABSOLUTE, 1),
    MOV(525, "TLSLD_MOVW_DTPREL_G1_NC", MODULE_OFFSET, ABSOLUTE, 1),
    MOV_SIGNED(526, "TLSLD_MOVW_DTPREL_G0", MODULE_OFFSET, ABSOLUTE, 0),
    MOV(527, "TLSLD_MOVW_DTPREL_G0_NC", MODULE_OFFSET, ABSOLUTE, 0),
    ADD_HIGH(528, "TLSLD_ADD_DTPREL_HI12", MODULE_OFFSET),
    ADD_LOW_CHECKED(529, "TLSLD_ADD_DTPREL_LO12", MODULE_OFFSET),
    ADD_LOW(530, "TLSLD_ADD_DTPREL_LO12_NC", MODULE_OFFSET, KEPT),
    ACCESS_CHECKED(531, "TLSLD_LDST8_DTPREL_LO12", MODULE_OFFSET, 0),
    ACCESS(532, "TLSLD_LDST8_DTPREL_LO12_NC", MODULE_OFFSET, 0, KEPT),
    ACCESS_CHECKED(533, "TLSLD_LDST16_DTPREL_LO12", MODULE_OFFSET, 1),
    ACCESS(534, "TLSLD_LDST16_DTPREL_LO12_NC", MODULE_OFFSET, 1, KEPT),
    ACCESS_CHECKED(535, "TLSLD_LDST32_DTPREL_LO12", MODULE_OFFSET, 2),
    ACCESS(536, "TLSLD_LDST32_DTPREL_LO12_NC", MODULE_OFFSET, 2, KEPT),
    ACCESS_CHECKED(537, "TLSLD_LDST64_DTPREL_LO12", MODULE_OFFSET, 3),
    ACCESS(538, "TLSLD_LDST64_DTPREL_LO12_NC", MODULE_OFFSET, 3, KEPT),
    MOV_SIGNED(539, "TLSIE_MOVW_GOTTPREL_G1", TP_SLOT, GOT_RELATIVE, 1),
    MOV(540, "TLSIE_MOVW_GOTTPREL_G0_NC", TP_SLOT, GOT_RELATIVE, 0),
    ADRP_TO(541, "TLSIE_ADR_GOTTPREL_PAGE21", TP_SLOT, TP_SLOT_PAGE),
    ACCESS(542, "TLSIE_LD64_GOTTPREL_LO12_NC", TP_SLOT, 3, TP_SLOT_LOAD),
    LITERAL(543, "TLSIE_LD_GOTTPREL_PREL19", TP_SLOT),
    MOV_SIGNED(544, "TLSLE_MOVW_TPREL_G2", TP_OFFSET, ABSOLUTE, 2),
    MOV_SIGNED(545, "TLSLE_MOVW_TPREL_G1", TP_OFFSET, ABSOLUTE, 1),
    MOV(546, "TLSLE_MOVW_TPREL_G1_NC", TP_OFFSET, ABSOLUTE, 1),
    MOV_SIGNED(547, "TLSLE_MOVW_TPREL_G0", TP_OFFSET, ABSOLUTE, 0),
    MOV(548, "TLSLE_MOVW_TPREL_G0_NC", TP_OFFSET, ABSOLUTE, 0),
    ADD_HIGH(549, "TLSLE_ADD_TPREL_HI12", TP_OFFSET),
    ADD_LOW_CHECKED(550, "TLSLE_ADD_TPREL_LO12", TP_OFFSET),
    ADD_LOW(551, "TLSLE_ADD_TPREL_LO12_NC", TP_OFFSET, KEPT),
    ACCESS_CHECKED(552, "TLSLE_LDST8_TPREL_LO12", TP_OFFSET, 0),
    ACCESS(553, "TLSLE_LDST8_TPREL_LO12_NC", TP_OFFSET, 0, KEPT),
    ACCESS_CHECKED(554, "TLSLE_LDST16_TPREL_LO12", TP_OFFSET, 1),
    ACCESS(555, "TLSLE_LDST16_TPREL_LO12_NC", TP_OFFSET, 1, KEPT),
    ACCESS_CHECKED(556, "TLSLE_LDST32_TPREL_LO12", TP_OFFSET, 2),
    ACCESS(557, "TLSLE_LDST32_TPREL_LO12_NC", TP_OFFSET, 2, KEPT),
    ACCESS_CHECKED(558, "TLSLE_LDST64_TPREL_LO12", TP_OFFSET, 3),
    ACCESS(559, "TLSLE_LDST64_TPREL_LO12_NC", TP_OFFSET, 3, KEPT),
    LITERAL(560, "TLSDESC_LD_PREL19", DESCRIPTOR_SLOTS),
    ADR_TO(561, "TLSDESC_ADR_PREL21", DESCRIPTOR_SLOTS, KEPT),
    ADRP_TO(562, "TLSDESC_ADR_PAGE21", DESCRIPTOR_SLOTS, DESCRIPTOR_PAGE),
    ACCESS(563, "TLSDESC_LD64_LO12", DESCRIPTOR_SLOTS, 3, DESCRIPTOR_LOAD),
    ADD_LOW(564, "TLSDESC_ADD_LO12", DESCRIPTOR_SLOTS, DESCRIPTOR_NOP),
    MOV_SIGNED(565, "TLSDESC_OFF_G1", DESCRIPTOR_SLOTS, GOT_RELATIVE, 1),
    MOV(566, "TLSDESC_OFF_G0_NC", DESCRIPTOR_SLOTS, GOT_RELATIVE, 0),
    MARKER(567, "TLSDESC_LDR", 4, KEPT),
    MARKER(568, "TLSDESC_ADD", 4, KEPT),
    MARKER(569, "TLSDESC_CALL", 4, DESCRIPTOR_NOP),
    ACCESS_CHECKED(570, "TLSLE_LDST128_TPREL_LO12", TP_OFFSET, 4),
    ACCESS(571, "TLSLE_LDST128_TPREL_LO12_NC", TP_OFFSET, 4, KEPT),
    ACCESS_CHECKED(572, "TLSLD_LDST128_DTPREL_LO12", MODULE_OFFSET, 4),
    ACCESS(573, "TLSLD_LDST128_DTPREL_LO12_NC", MODULE_OFFSET, 4, KEPT),

    UNSUPPORTED(1024, "COPY"),
    UNSUPPORTED(1025, "GLOB_DAT"),
    UNSUPPORTED(1026, "JUMP_SLOT"),
    UNSUPPORTED(1027, "RELATIVE"),
    UNSUPPORTED(1028, "TLS_DTPMOD"),
    UNSUPPORTED(1029, "TLS_DTPREL"),
    UNSUPPORTED(1030, "TLS_TPREL"),
    UNSUPPORTED(1031, "TLSDESC"),
    UNSUPPORTED(1032, "IRELATIVE"),
};

enum {
    TYPE_NONE = 0, TYPE_ADR = 274, TYPE_ADRP = 275, TYPE_ADD = 277, TYPE_TP_SLOT_PAGE = 541, TYPE_TP_SLOT_LOAD = 542,
    TYPE_TP_HIGH = 545, TYPE_TP_LOW = 548,
};

const hp_fixup *hp_arm64_fixups(size_t *count) {
    *count = sizeof rows / sizeof *rows;
    return rows;
}

enum { MOVZ_NOT_MOVN = 1u << 30, MOVK = 1u << 29 };

static uint64_t ones(unsigned count) { return count >= 64 ? ~(uint64_t)0 : ((uint64_t)1 << count) - 1; }

// The lowest bit of a field, in its instruction.
static unsigned shift_of(const hp_fixup *row) {
    switch (row->field) {
    case IMM12: return 10;
    case IMM14: case IMM16: case IMM16_SIGNED: case IMM19: return 5;
    default: return 0;
    }
}

uint64_t hp_arm64_fixup_bits(const hp_fixup *row) {
    switch (row->field) {
    case ADR: return 0x60ffffe0;
    case IMM16_SIGNED: return MOVZ_NOT_MOVN | ones(16) << 5;
    default: return ones(row->bits) << shift_of(row);
    }
}

uint64_t hp_arm64_fixup_put(const hp_fixup *row, uint64_t word, uint64_t value) {
    uint64_t bits = hp_arm64_fixup_bits(row), units = value >> row->lowest & ones(row->bits);
    switch (row->field) {
    case ADR: return (word & ~bits) | (units & 3) << 29 | units >> 2 << 5;
    case IMM16_SIGNED:
        // movk keeps the other bits of its register, and has no complement.
        if ((word & MOVK) != 0) return (word & ~(ones(16) << 5)) | units << 5;
        return (word & ~bits) | ((int64_t)value < 0 ? (units ^ 0xffff) << 5 : MOVZ_NOT_MOVN | units << 5);
    default: return (word & ~bits) | units << shift_of(row);
    }
}

uint64_t hp_arm64_fixup_get(const hp_fixup *row, uint64_t word) {
    uint64_t units = word >> shift_of(row) & ones(row->bits);
    switch (row->field) {
    case ADR: return (word >> 5 & 0x7ffff) << 2 | (word >> 29 & 3);
    case IMM16_SIGNED: return (word & (MOVK | MOVZ_NOT_MOVN)) == 0 ? ~units : units;
    default: return units;
    }
}

bool hp_arm64_fixup_sequence(
    const hp_fixup *row, const uint8_t *code, size_t length, size_t offset, size_t *start, size_t *end
) {
    (void)code;
    (void)length;
    *start = offset;
    *end = offset + ARM64_WORD;
    return row->relaxation != KEPT;
}

static bool is_adr(uint32_t word) { return (word & 0x9f000000) == 0x10000000; }
static bool is_adrp(uint32_t word) { return (word & 0x9f000000) == 0x90000000; }
static bool is_add(uint32_t word) { return (word & 0xffc00000) == 0x91000000; }   // add xd, xn, #imm12
static bool is_ldr(uint32_t word) { return (word & 0xffc00000) == 0xf9400000; }   // ldr xd, [xn, #imm12]
static bool is_movz_high(uint32_t word) { return (word & 0xffe00000) == 0xd2a00000; }  // movz xd, #imm16, lsl #16
static bool is_movk_low(uint32_t word) { return (word & 0xffe00000) == 0xf2800000; }   // movk xd, #imm16

// Whether a register is computed in place: xd of xd.
static bool in_place(uint32_t word, unsigned reg) { return arm64_rd(word) == reg && arm64_rn(word) == reg; }

static bool found(hp_fixup_place *place, uint32_t type) {
    place->row = hp_fixup_row(HP_ARCH_ARM64, type);
    return true;
}

// A pair of instructions of which a linker has made nop and adr.
static bool is_made_adr(uint32_t page, uint32_t low, uint32_t live_page, uint32_t live_low) {
    unsigned reg = arm64_rd(page);
    return is_adrp(page) && (is_add(low) || is_ldr(low)) && in_place(low, reg) && live_page == ARM64_NOP && is_adr(live_low)
        && arm64_rd(live_low) == reg;
}

// True, and the place left as it is, where the code is as it was written. Of two instructions that belong together, either has its own
// fixup, so each looks at the other.
bool hp_arm64_fixup_find(
    const hp_fixup *row, const uint8_t *code, const uint8_t *live, size_t length, size_t offset, hp_fixup_place *place
) {
    if (!row->instruction) return true;
    uint32_t was = arm64_word(code + offset), is = arm64_word(live + offset);
    unsigned rd = arm64_rd(was), rn = arm64_rn(was);
    bool has_next = length - offset >= 2 * ARM64_WORD, has_previous = offset >= ARM64_WORD;
    uint32_t next_was = has_next ? arm64_word(code + offset + ARM64_WORD) : ARM64_UDF;
    uint32_t next_is = has_next ? arm64_word(live + offset + ARM64_WORD) : ARM64_UDF;
    uint32_t previous_was = has_previous ? arm64_word(code + offset - ARM64_WORD) : ARM64_UDF;
    uint32_t previous_is = has_previous ? arm64_word(live + offset - ARM64_WORD) : ARM64_UDF;
    uint32_t fixed = (uint32_t)~hp_arm64_fixup_bits(row);
    bool as_written = row->expression == HP_EXPRESSION_NONE ? was == is : (was & fixed) == (is & fixed);

    switch (row->relaxation) {
    case BRANCH:
        if (is == ARM64_NOP) return found(place, TYPE_NONE);
        break;
    case ADDRESS_PAGE:
        if (is_made_adr(was, next_was, is, next_is)) return found(place, TYPE_NONE);
        break;
    case ADDRESS_ADD: case SLOT_LOAD:
        if (is_made_adr(previous_was, was, previous_is, is)) return found(place, TYPE_ADR);
        if (row->relaxation == SLOT_LOAD && is_ldr(was) && is_add(is) && rd == arm64_rd(is) && rn == arm64_rn(is)) {
            return found(place, TYPE_ADD);
        }
        break;
    case SLOT_PAGE:
        if (is_made_adr(was, next_was, is, next_is)) return found(place, TYPE_NONE);
        if (as_written && is_ldr(next_was) && is_add(next_is)) return found(place, TYPE_ADRP);
        break;
    case TP_SLOT_PAGE: case DESCRIPTOR_PAGE:
        if (is_adrp(was) && is_movz_high(is) && arm64_rd(is) == rd) return found(place, TYPE_TP_HIGH);
        // The descriptor's function was loaded into x1; S − TP is loaded into x0.
        if (row->relaxation == DESCRIPTOR_PAGE && as_written && is_ldr(next_was) && is_ldr(next_is)
            && arm64_rd(next_was) != rd && in_place(next_is, rd)) {
            return found(place, TYPE_TP_SLOT_PAGE);
        }
        break;
    case TP_SLOT_LOAD: case DESCRIPTOR_LOAD:
        // The result is where the address was: in x0, for a descriptor.
        if (is_ldr(was) && is_movk_low(is) && arm64_rd(is) == (row->relaxation == TP_SLOT_LOAD ? rd : rn)) {
            return found(place, TYPE_TP_LOW);
        }
        if (row->relaxation == DESCRIPTOR_LOAD && is_ldr(was) && rd != rn && is_ldr(is) && in_place(is, rn)) {
            return found(place, TYPE_TP_SLOT_LOAD);
        }
        break;
    case DESCRIPTOR_NOP:
        if (is == ARM64_NOP) return found(place, TYPE_NONE);
        break;
    default: break;
    }
    return as_written;
}

size_t hp_arm64_encode_landing_pad(uint8_t *out) {
    static const uint8_t code[] = {
        0x5f, 0x24, 0x03, 0xd5,  // bti c
    };
    for (size_t i = 0; i < sizeof code; i++) out[i] = code[i];
    return sizeof code;
}
