// Computed jumps, told by `ff /4`, and the tables that they choose from. A switch's table is found through the instructions
// before the jump:
//
//     cmp  $5, %edi                       (the check: six entries)
//     ja   default
//     mov  %edi, %edi
//     lea  table(%rip), %rdx              tables of 4-byte offsets from the table itself (position-independent code)
//     movslq (%rdx,%rdi,4), %rax
//     add  %rdx, %rax
//     jmp  *%rax
//
//     jmp  *table(,%rax,8)                tables of 8-byte addresses
//
// Where the table lies: the walk is linear and knows nothing of control flow; a register is taken to hold what the last `lea`
// above put there. So a table is a candidate, and a computed jump without one is reported as unchecked. `jmp *x(%rip)` and
// `jmp *8(%rax)` are calls in tail position, not tables: only an index counted in words of 8 bytes makes a table.
//
// How many entries it has, no table says; what lies behind is another table, whose offsets from its own start may look like
// offsets of this one's into the entry. So the check is looked for that keeps the index in the table. It counts where it is
// proven: the index is the register that was compared, or was made from it, and no other way leads between check and jump. Where
// something does, or an instruction there is not known, the number of entries is not.
//
// arm64 has no twin of this file: its detours are single instructions, into the middle of which nothing can lead.
#include "scan.h"

#include "instruction.h"

#include <string.h>

// How far above a computed jump its table is looked for, in instructions.
enum { TABLE_DISTANCE = 8 };

// More entries than any compiler makes a table of.
enum { MOST_ENTRIES = 1 << 16 };

// What is known of a register, by the instructions right above. `guard` is the offset behind the first of them.
typedef struct fact {
    enum {
        NOTHING,
        EXTENDED,              // of the value, only `width` bytes are not zero
        BOUND_PART,            // the lowest `width` bytes, as a number, are less than `count`
        BOUND,                 // the value is
        ENTRY,                 // of `table`, chosen by an index that is less than `count`; or made from one, by an addition
    } kind;
    uint8_t width;
    uint32_t count;
    size_t guard;
    uint64_t table;
} fact;

// A comparison with a constant whose flags still stand.
typedef struct comparison {
    bool stands;
    uint8_t width;
    unsigned register_number;
    uint64_t constant;
    size_t guard;
} comparison;

typedef struct walk {
    const hp_relocation_request *request;
    hp_relocation *out;
    size_t at;                   // the instruction's offset
    const uint8_t *code;         // its bytes
    x86_instruction found;
    uint64_t address[16];        // what the last `lea x(%rip)` put into a register
    uint32_t known;              // bit per register
    uint64_t table;              // of the last scaled load, where its base is known
    bool table_known;
    size_t load_age;             // instructions since the last scaled load
    fact facts[16];
    comparison comparison;
} walk;

// ---------------------------------------------------------------------------------------------------------
// Operands

static size_t end(const walk *walk) { return walk->at + walk->found.length; }

static unsigned reg_of(const x86_instruction *found) { return x86_reg(found) | (found->rex & 4u) << 1; }

static unsigned rm_of(const x86_instruction *found) { return (found->modrm & 7) | (found->rex & 1u) << 3; }

static unsigned index_of(const x86_instruction *found) { return (found->sib >> 3 & 7) | (found->rex & 2u) << 2; }

static bool has_index(const x86_instruction *found) { return found->has_sib && index_of(found) != 4; }

static bool is_register(const x86_instruction *found) { return found->has_modrm && found->modrm >> 6 == 3; }

// Bytes of the operands of an instruction that has a form for single bytes.
static uint8_t width_of(const x86_instruction *found, bool bytes) {
    return bytes ? 1 : (found->rex & 8) != 0 ? 8 : found->operand_size ? 2 : 4;
}

// Without a REX prefix, numbers 4 to 7 of single bytes are the second bytes of the first four registers.
static bool is_second_byte(const x86_instruction *found, unsigned number, uint8_t width) {
    return width == 1 && found->rex == 0 && number >= 4;
}

