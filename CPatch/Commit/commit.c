// The commit in this process: choose how to hold the threads and how to write, then hold, check, write, release.

#include "commit.h"

#include <linux/memfd.h>
#include <sched.h>
#include <sys/mman.h>
#include <sys/resource.h>

#ifndef MAP_FIXED_NOREPLACE
#define MAP_FIXED_NOREPLACE 0x100000
#endif

enum {
    FIRST_RETRY_NS = 200000,
    LAST_RETRY_NS = 20000000,
    FIRST_PATIENCE_NS = 50000000,
    LAST_PATIENCE_NS = 200000000,
    HOLD_NS = 1000000000,
    // Threads that are held in vain run for so many times as long afterwards.
    RESPITE = 4,
    // How long to wait for a thread that another process traces before parking by signal: another patcher is soon done.
    TRACER_NS = 20000000,
    // How long after the last commit a running thread may still be returning to the call it was found in.
    RETURN_NS = 1000000000,
    // How long to wait for a thread that blocks signals, where none can be traced: it may be just starting.
    BEGINNING_NS = 1000000000,
};

typedef struct scheduling {
    int policy;      // negative: unchanged
    int priority;
} scheduling;

// Undone by `restore_priority`.
static scheduling raise_priority(void) {
    scheduling before = {-1, 0};
    int policy = (int)HP_SYSCALL1(SYS_sched_getscheduler, 0);
    if (policy == SCHED_OTHER && hp_raise_priority()) before.policy = policy;
    return before;
}

static void restore_priority(scheduling before) {
    if (before.policy >= 0) HP_SYSCALL3(SYS_sched_setscheduler, 0, before.policy, &before.priority);
}

// Whether the last commit has waited for another tracer in vain. A debugger stays; one has been waited for once.
static bool is_traced_for_good;

// When threads were last traced for the sake of their calls.
static uint64_t last_gentle_ns;

// By the helper. False where it may not trace, and nobody was disturbed.
static bool is_traced(hp_commit_job *job, hp_commit_status *status) {
    *status = hp_commit_traced(job);
    return *status != HP_COMMIT_NO_PTRACE && (*status != HP_COMMIT_SYSTEM || job->report->held_threads > 0);
}

// By the helper, for the sake of calls that a signal would end. False where it may not trace, and nobody was disturbed.
static bool attempt_gently(hp_commit_job *job, hp_commit_status *status) {
    uint64_t patience = is_traced_for_good ? 0 : TRACER_NS;
    for (uint64_t end = hp_now_ns() + patience;;) {
        if (is_traced(job, status)) {
            is_traced_for_good = false;
            last_gentle_ns = hp_now_ns();
            return true;
        }
        bool has_tracer = *status == HP_COMMIT_NO_PTRACE && job->report->thread && job->report->error == EPERM;
        if (!has_tracer || hp_now_ns() >= end) {
            is_traced_for_good = has_tracer;
            return false;
        }
        hp_sleep_ns(FIRST_RETRY_NS * 5);
    }
}

// By signal, or where a thread blocks it by the helper.
static hp_commit_status attempt_firmly(hp_commit_job *job) {
    for (uint64_t end = hp_now_ns() + BEGINNING_NS;;) {
        hp_commit_status status = hp_commit_parked(job);
        if (status != HP_COMMIT_NO_SIGNAL || job->options->parking != HP_PARKING_AUTOMATIC) return status;
        bool blocks_signal = job->report->thread != 0;
        if (is_traced(job, &status) || !blocks_signal) return status;
        uint64_t now = hp_now_ns();
        if (now >= end || now >= job->deadline_ns) return status;
        hp_sleep_ns(FIRST_RETRY_NS * 5);
    }
}

