// The instruction that enters the kernel. Twin: x86_64/system_call.c.
#include "../arch.h"

size_t hp_arm64_system_call_length(void) { return 4; }

// svc #0
bool hp_arm64_is_system_call(uint32_t instruction) { return instruction == 0xd4000001; }

// mov x8, #139 (rt_sigreturn), svc #0: arch/arm64/kernel/vdso/sigreturn.S
bool hp_arm64_is_signal_return(const uint32_t instructions[2]) {
    return instructions[0] == 0xd2801168 && hp_arm64_is_system_call(instructions[1]);
}