static uint64_t immediate(const walk *walk, uint8_t width) {
    const uint8_t *bytes = walk->code + walk->found.length - walk->found.immediate_length;
    int64_t value = 0;
    if (walk->found.immediate_length == 1) {
        value = (int8_t)bytes[0];
    } else if (walk->found.immediate_length == 2) {
        int16_t narrow;
        memcpy(&narrow, bytes, sizeof narrow);
        value = narrow;
    } else if (walk->found.immediate_length == 4) {
        int32_t narrow;
        memcpy(&narrow, bytes, sizeof narrow);
        value = narrow;
    }
    return width == 8 ? (uint64_t)value : (uint64_t)value & ((1ull << 8 * width) - 1);
}

// Where the table lies that a memory operand with a scaled index reads. False if its base is not known.
static bool scaled_base(const walk *walk, uint64_t *out) {
    const x86_instruction *found = &walk->found;
    int64_t displacement = 0;
    if (found->displacement_length == 1) {
        displacement = (int8_t)walk->code[found->displacement_offset];
    } else if (found->displacement_length == 4) {
        int32_t narrow;
        memcpy(&narrow, walk->code + found->displacement_offset, sizeof narrow);
        displacement = narrow;
    }
    if (found->modrm >> 6 == 0 && (found->sib & 7) == 5) {
        *out = (uint64_t)displacement;
        return true;
    }
    unsigned base = (found->sib & 7) | (found->rex & 1u) << 3;
    *out = walk->address[base] + (uint64_t)displacement;
    return (walk->known >> base & 1) != 0;
}

// ---------------------------------------------------------------------------------------------------------
// Facts

static void forget_all(walk *walk) {
    memset(walk->facts, 0, sizeof walk->facts);
    walk->comparison.stands = false;
}

// The register gets a value of which this is known.
static void set(walk *walk, unsigned number, fact fact) {
    walk->facts[number] = fact;
    if (walk->comparison.register_number == number) walk->comparison.stands = false;
}

static void forget(walk *walk, unsigned number) { set(walk, number, (fact){.kind = NOTHING}); }

// The operand that ModRM's last field tells gets a value of which nothing is known.
static void forget_rm(walk *walk, uint8_t width) {
    unsigned number = rm_of(&walk->found);
    if (!is_register(&walk->found)) return;
    forget(walk, is_second_byte(&walk->found, number, width) ? number - 4 : number);
}

static void forget_reg(walk *walk, uint8_t width) {
    unsigned number = reg_of(&walk->found);
    forget(walk, is_second_byte(&walk->found, number, width) ? number - 4 : number);
}

static void compare(walk *walk, unsigned number, uint8_t width) {
    walk->comparison.stands = !is_second_byte(&walk->found, number, width);
    walk->comparison.register_number = number;
    walk->comparison.width = width;
    walk->comparison.constant = immediate(walk, width);
    walk->comparison.guard = end(walk);
}

// A conditional jump was not taken.
static void note_condition(walk *walk, uint8_t condition) {
    const comparison *comparison = &walk->comparison;
    if (!comparison->stands || (condition != 0x7 && condition != 0x3)) return;     // ja, jae
    uint64_t count = comparison->constant + (condition == 0x7);
    if (count == 0 || count > MOST_ENTRIES) return;
    const fact *old = &walk->facts[comparison->register_number];
    fact fact = {.kind = BOUND, .count = (uint32_t)count, .guard = comparison->guard};
    // Four bytes are as good as the whole register: no table has entries beyond.
    if (comparison->width < 4) {
        bool extended = old->kind == EXTENDED && old->width <= comparison->width;
        if (extended) fact.guard = old->guard;
        else fact.kind = BOUND_PART;
        fact.width = comparison->width;
    }
    walk->facts[comparison->register_number] = fact;
}

// movzx and mov, of registers: what is known of the lowest `width` bytes, which become the value.
static fact extended(const walk *walk, unsigned number, uint8_t width) {
    const fact *old = &walk->facts[number];
    if (old->kind == BOUND && (width >= 4 || old->count <= 1u << 8 * width)) return *old;
    if (old->kind == EXTENDED && old->width <= width) return *old;
    if (old->kind == BOUND_PART && old->width == width) {
        fact fact = *old;
        fact.kind = BOUND;
        return fact;
    }
    return (fact){.kind = width < 4 ? EXTENDED : NOTHING, .width = width, .guard = end(walk)};
}