static hp_commit_status attempt(hp_commit_job *job) {
    uint32_t parking = job->options->parking;
    hp_view view;
    hp_commit_status status = hp_look(job, &view);
    if (status != HP_COMMIT_DONE) return status;
    // A thread in vfork runs on when the child does, and holding the others until then is in vain. Another one than before: then
    // they come and go, and one may be held between two.
    int32_t before = job->starting;
    job->starting = view.starting;
    if (view.starting && (!before || before == view.starting))
        return hp_fail(job, HP_COMMIT_DEADLINE, view.starting, 0, ETIMEDOUT);
    if (parking == HP_PARKING_PTRACE) return hp_commit_traced(job);
    bool may_return = view.is_running && hp_now_ns() - last_gentle_ns < RETURN_NS;
    // A signal leaves what a thread has in registers on its stack, where later searches find it.
    bool is_better_traced = view.is_better_traced || may_return || job->options->search;
    if (parking == HP_PARKING_AUTOMATIC && is_better_traced && attempt_gently(job, &status)) return status;
    return attempt_firmly(job);
}

// The words that say that a commit is under way.
static uint64_t *underway[2];

static void announce(const hp_commit_options *options, int32_t caller) {
    for (int i = 0; i < 2; i++) {
        underway[i] = (uint64_t *)(uintptr_t)options->underway[i];
        if (underway[i]) __atomic_store_n(underway[i], (uint64_t)caller, __ATOMIC_SEQ_CST);
    }
}

void hp_forget_commit(void) {
    for (int i = 0; i < 2; i++) {
        if (underway[i]) __atomic_store_n(underway[i], 0, __ATOMIC_SEQ_CST);
        underway[i] = 0;
    }
}

void hp_commit(const hp_commit_block *block, const hp_commit_options *options, hp_commit_report *report) {
    hp_clear(report, sizeof *report);
    hp_commit_job job;
    hp_clear(&job, sizeof job);
    job.block = block;
    job.options = options;
    job.report = report;
    job.deadline_ns = hp_now_ns() + options->timeout_ns;
    job.pid = (int32_t)HP_SYSCALL0(SYS_getpid);
    job.caller = (int32_t)HP_SYSCALL0(SYS_gettid);
    job.writer = options->writer;
    if (block->hazard_count > 0) {
        job.lowest_hazard = block->hazards[0].start;
        job.highest_hazard = block->hazards[block->hazard_count - 1].end;
    }
    // Opened anew each time: a descriptor inherited over fork would still mean the parent's memory.
    job.memory = (int)HP_SYSCALL4(SYS_openat, AT_FDCWD, "/proc/self/mem", O_RDWR | O_CLOEXEC, 0);
    if (job.writer == HP_WRITER_AUTOMATIC) job.writer = job.memory >= 0 ? HP_WRITER_PROC_MEM : HP_WRITER_MPROTECT;
    // To read is allowed more often than to write; and any other way to read waits for whoever handles a fault (userfaultfd(2)),
    // who may be held.
    if (job.memory < 0 && job.writer == HP_WRITER_MPROTECT)
        job.memory = (int)HP_SYSCALL4(SYS_openat, AT_FDCWD, "/proc/self/mem", O_RDONLY | O_CLOEXEC, 0);
    report->writer = job.writer;
    if (job.writer == HP_WRITER_PROC_MEM && job.memory < 0) {
        hp_fail(&job, HP_COMMIT_SYSTEM, 0, 0, -job.memory);
        return;
    }
    if (job.writer == HP_WRITER_MPROTECT) hp_learn_guards(&job);
    job.hold_ns = options->hold_ns ? options->hold_ns : HOLD_NS;
    job.patience_ns = FIRST_PATIENCE_NS;
    if (hp_search_first(&job) != HP_COMMIT_DONE) {
        if (job.memory >= 0) HP_SYSCALL1(SYS_close, job.memory);
        return;
    }
    announce(options, job.caller);
    scheduling before = raise_priority();
    hp_commit_report busy;
    hp_clear(&busy, sizeof busy);
    for (uint64_t pause = FIRST_RETRY_NS;;) {
        uint64_t held = report->held_ns;
        report->status = HP_COMMIT_DONE;
        report->error = 0;
        if (options->search) hp_begin_search(options->search);
        report->status = attempt(&job);
        held = report->held_ns - held;
        if (report->status == HP_COMMIT_ROLLED_BACK && options->writer == HP_WRITER_AUTOMATIC
            && job.writer == HP_WRITER_PROC_MEM) {
            job.writer = report->writer = HP_WRITER_MPROTECT;  // a kernel that forbids writing text through /proc
            hp_learn_guards(&job);
            continue;
        }
        // A signal handler that interrupted an entry will leave it; who cannot be held now may be later; who is traced may be so
        // by another patcher. They all run on between attempts.
        if (report->status == HP_COMMIT_BUSY) hp_copy(&busy, report, sizeof busy);
        else if (report->status == HP_COMMIT_DEADLINE) {
            if (held >= job.patience_ns && job.patience_ns < LAST_PATIENCE_NS) job.patience_ns *= 2;
        } else if (report->status != HP_COMMIT_NO_PTRACE || !report->thread) break;
        uint64_t respite = pause > RESPITE * held ? pause : RESPITE * held;
        if (report->held_ns >= job.hold_ns || hp_now_ns() + respite >= job.deadline_ns) break;
        hp_sleep_ns(respite);
        if (pause < LAST_RETRY_NS) pause *= 2;
    }
    // The deadline may pass inside a later attempt; who kept us is still the one who was busy.
    if (report->status == HP_COMMIT_DEADLINE && busy.status == HP_COMMIT_BUSY) hp_copy(report, &busy, sizeof busy);
    hp_forget_commit();
    restore_priority(before);
    if (job.memory >= 0) HP_SYSCALL1(SYS_close, job.memory);
}

