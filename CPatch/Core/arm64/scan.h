// What the rest of a function has to say about its entry. Twin: x86_64/scan.h.
#pragma once

#include "../arch.h"

// Looks for references from beyond the prologue (`prologue_end` bytes from the entry) into the bytes that the detour in `out`
// overwrites: refuses if there is one.
bool hp_arm64_scan_body(
    const hp_relocation_request *request, size_t prologue_end, hp_relocation *out, hp_refusal *refusal);
