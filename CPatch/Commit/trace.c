// Holding threads that block every signal (libdispatch's workers do): a helper that shares the memory, but is a process of
// its own, traces all the others. One thread cannot trace another of its own process, hence the helper (ptrace(2)).
//
//   1. seize every thread while it runs, until a listing shows nobody new; then interrupt all, wait for each
//   2. list again, until a listing that began after all had stopped shows nobody new
//   3. carry out the block: check, copies, PCs, writes (hp_commit_block); interrupted calls are mended where that is possible
//   4. detach
//
// Should the helper die, the kernel detaches and the threads run on.

#include "commit.h"
#include "hp_calls.h"
#include "hp_waits.h"
#include "tasks.h"
#include "hp_clone.h"

#include <elf.h>
#include <linux/ptrace.h>
#include <linux/sched.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/uio.h>
#include <sys/wait.h>

enum {
    STACK_BYTES = 256 * 1024,
    FIRST_TRACEES = 4096,
    GRACE_NS = 1000000000,
};

typedef struct tracee {
    int32_t tid;
    int32_t signal;      // to be delivered on detach
    uint32_t asked;      // to stop
    uint32_t held;
    uint32_t failed;     // the stop made its call fail, for good
    uint64_t pc;         // where it was, if it was moved; else 0
} tracee;

typedef struct tracing {
    hp_commit_job *job;
    tracee *tracees;
    uint32_t count;
    uint32_t capacity;
    uint32_t go;         // futex: set once the helper may trace
    int directory;
    uint64_t patience_end_ns;
    hp_commit_status status;
    uint32_t writing;    // the helper has begun to write
    uint32_t finished;
} tracing;

static bool known(const tracing *tracing, int32_t tid, uint32_t hint) {
    if (hint < tracing->count && tracing->tracees[hint].tid == tid) return true;
    for (uint32_t i = 0; i < tracing->count; i++)
        if (tracing->tracees[i].tid == tid) return true;
    return false;
}

static bool make_room(tracing *tracing) {
    if (tracing->count < tracing->capacity) return true;
    size_t bytes = tracing->capacity * sizeof(tracee);
    long memory = HP_SYSCALL4(SYS_mremap, tracing->tracees, bytes, bytes * 2, MREMAP_MAYMOVE);
    if (memory < 0) return false;
    tracing->tracees = (tracee *)memory;
    tracing->capacity *= 2;
    return true;
}

// Attaches to a thread. 1 where that is done, 0 where it holds nothing up: one that has ended, or the zombie of a main thread that
// has; -1 with the report filled.
static int seize(tracing *tracing, int32_t tid) {
    if (!make_room(tracing)) {
        tracing->status = hp_fail(tracing->job, HP_COMMIT_SYSTEM, 0, 0, ENOMEM);
        return -1;
    }
    long error = HP_SYSCALL4(SYS_ptrace, PTRACE_SEIZE, tid, 0, 0);
    if (error) {
        char state = hp_task_state(tracing->directory, tid);
        if (error == -ESRCH || state == 'Z' || state == 'X') return 0;
        tracing->status = hp_fail(tracing->job, HP_COMMIT_NO_PTRACE, tid, 0, (int)-error);
        return -1;
    }
    hp_clear(&tracing->tracees[tracing->count], sizeof(tracee));
    tracing->tracees[tracing->count++].tid = tid;
    return 1;
}

// Seizes every thread not yet known. Returns how many, or -1 with the report filled.
//
// The main thread comes last. The kernel drops a signal for the process that nobody handles, but not while that thread is traced:
// another one, not traced yet, would take it, and its call would fail with EINTR unseen.
static long seize_new(tracing *tracing) {
    hp_task_walk walk;
    hp_begin_tasks(&walk, tracing->directory);
    long found = 0;
    uint32_t position = 0;
    int32_t last = 0, tid;
    while ((tid = hp_next_task(&walk)) > 0) {
        if (!hp_is_to_be_held(tracing->job, tid)) continue;
        if (tid == tracing->job->pid) {
            last = tid;
            continue;
        }
        if (known(tracing, tid, position++)) continue;
        int more = seize(tracing, tid);
        if (more < 0) return -1;
        found += more;
    }
    if (tid < 0) {
        tracing->status = hp_fail(tracing->job, HP_COMMIT_SYSTEM, 0, 0, -tid);
        return -1;
    }
    if (!last || known(tracing, last, position)) return found;
    int more = seize(tracing, last);
    return more < 0 ? -1 : found + more;
}

