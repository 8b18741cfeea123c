// Which architecture answers what is asked of instructions that enter the kernel.
#include "arch.h"

size_t hp_system_call_length(hp_arch arch) {
    switch (arch) {
    case HP_ARCH_X86_64: return hp_x86_64_system_call_length();
    case HP_ARCH_ARM64: return hp_arm64_system_call_length();
    }
    return 0;
}

bool hp_is_system_call(hp_arch arch, uint32_t instruction) {
    switch (arch) {
    case HP_ARCH_X86_64: return hp_x86_64_is_system_call(instruction);
    case HP_ARCH_ARM64: return hp_arm64_is_system_call(instruction);
    }
    return false;
}

bool hp_is_signal_return(hp_arch arch, const uint32_t instructions[2]) {
    switch (arch) {
    case HP_ARCH_X86_64: return hp_x86_64_is_signal_return(instructions);
    case HP_ARCH_ARM64: return hp_arm64_is_signal_return(instructions);
    }
    return false;
}
