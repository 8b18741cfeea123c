// The registers of a stopped thread, and what they say of the system call that the stop has interrupted. For the commit, which
// traces its own process, and for RemoteTarget, which traces others. Twin of arm64/registers.h: same names, same order.
#pragma once

#include <errno.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/ptrace.h>
#include <sys/syscall.h>
#include <sys/types.h>
#include <sys/uio.h>
#include <sys/user.h>

#include "call.h"

// As PTRACE_GETREGSET with NT_PRSTATUS gives them.
typedef struct user_regs_struct hp_registers;

static inline uint64_t hp_registers_pc(const hp_registers *registers) { return registers->rip; }
static inline uint64_t hp_registers_sp(const hp_registers *registers) { return registers->rsp; }
static inline void hp_registers_set_pc(hp_registers *registers, uint64_t pc) { registers->rip = pc; }

// The thread pointer; 0 where it is not among these registers.
static inline uint64_t hp_registers_tp(const hp_registers *registers) { return registers->fs_base; }

// The number of the call that the thread is in; negative where it is in none. The kernel takes it from half of its word
// (syscall_get_nr in arch/x86/include/asm/syscall.h).
static inline long hp_registers_call_number(const hp_registers *registers) { return (int32_t)registers->orig_rax; }

// Its arguments, by their numbers from 0 up to 3.
static inline uint64_t hp_registers_argument(const hp_registers *registers, int number) {
    const uint64_t arguments[4] = {registers->rdi, registers->rsi, registers->rdx, registers->r10};
    return arguments[number & 3];
}

// Whether the kernel will enter the interrupted call again unless a handler runs (-ERESTARTSYS, -ERESTARTNOINTR,
// -ERESTARTNOHAND, -ERESTART_RESTARTBLOCK; signal(7)).
static inline bool hp_registers_restart(const hp_registers *registers) {
    long result = (long)registers->rax;
    return hp_registers_call_number(registers) >= 0 && ((result >= -514 && result <= -512) || result == -516);
}

// How far behind the PC such a thread goes on: at its `syscall`.
static inline uint64_t hp_registers_restart_step(const hp_registers *registers) {
    return hp_registers_restart(registers) ? 2 : 0;
}

// Calls that a stop makes fail with EINTR although no handler runs, and that mean the same when they are entered again.
// connect and close are none of them: they have begun something.
static inline bool hp_call_is_mendable(long number) {
    switch (number) {
    case SYS_epoll_wait:
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
static inline bool hp_calls_can_be_mended(void) { return true; }

// Makes such a call restartable: -ERESTARTNOHAND restarts unless a handler does run. Its timeout begins anew.
static inline bool hp_registers_mend(hp_registers *registers) {
    enum { ERESTARTNOHAND = 514 };
    if ((long)registers->rax != -EINTR || !hp_call_is_mendable(hp_registers_call_number(registers))) return false;
    registers->rax = (unsigned long)-ERESTARTNOHAND;
    return true;
}

// The half of the call's word that the kernel does not look at. It keeps it for as long as it enters the same call again and again, and no
// longer: at the call's end the word is gone, and the program never sees it (arch_do_signal_or_restart).
static inline uint32_t hp_registers_mark(const hp_registers *registers) { return (uint32_t)(registers->orig_rax >> 32); }
static inline void hp_registers_set_mark(hp_registers *registers, uint32_t mark) {
    registers->orig_rax = (uint64_t)mark << 32 | (uint32_t)registers->orig_rax;
}
static inline long hp_marked_number(long number, uint32_t mark) { return (long)((uint64_t)mark << 32 | (uint32_t)number); }

// Makes a call that was to be entered again return a result instead.
static inline void hp_registers_end_call(hp_registers *registers, long result) { registers->rax = (unsigned long)result; }

// Such a call is mended, and fails nobody.
static inline bool hp_registers_failed(const hp_registers *registers) {
    (void)registers;
    return false;
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
    (void)is_at;
    (void)is_behind;
    if (hp_registers_call_number(registers) < 0) return HP_CALL_NONE;
    return hp_registers_restart(registers) ? HP_CALL_RESTARTS : HP_CALL_LEAVING;
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
    size_t count = hp_read_registers(tid, 0x202 /* NT_X86_XSTATE */, out, length);
    return count ? (count < length ? count : 0) : hp_read_registers(tid, 2 /* NT_PRFPREG */, out, length);
}

// The bits of a code address that may hold a signature; 0 where addresses are not signed.
static inline uint64_t hp_signature_bits(pid_t tid) {
    (void)tid;
    return 0;
}

// Those of this process's own threads, without tracing any.
static inline uint64_t hp_own_signature_bits(void) { return 0; }

// The registers by their numbers in DWARF (psABI for x86-64, figure 3.36): 0 to 15, and the return address.
enum { HP_DWARF_REGISTERS = 17, HP_DWARF_SP = 7 };
static inline void hp_registers_to_dwarf(const hp_registers *r, uint64_t out[HP_DWARF_REGISTERS]) {
    const uint64_t values[HP_DWARF_REGISTERS] = {r->rax, r->rdx, r->rcx, r->rbx, r->rsi, r->rdi, r->rbp, r->rsp, r->r8,
                                                 r->r9,  r->r10, r->r11, r->r12, r->r13, r->r14, r->r15, r->rip};
    for (int i = 0; i < HP_DWARF_REGISTERS; i++) out[i] = values[i];
}

// Signal frames have call frame information, and are crossed like any other.
static inline bool hp_signal_frames_are_ours(void) { return false; }
enum { HP_SIGNAL_FRAME_REGISTERS = 0, HP_SIGNAL_FRAME_PC = 0 };
