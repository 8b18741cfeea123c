// A page of thunks, x86_64: see ../thunks.c. Twin: arm64/thunks.c.
#include "../arch.h"

#include <string.h>

// Distances of a thunk's instructions to its data count from the end of the instruction (Intel SDM volume 2, 2.2.1.6).
void hp_x86_64_encode_thunks(uint8_t *code, size_t size) {
    uint8_t thunk[HP_THUNK_SIZE] = {
        0x4c, 0x8b, 0x1d, 0, 0, 0, 0,  // mov datum(%rip), %r11
        0xff, 0x25, 0, 0, 0, 0,        // jmp *entry(%rip)
        0xcc, 0xcc, 0xcc,              // int3
    };
    uint32_t datum = (uint32_t)size - 7, entry = (uint32_t)size + 8 - 13;
    memcpy(thunk + 3, &datum, sizeof datum);
    memcpy(thunk + 9, &entry, sizeof entry);
    for (size_t i = 0; i + sizeof thunk <= size; i += sizeof thunk) memcpy(code + i, thunk, sizeof thunk);
}
