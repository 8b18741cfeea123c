// What the commit needs to know of the machine: system calls, a saved thread's PC and stack pointer, and how to
// serialise a core. Twin of x86_64/machine.h: same names, same order.
#pragma once

#include <errno.h>
#include <stdint.h>
#include <sys/syscall.h>
#include <sys/user.h>
#include <ucontext.h>

#define HP_MACHINE_ARCH HP_ARCH_ARM64
#define HP_MACHINE_PAGE_ALIGN 65536

typedef struct user_regs_struct hp_registers;

// Number in x8, arguments in x0 to x5, result in x0 (kernel: arch/arm64/kernel/entry.S).
static inline __attribute__((always_inline)) long hp_syscall(
    long number, long a, long b, long c, long d, long e, long f) {
    register long x8 __asm__("x8") = number;
    register long x0 __asm__("x0") = a;
    register long x1 __asm__("x1") = b;
    register long x2 __asm__("x2") = c;
    register long x3 __asm__("x3") = d;
    register long x4 __asm__("x4") = e;
    register long x5 __asm__("x5") = f;
    __asm__ volatile("svc #0" : "+r"(x0) : "r"(x8), "r"(x1), "r"(x2), "r"(x3), "r"(x4), "r"(x5) : "memory");
    return x0;
}

static inline uint64_t hp_context_pc(const ucontext_t *context) { return context->uc_mcontext.pc; }
static inline uint64_t hp_context_sp(const ucontext_t *context) { return context->uc_mcontext.sp; }
static inline void hp_context_set_pc(ucontext_t *context, uint64_t pc) { context->uc_mcontext.pc = pc; }

static inline uint64_t hp_registers_pc(const hp_registers *registers) { return registers->pc; }
static inline uint64_t hp_registers_sp(const hp_registers *registers) { return registers->sp; }
static inline void hp_registers_set_pc(hp_registers *registers, uint64_t pc) { registers->pc = pc; }

// The kernel has moved the PC back before the stop.
static inline uint64_t hp_registers_restart_step(const hp_registers *registers) {
    (void)registers;
    return 0;
}

// The kernel has already written pc and x0 at the stop: nothing can be mended here.
static inline int hp_registers_mend_interrupted(hp_registers *registers) {
    (void)registers;
    return 0;
}

// isb discards what was fetched before it (Arm ARM B2.2.5).
static inline __attribute__((always_inline)) void hp_serialise_core(void) {
    __asm__ volatile("isb" : : : "memory");
}

// Clean data to the point of unification, invalidate instructions (Arm ARM B2.4.4), by the smallest line there can be.
static inline __attribute__((always_inline)) void hp_flush_code(uint64_t address, uint64_t length) {
    for (uint64_t line = address & ~15ull; line < address + length; line += 16)
        __asm__ volatile("dc cvau, %0" : : "r"(line) : "memory");
    __asm__ volatile("dsb ish" : : : "memory");
    for (uint64_t line = address & ~15ull; line < address + length; line += 16)
        __asm__ volatile("ic ivau, %0" : : "r"(line) : "memory");
    __asm__ volatile("dsb ish\n\tisb" : : : "memory");
}
