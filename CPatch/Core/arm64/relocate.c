// arm64 entries are not moved in this release: hp_relocate refuses by name. What does not need moving (reach, lengths,
// the encoders next door) is real, so that plans and dry runs name the architecture's own limits. Twin: x86_64/relocate.c.
#include "../arch.h"

bool hp_arm64_relocate(const hp_relocation_request *request, hp_relocation *out, hp_refusal *refusal) {
    (void)out;
    return hp_refuse(HP_ARCH_ARM64, refusal, HP_UNSUPPORTED_ARCHITECTURE, request, 0, 0, 0);
}

// `b` has a signed 26-bit word displacement: 128 MiB (Arm ARM C6.2, B).
uint64_t hp_arm64_detour_reach(void) { return (uint64_t)1 << 27; }

size_t hp_arm64_instruction_length(const uint8_t *code, size_t length) {
    (void)code;
    return length >= 4 ? 4 : 0;
}
