// What the kernel leaves on a stack. Twin: x86_64/frame.c.
#include "../arch.h"

// struct sigcontext (arch/arm64/include/uapi/asm/sigcontext.h): …, sp, pc, pstate.
bool hp_arm64_is_saved_pc(const uint64_t neighbours[HP_NEIGHBOURS]) {
    // Arm ARM C5.2.19 (SPSR_EL1): M[4:0] is 0 in code of EL0 that is AArch64, and DAIF (bits 6 to 9) are 0 there.
    enum { MODE = 31, MASKS = 15 << 6, STACK_ALIGNMENT = 16 };
    uint64_t sp = neighbours[HP_NEIGHBOURS_BELOW - 1], state = neighbours[HP_NEIGHBOURS_BELOW + 1];
    return sp != 0 && sp % STACK_ALIGNMENT == 0 && !(state & MODE) && !(state & MASKS) && state >> 36 == 0;
}
