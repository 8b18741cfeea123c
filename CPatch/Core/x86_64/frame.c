// What the kernel leaves on a stack. Twin: arm64/frame.c.
#include "../arch.h"

// struct sigcontext (arch/x86/include/uapi/asm/sigcontext.h): …, rsp, rip, eflags, then cs, gs, fs, ss of 16 bits each.
bool hp_x86_64_is_saved_pc(const uint64_t neighbours[HP_NEIGHBOURS]) {
    // Intel SDM 3.4.3: bit 1 is always set; 3, 5, 15 and 22 to 63 never are. Code that takes signals runs with interrupts
    // enabled (bit 9), at privilege level 3 (the selector's low bits).
    enum { ALWAYS = 1 << 1 | 1 << 9, NEVER = 1 << 3 | 1 << 5 | 1 << 15, PRIVILEGE = 3 };
    uint64_t flags = neighbours[HP_NEIGHBOURS_BELOW + 1], selectors = neighbours[HP_NEIGHBOURS_BELOW + 2];
    return (flags & ALWAYS) == ALWAYS && !(flags & NEVER) && flags >> 22 == 0 && (selectors & PRIVILEGE) == PRIVILEGE;
}
