// ptrace(2) for another process. Swift does not see it, for it is variadic. Each function is the request of its name; the manual page says
// the rest. What a process does to itself is in Commit.
#pragma once

#include <elf.h>
#include <signal.h>
#include <stdint.h>
#include <sys/ptrace.h>
#include <sys/types.h>
#include <sys/uio.h>
#include <sys/user.h>
#include <sys/wait.h>

// A stop at a system call is told from one for SIGTRAP (PTRACE_O_TRACESYSGOOD).
static inline int hp_ptrace_seize(pid_t tid) {
    return (int)ptrace(PTRACE_SEIZE, tid, (void *)0, (void *)PTRACE_O_TRACESYSGOOD);
}
static inline int hp_ptrace_interrupt(pid_t tid) { return (int)ptrace(PTRACE_INTERRUPT, tid, (void *)0, (void *)0); }

// `signal` is delivered on resume; 0 for none.
static inline int hp_ptrace_detach(pid_t tid, int signal) {
    return (int)ptrace(PTRACE_DETACH, tid, (void *)0, (void *)(long)signal);
}
// Resumes without detaching; `signal` as above.
static inline int hp_ptrace_continue(pid_t tid, int signal) {
    return (int)ptrace(PTRACE_CONT, tid, (void *)0, (void *)(long)signal);
}
// Resumes until the next system call is entered or left.
static inline int hp_ptrace_system_call(pid_t tid) { return (int)ptrace(PTRACE_SYSCALL, tid, (void *)0, (void *)0); }
// The general registers (NT_PRSTATUS).
static inline int hp_ptrace_get_registers(pid_t tid, struct user_regs_struct *registers) {
    struct iovec io = {registers, sizeof *registers};
    return (int)ptrace(PTRACE_GETREGSET, tid, (void *)NT_PRSTATUS, &io);
}
static inline int hp_ptrace_set_registers(pid_t tid, const struct user_regs_struct *registers) {
    struct iovec io = {(void *)registers, sizeof *registers};
    return (int)ptrace(PTRACE_SETREGSET, tid, (void *)NT_PRSTATUS, &io);
}
// One aligned word. Reading goes through process_vm_readv or /proc/PID/mem.
static inline int hp_ptrace_poke_word(pid_t tid, uint64_t address, uint64_t word) {
    return (int)ptrace(PTRACE_POKEDATA, tid, (void *)(uintptr_t)address, (void *)(uintptr_t)word);
}
// The signals that a stopped thread has blocked, as it sees them itself: not those that a call blocks for it meanwhile (Linux 5.2).
static inline int hp_ptrace_get_signal_mask(pid_t tid, uint64_t *mask) {
    return (int)ptrace((enum __ptrace_request)0x420a, tid, (void *)sizeof *mask, mask);
}
static inline int hp_ptrace_set_signal_mask(pid_t tid, uint64_t mask) {
    return (int)ptrace((enum __ptrace_request)0x420b, tid, (void *)sizeof mask, &mask);
}
// The address of the thread's struct rseq, 0 where it has none or the kernel (before 5.13) does not say.
static inline uint64_t hp_ptrace_rseq_address(pid_t tid) {
    struct { uint64_t address; uint32_t size, signature, flags, pad; } c = {0, 0, 0, 0, 0};
    long n = ptrace((enum __ptrace_request)0x420f, tid, (void *)sizeof c, &c);
    return n > 0 ? c.address : 0;
}

static inline int hp_status_stopped(int status) { return WIFSTOPPED(status); }
static inline int hp_status_stop_signal(int status) { return WSTOPSIG(status); }
static inline int hp_status_stop_event(int status) { return status >> 16; }
// PTRACE_EVENT_STOP; __WALL; what PTRACE_O_TRACESYSGOOD adds to SIGTRAP.
enum { HP_PTRACE_EVENT_STOP = 128, HP_WAIT_ALL = 0x40000000, HP_STOP_AT_CALL = 0x80 };

// waitpid(2) for a traced thread, with WNOHANG. A stop for a signal is seen, but not taken (WNOWAIT): the kernel would forget the
// signal then, and the thread never get it if its tracer died.
static inline pid_t hp_ptrace_wait(pid_t tid, int *status) {
    siginfo_t info;
    info.si_pid = 0;
    if (waitid(P_PID, (id_t)tid, &info, WEXITED | WSTOPPED | WNOHANG | WNOWAIT | HP_WAIT_ALL) != 0) return -1;
    if (info.si_pid == 0) return 0;
    // The bits above the signal tell which event it is.
    if (info.si_code == CLD_TRAPPED && info.si_status > 0 && info.si_status < HP_STOP_AT_CALL) {
        *status = info.si_status << 8 | 0x7f;
        return tid;
    }
    return waitpid(tid, status, HP_WAIT_ALL | WNOHANG);
}