static void note_move(walk *walk, unsigned to, unsigned from, uint8_t width) {
    switch (width) {
    case 8: set(walk, to, walk->facts[from]); break;
    case 4: set(walk, to, extended(walk, from, width)); break;
    default: forget(walk, to);
    }
}

static void note_load(walk *walk, uint8_t scale) {
    fact fact = {.kind = NOTHING};
    const struct fact *index = &walk->facts[index_of(&walk->found)];
    if (has_index(&walk->found) && walk->found.sib >> 6 == scale && walk->table_known && index->kind == BOUND) {
        fact = *index;
        fact.kind = ENTRY;
        fact.table = walk->table;
    }
    set(walk, reg_of(&walk->found), fact);
}

// add: an entry and the table's address make the place that the jump leads to.
static void note_addition(walk *walk, unsigned to, unsigned from) {
    fact fact = {.kind = NOTHING};
    if (walk->facts[to].kind == ENTRY) fact = walk->facts[to];
    else if (walk->facts[from].kind == ENTRY) fact = walk->facts[from];
    set(walk, to, fact);
}

static void note_and(walk *walk, unsigned number, uint8_t width) {
    uint64_t mask = immediate(walk, width);
    fact fact = {.kind = NOTHING};
    if (width >= 4 && mask < MOST_ENTRIES) {
        fact.kind = BOUND;
        fact.count = (uint32_t)mask + 1;
        fact.guard = end(walk);
    }
    set(walk, number, fact);
}

// add, or, adc, sbb, and, sub, xor, cmp (opcodes 00 to 3f)
static void note_arithmetic(walk *walk) {
    const x86_instruction *found = &walk->found;
    bool compares = found->opcode >= 0x38, bytes = (found->opcode & 1) == 0;
    uint8_t width = width_of(found, bytes);
    walk->comparison.stands = false;
    switch (found->opcode & 7) {
    case 0: case 1: case 2: case 3:
        if (compares) return;
        if (found->opcode == 0x01 && width == 8 && is_register(found)) note_addition(walk, rm_of(found), reg_of(found));
        else if (found->opcode == 0x03 && width == 8 && is_register(found)) note_addition(walk, reg_of(found), rm_of(found));
        else if ((found->opcode & 2) == 0) forget_rm(walk, width);
        else forget_reg(walk, width);
        return;
    case 4: case 5:
        if (compares) compare(walk, 0, width);
        else if (found->opcode == 0x25) note_and(walk, 0, width);
        else forget(walk, 0);
        return;
    default: forget_all(walk);
    }
}

// The same with a constant (opcodes 80, 81, 83).
static void note_arithmetic_with_constant(walk *walk) {
    const x86_instruction *found = &walk->found;
    uint8_t width = width_of(found, found->opcode == 0x80);
    walk->comparison.stands = false;
    if (!is_register(found)) return;
    if (x86_reg(found) == 7) compare(walk, rm_of(found), width);
    else if (x86_reg(found) == 4 && width >= 4) note_and(walk, rm_of(found), width);
    else forget_rm(walk, width);
}

static void note_two_byte_opcode(walk *walk) {
    const x86_instruction *found = &walk->found;
    uint8_t opcode = found->opcode;
    if ((opcode & 0xf0) == 0x80) {
        note_condition(walk, opcode & 0xf);
    } else if (opcode == 0xb6 || opcode == 0xb7) {                                // movzx
        uint8_t source = opcode == 0xb6 ? 1 : 2;
        bool known = is_register(found) && !is_second_byte(found, rm_of(found), source);
        fact plain = {.kind = EXTENDED, .width = source, .guard = end(walk)};
        if (found->operand_size) forget_reg(walk, 2);
        else set(walk, reg_of(found), known ? extended(walk, rm_of(found), source) : plain);
    } else if (opcode == 0xbe || opcode == 0xbf || (opcode & 0xf0) == 0x40) {     // movsx, cmov
        forget_reg(walk, 4);
    } else if ((opcode & 0xf0) == 0x90) {                                         // setcc
        forget_rm(walk, 1);
    } else if (opcode != 0x1f && opcode != 0x10 && opcode != 0x11 && opcode != 0x28 && opcode != 0x29 && opcode != 0x57 &&
               opcode != 0x6f && opcode != 0x7f && opcode != 0xd6 && opcode != 0xef) {   // nop, moves of vectors, xor of them
        forget_all(walk);
    }
}

