// What the stub has to know of a thread that it borrows: how it leaves, with which registers, and whether it can be kept from noticing.
// Twin of x86_64/borrow.h: same names, same order.
#pragma once

#include <string.h>

#include "hp_registers.h"

// How the thread leaves such a call when a handler runs before it is entered again: by what the kernel makes the call return, which
// is not in the registers any more (do_signal in arch/arm64/kernel/signal.c).
static inline int hp_registers_leave(const hp_registers *registers, hp_call_state state) {
    enum { ABSOLUTE = 1 /* TIMER_ABSTIME */, WAIT = 0, WAIT_BITSET = 9, FLAGS = 128 | 256 /* private, realtime */ };
    const unsigned long long *x = registers->regs;
    if (state != HP_CALL_RESTARTS) return HP_LEAVE_RETURN;
    switch (x[8]) {
    // The calls whose timeout counts from their start, and for which the kernel remembers how much is left
    // (-ERESTART_RESTARTBLOCK). All others do as well with their arguments; and a call that the kernel remembers nothing of
    // would go on with what it remembers of an earlier one.
    case SYS_nanosleep:
    case SYS_restart_syscall:
        return HP_LEAVE_REMEMBERED;
    case SYS_clock_nanosleep:
        return x[1] & ABSOLUTE ? HP_LEAVE_WAIT : HP_LEAVE_REMEMBERED;
    case SYS_futex: {
        uint32_t operation = (uint32_t)x[1] & ~(uint32_t)FLAGS;
        if (operation != WAIT && operation != WAIT_BITSET) return HP_LEAVE_RETURN;
        if (x[3] == 0) return HP_LEAVE_CALL;
        return operation == WAIT ? HP_LEAVE_REMEMBERED : HP_LEAVE_WAIT;
    }
    case SYS_ppoll:
    case SYS_pselect6:
    case SYS_rt_sigsuspend:
    case SYS_msgrcv:
    case SYS_msgsnd:
        return HP_LEAVE_WAIT;
    default:
        return HP_LEAVE_CALL;
    }
}

// Whether a thread whose call is entered again sleeps, and where it says for how long (struct timespec); null where that is not known.
// For a call that the kernel resumes, it is clock_nanosleep's argument, if that is the call.
static inline bool hp_registers_sleep(const hp_registers *registers, uint64_t *time) {
    enum { ABSOLUTE = 1 /* TIMER_ABSTIME */ };
    *time = 0;
    switch (hp_registers_call_number(registers)) {
    case SYS_nanosleep:
        *time = registers->regs[0];
        return true;
    case SYS_clock_nanosleep:
        if (!(registers->regs[1] & ABSOLUTE)) *time = registers->regs[2];
        return true;
    case SYS_restart_syscall:
        *time = registers->regs[2];
        return true;
    default:
        return false;
    }
}

// Prepares the registers for being restored elsewhere than by the kernel, which then restarts nothing (do_signal compares the
// PC): those of a thread in HP_CALL_RESTARTS enter the call again as it would have.
static inline void hp_registers_settle(hp_registers *registers, hp_call_state state) {
    if (hp_registers_leave(registers, state) == HP_LEAVE_REMEMBERED) registers->regs[8] = SYS_restart_syscall;
}

// Sends the thread to `entry`; an interrupted call is not restarted there.
static inline void hp_registers_enter(hp_registers *registers, uint64_t entry) { hp_registers_set_pc(registers, entry); }

// The registers in the order in which rt_sigreturn takes them. What else it takes (the signal mask, the vector state, the thread's own
// alternate stack) is put around them by whoever returns.
enum { HP_CONTEXT_WORDS = 38 };
static inline void hp_registers_to_context(
    const hp_registers *registers, uint64_t mask, uint64_t vectors, uint64_t out[HP_CONTEXT_WORDS]) {
    (void)mask;
    (void)vectors;
    memset(out, 0, HP_CONTEXT_WORDS * sizeof *out);
    memcpy(out, registers, sizeof *registers);
}
_Static_assert(sizeof(hp_registers) == 34 * 8, "");

// Whether a thread can return as from a handler. A guarded control stack would want its own mark for it, and permission overlays
// would be lost (Documentation/arch/arm64/gcs.rst).
static inline bool hp_can_return_from_handlers(pid_t tid) {
    enum { GCS = 0x410 /* NT_ARM_GCS */, OVERLAYS = 0x40f /* NT_ARM_POE */ };
    struct {
        uint64_t enabled, locked, pointer;
    } gcs = {0, 0, 0};
    uint64_t overlays;
    if (hp_read_registers(tid, OVERLAYS, &overlays, sizeof overlays) != 0) return false;
    return hp_read_registers(tid, GCS, &gcs, sizeof gcs) != sizeof gcs || gcs.enabled == 0;
}

// Bytes of q0 to q31, fpsr and fpcr.
static inline size_t hp_vector_state_size(void) { return 32 * 16 + 2 * 8; }

// How much of that a signal frame holds, and of which features: all.
static inline size_t hp_vector_frame_size(uint64_t *features) {
    *features = 0;
    return hp_vector_state_size();
}

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