// Whether the thread has stopped, or ended and is to be forgotten.
static bool has_stopped(tracee *tracee) {
    int status;
    long who = HP_SYSCALL4(SYS_wait4, tracee->tid, &status, __WALL | WNOHANG, 0);
    if (who == tracee->tid && WIFSTOPPED(status)) {
        // A stop for a signal is as good as the one asked for; the signal is delivered on detach.
        if (status >> 16 == 0) tracee->signal = WSTOPSIG(status);
        tracee->held = 1;
        return true;
    }
    bool is_gone = who == tracee->tid || who == -ECHILD || who == -ESRCH;
    if (is_gone) tracee->tid = 0;
    return is_gone;
}

static bool await_stop(tracing *tracing, tracee *tracee) {
    enum { TURNS_BETWEEN_LOOKS = 32 };
    for (unsigned turns = 1; !has_stopped(tracee); turns++) {
        // A main thread that ended while it was seized stays as a zombie, and never stops.
        if (turns % TURNS_BETWEEN_LOOKS == 0) {
            char state = hp_task_state(tracing->directory, tracee->tid);
            if (state == 'Z' || state == 'X') {
                tracee->tid = 0;
                return true;
            }
        }
        if (hp_now_ns() >= tracing->patience_end_ns) {
            tracing->status = hp_fail(tracing->job, HP_COMMIT_DEADLINE, tracee->tid, 0, ETIMEDOUT);
            return false;
        }
        hp_sleep_ns(turns < 16 ? 10000 : 200000);
    }
    return true;
}

static void ask_to_stop(tracee *tracee) {
    HP_SYSCALL4(SYS_ptrace, PTRACE_INTERRUPT, tracee->tid, 0, 0);
    tracee->asked = 1;
}

static bool hold_everyone(tracing *tracing) {
    long found;
    while ((found = seize_new(tracing)) > 0) {}
    if (found < 0) return false;
    hp_begin_hold(tracing->job);
    for (uint32_t from = 0;;) {
        for (uint32_t i = from; i < tracing->count; i++)
            ask_to_stop(&tracing->tracees[i]);
        for (uint32_t i = from; i < tracing->count; i++) {
            tracing->patience_end_ns = hp_patience_end(tracing->job);
            if (!await_stop(tracing, &tracing->tracees[i])) return false;
        }
        from = tracing->count;
        found = seize_new(tracing);
        if (found <= 0) return found == 0;
    }
}

static bool get_registers(int32_t tid, hp_registers *registers) {
    struct iovec vector = {registers, sizeof *registers};
    return HP_SYSCALL4(SYS_ptrace, PTRACE_GETREGSET, tid, NT_PRSTATUS, &vector) == 0;
}

static bool set_registers(int32_t tid, hp_registers *registers) {
    struct iovec vector = {registers, sizeof *registers};
    return HP_SYSCALL4(SYS_ptrace, PTRACE_SETREGSET, tid, NT_PRSTATUS, &vector) == 0;
}

static bool set_pc(int32_t tid, uint64_t pc) {
    hp_registers registers;
    if (!get_registers(tid, &registers)) return false;
    hp_registers_set_pc(&registers, pc);
    return set_registers(tid, &registers);
}

// Whether the process handles a signal. One that it ignores stops a traced thread all the same (ptrace(2)).
static bool is_handled(int32_t signal) {
    hp_kernel_sigaction action;
    if (HP_SYSCALL4(SYS_rt_sigaction, signal, 0, &action, sizeof action.mask) != 0) return false;
    return (void *)action.handler != (void *)SIG_DFL && (void *)action.handler != (void *)SIG_IGN;
}

// For how long, in milliseconds, a call waits that a stop may have ended; 0 for ever, or where that cannot be read.
static uint64_t timeout_ms(const hp_commit_job *job, const hp_registers *registers) {
    hp_timeout timeout = hp_call_timeout(registers);
    int64_t time[2];
    switch (timeout.kind) {
    case HP_TIMEOUT_NONE: return 0;
    case HP_TIMEOUT_MILLISECONDS: return timeout.value;
    case HP_TIMEOUT_SOCKET: return hp_socket_timeout_ms(timeout.value);
    case HP_TIMEOUT_TIMESPEC:
        return hp_read_memory(job, timeout.value, time, sizeof time) == sizeof time ? hp_timespec_ms(time) : 0;
    }
    return 0;
}

