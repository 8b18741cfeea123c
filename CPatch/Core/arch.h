// What each architecture provides. Twin files, twin names, one order: x86_64/ and arm64/ are read side by side, and
// both are compiled on every host.
#pragma once

#include "cpatch_core.h"
#include "cpatch_fixup.h"

// Fills `refusal` for the `length` bytes (0: no instruction is to blame) at `offset` of the request's code; returns false.
bool hp_refuse(
    hp_arch arch, hp_refusal *refusal, hp_reason reason, const hp_relocation_request *request, size_t offset,
    size_t length, uint64_t operand);

// The same value, of which the compiler knows nothing: it makes no branch of what is computed from it.
static inline uint64_t hp_opaque(uint64_t value) {
    __asm__("" : "+r"(value));
    return value;
}

// Whether a reference of that kind to `target` is looked for. Most are not, and lie in the image: a branch that tells these apart
// would be foretold wrongly every other time.
static inline bool hp_is_reference_target(const hp_reference_targets *wanted, uint64_t target, hp_reference_kind kind) {
    if (wanted->length == 0) return false;
    static const uint8_t nothing;
    uint64_t bit = target - wanted->start;
    uint64_t inside = hp_opaque(0 - (uint64_t)(bit < wanted->length));
    // The two maps are large, and what lies in no cache is waited for: calls do not ask for the entries.
    uint64_t jump = hp_opaque(0 - (uint64_t)(kind == HP_REFERENCE_JUMP));
    size_t byte = (size_t)(bit >> 3 & inside);
    uint8_t insides = *(wanted->insides != NULL ? wanted->insides + byte : &nothing);
    uint8_t entries = *(wanted->entries != NULL ? wanted->entries + (byte & (size_t)jump) : &nothing);
    uint64_t found = insides | (entries & jump);
    return (found & inside) >> (bit & 7) & 1;
}

#define HP_ARCHITECTURE(arch)                                                                                          \
    /* relocate.c */                                                                                                   \
    bool hp_##arch##_relocate(                                                                                         \
        const hp_relocation_request *request, uint64_t hop, hp_relocation *out, hp_refusal *refusal);                  \
    uint64_t hp_##arch##_detour_reach(void);                                                                           \
    uint64_t hp_##arch##_far_detour_reach(void);                                                                       \
    bool hp_##arch##_may_skip_island(void);                                                                            \
    size_t hp_##arch##_instruction_length(const uint8_t *code, size_t length);                                         \
    size_t hp_##arch##_entry_span(void);                                                                               \
                                                                                                                       \
    /* references.c */                                                                                                 \
    size_t hp_##arch##_find_references(                                                                                \
        const uint8_t *code, size_t length, uint64_t address, const hp_reference_targets *wanted, hp_reach reach, size_t *from,   \
        hp_reference *out, size_t capacity);                                                                           \
    hp_verdict hp_##arch##_check_reference(                                                                            \
        const uint8_t *code, size_t length, uint64_t address, const hp_reference *reference, size_t *instruction,      \
        size_t *size);                                                                                                 \
                                                                                                                       \
    /* hop.c */                                                                                                        \
    size_t hp_##arch##_free_padding(const uint8_t *code, size_t length, size_t piece);                                 \
    size_t hp_##arch##_hop_length(void);                                                                               \
    uint64_t hp_##arch##_hop_of(const uint8_t *detour, size_t length, uint64_t address);                               \
                                                                                                                       \
    /* frame.c */                                                                                                      \
    bool hp_##arch##_is_saved_pc(const uint64_t neighbours[HP_NEIGHBOURS]);                                            \
                                                                                                                       \
    /* system_call.c */                                                                                                \
    size_t hp_##arch##_system_call_length(void);                                                                       \
    bool hp_##arch##_is_system_call(uint32_t instruction);                                                             \
    bool hp_##arch##_is_signal_return(const uint32_t instructions[2]);                                                 \
                                                                                                                       \
    /* encode.c: each writes at `out` what shall run at `from`, and returns its length; 0: out of reach */             \
    size_t hp_##arch##_encode_jump(uint8_t *out, uint64_t from, uint64_t to);                                          \
    size_t hp_##arch##_encode_island(uint8_t *out, uint64_t from, uint64_t slot);                                      \
    size_t hp_##arch##_encode_constant(uint8_t *out, unsigned register_number, uint64_t value);                        \
    size_t hp_##arch##_encode_return_address(uint8_t *out, uint64_t value);                                            \
                                                                                                                       \
    /* async_thunk.c: the code, which the words of a thunk follow */                                                   \
    size_t hp_##arch##_async_thunk_code(uint8_t *out);                                                                 \
                                                                                                                       \
    /* thunks.c */                                                                                                     \
    void hp_##arch##_encode_thunks(uint8_t *code, size_t size);                                                        \
                                                                                                                       \
    /* fixup.c: the table; the bits of a place, a value put into it, got from it, counted in units of the field */     \
    const hp_fixup *hp_##arch##_fixups(size_t *count);                                                                 \
    uint64_t hp_##arch##_fixup_bits(const hp_fixup *row);                                                              \
    uint64_t hp_##arch##_fixup_put(const hp_fixup *row, uint64_t word, uint64_t value);                                \
    uint64_t hp_##arch##_fixup_get(const hp_fixup *row, uint64_t word);                                                \
    /* what a linker may change around a place that lies in the code: false where that is the field alone */           \
    bool hp_##arch##_fixup_sequence(                                                                                   \
        const hp_fixup *row, const uint8_t *code, size_t length, size_t offset, size_t *start, size_t *end);           \
    /* `place` comes as that of code which is as it was written */                                                     \
    bool hp_##arch##_fixup_find(                                                                                       \
        const hp_fixup *row, const uint8_t *code, const uint8_t *live, size_t length, size_t offset,                   \
        hp_fixup_place *place);                                                                                        \
    size_t hp_##arch##_encode_landing_pad(uint8_t *out);                                                               \
                                                                                                                       \
    /* thread_local.c */                                                                                               \
    size_t hp_##arch##_thread_local_code(hp_thread_local_routine routine, const void **code);

HP_ARCHITECTURE(x86_64)
HP_ARCHITECTURE(arm64)

#undef HP_ARCHITECTURE