// What an instruction does to what is known. Whatever is not here may change every register.
static void note_facts(walk *walk) {
    const x86_instruction *found = &walk->found;
    if (!found->legacy || found->map > 1 || hp_x86_ends_flow(found)) return forget_all(walk);
    if (found->map == 1) return note_two_byte_opcode(walk);
    uint8_t opcode = found->opcode, width = width_of(found, (opcode & 1) == 0);
    if (opcode < 0x40) return note_arithmetic(walk);
    if ((opcode & 0xf0) == 0x70) return note_condition(walk, opcode & 0xf);
    if ((opcode & 0xf8) == 0x50) return;                                           // push
    if ((opcode & 0xf8) == 0x58) return forget(walk, (opcode & 7) | (found->rex & 1u) << 3);    // pop
    if ((opcode & 0xf0) == 0xb0) {                                                 // mov constant
        unsigned number = (opcode & 7) | (found->rex & 1u) << 3;
        return forget(walk, is_second_byte(found, number, opcode < 0xb8 ? 1 : 4) ? number - 4 : number);
    }
    switch (opcode) {
    case 0x63:                                                                     // movsxd
        if (!is_register(found)) return note_load(walk, 2);
        return note_move(walk, reg_of(found), rm_of(found), walk->facts[rm_of(found)].kind == BOUND ? 4 : 1);
    case 0x80: case 0x81: case 0x83: return note_arithmetic_with_constant(walk);
    case 0x84: case 0x85: case 0xa8: case 0xa9:                                    // test
        walk->comparison.stands = false;
        return;
    case 0x88: return forget_rm(walk, width);
    case 0x89:
        return is_register(found) ? note_move(walk, rm_of(found), reg_of(found), width) : (void)0;
    case 0x8a: return forget_reg(walk, width);
    case 0x8b:
        if (is_register(found)) return note_move(walk, reg_of(found), rm_of(found), width);
        return width == 8 ? note_load(walk, 3) : forget_reg(walk, width);
    case 0x8d: return forget_reg(walk, 4);                                         // lea
    case 0x90: return found->rex == 0 ? (void)0 : forget_all(walk);                // nop
    case 0x98:                                                                     // cltq
        return (found->rex & 8) != 0 && walk->facts[0].kind == BOUND ? (void)0 : forget(walk, 0);
    case 0xc0: case 0xc1: case 0xd0: case 0xd1: case 0xd2: case 0xd3:              // shifts
        walk->comparison.stands = false;
        return forget_rm(walk, width);
    case 0xc6: case 0xc7:                                                          // mov constant, xbegin
        return x86_reg(found) == 0 ? forget_rm(walk, width) : forget_all(walk);
    default: return forget_all(walk);
    }
}

// ---------------------------------------------------------------------------------------------------------
// Tables

// Whether some byte position could start a computed jump: through a register, or through memory with an index of scale 8.
static bool may_jump_indirectly(const hp_relocation_request *request, size_t from) {
    const uint8_t *at = request->code + from, *end = request->code + request->code_length;
    while (end - at >= 2 && (at = memchr(at, 0xff, (size_t)(end - at - 1))) != NULL) {
        uint8_t modrm = *++at;
        if ((modrm & 0xf8) == 0xe0) return true;
        bool sib = modrm == 0x24 || modrm == 0x64 || modrm == 0xa4;
        if (sib && end - at >= 2 && at[1] >> 6 == 3) return true;
    }
    return false;
}

// Makes room by forgetting the checks of two jumps through one table. False where each table has but one.
static bool unite_two(hp_relocation *out) {
    for (uint32_t i = 0; i < out->table_count; i++) {
        for (uint32_t j = i + 1; j < out->table_count; j++) {
            if (out->tables[i].table != out->tables[j].table) continue;
            out->tables[i].count = 0;
            out->tables[j] = out->tables[--out->table_count];
            return true;
        }
    }
    return false;
}

