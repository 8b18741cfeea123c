// Waits that a stop has ended, and that are entered again: with their whole timeout, for their arguments are the program's and stay as
// they are. Whoever stops a thread more often than its wait lasts would keep it waiting for ever. So the call is marked with the
// moment at which it was first entered again, and where its timeout has passed since, it returns what a timeout returns.
//
// The mark is kept by the kernel, in the half of a word that it does not look at, with the call itself (registers.h). Whoever finds it
// knows that the thread has been nowhere else since. It needs no table, outlives the patcher, and ends with the call.

#include "hp_waits.h"

#include <sys/socket.h>
#include <sys/time.h>

#include "hp_system_calls.h"

// A mark: 7 bits that say whose it is, and the milliseconds of the monotonic clock in 24.
enum {
    OWNER_SHIFT = 24,
    TIME_MASK = (1 << OWNER_SHIFT) - 1,
    INSIDE = 0x5a,
    // Another clock, in a time namespace.
    OUTSIDE = 0x35,
    // A quarter of what 24 bits can count.
    LONGEST_MS = 1 << (OWNER_SHIFT - 2),
    // Within which a thread that was stopped is expected to run again.
    SLACK_MS = 5000,
};

static uint64_t milliseconds(int64_t seconds, int64_t fraction, int64_t unit) {
    if (seconds < 0 || seconds > LONGEST_MS || fraction < 0 || fraction >= unit * 1000) return 0;
    return (uint64_t)seconds * 1000 + (uint64_t)((fraction + unit - 1) / unit);
}

uint64_t hp_timespec_ms(const int64_t timespec[2]) { return milliseconds(timespec[0], timespec[1], 1000000); }

// Braces would call memset.
static hp_timeout timeout_of(hp_timeout_kind kind, uint64_t value) {
    hp_timeout timeout;
    timeout.kind = kind;
    timeout.value = value;
    return timeout;
}

static hp_timeout timeout_at(uint64_t address) { return timeout_of(address ? HP_TIMEOUT_TIMESPEC : HP_TIMEOUT_NONE, address); }

hp_timeout hp_call_timeout(const hp_registers *registers) {
    switch (hp_registers_call_number(registers)) {
#if defined(SYS_epoll_wait)
    case SYS_epoll_wait:
#endif
    case SYS_epoll_pwait: {
        int32_t time = (int32_t)hp_registers_argument(registers, 3);
        return time > 0 ? timeout_of(HP_TIMEOUT_MILLISECONDS, (uint64_t)time) : timeout_of(HP_TIMEOUT_NONE, 0);
    }
    case 441:  // epoll_pwait2
    case SYS_semtimedop:
        return timeout_at(hp_registers_argument(registers, 3));
    case SYS_rt_sigtimedwait:
        return timeout_at(hp_registers_argument(registers, 2));
    case SYS_recvfrom:
    case SYS_recvmsg:
        return timeout_of(HP_TIMEOUT_SOCKET, (uint32_t)hp_registers_argument(registers, 0));
    default:
        return timeout_of(HP_TIMEOUT_NONE, 0);
    }
}

uint64_t hp_socket_timeout_ms(uint64_t descriptor) {
    struct timeval timeout;
    hp_clear(&timeout, sizeof timeout);
    socklen_t length = sizeof timeout;
    long error = HP_SYSCALL6(SYS_getsockopt, (int)descriptor, SOL_SOCKET, SO_RCVTIMEO, &timeout, &length, 0);
    return error ? 0 : milliseconds(timeout.tv_sec, timeout.tv_usec, 1000);
}

// Whether the kernel takes a marked call for the one that it is: older ones look at the whole word, and some that are none may. Tried
// out on a call that has no effect.
static bool keeps_marks(void) {
    static int answer;  // 0: not tried yet
    if (!answer) {
        long pid = HP_SYSCALL0(SYS_getpid);
        answer = HP_SYSCALL0(hp_marked_number(SYS_getpid, (uint32_t)INSIDE << OWNER_SHIFT)) == pid ? 1 : -1;
    }
    return answer > 0;
}

// What the call returns when its timeout has passed.
static long timeout_result(long number) {
    switch (number) {
    case SYS_rt_sigtimedwait:
    case SYS_semtimedop:
    case SYS_recvfrom:
    case SYS_recvmsg:
        return -EAGAIN;
    default:
        return 0;
    }
}

bool hp_mend(hp_registers *registers, uint64_t timeout_ms, bool is_inside) {
    if (!hp_registers_mend(registers)) return false;
    if (!timeout_ms || timeout_ms > LONGEST_MS || !keeps_marks()) return true;
    uint32_t now = (uint32_t)(hp_now_ns() / 1000000) & TIME_MASK, owner = is_inside ? INSIDE : OUTSIDE;
    uint32_t mark = hp_registers_mark(registers), elapsed = (now - mark) & TIME_MASK;
    // Stopped for the last time before its timeout had passed, it has since ended by itself, or waited for one more at most. A mark that
    // says otherwise is none.
    if (mark >> OWNER_SHIFT != owner || elapsed > 2 * timeout_ms + SLACK_MS)
        hp_registers_set_mark(registers, owner << OWNER_SHIFT | now);
    else if (elapsed > timeout_ms)
        hp_registers_end_call(registers, timeout_result(hp_registers_call_number(registers)));
    return true;
}
