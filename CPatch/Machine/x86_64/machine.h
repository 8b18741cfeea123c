// What the commit needs to know of the machine: system calls, a parked thread's PC and stack pointer, and how to
// serialise a core. Twin of arm64/machine.h: same names, same order.
#pragma once

#include <errno.h>
#include <stdbool.h>
#include <stdint.h>
#include <sys/syscall.h>
#include <ucontext.h>

#include "call.h"
#include "registers.h"

#define HP_MACHINE_PAGE_ALIGN 4096

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

// The stack pointer of the function that this is inlined into.
static inline __attribute__((always_inline)) uint64_t hp_machine_stack(void) {
    uint64_t value;
    __asm__ volatile("mov %%rsp, %0" : "=r"(value));
    return value;
}

// The first word from `from` on that lies, as far as `mask` goes, less than `size` bytes behind `start`; `count` where there is none. Written
// out: programs that are built for debugging have this library compiled as it stands, and wait for it.
static inline __attribute__((always_inline)) size_t hp_machine_find(
    const uint64_t *words, size_t count, size_t from, uint64_t mask, uint64_t start, uint64_t size) {
    uint64_t word;
    if (from >= count) return count;
    __asm__ volatile(
        "1: movq (%[words], %[i], 8), %[word]\n\t"
        "andq %[mask], %[word]\n\t"
        "subq %[start], %[word]\n\t"
        "cmpq %[size], %[word]\n\t"
        "jb 2f\n\t"
        "incq %[i]\n\t"
        "cmpq %[count], %[i]\n\t"
        "jb 1b\n"
        "2:"
        : [i] "+r"(from), [word] "=&r"(word)
        : [words] "r"(words), [count] "r"(count), [mask] "r"(mask), [start] "r"(start), [size] "r"(size)
        : "cc", "memory");
    return from;
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
