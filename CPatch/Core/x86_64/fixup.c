// Fixups of x86_64: the relocation types of the psABI (table 4.9), and what linkers make of the instructions that have them (its
// appendix B, and chapter 4.4 of "ELF Handling For Thread-Local Storage"). Twin: arm64/fixup.c.
#include "../arch.h"

#include "cpatch_fixup.h"

// What a linker may make of a place.
enum {
    KEPT,
    LOAD,              // mov foo@GOTPCREL(%rip): lea
    LOAD_X,            // and other instructions, and other forms
    GENERAL_DYNAMIC,   // lea x@tlsgd(%rip), %rdi and the call behind it
    LOCAL_DYNAMIC,     // lea x@tlsld(%rip), %rdi and the call behind it
    INITIAL_EXEC,      // mov or add x@gottpoff(%rip)
    DESCRIPTOR,        // lea x@tlsdesc(%rip)
    DESCRIPTOR_CALL,   // call *x@tlscall(%rax)
};

enum {
    FOUR = 4,          // bytes of most fields
    OPCODE_MOV = 0x8b, OPCODE_LEA = 0x8d, OPCODE_TEST = 0x85, OPCODE_ADD = 0x03, OPCODE_INDIRECT = 0xff,
    OPCODE_MOV_IMMEDIATE = 0xc7, OPCODE_TEST_IMMEDIATE = 0xf7, OPCODE_GROUP_IMMEDIATE = 0x81,
    OPCODE_CALL = 0xe8, OPCODE_JUMP = 0xe9, NOP = 0x90, ADDRESS_SIZE = 0x67, REX2 = 0xd5,
};

