// What the rest of a function has to say about its entry.
#pragma once

#include "../arch.h"

enum {
    X86_DETOUR_LENGTH = 5,        // jmp rel32
    X86_SHORT_DETOUR_LENGTH = 2,  // jmp rel8, to a hop
};

// Looks for jumps from beyond the prologue (`prologue_end` bytes from the entry) into the bytes that a detour at
// `out->patch_offset` overwrites: refuses if there is one. Collects jump tables for the plan to read.
bool hp_x86_scan_body(
    const hp_relocation_request *request, size_t prologue_end, hp_relocation *out, hp_refusal *refusal);

// Collects the tables that computed jumps choose from (tables.c).
void hp_x86_collect_tables(const hp_relocation_request *request, hp_relocation *out);
