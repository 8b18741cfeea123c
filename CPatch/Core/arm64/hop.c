// A detour within a branch's reach is one instruction, and nothing jumps into one: no hop is needed. Twin: x86_64/hop.c.
#include "../arch.h"

size_t hp_arm64_free_padding(const uint8_t *code, size_t length, size_t piece) {
    (void)code, (void)length, (void)piece;
    return 0;
}

size_t hp_arm64_hop_length(void) { return 0; }

uint64_t hp_arm64_hop_of(const uint8_t *detour, size_t length, uint64_t address) {
    (void)detour, (void)length, (void)address;
    return 0;
}
