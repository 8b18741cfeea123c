// What the commit needs to know of the machine: system calls, a parked thread's PC and stack pointer, and how to
// serialise a core. Twin of x86_64/machine.h: same names, same order.
#pragma once

#include <errno.h>
#include <stdbool.h>
#include <stdint.h>
#include <sys/syscall.h>
#include <ucontext.h>

#include "registers.h"

#define HP_MACHINE_PAGE_ALIGN 65536

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
// PSTATE.BTYPE: see hp_registers_set_pc.
static inline void hp_context_set_pc(ucontext_t *context, uint64_t pc) {
    context->uc_mcontext.pc = pc;
    context->uc_mcontext.pstate &= ~(3ull << 10);
}

// Whether the context is that of a call that a signal has ended early, if a call is what it has just left.
static inline bool hp_context_failed(const ucontext_t *context) {
    return (long)context->uc_mcontext.regs[0] == -EINTR;
}

// Protections that mprotect takes away unless it is given them again, by their names among the VmFlags of /proc/PID/smaps
// (proc_pid_smaps(5)); /proc/PID/maps does not show them.
enum { HP_MACHINE_HAS_GUARDS = 1 };
static inline long hp_machine_guard(const char flag[2]) {
    if (flag[0] == 'b' && flag[1] == 't') return 0x10;  // PROT_BTI (Documentation/arch/arm64/elf_hwcaps.rst, HWCAP2_BTI)
    if (flag[0] == 'm' && flag[1] == 't') return 0x20;  // PROT_MTE
    return 0;
}

// Written out: compilers leave these to functions of libgcc (__aarch64_cas4_acq_rel and its like), which lie in pages that may
// not be executable when they are called.
static inline __attribute__((always_inline)) bool hp_compare_exchange(uint32_t *word, uint32_t expected, uint32_t desired) {
    uint32_t found, failed;
    __asm__ volatile(
        "1: ldaxr %w0, [%2]\n\t"
        "cmp %w0, %w3\n\t"
        "b.ne 2f\n\t"
        "stlxr %w1, %w4, [%2]\n\t"
        "cbnz %w1, 1b\n"
        "2:"
        : "=&r"(found), "=&r"(failed) : "r"(word), "r"(expected), "r"(desired) : "cc", "memory");
    return found == expected;
}
static inline __attribute__((always_inline)) void hp_increment(uint32_t *word) {
    uint32_t value, failed;
    __asm__ volatile(
        "1: ldaxr %w0, [%2]\n\t"
        "add %w0, %w0, #1\n\t"
        "stlxr %w1, %w0, [%2]\n\t"
        "cbnz %w1, 1b"
        : "=&r"(value), "=&r"(failed) : "r"(word) : "memory");
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
