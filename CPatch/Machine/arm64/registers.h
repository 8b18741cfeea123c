// The registers of a stopped thread, and what they say of the system call that the stop has interrupted. For the commit, which
// traces its own process, and for RemoteTarget, which traces others. Twin of x86_64/registers.h: same names, same order.
#pragma once

#include <elf.h>
#include <errno.h>
#include <signal.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/ptrace.h>
#include <sys/syscall.h>
#include <sys/types.h>
#include <sys/uio.h>
#include <sys/user.h>
#include <ucontext.h>

#include "call.h"

// As PTRACE_GETREGSET with NT_PRSTATUS gives them.
typedef struct user_regs_struct hp_registers;

static inline uint64_t hp_registers_pc(const hp_registers *registers) { return registers->pc; }
static inline uint64_t hp_registers_sp(const hp_registers *registers) { return registers->sp; }

// PSTATE.BTYPE (bits 11 and 10) says that an indirect branch has come here, and in a guarded page that only a `bti` may follow
// (Arm ARM D8.4.6): not so at another place.
static inline void hp_registers_set_pc(hp_registers *registers, uint64_t pc) {
    registers->pc = pc;
    registers->pstate &= ~(3ull << 10);
}

// The thread pointer; 0 where it is not among these registers.
static inline uint64_t hp_registers_tp(const hp_registers *registers) {
    (void)registers;
    return 0;
}

// The number of the call that the thread is in, where it is in one.
static inline long hp_registers_call_number(const hp_registers *registers) { return (long)registers->regs[8]; }

// Its arguments, by their numbers from 0 up to 3; of an ended call the first is lost.
static inline uint64_t hp_registers_argument(const hp_registers *registers, int number) { return registers->regs[number & 3]; }

// Whether the kernel will enter the interrupted call again unless a handler runs: the registers do not say. For -ERESTARTSYS and
// its like the kernel has put x0 and pc back before the stop (do_signal in arch/arm64/kernel/signal.c).
static inline bool hp_registers_restart(const hp_registers *registers) {
    (void)registers;
    return false;
}

// How far behind the PC such a thread goes on: it is at its `svc`.
static inline uint64_t hp_registers_restart_step(const hp_registers *registers) {
    (void)registers;
    return 0;
}

// Calls that a stop makes fail with EINTR although no handler runs, and that mean the same when they are entered again.
// connect and close are none of them: they have begun something.
static inline bool hp_call_is_mendable(long number) {
    switch (number) {
    case SYS_epoll_pwait:
    case 441:  // epoll_pwait2
    case SYS_rt_sigtimedwait:
    case SYS_semop:
    case SYS_semtimedop:
    case SYS_recvfrom:  // with SO_RCVTIMEO; without, the kernel restarts it by itself
    case SYS_recvmsg:
        return true;
    default:
        return false;
    }
}

// Whether that can be undone.
static inline bool hp_calls_can_be_mended(void) { return false; }

// Such a call cannot be mended: x0 is the result already, its first argument is lost, and the kernel restarts nothing any more.
static inline bool hp_registers_mend(hp_registers *registers) {
    (void)registers;
    return false;
}

// So none is marked either.
static inline uint32_t hp_registers_mark(const hp_registers *registers) {
    (void)registers;
    return 0;
}
static inline void hp_registers_set_mark(hp_registers *registers, uint32_t mark) {
    (void)registers;
    (void)mark;
}
static inline long hp_marked_number(long number, uint32_t mark) {
    (void)mark;
    return number;
}

// Makes a call that was to be entered again return a result instead.
static inline void hp_registers_end_call(hp_registers *registers, long result) { registers->regs[0] = (unsigned long long)result; }

// Whether such a call has failed, if the instruction before the PC made it.
static inline bool hp_registers_failed(const hp_registers *registers) {
    return (long)registers->regs[0] == -EINTR && hp_call_is_mendable(hp_registers_call_number(registers));
}

