// What the stub has to know of a thread that it borrows: how it leaves, with which registers, and whether it can be kept from noticing.
// Twin of arm64/borrow.h: same names, same order.
#pragma once

#include <cpuid.h>
#include <string.h>
#include <sys/ptrace.h>
#include <sys/uio.h>
#include <ucontext.h>

#include "hp_registers.h"

// How the thread leaves such a call when a handler runs before it is entered again (handle_signal in arch/x86/kernel/signal.c).
static inline int hp_registers_leave(const hp_registers *registers, hp_call_state state) {
    enum { ERESTARTSYS = 512, ERESTARTNOHAND = 514, RESTARTBLOCK = 516, FLAGS = 128 | 256, WAIT_BITSET = 9 };
    if (state != HP_CALL_RESTARTS) return HP_LEAVE_RETURN;
    switch (-(long)registers->rax) {
    case ERESTARTSYS:
        return HP_LEAVE_CALL;
    case ERESTARTNOHAND:
        return HP_LEAVE_WAIT;
    case RESTARTBLOCK: {
        // This one's timeout is a moment, which does as well when it is entered again.
        bool is_absolute = hp_registers_call_number(registers) == SYS_futex && ((uint32_t)registers->rsi & ~(uint32_t)FLAGS) == WAIT_BITSET;
        return is_absolute ? HP_LEAVE_WAIT : HP_LEAVE_REMEMBERED;
    }
    default:
        return HP_LEAVE_RETURN;
    }
}

// Whether a thread whose call is entered again sleeps, and where it says for how long (struct timespec); null where that is not known.
// For a call that the kernel resumes, it is clock_nanosleep's argument, if that is the call.
static inline bool hp_registers_sleep(const hp_registers *registers, uint64_t *time) {
    enum { ABSOLUTE = 1 /* TIMER_ABSTIME */ };
    *time = 0;
    switch (hp_registers_call_number(registers)) {
    case SYS_nanosleep:
        *time = registers->rdi;
        return true;
    case SYS_clock_nanosleep:
        if (!(registers->rsi & ABSOLUTE)) *time = registers->rdx;
        return true;
    case SYS_restart_syscall:
        *time = registers->rdx;
        return true;
    default:
        return false;
    }
}

// Prepares the registers for being restored elsewhere than by the kernel, which then restarts nothing: those of a thread in
// HP_CALL_RESTARTS enter the call again as it would have.
static inline void hp_registers_settle(hp_registers *registers, hp_call_state state) {
    registers->eflags &= ~0x100ul;  // TF: a single step that was under way is over
    if (state != HP_CALL_RESTARTS) return;
    bool remembered = hp_registers_leave(registers, state) == HP_LEAVE_REMEMBERED;
    registers->rip -= 2;
    registers->rax = remembered ? SYS_restart_syscall : registers->orig_rax;
}

// Sends the thread to `entry`; an interrupted call is not restarted there.
static inline void hp_registers_enter(hp_registers *registers, uint64_t entry) {
    registers->rip = entry;
    registers->orig_rax = (unsigned long)-1;
}

// The registers as rt_sigreturn takes them: a ucontext_t (arch/x86/include/uapi/asm/ucontext.h, sigcontext.h) with the signal mask
// and the address of the vector state. Its alternate stack is filled in by whoever returns: it is the thread's own.
enum { HP_CONTEXT_WORDS = 38 };
static inline void hp_registers_to_context(
    const hp_registers *r, uint64_t mask, uint64_t vectors, uint64_t out[HP_CONTEXT_WORDS]) {
    enum { FP_XSTATE = 1, SIGCONTEXT_SS = 2, STRICT_RESTORE_SS = 4, REGISTERS = 5, SEGMENTS = 23, FPSTATE = 28, MASK = 37 };
    const uint64_t values[] = {r->r8,  r->r9,  r->r10, r->r11, r->r12, r->r13, r->r14, r->r15, r->rdi,
                               r->rsi, r->rbp, r->rbx, r->rdx, r->rax, r->rcx, r->rsp, r->rip, r->eflags};
    memset(out, 0, HP_CONTEXT_WORDS * sizeof *out);
    out[0] = FP_XSTATE | SIGCONTEXT_SS | STRICT_RESTORE_SS;
    memcpy(out + REGISTERS, values, sizeof values);
    out[SEGMENTS] = (r->cs & 0xffff) | (r->ss & 0xffff) << 48;
    out[FPSTATE] = vectors;
    out[MASK] = mask;
}
_Static_assert(offsetof(ucontext_t, uc_mcontext) == 5 * 8, "");
_Static_assert(offsetof(ucontext_t, uc_mcontext.gregs[17]) == 22 * 8, "");
_Static_assert(offsetof(ucontext_t, uc_mcontext.fpregs) == 28 * 8, "");
_Static_assert(offsetof(ucontext_t, uc_sigmask) == 37 * 8, "");

// Whether a thread can return as from a handler. A shadow stack would want its own mark for it.
static inline bool hp_can_return_from_handlers(pid_t tid) {
    (void)tid;
    return true;  // /proc tells of a shadow stack, and RemoteProcess reads it there
}

// Bytes that xsave64 with every feature the processor has enabled writes (Intel SDM 1, 13.2: CPUID leaf 0xD, EBX); 0 where the
// processor or the kernel does not support it.
static inline size_t hp_vector_state_size(void) {
    unsigned a, b, c, d;
    if (!__get_cpuid(1, &a, &b, &c, &d) || !(c & bit_OSXSAVE)) return 0;
    if (!__get_cpuid_count(0xd, 0, &a, &b, &c, &d)) return 0;
    return b;
}

// Features whose state is large, and that a thread has only where its process has asked for it: AMX tiles.
#define HP_VECTOR_DYNAMIC (1ull << 18)

// How much of that a signal frame holds, and of which features (fpu__restore_sig in arch/x86/kernel/fpu/signal.c): what the kernel
// gives every thread. A frame that says more is taken for one without any but the oldest.
static inline size_t hp_vector_frame_size(uint64_t *features) {
    enum { LEGACY_AND_HEADER = 512 + 64 };
    uint32_t low, high, a, b, c, d;
    __asm__("xgetbv" : "=a"(low), "=d"(high) : "c"(0));
    *features = ((uint64_t)high << 32 | low) & ~HP_VECTOR_DYNAMIC;
    size_t end = LEGACY_AND_HEADER;
    for (unsigned i = 2; i < 63; i++) {
        if (!(*features >> i & 1) || !__get_cpuid_count(0xd, i, &a, &b, &c, &d)) continue;
        if ((size_t)a + b > end) end = (size_t)a + b;
    }
    return end;
}

// Why the stub could not keep the vector state of a stopped thread; null where it can. `is_behind_call`: it has run nothing since
// it made a system call.
static inline const char *hp_vector_objection(pid_t tid, bool is_behind_call) {
    (void)is_behind_call;
    // The first word of the header says which state is in use (Intel SDM 1, 13.4.2).
    uint64_t state[65] = {0};
    struct iovec vector = {state, sizeof state};
    if (ptrace(PTRACE_GETREGSET, tid, (void *)0x202 /* NT_X86_XSTATE */, &vector) != 0) return "with vector state that cannot be read";
    return vector.iov_len == sizeof state && state[64] & HP_VECTOR_DYNAMIC ? "computing with AMX tiles" : 0;
}
