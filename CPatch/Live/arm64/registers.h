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

// Whether such a call has failed, if the instruction before the PC made it.
static inline bool hp_registers_failed(const hp_registers *registers) {
    return (long)registers->regs[0] == -EINTR && hp_call_is_mendable((long)registers->regs[8]);
}

// Whether an instruction makes a system call: svc #0.
static inline bool hp_is_system_call(uint32_t instruction) { return instruction == 0xd4000001; }

// How a stopped thread stands to a system call. `at` and `before` are the instruction at its PC and the four bytes before it.
typedef enum hp_call_state {
    HP_CALL_NONE = 0,       // in none
    HP_CALL_RESTARTS = 1,   // in one that the kernel will enter again
    HP_CALL_LEAVING = 2,    // its result is there
    HP_CALL_UNCERTAIN = 3,  // about to make one, or in one
} hp_call_state;

static inline hp_call_state hp_registers_call(const hp_registers *registers, uint32_t at, uint32_t before) {
    (void)registers;
    if (hp_is_system_call(at)) return HP_CALL_UNCERTAIN;
    return hp_is_system_call(before) ? HP_CALL_LEAVING : HP_CALL_NONE;
}

// The number of the call, where the state is HP_CALL_RESTARTS.
static inline long hp_registers_call_number(const hp_registers *registers) { return (long)registers->regs[8]; }

// Prepares the registers for being restored elsewhere than by the kernel, which then restarts nothing (do_signal compares the
// PC): those of a thread in HP_CALL_RESTARTS enter the call again as it would have.
static inline void hp_registers_settle(hp_registers *registers, hp_call_state state) {
    if (state != HP_CALL_RESTARTS) return;
    // The calls whose timeout counts from their start, and for which the kernel remembers how much is left
    // (-ERESTART_RESTARTBLOCK). All others do as well with their arguments; and a call that the kernel remembers nothing of
    // would go on with what it remembers of an earlier one.
    enum { ABSOLUTE = 1 /* TIMER_ABSTIME */, WAIT = 0 /* FUTEX_WAIT */, FLAGS = 128 | 256 /* private, realtime */ };
    const unsigned long long *x = registers->regs;
    bool remembered = x[8] == SYS_nanosleep || (x[8] == SYS_clock_nanosleep && !(x[1] & ABSOLUTE))
        || (x[8] == SYS_futex && ((uint32_t)x[1] & ~(uint32_t)FLAGS) == WAIT && x[3] != 0);
    if (remembered) registers->regs[8] = SYS_restart_syscall;
}

// Sends the thread to `entry`; an interrupted call is not restarted there.
static inline void hp_registers_enter(hp_registers *registers, uint64_t entry) { hp_registers_set_pc(registers, entry); }

// Reads the beginning of a set of registers; returns how many bytes there were, 0 where the machine does not have them.
static inline size_t hp_read_registers(pid_t tid, int set, void *out, size_t length) {
    struct iovec vector = {out, length};
    return ptrace(PTRACE_GETREGSET, tid, (void *)(long)set, &vector) == 0 ? vector.iov_len : 0;
}

// The bits of a code address that may hold a signature (Documentation/arch/arm64/pointer-authentication.rst); 0 where addresses
// are not signed.
static inline uint64_t hp_signature_bits(pid_t tid) {
    struct {
        uint64_t data, code;
    } masks = {0, 0};
    return hp_read_registers(tid, NT_ARM_PAC_MASK, &masks, sizeof masks) == sizeof masks ? masks.code : 0;
}

// Bytes of q0 to q31, fpsr and fpcr.
static inline size_t hp_vector_state_size(void) { return 32 * 16 + 2 * 8; }

// Why the stub could not keep the vector state of a stopped thread; null where it can. `is_behind_call`: it has run nothing since
// it made a system call. The stub keeps 128 bits of each register: that is all there is, unless the thread computes with SVE
// (Documentation/arch/arm64/sve.rst, sme.rst).
static inline const char *hp_vector_objection(pid_t tid, bool is_behind_call) {
    enum { STREAMING = 0x40b /* NT_ARM_SSVE */, ZA = 0x40c /* NT_ARM_ZA */, REGISTERS_ARE_SVE = 1 };
    // struct user_sve_header, and user_za_header.
    struct {
        uint32_t size, max_size;
        uint16_t length, max_length, flags, reserved;
    } header;
    const size_t size = sizeof header;
    if (hp_read_registers(tid, STREAMING, &header, size) == size && header.size > size) return "in SME streaming mode";
    if (hp_read_registers(tid, ZA, &header, size) == size && header.size > size) return "with SME's ZA in use";
    // A system call leaves no more than 128 bits of a register.
    if (is_behind_call) return 0;
    if (hp_read_registers(tid, NT_ARM_SVE, &header, size) == size && header.flags & REGISTERS_ARE_SVE)
        return "computing with SVE registers";
    return 0;
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
static inline bool hp_is_signal_return(const uint32_t instructions[2]) {
    return instructions[0] == 0xd2801168 /* mov x8, #139: rt_sigreturn */ && hp_is_system_call(instructions[1]);
}