// Makes a call that the stop has interrupted start again, which the kernel does unless a handler runs; counts it where that is
// not possible. Where the stop was for a signal that the process handles, the call fails as it should.
static void mend(tracing *tracing, tracee *tracee, hp_registers *registers) {
    const hp_commit_job *job = tracing->job;
    if (hp_mend(registers, timeout_ms(job, registers), true)) {
        if (set_registers(tracee->tid, registers)) job->report->restarted_calls++;
    } else if (!tracee->failed && hp_registers_failed(registers) && hp_is_behind_call(job, hp_registers_pc(registers))) {
        if (tracee->signal && is_handled(tracee->signal)) return;
        tracee->failed = 1;
        job->report->interrupted_calls++;
    }
}

// Where the instruction is that will run next: before the PC for a system call that will be entered again.
static uint64_t next_pc(const hp_registers *registers) {
    return hp_registers_pc(registers) - hp_registers_restart_step(registers);
}

// Everything that a thread has in registers. The kernel saves them where no search of memory finds them.
static hp_commit_status search_registers(tracing *tracing, int32_t tid, const hp_registers *registers) {
    hp_search *search = tracing->job->options->search;
    if (!search) return HP_COMMIT_DONE;
    const uint64_t pc = hp_registers_pc(registers);
    hp_search_registers(search, &pc, 1, tid, HP_FOUND_PC);
    hp_search_registers(search, (const uint64_t *)registers, sizeof *registers / 8, tid, HP_FOUND_REGISTER);
    size_t size = hp_vector_registers(tid, search->buffer, HP_SEARCH_BUFFER);
    if (!size) return hp_fail(tracing->job, HP_COMMIT_SYSTEM, tid, 0, EIO);
    hp_search_registers(search, search->buffer, size / 8, tid, HP_FOUND_REGISTER);
    return HP_COMMIT_DONE;
}

static hp_commit_status check_and_write(tracing *tracing) {
    hp_commit_job *job = tracing->job;
    if (hp_is_open_signal_handled(job, tracing->directory)) return hp_fail(job, HP_COMMIT_DEADLINE, job->caller, 0, EAGAIN);
    hp_commit_status status = hp_check_expected(job);
    hp_registers registers;
    for (uint32_t i = 0; i < tracing->count && status == HP_COMMIT_DONE; i++) {
        tracee *tracee = &tracing->tracees[i];
        if (!tracee->held) continue;
        if (!get_registers(tracee->tid, &registers)) return hp_fail(job, HP_COMMIT_SYSTEM, tracee->tid, 0, ESRCH);
        mend(tracing, tracee, &registers);
        job->report->held_threads++;
        uint64_t next = next_pc(&registers);
        if (hp_is_hazard(job->block, next) && hp_moved_pc(job->block, next) == next)
            return hp_fail(job, HP_COMMIT_BUSY, tracee->tid, next, 0);
        status = hp_check_stack(job, tracee->tid, hp_registers_sp(&registers));
        if (status == HP_COMMIT_DONE) status = search_registers(tracing, tracee->tid, &registers);
    }
    if (status == HP_COMMIT_DONE) status = hp_search_held(job);
    if (status != HP_COMMIT_DONE) return status;
    if (!hp_lay_down_copies(job)) return job->report->status;
    for (uint32_t i = 0; i < tracing->count && status == HP_COMMIT_DONE; i++) {
        tracee *tracee = &tracing->tracees[i];
        if (!tracee->held || !get_registers(tracee->tid, &registers)) continue;
        uint64_t pc = hp_registers_pc(&registers), next = next_pc(&registers), moved = hp_moved_pc(job->block, next);
        if (moved == next) continue;
        if (set_pc(tracee->tid, moved + (pc - next))) {
            tracee->pc = pc;
            job->report->moved_threads++;
        } else {
            status = hp_fail(job, HP_COMMIT_SYSTEM, tracee->tid, pc, ESRCH);
        }
    }
    if (status == HP_COMMIT_DONE) {
        __atomic_store_n(&tracing->writing, 1, __ATOMIC_RELEASE);
        if (hp_perform_writes(job)) return HP_COMMIT_DONE;
        if (job->report->status == HP_COMMIT_INCONSISTENT) return HP_COMMIT_INCONSISTENT;
    }
    for (uint32_t i = 0; i < tracing->count; i++)
        if (tracing->tracees[i].pc) set_pc(tracing->tracees[i].tid, tracing->tracees[i].pc);
    return job->report->status;
}

