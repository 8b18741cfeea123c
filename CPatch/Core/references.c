// Which architecture tells what refers to a place; and what looks the same on all of them, data that holds an address.
#include "arch.h"

#include <string.h>

size_t hp_find_references(
    hp_arch arch, const uint8_t *code, size_t length, uint64_t address, const hp_reference_targets *wanted, hp_reach reach,
    size_t *from, hp_reference *out, size_t capacity
) {
    switch (arch) {
    case HP_ARCH_X86_64:
        return hp_x86_64_find_references(code, length, address, wanted, reach, from, out, capacity);
    case HP_ARCH_ARM64:
        return hp_arm64_find_references(code, length, address, wanted, reach, from, out, capacity);
    }
    *from = length;
    return 0;
}

hp_verdict hp_check_reference(
    hp_arch arch, const uint8_t *code, size_t length, uint64_t address, const hp_reference *reference,
    size_t *instruction, size_t *size
) {
    switch (arch) {
    case HP_ARCH_X86_64:
        return hp_x86_64_check_reference(code, length, address, reference, instruction, size);
    case HP_ARCH_ARM64:
        return hp_arm64_check_reference(code, length, address, reference, instruction, size);
    }
    return HP_VERDICT_UNKNOWN;
}

size_t hp_find_words(
    const uint8_t *data, size_t length, uint64_t address, const hp_reference_targets *wanted, size_t *from, hp_reference *out,
    size_t capacity
) {
    size_t count = 0;
    for (size_t at = *from; at + sizeof(uint64_t) <= length; at += sizeof(uint64_t)) {
        uint64_t target;
        memcpy(&target, data + at, sizeof target);
        if (__builtin_expect(!hp_is_reference_target(wanted, target, HP_REFERENCE_WORD), 1)) continue;
        if (count == capacity) {
            *from = at;
            return count;
        }
        out[count++] = (hp_reference){address + at, target, HP_REFERENCE_WORD, sizeof target};
    }
    *from = length;
    return count;
}