#define ROW(number, type_name, x, e, bytes, c, ...)                                                                    \
    {.name = "R_X86_64_" type_name, .type = number, .arch = HP_ARCH_X86_64, .subject = HP_SUBJECT_##x,                 \
     .expression = HP_EXPRESSION_##e, .size = bytes, .bits = 8 * bytes, .check = HP_CHECK_##c,                         \
     .check_bits = HP_CHECK_##c == HP_CHECK_NONE ? 0 : 8 * bytes, __VA_ARGS__}
#define MARKER(number, type_name, ...) ROW(number, type_name, NOTHING, NONE, 0, NONE, __VA_ARGS__)
#define UNSUPPORTED(number, type_name) ROW(number, type_name, NOTHING, UNSUPPORTED, 0, NONE, .relaxation = KEPT)
#define CALL .call = true

static const hp_fixup rows[] = {
    MARKER(0, "NONE", .relaxation = KEPT),
    ROW(1, "64", SYMBOL, ABSOLUTE, 8, NONE, .relaxation = KEPT),
    ROW(2, "PC32", SYMBOL, RELATIVE, 4, SIGNED, .relaxation = KEPT),
    ROW(3, "GOT32", GOT_SLOT, GOT_RELATIVE, 4, SIGNED, .relaxation = KEPT),
    ROW(4, "PLT32", PLT, RELATIVE, 4, SIGNED, CALL),
    UNSUPPORTED(5, "COPY"),
    UNSUPPORTED(6, "GLOB_DAT"),
    UNSUPPORTED(7, "JUMP_SLOT"),
    UNSUPPORTED(8, "RELATIVE"),
    ROW(9, "GOTPCREL", GOT_SLOT, RELATIVE, 4, SIGNED, .relaxation = LOAD),
    ROW(10, "32", SYMBOL, ABSOLUTE, 4, UNSIGNED, .relaxation = KEPT),
    ROW(11, "32S", SYMBOL, ABSOLUTE, 4, SIGNED, .relaxation = KEPT),
    ROW(12, "16", SYMBOL, ABSOLUTE, 2, EITHER, .relaxation = KEPT),
    ROW(13, "PC16", SYMBOL, RELATIVE, 2, SIGNED, .relaxation = KEPT),
    ROW(14, "8", SYMBOL, ABSOLUTE, 1, EITHER, .relaxation = KEPT),
    ROW(15, "PC8", SYMBOL, RELATIVE, 1, SIGNED, .relaxation = KEPT),
    UNSUPPORTED(16, "DTPMOD64"),
    ROW(17, "DTPOFF64", MODULE_OFFSET, ABSOLUTE, 8, NONE, .relaxation = KEPT),
    ROW(18, "TPOFF64", TP_OFFSET, ABSOLUTE, 8, NONE, .relaxation = KEPT),
    ROW(19, "TLSGD", MODULE_SLOTS, RELATIVE, 4, SIGNED, .relaxation = GENERAL_DYNAMIC),
    ROW(20, "TLSLD", LOCAL_MODULE_SLOTS, RELATIVE, 4, SIGNED, .relaxation = LOCAL_DYNAMIC),
    ROW(21, "DTPOFF32", MODULE_OFFSET, ABSOLUTE, 4, SIGNED, .relaxation = KEPT),
    ROW(22, "GOTTPOFF", TP_SLOT, RELATIVE, 4, SIGNED, .relaxation = INITIAL_EXEC),
    ROW(23, "TPOFF32", TP_OFFSET, ABSOLUTE, 4, SIGNED, .relaxation = KEPT),
    ROW(24, "PC64", SYMBOL, RELATIVE, 8, NONE, .relaxation = KEPT),
    ROW(25, "GOTOFF64", SYMBOL, GOT_RELATIVE, 8, NONE, .relaxation = KEPT),
    ROW(26, "GOTPC32", GOT, RELATIVE, 4, SIGNED, .relaxation = KEPT),
    ROW(27, "GOT64", GOT_SLOT, GOT_RELATIVE, 8, NONE, .relaxation = KEPT),
    ROW(28, "GOTPCREL64", GOT_SLOT, RELATIVE, 8, NONE, .relaxation = KEPT),
    ROW(29, "GOTPC64", GOT, RELATIVE, 8, NONE, .relaxation = KEPT),
    ROW(30, "GOTPLT64", GOT_SLOT, GOT_RELATIVE, 8, NONE, .relaxation = KEPT),
    ROW(31, "PLTOFF64", PLT, GOT_RELATIVE, 8, NONE, CALL),
    ROW(32, "SIZE32", SIZE, ABSOLUTE, 4, SIGNED, .relaxation = KEPT),
    ROW(33, "SIZE64", SIZE, ABSOLUTE, 8, NONE, .relaxation = KEPT),
    ROW(34, "GOTPC32_TLSDESC", DESCRIPTOR_SLOTS, RELATIVE, 4, SIGNED, .relaxation = DESCRIPTOR),
    MARKER(35, "TLSDESC_CALL", .relaxation = DESCRIPTOR_CALL),
    UNSUPPORTED(36, "TLSDESC"),
    UNSUPPORTED(37, "IRELATIVE"),
    UNSUPPORTED(38, "RELATIVE64"),
    ROW(39, "PC32_BND", SYMBOL, RELATIVE, 4, SIGNED, .relaxation = KEPT),
    ROW(40, "PLT32_BND", PLT, RELATIVE, 4, SIGNED, CALL),
    ROW(41, "GOTPCRELX", GOT_SLOT, RELATIVE, 4, SIGNED, .relaxation = LOAD_X),
    ROW(42, "REX_GOTPCRELX", GOT_SLOT, RELATIVE, 4, SIGNED, .relaxation = LOAD_X),
    ROW(43, "CODE_4_GOTPCRELX", GOT_SLOT, RELATIVE, 4, SIGNED, .relaxation = LOAD_X),
    ROW(44, "CODE_4_GOTTPOFF", TP_SLOT, RELATIVE, 4, SIGNED, .relaxation = INITIAL_EXEC),
    ROW(45, "CODE_4_GOTPC32_TLSDESC", DESCRIPTOR_SLOTS, RELATIVE, 4, SIGNED, .relaxation = DESCRIPTOR),
    // What linkers make of instructions with still longer prefixes is not known here: such a place is refused as other code.
    ROW(46, "CODE_5_GOTPCRELX", GOT_SLOT, RELATIVE, 4, SIGNED, .relaxation = KEPT),
    ROW(47, "CODE_5_GOTTPOFF", TP_SLOT, RELATIVE, 4, SIGNED, .relaxation = KEPT),
    ROW(48, "CODE_5_GOTPC32_TLSDESC", DESCRIPTOR_SLOTS, RELATIVE, 4, SIGNED, .relaxation = KEPT),
    ROW(49, "CODE_6_GOTPCRELX", GOT_SLOT, RELATIVE, 4, SIGNED, .relaxation = KEPT),
    ROW(50, "CODE_6_GOTTPOFF", TP_SLOT, RELATIVE, 4, SIGNED, .relaxation = KEPT),
    ROW(51, "CODE_6_GOTPC32_TLSDESC", DESCRIPTOR_SLOTS, RELATIVE, 4, SIGNED, .relaxation = KEPT),
};

enum { TYPE_PC32 = 2, TYPE_NONE = 0, TYPE_32 = 10, TYPE_32S = 11, TYPE_GOTTPOFF = 22, TYPE_TPOFF32 = 23 };

const hp_fixup *hp_x86_64_fixups(size_t *count) {
    *count = sizeof rows / sizeof *rows;
    return rows;
}

// Fields are whole bytes: displacements, immediates, data.
uint64_t hp_x86_64_fixup_bits(const hp_fixup *row) { return row->bits >= 64 ? ~(uint64_t)0 : ((uint64_t)1 << row->bits) - 1; }

uint64_t hp_x86_64_fixup_put(const hp_fixup *row, uint64_t word, uint64_t value) {
    uint64_t bits = hp_x86_64_fixup_bits(row);
    return (word & ~bits) | (value & bits);
}

uint64_t hp_x86_64_fixup_get(const hp_fixup *row, uint64_t word) { return word & hp_x86_64_fixup_bits(row); }

static bool equal(const uint8_t *left, const uint8_t *right, size_t count) {
    for (size_t i = 0; i < count; i++) {
        if (left[i] != right[i]) return false;
    }
    return true;
}

// The sequences of the psABI, by how far before the field they begin.
static const uint8_t
    lea_rdi_data16[4] = {0x66, 0x48, 0x8d, 0x3d},            // data16 lea x@tlsgd(%rip), %rdi
    call_data16[4] = {0x66, 0x66, 0x48, 0xe8},               // data16 data16 rex.W call __tls_get_addr@PLT
    call_indirect_data16[4] = {0x66, 0x48, 0xff, 0x15},      // data16 rex.W call *__tls_get_addr@GOTPCREL(%rip)
    lea_rdi[3] = {0x48, 0x8d, 0x3d},                         // lea x@tlsld(%rip), %rdi
    indirect_call[2] = {0xff, 0x15},                         // call *__tls_get_addr@GOTPCREL(%rip)
    thread_pointer[9] = {0x64, 0x48, 0x8b, 0x04, 0x25, 0, 0, 0, 0},  // mov %fs:0, %rax
    lea_rax[3] = {0x48, 0x8d, 0x80},                         // lea x@tpoff(%rax), %rax
    add_rax[3] = {0x48, 0x03, 0x05},                         // add x@gottpoff(%rip), %rax
    call_rax[2] = {0xff, 0x10},                              // call *(%rax)
    nop2[2] = {0x66, 0x90};                                  // xchg %ax, %ax

// An instruction whose displacement is a field of four bytes: prefix, opcode, ModRM, field.
typedef struct load {
    size_t prefix;        // bytes of it: 0, 1 (REX) or 2 (REX2)
    uint8_t opcode, modrm;
} load;

static unsigned reg_of(load load) { return load.modrm >> 3 & 7; }

// Whether the field at `offset` is the RIP-relative operand of an instruction with the prefix that the type says it has.
static bool load_at(const hp_fixup *row, const uint8_t *code, size_t offset, load *out) {
    bool rex2 = row->type >= 43, rex = !rex2 && row->type != 41 && row->type != 9;
    out->prefix = rex2 ? 2 : rex ? 1 : 0;
    if (offset < out->prefix + 2) return false;
    const uint8_t *field = code + offset;
    out->opcode = field[-2];
    out->modrm = field[-1];
    if ((out->modrm & 0xc7) != 0x05) return false;
    if (rex2) return field[-4] == REX2;
    return !rex || (field[-3] & 0xf0) == 0x40;
}

static bool is_binary(uint8_t opcode) { return (opcode & 0xc7) == OPCODE_ADD; }  // add, or, adc, sbb, and, sub, xor, cmp

static bool is_relaxable_load(const hp_fixup *row, load load) {
    switch (row->relaxation) {
    case LOAD: return load.opcode == OPCODE_MOV;
    case LOAD_X:
        if (load.opcode == OPCODE_INDIRECT) return load.prefix == 0 && (load.modrm == 0x15 || load.modrm == 0x25);
        return load.opcode == OPCODE_MOV || load.opcode == OPCODE_TEST || is_binary(load.opcode);
    case INITIAL_EXEC: return load.opcode == OPCODE_MOV || load.opcode == OPCODE_ADD;
    case DESCRIPTOR: return load.opcode == OPCODE_LEA;
    default: return false;
    }
}

bool hp_x86_64_fixup_sequence(
    const hp_fixup *row, const uint8_t *code, size_t length, size_t offset, size_t *start, size_t *end
) {
    const uint8_t *field = code + offset;
    size_t rest = length - offset;  // of the bytes, from the field on
    load load;
    switch (row->relaxation) {
    case LOAD: case LOAD_X: case INITIAL_EXEC: case DESCRIPTOR:
        if (!load_at(row, code, offset, &load) || !is_relaxable_load(row, load)) return false;
        *start = offset - 2 - load.prefix;
        *end = offset + FOUR;
        return true;
    case GENERAL_DYNAMIC:
        if (offset < 4 || rest < 12 || !equal(field - 4, lea_rdi_data16, 4)) return false;
        if (!equal(field + 4, call_data16, 4) && !equal(field + 4, call_indirect_data16, 4)) return false;
        *start = offset - 4;
        *end = offset + 12;
        return true;
    case LOCAL_DYNAMIC:
        if (offset < 3 || rest < 9 || !equal(field - 3, lea_rdi, 3)) return false;
        *start = offset - 3;
        if (field[4] == OPCODE_CALL) {
            *end = offset + 9;
            return true;
        }
        if (rest < 10 || !equal(field + 4, indirect_call, 2)) return false;
        *end = offset + 10;
        return true;
    case DESCRIPTOR_CALL:
        if (rest < 2 || !equal(field, call_rax, 2)) return false;
        *start = offset;
        *end = offset + 2;
        return true;
    default: return false;
    }
}

static bool found(hp_fixup_place *place, uint32_t type, size_t offset, int64_t addend_change, size_t start, size_t end) {
    *place = (hp_fixup_place){&rows[type], offset, addend_change, 0, 0, start, end};
    return true;
}

// The prefix of an instruction whose register has become the other operand: R bits move to B, or are set there as well.
static bool has_prefix(const uint8_t *code, const uint8_t *live, size_t prefix, bool moved, bool both) {
    if (prefix == 0) return true;
    if (prefix == 2 && live[0] != code[0]) return false;
    uint8_t from = code[prefix - 1], r = from & (prefix == 2 ? 0x44 : 0x04);
    if (moved) from = (uint8_t)((both ? from : from & ~r) | r >> 2);
    return live[prefix - 1] == from;
}

static bool is_wide(const uint8_t *code, size_t prefix) { return prefix > 0 && (code[prefix - 1] & 0x08) != 0; }

static bool find_load(
    const hp_fixup *row, const uint8_t *code, const uint8_t *live, size_t offset, hp_fixup_place *place
) {
    load load;
    if (!load_at(row, code, offset, &load) || !is_relaxable_load(row, load)) return true;
    size_t start = offset - 2 - load.prefix, end = offset + FOUR;
    const uint8_t *before = code + start, *now = live + start;
    uint8_t opcode = live[offset - 2], modrm = live[offset - 1];
    unsigned reg = reg_of(load);
    uint8_t direct = (uint8_t)(0xc0 | reg);  // ModRM of an operand that is this register

    bool same = has_prefix(before, now, load.prefix, false, false);
    if (same && opcode == load.opcode && modrm == load.modrm) {
        place->start = start;
        return true;
    }
    if (load.opcode == OPCODE_INDIRECT) {
        bool call = load.modrm == 0x15;
        if (call && (opcode == ADDRESS_SIZE || opcode == NOP) && modrm == OPCODE_CALL) {
            return found(place, TYPE_PC32, offset, 0, start, end);
        }
        // The displacement has moved a byte to the front: it still counts from its own end.
        if (opcode == (call ? OPCODE_CALL : OPCODE_JUMP) && live[offset + 3] == NOP) {
            return found(place, TYPE_PC32, offset - 1, 0, start, end);
        }
        return false;
    }
    // An address that stood in the GOT, in an instruction that reads nothing: the field no longer counts from its end.
    bool moved = has_prefix(before, now, load.prefix, true, false);
    uint32_t absolute = is_wide(before, load.prefix) ? TYPE_32S : TYPE_32;
    switch (row->relaxation) {
    case LOAD: case LOAD_X:
        if (load.opcode == OPCODE_MOV && same && opcode == OPCODE_LEA && modrm == load.modrm) {
            return found(place, TYPE_PC32, offset, 0, start, end);
        }
        if (row->relaxation == LOAD || !moved) return false;
        if (load.opcode == OPCODE_MOV && opcode == OPCODE_MOV_IMMEDIATE && modrm == direct) {
            return found(place, absolute, offset, FOUR, start, end);
        }
        if (load.opcode == OPCODE_TEST && opcode == OPCODE_TEST_IMMEDIATE && modrm == direct) {
            return found(place, absolute, offset, FOUR, start, end);
        }
        if (is_binary(load.opcode) && opcode == OPCODE_GROUP_IMMEDIATE && modrm == (direct | (load.opcode & 0x38))) {
            return found(place, absolute, offset, FOUR, start, end);
        }
        return false;
    case INITIAL_EXEC:
        if (load.opcode == OPCODE_MOV) {
            return moved && opcode == OPCODE_MOV_IMMEDIATE && modrm == direct
                && found(place, TYPE_TPOFF32, offset, FOUR, start, end);
        }
        if (moved && opcode == OPCODE_GROUP_IMMEDIATE && modrm == direct) {
            return found(place, TYPE_TPOFF32, offset, FOUR, start, end);
        }
        // rsp and r12 as a base need another byte: there it stays an add.
        return reg != 4 && opcode == OPCODE_LEA && modrm == (0x80 | reg << 3 | reg)
            && has_prefix(before, now, load.prefix, true, true) && found(place, TYPE_TPOFF32, offset, FOUR, start, end);
    case DESCRIPTOR:
        if (same && opcode == OPCODE_MOV && modrm == load.modrm) {
            return found(place, TYPE_GOTTPOFF, offset, 0, start, end);
        }
        return moved && opcode == OPCODE_MOV_IMMEDIATE && modrm == direct
            && found(place, TYPE_TPOFF32, offset, FOUR, start, end);
    default: return false;
    }
}

// True, and the place left as it is, where the code is as it was written.
bool hp_x86_64_fixup_find(
    const hp_fixup *row, const uint8_t *code, const uint8_t *live, size_t length, size_t offset, hp_fixup_place *place
) {
    size_t start = offset, end = offset;
    if (!hp_x86_64_fixup_sequence(row, code, length, offset, &start, &end)) return true;
    const uint8_t *now = live + start;
    switch (row->relaxation) {
    case LOAD: case LOAD_X: case INITIAL_EXEC: case DESCRIPTOR:
        return find_load(row, code, live, offset, place);
    case GENERAL_DYNAMIC:
        if (equal(now, lea_rdi_data16, 4)) {
            place->start = start;
            return true;
        }
        if (!equal(now, thread_pointer, 9)) return false;
        if (equal(now + 9, lea_rax, 3)) return found(place, TYPE_TPOFF32, offset + 8, FOUR, start, end);
        return equal(now + 9, add_rax, 3) && found(place, TYPE_GOTTPOFF, offset + 8, 0, start, end);
    case LOCAL_DYNAMIC: {
        if (equal(now, lea_rdi, 3)) {
            place->start = start;
            return true;
        }
        // As many prefixes as make it as long as what it replaces.
        size_t prefixes = end - start - sizeof thread_pointer;
        for (size_t i = 0; i < prefixes; i++) {
            if (now[i] != 0x66) return false;
        }
        return equal(now + prefixes, thread_pointer, 9) && found(place, TYPE_NONE, offset, 0, start, end);
    }
    case DESCRIPTOR_CALL:
        if (equal(now, call_rax, 2)) {
            place->end = end;
            return true;
        }
        return equal(now, nop2, 2) && found(place, TYPE_NONE, offset, 0, start, end);
    default: return false;
    }
}

size_t hp_x86_64_encode_landing_pad(uint8_t *out) {
    static const uint8_t code[] = {
        0xf3, 0x0f, 0x1e, 0xfa,  // endbr64
    };
    for (size_t i = 0; i < sizeof code; i++) out[i] = code[i];
    return sizeof code;
}
