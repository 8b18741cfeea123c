// What the commit needs to know of the machine: system calls, a parked thread's PC and stack pointer, and how to
// serialise a core. Twin of arm64/machine.h: same names, same order.
#pragma once

#include <errno.h>
#include <stdbool.h>
#include <stdint.h>
#include <sys/syscall.h>
#include <ucontext.h>

#include "registers.h"

#define HP_MACHINE_PAGE_ALIGN 4096

// System V psABI for x86-64, A.2.1: number in rax, arguments in rdi, rsi, rdx, r10, r8, r9; rcx and r11 are lost.
static inline __attribute__((always_inline)) long hp_syscall(
    long number, long a, long b, long c, long d, long e, long f) {
    register long r10 __asm__("r10") = d;
    register long r8 __asm__("r8") = e;
    register long r9 __asm__("r9") = f;
    long result;
    __asm__ volatile("syscall"
                     : "=a"(result)
                     : "a"(number), "D"(a), "S"(b), "d"(c), "r"(r10), "r"(r8), "r"(r9)
                     : "rcx", "r11", "memory");
    return result;
}

static inline uint64_t hp_context_pc(const ucontext_t *context) {
    return (uint64_t)context->uc_mcontext.gregs[REG_RIP];
}
static inline uint64_t hp_context_sp(const ucontext_t *context) {
    return (uint64_t)context->uc_mcontext.gregs[REG_RSP];
}
static inline void hp_context_set_pc(ucontext_t *context, uint64_t pc) {
    context->uc_mcontext.gregs[REG_RIP] = (greg_t)pc;
}

// Whether the context is that of a call that a signal has ended early, if a call is what it has just left.
static inline bool hp_context_failed(const ucontext_t *context) {
    return (long)context->uc_mcontext.gregs[REG_RAX] == -EINTR;
}

// Protections that mprotect takes away unless it is given them again: none.
enum { HP_MACHINE_HAS_GUARDS = 0 };
static inline long hp_machine_guard(const char flag[2]) {
    (void)flag;
    return 0;
}

// Atomic, acquiring and releasing. Instructions of their own here, unlike on arm64.
static inline __attribute__((always_inline)) bool hp_compare_exchange(uint32_t *word, uint32_t expected, uint32_t desired) {
    return __atomic_compare_exchange_n(word, &expected, desired, false, __ATOMIC_ACQ_REL, __ATOMIC_ACQUIRE);
}
static inline __attribute__((always_inline)) void hp_increment(uint32_t *word) { __atomic_add_fetch(word, 1, __ATOMIC_ACQ_REL); }

// cpuid is serialising (Intel SDM 9.3): the core fetches what was written meanwhile.
static inline __attribute__((always_inline)) void hp_serialise_core(void) {
    uint32_t a = 0, b, c = 0, d;
    __asm__ volatile("cpuid" : "+a"(a), "=b"(b), "+c"(c), "=d"(d) : : "memory");
    (void)b;
    (void)d;
}

// Instruction caches are coherent with data writes on x86-64.
static inline __attribute__((always_inline)) void hp_flush_code(uint64_t address, uint64_t length) {
    (void)address;
    (void)length;
}