// `chosen` is what the jump chooses from the table, where that is known.
static void add_table(const walk *walk, uint64_t table, const fact *chosen) {
    hp_relocation *out = walk->out;
    hp_table_candidate candidate = {.table = table, .jump = walk->request->entry + walk->at};
    if (chosen->kind != NOTHING) {
        candidate.count = chosen->count;
        candidate.guard = walk->request->entry + chosen->guard;
    }
    // If several jumps use one table, keep the candidate of which least is known. If several have a check, all checks must hold.
    hp_table_candidate *same = NULL;
    for (uint32_t i = 0; i < out->table_count; i++) {
        if (out->tables[i].table == table) same = &out->tables[i];
    }
    if (same != NULL && (same->count == 0 || candidate.count == 0)) {
        same->count = 0;
    } else if (out->table_count < HP_TABLE_CAPACITY || unite_two(out)) {
        out->tables[out->table_count++] = candidate;
    } else {
        out->tables_overflowed = true;
    }
}

static void note_jump(walk *walk) {
    const x86_instruction *found = &walk->found;
    const fact *chosen = &walk->facts[rm_of(found)];
    uint64_t table = walk->table;
    bool table_known = walk->table_known && walk->load_age <= TABLE_DISTANCE;
    fact nothing = {.kind = NOTHING};
    if (found->modrm >> 6 != 3) {
        if (!has_index(found) || found->sib >> 6 != 3) return;
        table_known = scaled_base(walk, &table);
        chosen = &walk->facts[index_of(found)];
        if (chosen->kind != BOUND) chosen = &nothing;
    } else if (chosen->kind == ENTRY) {
        table = chosen->table;
        table_known = true;
    } else {
        chosen = &nothing;
    }
    if (table_known) add_table(walk, table, chosen);
    else walk->out->unchecked_indirect_jump = true;
}

static void note_instruction(walk *walk) {
    const x86_instruction *found = &walk->found;
    walk->load_age++;
    if (found->legacy && found->map == 0) {
        if (found->opcode == 0x8d && x86_is_rip_relative(found)) {
            walk->address[reg_of(found)] = hp_x86_target(found, walk->code, walk->request->entry + walk->at);
            walk->known |= 1u << reg_of(found);
        }
        bool scaled = has_index(found) && found->sib >> 6 >= 2;
        if ((found->opcode == 0x63 || found->opcode == 0x8b) && scaled) {
            walk->table_known = scaled_base(walk, &walk->table);
            walk->load_age = 0;
        }
        if (found->opcode == 0xff && x86_reg(found) == 4) note_jump(walk);
    }
    note_facts(walk);
}

// Takes back what is known of a table's length where a branch leads in between, from wherever in the function.
static void doubt(hp_relocation *out, uint64_t target) {
    for (uint32_t i = 0; i < out->table_count; i++) {
        hp_table_candidate *table = &out->tables[i];
        if (target >= table->guard && target <= table->jump) table->count = 0;
    }
}

static void doubt_all(hp_relocation *out) {
    for (uint32_t i = 0; i < out->table_count; i++) out->tables[i].count = 0;
}

static void check_guards(const hp_relocation_request *request, hp_relocation *out) {
    x86_instruction found;
    for (size_t at = out->patch_offset; at < request->code_length; at += found.length) {
        const uint8_t *code = request->code + at;
        if (hp_x86_parse(code, request->code_length - at, &found) != X86_PARSED) return doubt_all(out);
        if (hp_x86_is_relative_branch(&found)) doubt(out, hp_x86_target(&found, code, request->entry + at));
    }
}

void hp_x86_collect_tables(const hp_relocation_request *request, hp_relocation *out) {
    if (!may_jump_indirectly(request, out->patch_offset)) return;
    walk walk = {.request = request, .out = out, .at = out->patch_offset, .load_age = TABLE_DISTANCE + 1};
    while (walk.at < request->code_length) {
        walk.code = request->code + walk.at;
        if (hp_x86_parse(walk.code, request->code_length - walk.at, &walk.found) != X86_PARSED) {
            out->unchecked_indirect_jump = true;
            return doubt_all(out);
        }
        note_instruction(&walk);
        walk.at = end(&walk);
    }
    if (out->table_count != 0) check_guards(request, out);
}
