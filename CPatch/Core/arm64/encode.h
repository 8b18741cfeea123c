// What arm64 writes beyond what both architectures do.
#pragma once

#include "../arch.h"

// Makes a register hold an address, by the shortest of adr, adrp, adrp and add, or a constant: at most 16 bytes.
size_t hp_arm64_encode_address(uint8_t *out, uint64_t from, unsigned register_number, uint64_t value);

// A jump to any address through a register: at most 20 bytes.
//
// `ret` and not `br`: the place it leads to is any instruction of a function, on a page that may be guarded. `br` would leave
// PSTATE.BTYPE set, and then such a page lets nothing follow but a landing pad; `ret` clears it (Arm ARM C6.2, BR and RET). The price is
// a mispredicted return, and an unpaired one where returns are checked against a guarded control stack.
size_t hp_arm64_encode_far_jump(uint8_t *out, uint64_t from, unsigned register_number, uint64_t to);

// The shortest jump to a stub that reaches: b, or through x16, which is dead at an entry (AAPCS64 section 6.1.1). `br` is
// right here, for the pages of stubs are not guarded.
size_t hp_arm64_encode_detour(uint8_t *out, uint64_t from, uint64_t to);
