// The body of a function may jump back into its entry, and then the entry cannot be overwritten. Almost no function does,
// and a body can be long; so the scan first asks of each byte position, without decoding, "if a branch's displacement
// lay here, would it lead into the entry?". No branch can escape the question, whatever precedes it. Only where the
// answer is yes are instructions walked, from the window's end, to learn whether a branch really stands there; where the
// walk meets bytes it does not know before it arrives, the branch counts as real.
//
// A jump to the entry itself is refused too: the loop it closes would leave the old function in the middle, for the
// replacement. A call of the entry is a recursion, which is meant to reach the replacement.
//
// Computed jumps are told by `ff /4`. A switch's table is found through the instructions before the jump:
//
//     lea  table(%rip), %rdx              tables of 4-byte offsets from the table itself (position-independent code)
//     movslq (%rdx,%rax,4), %rax
//     add  %rdx, %rax
//     jmp  *%rax
//
//     jmp  *table(,%rax,8)                tables of 8-byte addresses
//
// The walk is linear and knows nothing of control flow: a register is taken to hold what the last `lea` above put there.
// So a table is a candidate, and a computed jump without one is reported as unchecked. `jmp *x(%rip)` and `jmp *8(%rax)`
// are calls in tail position, not tables: only an index counted in words of 8 bytes makes a table.
#include "scan.h"

#include "instruction.h"

#include <string.h>

// How far above a computed jump its table is looked for, in instructions.
enum { TABLE_DISTANCE = 8 };

typedef struct scan {
    const hp_relocation_request *request;
    size_t patch_offset;
    size_t window_end;
    hp_relocation *out;
    hp_refusal *refusal;
} scan;

// A walk over the instructions that never goes back.
typedef struct walk {
    size_t at;                    // where `instruction` starts
    bool parsed, lost;
    x86_instruction instruction;
} walk;

// Walks on to the instruction that holds the byte at `position`. False where the walk got lost before.
static bool walk_to(const scan *scan, walk *walk, size_t position) {
    const hp_relocation_request *request = scan->request;
    while (!walk->lost) {
        if (!walk->parsed) {
            size_t left = request->code_length - walk->at;
            walk->parsed = hp_x86_parse(request->code + walk->at, left, &walk->instruction) == X86_PARSED;
            walk->lost = !walk->parsed;
        } else if (position < walk->at + walk->instruction.length) {
            return true;
        } else {
            walk->at += walk->instruction.length;
            walk->parsed = false;
        }
    }
    return false;
}

// A displacement of `width` bytes at `position` would lead to `target` (from the entry), with that opcode before it.
// Returns false where the function must be refused.
static bool judge(const scan *scan, walk *walk, size_t position, size_t width, size_t opcode_length, size_t target) {
    const uint8_t *code = scan->request->code;
    bool to_entry = target == 0 || target == scan->patch_offset;
    bool inside = target > scan->patch_offset && target < scan->patch_offset + scan->out->detour_length;
    bool call = code[position - opcode_length] == 0xe8;
    if (!inside && (!to_entry || call)) return true;

    size_t start = position - opcode_length, length = opcode_length + width;
    if (walk_to(scan, walk, position)) {
        const x86_instruction *found = &walk->instruction;
        bool real = hp_x86_is_relative_branch(found) && walk->at + found->length == position + width &&
                    found->immediate_length == width;
        if (!real) return true;
        start = walk->at;
        length = found->length;
    }
    return hp_refuse(
        HP_ARCH_X86_64, scan->refusal, to_entry ? HP_BRANCH_TO_ENTRY : HP_BRANCH_INTO_WINDOW, scan->request, start,
        length, scan->request->entry + target);
}

// jcc, loop, jrcxz and jmp with an 8-bit displacement: only what is near enough can reach back.
static bool scan_short_branches(const scan *scan) {
    const uint8_t *code = scan->request->code;
    size_t limit = scan->patch_offset + scan->out->detour_length;
    size_t end = limit + 128;
    if (end > scan->request->code_length) end = scan->request->code_length;
    walk walk = {.at = scan->window_end};
    for (size_t position = scan->window_end + 1; position < end; position++) {
        uint8_t opcode = code[position - 1];
        bool branch = (opcode & 0xf0) == 0x70 || (opcode & 0xfc) == 0xe0 || opcode == 0xeb;
        if (!branch) continue;
        size_t target = position + 1 + (size_t)(ptrdiff_t)(int8_t)code[position];
        if (target < limit && !judge(scan, &walk, position, 1, 1, target)) return false;
    }
    return true;
}

// jmp, call, jcc and xbegin with a 32-bit displacement. The arithmetic is modulo 2^32: a superset of what can match.
static bool scan_near_branches(const scan *scan) {
    const uint8_t *code = scan->request->code;
    size_t length = scan->request->code_length;
    uint32_t limit = (uint32_t)scan->patch_offset + scan->out->detour_length;
    walk walk = {.at = scan->window_end};
    for (size_t position = scan->window_end + 1; position + 4 <= length; position++) {
        uint32_t distance;
        memcpy(&distance, code + position, sizeof distance);
        uint32_t target = distance + (uint32_t)position + 4;
        if (__builtin_expect(target >= limit, 1)) continue;

        uint8_t last = code[position - 1];
        uint8_t before = position >= scan->window_end + 2 ? code[position - 2] : 0;
        size_t opcode_length = last == 0xe8 || last == 0xe9 ? 1
            : (before == 0x0f && (last & 0xf0) == 0x80) || (before == 0xc7 && last == 0xf8) ? 2 : 0;
        if (opcode_length != 0 && !judge(scan, &walk, position, 4, opcode_length, target)) return false;
    }
    return true;
}

