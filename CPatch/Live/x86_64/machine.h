// What the commit needs to know of the machine: system calls, a saved thread's PC and stack pointer, and how to
// serialise a core. Twin of arm64/machine.h: same names, same order.
#pragma once

#include <errno.h>
#include <stdbool.h>
#include <stdint.h>
#include <sys/syscall.h>
#include <sys/user.h>
#include <ucontext.h>

#define HP_MACHINE_ARCH HP_ARCH_X86_64
#define HP_MACHINE_PAGE_ALIGN 4096

typedef struct user_regs_struct hp_registers;

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

static inline uint64_t hp_registers_pc(const hp_registers *registers) { return registers->rip; }
static inline uint64_t hp_registers_sp(const hp_registers *registers) { return registers->rsp; }
static inline void hp_registers_set_pc(hp_registers *registers, uint64_t pc) { registers->rip = pc; }

// How far behind the PC the thread goes on: an interrupted system call that the kernel will enter again (-ERESTARTSYS,
// -ERESTARTNOINTR, -ERESTARTNOHAND, -ERESTART_RESTARTBLOCK) resumes at its `syscall`.
static inline uint64_t hp_registers_restart_step(const hp_registers *registers) {
    long result = (long)registers->rax;
    bool restarts = (result >= -514 && result <= -512) || result == -516;
    return (long)registers->orig_rax >= 0 && restarts ? 2 : 0;
}

// An interrupted call that the kernel would fail with EINTR though no signal handler runs is made restartable:
// -ERESTARTNOHAND restarts unless a handler really runs. Only calls where a second start means the same.
static inline int hp_registers_mend_interrupted(hp_registers *registers) {
    enum { HP_ERESTARTNOHAND = 514 };
    if ((long)registers->rax != -EINTR) return 0;
    switch ((long)registers->orig_rax) {
    case SYS_epoll_wait:
    case SYS_epoll_pwait:
    case 441:  // epoll_pwait2
    case SYS_rt_sigtimedwait:
    case SYS_semop:
    case SYS_semtimedop:
    case SYS_recvfrom:
    case SYS_recvmsg:
        registers->rax = (unsigned long)-HP_ERESTARTNOHAND;
        return 1;
    default:
        return 0;
    }
}

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
