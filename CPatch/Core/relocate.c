// Which architecture answers. Within Core only x86_64/ and arm64/ know instructions.
#include "arch.h"

#include <string.h>

bool hp_relocate(
    hp_arch arch, const hp_relocation_request *request, uint64_t hop, hp_relocation *out, hp_refusal *refusal
) {
    memset(out, 0, sizeof *out);
    memset(refusal, 0, sizeof *refusal);
    switch (arch) {
    case HP_ARCH_X86_64: return hp_x86_64_relocate(request, hop, out, refusal);
    case HP_ARCH_ARM64: return hp_arm64_relocate(request, hop, out, refusal);
    }
    return hp_refuse(arch, refusal, HP_UNSUPPORTED_ARCHITECTURE, request, 0, 0, 0);
}

uint64_t hp_detour_reach(hp_arch arch) {
    switch (arch) {
    case HP_ARCH_X86_64: return hp_x86_64_detour_reach();
    case HP_ARCH_ARM64: return hp_arm64_detour_reach();
    }
    return 0;
}

uint64_t hp_far_detour_reach(hp_arch arch) {
    switch (arch) {
    case HP_ARCH_X86_64: return hp_x86_64_far_detour_reach();
    case HP_ARCH_ARM64: return hp_arm64_far_detour_reach();
    }
    return 0;
}

bool hp_may_skip_island(hp_arch arch) {
    switch (arch) {
    case HP_ARCH_X86_64: return hp_x86_64_may_skip_island();
    case HP_ARCH_ARM64: return hp_arm64_may_skip_island();
    }
    return false;
}

size_t hp_instruction_length(hp_arch arch, const uint8_t *code, size_t length) {
    switch (arch) {
    case HP_ARCH_X86_64: return hp_x86_64_instruction_length(code, length);
    case HP_ARCH_ARM64: return hp_arm64_instruction_length(code, length);
    }
    return 0;
}

size_t hp_entry_span(hp_arch arch) {
    switch (arch) {
    case HP_ARCH_X86_64: return hp_x86_64_entry_span();
    case HP_ARCH_ARM64: return hp_arm64_entry_span();
    }
    return 0;
}

size_t hp_free_padding(hp_arch arch, const uint8_t *code, size_t length, size_t piece) {
    switch (arch) {
    case HP_ARCH_X86_64: return hp_x86_64_free_padding(code, length, piece);
    case HP_ARCH_ARM64: return hp_arm64_free_padding(code, length, piece);
    }
    return 0;
}

size_t hp_hop_length(hp_arch arch) {
    switch (arch) {
    case HP_ARCH_X86_64: return hp_x86_64_hop_length();
    case HP_ARCH_ARM64: return hp_arm64_hop_length();
    }
    return 0;
}

uint64_t hp_hop_of(hp_arch arch, const uint8_t *detour, size_t length, uint64_t address) {
    switch (arch) {
    case HP_ARCH_X86_64: return hp_x86_64_hop_of(detour, length, address);
    case HP_ARCH_ARM64: return hp_arm64_hop_of(detour, length, address);
    }
    return 0;
}

size_t hp_encode_jump(hp_arch arch, uint64_t from, uint64_t to, uint8_t out[HP_DETOUR_CAPACITY]) {
    switch (arch) {
    case HP_ARCH_X86_64: return hp_x86_64_encode_jump(out, from, to);
    case HP_ARCH_ARM64: return hp_arm64_encode_jump(out, from, to);
    }
    return 0;
}

size_t hp_encode_island(hp_arch arch, uint64_t from, uint64_t slot, uint8_t out[HP_DETOUR_CAPACITY]) {
    switch (arch) {
    case HP_ARCH_X86_64: return hp_x86_64_encode_island(out, from, slot);
    case HP_ARCH_ARM64: return hp_arm64_encode_island(out, from, slot);
    }
    return 0;
}