// Whether some byte position could start a computed jump: through a register, or through memory with an index of scale 8.
static bool may_jump_indirectly(const scan *scan) {
    const uint8_t *at = scan->request->code + scan->patch_offset;
    const uint8_t *end = scan->request->code + scan->request->code_length;
    while (end - at >= 2 && (at = memchr(at, 0xff, (size_t)(end - at - 1))) != NULL) {
        uint8_t modrm = *++at;
        if ((modrm & 0xf8) == 0xe0) return true;
        bool sib = modrm == 0x24 || modrm == 0x64 || modrm == 0xa4;
        if (sib && end - at >= 2 && at[1] >> 6 == 3) return true;
    }
    return false;
}

// What the walk knows of the code above.
typedef struct registers {
    uint64_t address[16];        // what the last `lea x(%rip)` put there
    uint32_t known;              // bit per register
    uint64_t table;              // of the last scaled load, where its base is known
    bool table_known;
    size_t load_age;             // instructions since the last scaled load
} registers;

static void add_table(hp_relocation *out, uint64_t table, uint64_t jump) {
    for (uint32_t i = 0; i < out->table_count; i++) {
        if (out->tables[i].table == table) return;
    }
    if (out->table_count == HP_TABLE_CAPACITY) {
        out->tables_overflowed = true;
        return;
    }
    out->tables[out->table_count++] = (hp_table_candidate){table, jump};
}

// Where the table lies that a memory operand with a scaled index reads. False if its base is not known.
static bool scaled_base(const registers *registers, const x86_instruction *found, const uint8_t *code, uint64_t *out) {
    int64_t displacement = 0;
    if (found->displacement_length == 1) {
        displacement = (int8_t)code[found->displacement_offset];
    } else if (found->displacement_length == 4) {
        int32_t narrow;
        memcpy(&narrow, code + found->displacement_offset, sizeof narrow);
        displacement = narrow;
    }
    if (found->modrm >> 6 == 0 && (found->sib & 7) == 5) {
        *out = (uint64_t)displacement;
        return true;
    }
    unsigned base = (found->sib & 7) | (found->rex & 1) << 3;
    *out = registers->address[base] + (uint64_t)displacement;
    return (registers->known >> base & 1) != 0;
}

static bool has_index(const x86_instruction *found) {
    return found->has_sib && ((found->sib >> 3 & 7) != 4 || (found->rex & 2) != 0);
}

static void note_instruction(
    registers *registers, const scan *scan, const x86_instruction *found, const uint8_t *code, uint64_t address
) {
    registers->load_age++;
    if (!found->legacy || found->map != 0) return;
    unsigned reg = x86_reg(found) | (found->rex & 4u) << 1;
    if (found->opcode == 0x8d && x86_is_rip_relative(found)) {
        registers->address[reg] = hp_x86_target(found, code, address);
        registers->known |= 1u << reg;
    }
    bool scaled = has_index(found) && found->sib >> 6 >= 2;
    if ((found->opcode == 0x63 || found->opcode == 0x8b) && scaled) {
        registers->table_known = scaled_base(registers, found, code, &registers->table);
        registers->load_age = 0;
    }
    if (found->opcode != 0xff || x86_reg(found) != 4) return;

    uint64_t table = registers->table;
    bool table_known = registers->table_known && registers->load_age <= TABLE_DISTANCE;
    if (found->modrm >> 6 != 3) {
        if (!has_index(found) || found->sib >> 6 != 3) return;
        table_known = scaled_base(registers, found, code, &table);
    }
    if (table_known) add_table(scan->out, table, address);
    else scan->out->unchecked_indirect_jump = true;
}

static void collect_tables(const scan *scan) {
    const hp_relocation_request *request = scan->request;
    registers registers = {.load_age = TABLE_DISTANCE + 1};
    size_t at = scan->patch_offset;
    while (at < request->code_length) {
        x86_instruction found;
        if (hp_x86_parse(request->code + at, request->code_length - at, &found) != X86_PARSED) {
            scan->out->unchecked_indirect_jump = true;
            return;
        }
        note_instruction(&registers, scan, &found, request->code + at, request->entry + at);
        at += found.length;
    }
}

bool hp_x86_scan_body(
    const hp_relocation_request *request, size_t window_end, hp_relocation *out, hp_refusal *refusal
) {
    scan scan = {request, out->patch_offset, window_end, out, refusal};
    if (!scan_short_branches(&scan) || !scan_near_branches(&scan)) return false;
    if (may_jump_indirectly(&scan)) collect_tables(&scan);
    return true;
}
