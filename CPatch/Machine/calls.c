// System calls by number.

#include "hp_calls.h"

#include <stddef.h>
#include <sys/syscall.h>

const char *hp_call_name(long number) {
    static const struct {
        long number;
        const char *name;
    } names[] = {
#define NAMED(name) {SYS_##name, #name}
        // Those of every architecture (asm-generic/unistd.h).
        NAMED(read), NAMED(write), NAMED(pread64), NAMED(pselect6), NAMED(ppoll), NAMED(nanosleep), NAMED(accept),
        NAMED(sendto), NAMED(recvfrom), NAMED(sendmsg), NAMED(recvmsg), NAMED(clone), NAMED(wait4), NAMED(semop),
        NAMED(fcntl), NAMED(fsync), NAMED(fdatasync), NAMED(rt_sigtimedwait), NAMED(rt_sigsuspend), NAMED(futex),
        NAMED(restart_syscall), NAMED(semtimedop), NAMED(clock_nanosleep), NAMED(waitid), NAMED(epoll_pwait), NAMED(accept4),
        // Numbers that newer kernels share.
        {435, "clone3"}, {441, "epoll_pwait2"}, {449, "futex_waitv"},
#if defined(SYS_poll)
        // Older ones, which newer architectures do without.
        NAMED(poll), NAMED(select), NAMED(pause), NAMED(fork), NAMED(vfork), NAMED(epoll_wait),
#endif
#undef NAMED
    };
    for (size_t i = 0; i < sizeof names / sizeof *names; i++)
        if (names[i].number == number) return names[i].name;
    return 0;
}

bool hp_call_only_waits(long number) {
    switch (number) {
    case SYS_read:
    case SYS_readv:
    case SYS_pread64:
    case SYS_write:
    case SYS_writev:
    case SYS_pwrite64:
    case SYS_recvfrom:
    case SYS_recvmsg:
    case SYS_sendto:
    case SYS_sendmsg:
    case SYS_accept:
    case SYS_accept4:
    case SYS_connect:
    case SYS_ppoll:
    case SYS_pselect6:
    case SYS_epoll_pwait:
    case SYS_rt_sigtimedwait:
    case SYS_rt_sigsuspend:
    case SYS_wait4:
    case SYS_waitid:
    case SYS_msgrcv:
    case SYS_msgsnd:
    case SYS_semtimedop:
    case SYS_nanosleep:
    case SYS_clock_nanosleep:
    case SYS_fsync:
    case SYS_fdatasync:
    case SYS_semop:
    case 441:  // epoll_pwait2
#if defined(SYS_poll)
    case SYS_poll:
    case SYS_select:
    case SYS_pause:
    case SYS_epoll_wait:
#endif
        return true;
    default:
        return false;
    }
}

bool hp_call_starts_process(long number) {
#if defined(SYS_vfork)
    if (number == SYS_vfork) return true;
#endif
    return number == SYS_clone || number == 435 /* clone3 */;
}
