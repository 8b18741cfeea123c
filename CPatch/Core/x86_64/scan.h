// What the rest of a function has to say about its entry.
#pragma once

#include "../arch.h"

enum { X86_DETOUR_LENGTH = 5 };

// Looks for jumps from beyond the window (`window_end` bytes from the entry) into the bytes that a detour at
// `patch_offset` overwrites: refuses if there is one. Collects jump tables for the plan to read.
bool hp_x86_scan_body(
    const hp_relocation_request *request, size_t patch_offset, size_t window_end, hp_relocation *out,
    hp_refusal *refusal);
