// The instruction that enters the kernel. Twin: arm64/system_call.c.
#include "../arch.h"

size_t hp_x86_64_system_call_length(void) { return 2; }

// syscall
bool hp_x86_64_is_system_call(uint32_t instruction) { return (instruction & 0xffff) == 0x050f; }

// The code that returns from signal handlers has call frame information here: nobody need know it by its instructions.
bool hp_x86_64_is_signal_return(const uint32_t instructions[2]) {
    (void)instructions;
    return false;
}