// How a stopped thread stands to a system call. `is_at` and `is_behind` say
// whether the instruction at its PC, and the one before it, makes a system call.
typedef enum hp_call_state {
    HP_CALL_NONE = 0,       // in none
    HP_CALL_RESTARTS = 1,   // in one that the kernel will enter again
    HP_CALL_LEAVING = 2,    // its result is there
    HP_CALL_UNCERTAIN = 3,  // about to make one, or in one
} hp_call_state;

static inline hp_call_state hp_registers_call(const hp_registers *registers, bool is_at, bool is_behind) {
    (void)registers;
    if (is_at) return HP_CALL_UNCERTAIN;
    return is_behind ? HP_CALL_LEAVING : HP_CALL_NONE;
}

// Reads the beginning of a set of registers; returns how many bytes there were, 0 where the machine does not have them.
static inline size_t hp_read_registers(pid_t tid, int set, void *out, size_t length) {
    struct iovec vector;
    vector.iov_base = out;
    vector.iov_len = length;
    return hp_syscall(SYS_ptrace, PTRACE_GETREGSET, tid, set, (long)&vector, 0, 0) == 0 ? vector.iov_len : 0;
}

// The registers beside these, as words, as far as there is room: those of vectors, and what else the processor saves of a thread.
// Returns how many bytes they are; 0 where they cannot be read.
static inline size_t hp_vector_registers(pid_t tid, uint64_t *out, size_t length) {
    size_t count = hp_read_registers(tid, 2 /* NT_PRFPREG */, out, length);
    if (count == 0 || count >= length) return 0;
    // Where they are longer, the upper parts.
    count = (count + 7) & ~(size_t)7;
    size_t more = hp_read_registers(tid, 0x405 /* NT_ARM_SVE */, (char *)out + count, length - count);
    return more < length - count ? count + more : 0;
}

// The bits of a code address that may hold a signature (Documentation/arch/arm64/pointer-authentication.rst); 0 where addresses
// are not signed.
static inline uint64_t hp_signature_bits(pid_t tid) {
    struct {
        uint64_t data, code;
    } masks = {0, 0};
    return hp_read_registers(tid, NT_ARM_PAC_MASK, &masks, sizeof masks) == sizeof masks ? masks.code : 0;
}

// Those of this process's own threads, without tracing any: what xpaclri takes away of an address of the lower half that has all bits
// set (Arm ARM, C6.2). Where addresses are not signed it takes away nothing.
static inline uint64_t hp_own_signature_bits(void) {
    const uint64_t before = ((uint64_t)1 << 55) - 1;
    register uint64_t address __asm__("x30") = before;
    __asm__ volatile("hint #7" : "+r"(address));
    return before & ~address & (((uint64_t)1 << 48) - 1);
}

// The registers by their numbers in DWARF (AADWARF64 4.1): x0 to x30, SP.
enum { HP_DWARF_REGISTERS = 32, HP_DWARF_SP = 31 };
static inline void hp_registers_to_dwarf(const hp_registers *r, uint64_t out[HP_DWARF_REGISTERS]) {
    for (int i = 0; i < 31; i++) out[i] = r->regs[i];
    out[31] = r->sp;
}

// The kernel's code that returns from signal handlers has no call frame information (arch/arm64/kernel/vdso/sigreturn.S), and
// whoever follows frame pointers instead misses the function that was interrupted. What was interrupted is in the signal frame
// that the stack pointer then points to: siginfo_t and ucontext_t (arch/arm64/kernel/signal.c, struct rt_sigframe). Its
// registers lie there as in hp_registers.
static inline bool hp_signal_frames_are_ours(void) { return true; }
enum {
    HP_SIGNAL_FRAME_REGISTERS = sizeof(siginfo_t) + offsetof(ucontext_t, uc_mcontext) + offsetof(mcontext_t, regs),
    HP_SIGNAL_FRAME_PC = HP_SIGNAL_FRAME_REGISTERS + offsetof(hp_registers, pc),
};
