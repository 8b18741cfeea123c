// Fixups: what both architectures' have in common. Bounds, ranges and expressions are here; which bits of an instruction hold a value, and
// what a linker makes of one, is theirs.
#include "cpatch_fixup.h"

#include "arch.h"
#include "decode.h"

const hp_fixup *hp_fixup_rows(hp_arch arch, size_t *count) {
    switch (arch) {
    case HP_ARCH_X86_64: return hp_x86_64_fixups(count);
    case HP_ARCH_ARM64: return hp_arm64_fixups(count);
    }
    *count = 0;
    return NULL;
}

const hp_fixup *hp_fixup_row(hp_arch arch, uint32_t type) {
    size_t low = 0, high;
    const hp_fixup *rows = hp_fixup_rows(arch, &high);
    while (low < high) {
        size_t middle = low + (high - low) / 2;
        if (rows[middle].type == type) return &rows[middle];
        if (rows[middle].type < type) {
            low = middle + 1;
        } else {
            high = middle;
        }
    }
    return NULL;
}

static uint64_t page(uint64_t address) { return address & ~(uint64_t)0xfff; }

int64_t hp_fixup_value(const hp_fixup *row, const hp_fixup_terms *terms) {
    uint64_t subject = row->subject == HP_SUBJECT_GOT ? terms->got : terms->subject;
    if (!row->addend_in_slot) subject += (uint64_t)terms->addend;
    switch ((hp_fixup_expression)row->expression) {
    case HP_EXPRESSION_ABSOLUTE: return (int64_t)subject;
    case HP_EXPRESSION_RELATIVE: return (int64_t)(subject - terms->place);
    case HP_EXPRESSION_PAGE: return (int64_t)(page(subject) - page(terms->place));
    case HP_EXPRESSION_GOT_RELATIVE: return (int64_t)(subject - terms->got);
    case HP_EXPRESSION_GOT_PAGE_RELATIVE: return (int64_t)(subject - page(terms->got));
    case HP_EXPRESSION_NONE: case HP_EXPRESSION_UNSUPPORTED: break;
    }
    return 0;
}

bool hp_fixup_range(const hp_fixup *row, int64_t *lowest, int64_t *highest) {
    unsigned bits = row->check_bits;
    if (row->check == HP_CHECK_NONE || bits == 0 || bits > 62) return false;
    *lowest = row->check == HP_CHECK_UNSIGNED ? 0 : -((int64_t)1 << (bits - 1));
    *highest = ((int64_t)1 << (row->check == HP_CHECK_SIGNED ? bits - 1 : bits)) - 1;
    return true;
}

static uint64_t low_bits(unsigned count) { return count >= 64 ? ~(uint64_t)0 : ((uint64_t)1 << count) - 1; }

// Whether the place lies in the bytes, and may be one.
static hp_fixup_result look(const hp_fixup *row, size_t length, size_t offset) {
    if (row->expression == HP_EXPRESSION_UNSUPPORTED) return HP_FIXUP_UNSUPPORTED;
    if (offset > length || length - offset < row->size) return HP_FIXUP_OUT_OF_BOUNDS;
    return row->instruction && offset % row->size != 0 ? HP_FIXUP_MISPLACED : HP_FIXUP_DONE;
}

static uint64_t load(const uint8_t *bytes, unsigned size) {
    uint64_t word = 0;
    for (unsigned i = 0; i < size; i++) word |= (uint64_t)bytes[i] << (8 * i);
    return word;
}

static void store(uint8_t *bytes, unsigned size, uint64_t word) {
    for (unsigned i = 0; i < size; i++) bytes[i] = (uint8_t)(word >> (8 * i));
}

static uint64_t put(const hp_fixup *row, uint64_t word, uint64_t value) {
    return row->arch == HP_ARCH_ARM64 ? hp_arm64_fixup_put(row, word, value) : hp_x86_64_fixup_put(row, word, value);
}

static uint64_t get(const hp_fixup *row, uint64_t word) {
    return row->arch == HP_ARCH_ARM64 ? hp_arm64_fixup_get(row, word) : hp_x86_64_fixup_get(row, word);
}

static uint64_t bits_of(const hp_fixup *row) {
    return row->arch == HP_ARCH_ARM64 ? hp_arm64_fixup_bits(row) : hp_x86_64_fixup_bits(row);
}

