// Pages of thunks: each loads a word and jumps to where another says. Both lie in the page that follows, so that code and data are apart.
#include "arch.h"

void hp_encode_thunks(hp_arch arch, uint8_t *code, size_t size) {
    switch (arch) {
    case HP_ARCH_X86_64: hp_x86_64_encode_thunks(code, size); break;
    case HP_ARCH_ARM64: hp_arm64_encode_thunks(code, size); break;
    }
}
