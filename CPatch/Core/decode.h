// The decoder, behind two questions. `decode.c` is the only file that includes Capstone.
#pragma once

#include "cpatch_core.h"

// Length of the instruction at `code` as the decoder sees it; 0 if it is undecodable or cut off.
size_t hp_decoded_length(hp_arch arch, const uint8_t *code, size_t length, uint64_t address);