hp_fixup_result hp_fixup_write(const hp_fixup *row, uint8_t *bytes, size_t length, size_t offset, int64_t value) {
    hp_fixup_result result = look(row, length, offset);
    if (result != HP_FIXUP_DONE || row->expression == HP_EXPRESSION_NONE) return result;
    int64_t lowest, highest;
    if (hp_fixup_range(row, &lowest, &highest) && (value < lowest || value > highest)) return HP_FIXUP_DOES_NOT_FIT;
    if (((uint64_t)value & low_bits(row->alignment)) != 0) return HP_FIXUP_MISALIGNED;
    store(bytes + offset, row->size, put(row, load(bytes + offset, row->size), (uint64_t)value));
    return HP_FIXUP_DONE;
}

hp_fixup_result hp_fixup_read(
    const hp_fixup *row, const uint8_t *bytes, size_t length, size_t offset, int64_t *value, uint64_t *known
) {
    *value = 0;
    *known = 0;
    hp_fixup_result result = look(row, length, offset);
    if (result != HP_FIXUP_DONE || row->expression == HP_EXPRESSION_NONE) return result;
    unsigned end = (unsigned)row->lowest + row->bits;
    uint64_t found = get(row, load(bytes + offset, row->size)) << row->lowest;
    // A value that was checked has no other bits than those of the field and its sign.
    bool checked = row->check == HP_CHECK_SIGNED || row->check == HP_CHECK_UNSIGNED;
    if (row->check == HP_CHECK_SIGNED && row->check_bits == end && end < 64) {
        uint64_t sign = (uint64_t)1 << (end - 1);
        found = (found ^ sign) - sign;
    }
    *known = checked ? ~(uint64_t)0 : low_bits(end);
    if (row->alignment < row->lowest) *known &= ~low_bits(row->lowest);
    *value = (int64_t)(found & *known);
    return HP_FIXUP_DONE;
}

hp_fixup_result hp_fixup_mask(
    const hp_fixup *row, const uint8_t *code, size_t length, size_t offset, hp_fixup_span *span
) {
    *span = (hp_fixup_span){offset, row->size, {0}};
    hp_fixup_result result = look(row, length, offset);
    if (result != HP_FIXUP_DONE) return result;
    store(span->bits, row->size, bits_of(row));
    size_t start = offset, end = offset;
    bool relaxable = row->arch == HP_ARCH_ARM64 ? hp_arm64_fixup_sequence(row, code, length, offset, &start, &end)
                                                : hp_x86_64_fixup_sequence(row, code, length, offset, &start, &end);
    if (!relaxable) return HP_FIXUP_DONE;
    span->start = start;
    span->length = end - start;
    for (size_t i = 0; i < span->length; i++) span->bits[i] = 0xff;
    return HP_FIXUP_DONE;
}

hp_fixup_result hp_fixup_find(
    const hp_fixup *row, const uint8_t *code, const uint8_t *live, size_t length, size_t offset, hp_fixup_place *place
) {
    *place = (hp_fixup_place){row, offset, 0, 0, 0, offset, offset + row->size};
    hp_fixup_result result = look(row, length, offset);
    if (result != HP_FIXUP_DONE) return result;
    bool found = row->arch == HP_ARCH_ARM64 ? hp_arm64_fixup_find(row, code, live, length, offset, place)
                                            : hp_x86_64_fixup_find(row, code, live, length, offset, place);
    if (!found) return HP_FIXUP_OTHER_CODE;
    return hp_fixup_read(place->row, live, length, place->offset, &place->value, &place->known);
}

size_t hp_encode_plt(hp_arch arch, uint64_t at, uint64_t slot, bool landing_pad, uint8_t out[HP_PLT_CAPACITY]) {
    size_t length = 0;
    if (landing_pad) {
        switch (arch) {
        case HP_ARCH_X86_64: length = hp_x86_64_encode_landing_pad(out); break;
        case HP_ARCH_ARM64: length = hp_arm64_encode_landing_pad(out); break;
        }
    }
    size_t jump = hp_encode_island(arch, at + length, slot, out + length);
    return jump == 0 ? 0 : length + jump;
}

size_t hp_instruction_end(hp_arch arch, const uint8_t *code, size_t length, size_t start, size_t field) {
    if (field >= length || start > field) return 0;
    size_t at = start;
    while (at <= field) {
        size_t size = hp_instruction_length(arch, code + at, length - at);
        if (size == 0) size = hp_decoded_length(arch, code + at, length - at, at);
        if (size == 0 || size > length - at) return 0;
        at += size;
    }
    return at;
}
