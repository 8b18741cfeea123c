// A page of thunks, arm64: see ../thunks.c. Twin: x86_64/thunks.c.
#include "../arch.h"

#include <string.h>

// A load of a literal counts in words from itself: 19 bits, 1 MiB either way (Arm ARM, LDR (literal)).
static uint32_t ldr_literal(unsigned target, size_t distance) {
    return 0x58000000u | ((uint32_t)(distance / 4) & 0x7ffff) << 5 | target;
}

// br through x16 may land at `bti c` (Arm ARM D8.4.6).
void hp_arm64_encode_thunks(uint8_t *code, size_t size) {
    const uint32_t thunk[HP_THUNK_SIZE / 4] = {
        0xd503245f,                     // bti c
        ldr_literal(17, size - 4),      // ldr x17, datum
        ldr_literal(16, size + 8 - 8),  // ldr x16, entry
        0xd61f0200,                     // br x16
    };
    for (size_t i = 0; i + sizeof thunk <= size; i += sizeof thunk) memcpy(code + i, thunk, sizeof thunk);
}