int hp_map_at(uint64_t address, size_t size, hp_write_kind kind) {
    long result = HP_SYSCALL6(
        SYS_mmap, address, size, hp_protection(kind), MAP_PRIVATE | MAP_ANONYMOUS | MAP_FIXED_NOREPLACE, -1, 0);
    if (result < 0) return (int)-result;
    if ((uint64_t)result != address) {  // a kernel before 4.17 takes the address for a hint
        HP_SYSCALL2(SYS_munmap, result, size);
        return EEXIST;
    }
    return 0;
}

// Whether the process may make a file so long: beyond its limit the kernel refuses that with a signal which ends the process (SIGXFSZ).
static bool may_be_so_long(size_t size) {
    struct rlimit64 limit;
    return HP_SYSCALL4(SYS_prlimit64, 0, RLIMIT_FSIZE, 0, &limit) < 0 || size <= limit.rlim_cur;
}

int hp_fill(uint64_t address, const uint8_t *bytes, size_t length, hp_write_kind kind, size_t page_size) {
    hp_commit_options options;
    hp_clear(&options, sizeof options);
    options.page_size = page_size;
    hp_commit_job job;
    hp_clear(&job, sizeof job);
    job.options = &options;
    job.memory = (int)HP_SYSCALL4(SYS_openat, AT_FDCWD, "/proc/self/mem", O_RDWR | O_CLOEXEC, 0);
    hp_copy_item item;
    hp_clear(&item, sizeof item);
    item.address = address;
    item.bytes = bytes;
    item.length = length;
    item.kind = kind;
    int error = EACCES;
    if (job.memory >= 0) {
        job.writer = HP_WRITER_PROC_MEM;
        error = hp_lay_down(&job, &item);
        HP_SYSCALL1(SYS_close, job.memory);
    }
    if (!error) return 0;
    job.writer = HP_WRITER_MPROTECT;
    return hp_lay_down(&job, &item);
}

uint64_t hp_map_ledger(uint64_t address, size_t size, int *error) {
    long file = may_be_so_long(size) ? HP_SYSCALL2(SYS_memfd_create, "hotpatch-ledger", MFD_CLOEXEC) : -EFBIG;
    long result = file;
    if (file >= 0) {
        result = HP_SYSCALL2(SYS_ftruncate, file, size);
        int flags = MAP_PRIVATE | (address ? MAP_FIXED_NOREPLACE : 0);
        if (result == 0) result = HP_SYSCALL6(SYS_mmap, address, size, PROT_READ | PROT_WRITE, flags, file, 0);
        if (result > 0 && address && (uint64_t)result != address) {
            HP_SYSCALL2(SYS_munmap, result, size);
            result = -EEXIST;
        }
        HP_SYSCALL1(SYS_close, file);
    }
    if (result < 0) {
        *error = (int)-result;
        return 0;
    }
    return (uint64_t)result;
}
