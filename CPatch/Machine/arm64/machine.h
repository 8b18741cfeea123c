// What the commit needs to know of the machine: system calls, a parked thread's PC and stack pointer, and how to
// serialise a core. Twin of x86_64/machine.h: same names, same order.
#pragma once

#include <errno.h>
#include <stdbool.h>
#include <stdint.h>
#include <sys/syscall.h>
#include <ucontext.h>

#include "call.h"
#include "registers.h"

#define HP_MACHINE_PAGE_ALIGN 65536

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

// The stack pointer of the function that this is inlined into.
static inline __attribute__((always_inline)) uint64_t hp_machine_stack(void) {
    uint64_t value;
    __asm__ volatile("mov %0, sp" : "=r"(value));
    return value;
}

// The first word from `from` on that lies, as far as `mask` goes, less than `size` bytes behind `start`; `count` where there is none. Written
// out: programs that are built for debugging have this library compiled as it stands, and wait for it.
static inline __attribute__((always_inline)) size_t hp_machine_find(
    const uint64_t *words, size_t count, size_t from, uint64_t mask, uint64_t start, uint64_t size) {
    uint64_t word;
    if (from >= count) return count;
    __asm__ volatile(
        "1: ldr %[word], [%[words], %[i], lsl #3]\n\t"
        "and %[word], %[word], %[mask]\n\t"
        "sub %[word], %[word], %[start]\n\t"
        "cmp %[word], %[size]\n\t"
        "b.lo 2f\n\t"
        "add %[i], %[i], #1\n\t"
        "cmp %[i], %[count]\n\t"
        "b.lo 1b\n"
        "2:"
        : [i] "+r"(from), [word] "=&r"(word)
        : [words] "r"(words), [count] "r"(count), [mask] "r"(mask), [start] "r"(start), [size] "r"(size)
        : "cc", "memory");
    return from;
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
