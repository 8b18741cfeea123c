// What the threads wait in, asked before any is disturbed: whom a signal would wake for good, and who cannot be held.

#include "commit.h"
#include "hp_calls.h"
#include "hp_waits.h"
#include "tasks.h"

#include <sys/socket.h>
#include <sys/time.h>

// What being held does to a call that a thread waits in (signal(7)).
typedef enum ending {
    ENDING_NONE = 0,     // it goes on, or is entered again
    ENDING_HANDLER = 1,  // it returns EINTR once a handler has run, whatever SA_RESTART says; after a stop it goes on
    ENDING_STOP = 2,     // it returns EINTR after a stop too, though no handler has run
} ending;

// A socket with a timeout ends its calls early; without, they are entered again.
static ending ending_of_socket(uint64_t descriptor, int option) {
    struct timeval timeout;
    hp_clear(&timeout, sizeof timeout);
    socklen_t length = sizeof timeout;
    long error = HP_SYSCALL6(SYS_getsockopt, (int)descriptor, SOL_SOCKET, option, &timeout, &length, 0);
    return error == 0 && (timeout.tv_sec || timeout.tv_usec) ? ENDING_STOP : ENDING_NONE;
}

static ending ending_of(const hp_task_call *call) {
    enum { COMMAND = 127, WAIT = 0, WAIT_BITSET = 9 };  // of futex(2)
    switch (call->number) {
    case SYS_nanosleep:
    case SYS_clock_nanosleep:
    case SYS_restart_syscall:
    case SYS_ppoll:
    case SYS_pselect6:
    case SYS_rt_sigsuspend:
    case SYS_msgrcv:
    case SYS_msgsnd:
#if defined(SYS_poll)
    case SYS_poll:
    case SYS_select:
    case SYS_pause:
#endif
        return ENDING_HANDLER;
    case SYS_futex: {
        uint64_t command = call->arguments[1] & COMMAND;
        bool is_timed = call->arguments[3] != 0 && (command == WAIT || command == WAIT_BITSET);
        return is_timed ? ENDING_HANDLER : ENDING_NONE;
    }
#if defined(SYS_epoll_wait)
    case SYS_epoll_wait:
#endif
    case SYS_epoll_pwait:
    case 441:  // epoll_pwait2
    case SYS_rt_sigtimedwait:
    case SYS_semop:
    case SYS_semtimedop:
    case SYS_io_getevents:
    case 426:  // io_uring_enter
        return ENDING_STOP;
    case SYS_read:
    case SYS_readv:
    case SYS_recvfrom:
    case SYS_recvmsg:
    case SYS_recvmmsg:
    case SYS_accept:
    case SYS_accept4:
        return ending_of_socket(call->arguments[0], SO_RCVTIMEO);
    case SYS_write:
    case SYS_writev:
    case SYS_sendto:
    case SYS_sendmsg:
    case SYS_sendmmsg:
    case SYS_connect:
        return ending_of_socket(call->arguments[0], SO_SNDTIMEO);
    default:
        return ENDING_NONE;
    }
}

// Whether the call survives a stop, and not a handler.
static bool is_better_traced(const hp_task_call *call) {
    switch (ending_of(call)) {
    case ENDING_NONE: return false;
    case ENDING_HANDLER: return true;
    case ENDING_STOP: return hp_calls_can_be_mended() && hp_call_is_mendable(call->number);
    }
    return true;
}

// The signals that nobody handles and that do nothing. Those that the program ignores, and those ignored by default (signal(7)).
static uint64_t ignored_signals(void) {
    const uint64_t by_default = 1ull << (SIGCHLD - 1) | 1ull << (SIGCONT - 1) | 1ull << (SIGURG - 1) | 1ull << (SIGWINCH - 1);
    uint64_t ignored = 0;
    for (int number = 1; number <= 64; number++) {
        hp_kernel_sigaction action;
        uint64_t bit = 1ull << (number - 1);
        if (HP_SYSCALL4(SYS_rt_sigaction, number, 0, &action, sizeof action.mask) != 0) continue;
        if ((void *)action.handler == (void *)SIG_IGN) ignored |= bit;
        else if ((void *)action.handler == (void *)SIG_DFL) ignored |= bit & by_default;
    }
    return ignored;
}

// A handler of the program must not run in the committing thread: it could find text that is not executable, or jump away and leave
// everybody held. Nor in the helper, which inherits the mask.
//
// What the main thread blocks is not ignored (sig_ignored in kernel/signal.c): the kernel queues it, and wakes another thread for it,
// whose call then fails with EINTR. So that thread leaves open what nobody handles.
uint64_t hp_block_signals(hp_commit_job *job) {
    uint64_t before = 0;
    HP_SYSCALL4(SYS_rt_sigprocmask, SIG_BLOCK, 0, &before, sizeof before);
    job->open_signals = job->caller == job->pid ? ignored_signals() & ~before : 0;
    uint64_t mask = ~job->open_signals;
    HP_SYSCALL4(SYS_rt_sigprocmask, SIG_SETMASK, &mask, 0, sizeof mask);
    return before;
}

void hp_unblock_signals(uint64_t before) { HP_SYSCALL4(SYS_rt_sigprocmask, SIG_SETMASK, &before, 0, sizeof before); }

// Asked once everybody is held: nobody installs any more then.
bool hp_is_open_signal_handled(const hp_commit_job *job, int directory) {
    return job->open_signals && hp_task_number(directory, job->caller, "\nSigCgt:\t", 16) & job->open_signals;
}

hp_commit_status hp_look(hp_commit_job *job, hp_view *view) {
    hp_task_walk walk;
    hp_clear(view, sizeof *view);
    long directory = HP_SYSCALL4(SYS_openat, AT_FDCWD, "/proc/self/task", O_RDONLY | O_DIRECTORY | O_CLOEXEC, 0);
    if (directory < 0) return hp_fail(job, HP_COMMIT_SYSTEM, 0, 0, (int)-directory);
    hp_begin_tasks(&walk, (int)directory);
    for (int32_t tid; (tid = hp_next_task(&walk)) > 0;) {
        if (!hp_is_to_be_held(job, tid)) continue;
        hp_task_call call;
        long error = hp_read_task_call((int)directory, tid, &call);
        if (error == -ENOENT || error == -ESRCH) continue;
        // Where nothing is known of a thread, the worst is assumed.
        if (error) view->is_better_traced = true;
        else if (call.number < 0) view->is_running = true;
        else if (hp_call_starts_process(call.number)) view->starting = tid;
        else if (!view->is_better_traced) view->is_better_traced = is_better_traced(&call);
    }
    HP_SYSCALL1(SYS_close, directory);
    return HP_COMMIT_DONE;
}