static void let_one_go(tracing *tracing, tracee *tracee) {
    hp_registers registers;
    if (get_registers(tracee->tid, &registers)) mend(tracing, tracee, &registers);
    HP_SYSCALL4(SYS_ptrace, PTRACE_DETACH, tracee->tid, 0, tracee->signal);
    tracee->tid = 0;
}

// Whether a thread that has not stopped is on its way to, or may be.
static bool is_late(tracing *tracing, tracee *tracee) {
    if (!tracee->tid) return false;
    if (has_stopped(tracee)) {
        if (tracee->held) let_one_go(tracing, tracee);
        return false;
    }
    char state = hp_task_state(tracing->directory, tracee->tid);
    if (state == 'Z' || state == 'X') tracee->tid = 0;
    // One that sleeps, and was not asked, no signal has woken.
    if (!tracee->tid || state == 'D' || (state == 'S' && !tracee->asked)) return false;
    if (!tracee->asked) ask_to_stop(tracee);
    return true;
}

// Lets go of whoever is late, for a while.
static void await_late(tracing *tracing, tracee *tracees, uint32_t count, uint64_t patience_ns) {
    enum { BETWEEN_NS = 200000 };
    for (uint64_t end = hp_now_ns() + patience_ns;;) {
        bool some = false;
        for (uint32_t i = 0; i < count; i++) some |= is_late(tracing, &tracees[i]);
        if (!some || hp_now_ns() >= end) return;
        hp_sleep_ns(BETWEEN_NS);
    }
}

// The main thread first: see seize_new. Then those that are held and then, while these run, whoever is late: the call of a thread that
// was asked to stop, or that a signal has woken which nobody handles, has failed, and only whoever traces it can mend that.
//
// Our end detaches the rest. Where that is the main thread, at once: as long as it is traced, the others are woken.
static void let_go(tracing *tracing) {
    enum { MAIN_NS = 50000000, LATE_NS = 100000000 };
    bool is_main_left = false;
    for (uint32_t i = 0; i < tracing->count; i++) {
        tracee *tracee = &tracing->tracees[i];
        if (tracee->tid != tracing->job->pid) continue;
        if (tracee->held) let_one_go(tracing, tracee);
        else if (!tracee->asked) ask_to_stop(tracee);
        await_late(tracing, tracee, 1, MAIN_NS);
        is_main_left = tracee->tid != 0;
        break;
    }
    for (uint32_t i = 0; i < tracing->count; i++)
        if (tracing->tracees[i].held && tracing->tracees[i].tid) let_one_go(tracing, &tracing->tracees[i]);
    hp_end_hold(tracing->job);
    if (!is_main_left) await_late(tracing, tracing->tracees, tracing->count, LATE_NS);
}

// The helper. Runs on a stack of its own, with the caller's thread pointer: it must not touch thread-local storage.
static int helper(void *argument) {
    tracing *tracing = argument;
    while (!__atomic_load_n(&tracing->go, __ATOMIC_ACQUIRE)) {
        hp_futex_wait(&tracing->go, 0, 10000000);
        if (hp_now_ns() >= tracing->job->deadline_ns) return 0;  // the process was killed meanwhile
    }
    hp_raise_priority();
    if (hold_everyone(tracing)) tracing->status = check_and_write(tracing);
    let_go(tracing);
    __atomic_store_n(&tracing->finished, 1, __ATOMIC_RELEASE);
    return 0;
}

// A filter of system calls may end whoever calls ptrace(2), and with it whoever shares its memory (a core dump ends them all).
// What it does is seen by a child that shares nothing. Returns an errno, 0 where ptrace can be called.
static int probe_filter(void) {
    enum { NOBODY = INT32_MAX, PATIENCE_NS = 1000000000 };
    long child = HP_SYSCALL6(SYS_clone, 0, 0, 0, 0, 0, 0);  // without a signal: the process need not know
    if (child == 0) {
        uint64_t tiny[2] = {1, 1};  // bytes, of a core dump: no pipe is fed either (core(5))
        HP_SYSCALL4(SYS_prlimit64, 0, RLIMIT_CORE, tiny, 0);
        long error = HP_SYSCALL4(SYS_ptrace, PTRACE_SEIZE, NOBODY, 0, 0);
        for (;;) HP_SYSCALL1(SYS_exit_group, error == -ESRCH ? 0 : -error & 0xff);
    }
    if (child < 0) return (int)-child;
    for (uint64_t end = hp_now_ns() + PATIENCE_NS;;) {
        int status = 0;
        long who = HP_SYSCALL4(SYS_wait4, child, &status, __WALL | WNOHANG, 0);
        if (who == child) return WIFEXITED(status) ? WEXITSTATUS(status) : EPERM;
        if (who < 0 && who != -EINTR) return (int)-who;
        if (hp_now_ns() > end) HP_SYSCALL2(SYS_kill, child, SIGKILL);
        hp_sleep_ns(50000);
    }
}

