// Raw system calls and a copy loop, for code that may be patching libc itself. Every function here is inlined.
#pragma once

#include <fcntl.h>
#include <linux/futex.h>
#include <signal.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/types.h>
#include <time.h>

#if defined(__x86_64__)
#include "../x86_64/machine.h"
#elif defined(__aarch64__)
#include "../arm64/machine.h"
#else
#error "CPatch knows x86_64 and arm64"
#endif

#define HP_INLINE static inline __attribute__((always_inline))

#define HP_SYSCALL0(n) hp_syscall((n), 0, 0, 0, 0, 0, 0)
#define HP_SYSCALL1(n, a) hp_syscall((n), (long)(a), 0, 0, 0, 0, 0)
#define HP_SYSCALL2(n, a, b) hp_syscall((n), (long)(a), (long)(b), 0, 0, 0, 0)
#define HP_SYSCALL3(n, a, b, c) hp_syscall((n), (long)(a), (long)(b), (long)(c), 0, 0, 0)
#define HP_SYSCALL4(n, a, b, c, d) hp_syscall((n), (long)(a), (long)(b), (long)(c), (long)(d), 0, 0)
#define HP_SYSCALL6(n, a, b, c, d, e, f) \
    hp_syscall((n), (long)(a), (long)(b), (long)(c), (long)(d), (long)(e), (long)(f))

// volatile keeps the compiler from calling memcpy, which may be the function being patched.
HP_INLINE void hp_copy(void *to, const void *from, size_t length) {
    typedef uint64_t __attribute__((may_alias, aligned(1))) word;
    size_t i = 0;
    // Ledger records and stubs are laid down by the hundred kilobytes while threads wait.
    for (; i + 2 * sizeof(word) <= length; i += sizeof(word))
        *(volatile word *)((uint8_t *)to + i) = *(const volatile word *)((const uint8_t *)from + i);
    volatile uint8_t *out = to;
    const volatile uint8_t *in = from;
    for (; i < length; i++) out[i] = in[i];
}

// An initialiser with braces would call memset.
HP_INLINE void hp_clear(void *memory, size_t length) {
    volatile uint8_t *out = memory;
    for (size_t i = 0; i < length; i++) out[i] = 0;
}

HP_INLINE bool hp_equal(const void *left, const void *right, size_t length) {
    const volatile uint8_t *a = left, *b = right;
    for (size_t i = 0; i < length; i++)
        if (a[i] != b[i]) return false;
    return true;
}

// The number at `*text` in hexadecimal, which is moved behind it.
HP_INLINE uint64_t hp_parse_hexadecimal(const char **text) {
    uint64_t value = 0;
    for (;; ++*text) {
        char c = **text;
        if (c >= '0' && c <= '9') value = value << 4 | (uint64_t)(c - '0');
        else if (c >= 'a' && c <= 'f') value = value << 4 | (uint64_t)(c - 'a' + 10);
        else return value;
    }
}

HP_INLINE uint64_t hp_now_ns(void) {
    struct timespec now;
    HP_SYSCALL2(SYS_clock_gettime, CLOCK_MONOTONIC, &now);
    return (uint64_t)now.tv_sec * 1000000000u + (uint64_t)now.tv_nsec;
}

HP_INLINE void hp_sleep_ns(uint64_t ns) {
    struct timespec span = {(time_t)(ns / 1000000000u), (long)(ns % 1000000000u)};
    HP_SYSCALL2(SYS_nanosleep, &span, 0);
}

HP_INLINE long hp_futex_wait(const uint32_t *word, uint32_t value, uint64_t timeout_ns) {
    struct timespec span = {(time_t)(timeout_ns / 1000000000u), (long)(timeout_ns % 1000000000u)};
    return HP_SYSCALL4(SYS_futex, word, FUTEX_WAIT, value, timeout_ns == UINT64_MAX ? 0 : &span);
}

HP_INLINE void hp_futex_wake(const uint32_t *word, int count) {
    HP_SYSCALL3(SYS_futex, word, FUTEX_WAKE, count);
}

// The kernel's own layout, which glibc's struct sigaction is not.
typedef struct hp_kernel_sigaction {
    void (*handler)(int, siginfo_t *, void *);
    unsigned long flags;
    void (*restorer)(void);
    uint64_t mask;
} hp_kernel_sigaction;
