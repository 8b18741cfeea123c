// A system call, by itself: libc's functions may be patched. Twin of arm64/call.h.
#pragma once

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