// Whether a filter forbids tracing: an errno, or 0. Asked once for each set of filters, which only grows.
static int filter_objection(const hp_commit_job *job, int directory) {
    static uint64_t asked;
    static int answer;
    enum { FILTERED = 2 };  // SECCOMP_MODE_FILTER
    if (hp_task_number(directory, job->caller, "\nSeccomp:\t", 10) != FILTERED) return 0;
    uint64_t filters = hp_task_number(directory, job->caller, "\nSeccomp_filters:\t", 10);
    if (!filters || filters != asked) answer = probe_filter();
    asked = filters;
    return answer;
}

hp_commit_status hp_commit_traced(hp_commit_job *job) {
    job->report->parking = HP_PARKING_PTRACE;
    job->report->held_threads = 0;
    job->report->moved_threads = 0;
    tracing tracing;
    hp_clear(&tracing, sizeof tracing);
    tracing.job = job;
    tracing.capacity = FIRST_TRACEES;
    tracing.status = HP_COMMIT_NO_PTRACE;

    long directory = HP_SYSCALL4(SYS_openat, AT_FDCWD, "/proc/self/task", O_RDONLY | O_DIRECTORY | O_CLOEXEC, 0);
    if (directory < 0) return hp_fail(job, HP_COMMIT_SYSTEM, 0, 0, (int)-directory);
    tracing.directory = (int)directory;
    long tracees = HP_SYSCALL6(
        SYS_mmap, 0, FIRST_TRACEES * sizeof(tracee), PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
    long stack = HP_SYSCALL6(SYS_mmap, 0, STACK_BYTES, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
    hp_commit_status status;
    if (tracees < 0 || stack < 0) {
        status = hp_fail(job, HP_COMMIT_SYSTEM, 0, 0, ENOMEM);
    } else {
        tracing.tracees = (tracee *)tracees;
        if (job->options->search) {
            job->options->search->own[HP_OWN_HELPER].start = (uint64_t)stack;
            job->options->search->own[HP_OWN_HELPER].end = (uint64_t)stack + STACK_BYTES;
        }
        uint64_t before = hp_block_signals(job);
        int objection = filter_objection(job, tracing.directory);
        long pid = objection ? 0 : hp_clone_helper(
            CLONE_VM | CLONE_FS | CLONE_FILES | CLONE_UNTRACED, (void *)(stack + STACK_BYTES), helper, &tracing);
        if (objection) {
            status = hp_fail(job, HP_COMMIT_NO_PTRACE, 0, 0, objection);
        } else if (pid < 0) {
            status = hp_fail(job, HP_COMMIT_SYSTEM, 0, 0, (int)-pid);
        } else {
            HP_SYSCALL2(SYS_prctl, PR_SET_PTRACER, pid);  // where Yama restricts tracing to descendants
            __atomic_store_n(&tracing.go, 1, __ATOMIC_RELEASE);
            hp_futex_wake(&tracing.go, 1);
            hp_await_helper(pid, job->deadline_ns + GRACE_NS);
            HP_SYSCALL2(SYS_prctl, PR_SET_PTRACER, 0);
            status = tracing.status;
            if (!__atomic_load_n(&tracing.finished, __ATOMIC_ACQUIRE))
                status = hp_fail(job, tracing.writing ? HP_COMMIT_INCONSISTENT : HP_COMMIT_DEADLINE, 0, 0, ECHILD);
            else if (status == HP_COMMIT_NO_PTRACE && !job->report->error)
                status = hp_fail(job, HP_COMMIT_NO_PTRACE, 0, 0, EPERM);
        }
        hp_unblock_signals(before);
    }
    if (tracees >= 0) HP_SYSCALL2(SYS_munmap, tracing.tracees, tracing.capacity * sizeof(tracee));
    if (stack >= 0) HP_SYSCALL2(SYS_munmap, stack, STACK_BYTES);
    HP_SYSCALL1(SYS_close, directory);
    return status;
}
