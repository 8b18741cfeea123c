// The commit in this process: choose how to hold the threads and how to write, then hold, check, write, release.

#include "commit.h"

#include <linux/memfd.h>
#include <sched.h>
#include <sys/mman.h>

#ifndef MAP_FIXED_NOREPLACE
#define MAP_FIXED_NOREPLACE 0x100000
#endif

enum { FIFO_PRIORITY = 10, FIRST_RETRY_NS = 200000, LAST_RETRY_NS = 20000000, FIRST_HOLD_NS = 50000000 };

typedef struct scheduling {
    int policy;      // negative: unchanged
    int priority;
} scheduling;

// With normal priority the threads just released run before the rest are; restored by `put_back`.
static scheduling hurry(void) {
    scheduling before = {-1, 0}, fifo = {0, FIFO_PRIORITY};
    int policy = (int)HP_SYSCALL1(SYS_sched_getscheduler, 0);
    if (policy != SCHED_OTHER) return before;
    if (HP_SYSCALL3(SYS_sched_setscheduler, 0, SCHED_FIFO, &fifo.priority) == 0) before.policy = policy;
    return before;
}

static void put_back(scheduling before) {
    if (before.policy >= 0) HP_SYSCALL3(SYS_sched_setscheduler, 0, before.policy, &before.priority);
}

static hp_commit_status attempt(hp_commit_job *job) {
    uint32_t parking = job->options->parking;
    if (parking == HP_PARKING_PTRACE) return hp_commit_traced(job);
    hp_commit_status status = hp_commit_parked(job);
    if (status == HP_COMMIT_NO_SIGNAL && parking == HP_PARKING_AUTOMATIC) return hp_commit_traced(job);
    return status;
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
    report->writer = job.writer;
    if (job.writer == HP_WRITER_PROC_MEM && job.memory < 0) {
        hp_fail(&job, HP_COMMIT_SYSTEM, 0, 0, -job.memory);
        return;
    }
    if (job.writer == HP_WRITER_MPROTECT) hp_learn_guards(&job);
    scheduling before = hurry();
    hp_commit_report busy;
    hp_clear(&busy, sizeof busy);
    job.hold_ns = FIRST_HOLD_NS;
    for (uint64_t pause = FIRST_RETRY_NS;;) {
        report->status = HP_COMMIT_DONE;
        report->error = 0;
        report->status = attempt(&job);
        if (report->status == HP_COMMIT_ROLLED_BACK && options->writer == HP_WRITER_AUTOMATIC
            && job.writer == HP_WRITER_PROC_MEM) {
            job.writer = report->writer = HP_WRITER_MPROTECT;  // a kernel that forbids writing text through /proc
            hp_learn_guards(&job);
            continue;
        }
        // A signal handler that interrupted an entry will leave it. A thread that could not be held, in vfork say, must not
        // keep all others waiting until the deadline: they run on between attempts, which grow.
        if (report->status == HP_COMMIT_BUSY) hp_copy(&busy, report, sizeof busy);
        else if (report->status == HP_COMMIT_DEADLINE) job.hold_ns *= 2;
        else break;
        if (hp_now_ns() + pause >= job.deadline_ns) break;
        hp_sleep_ns(pause);
        if (pause < LAST_RETRY_NS) pause *= 2;
    }
    // The deadline may pass inside a later attempt; who kept us is still the one who was busy.
    if (report->status == HP_COMMIT_DEADLINE && busy.status == HP_COMMIT_BUSY) hp_copy(report, &busy, sizeof busy);
    put_back(before);
    if (job.memory >= 0) HP_SYSCALL1(SYS_close, job.memory);
}

int hp_map_at(uint64_t address, size_t size, bool executable) {
    long result = HP_SYSCALL6(
        SYS_mmap, address, size, executable ? PROT_READ | PROT_EXEC : PROT_READ | PROT_WRITE,
        MAP_PRIVATE | MAP_ANONYMOUS | MAP_FIXED_NOREPLACE, -1, 0);
    if (result < 0) return (int)-result;
    if ((uint64_t)result != address) {  // a kernel before 4.17 takes the address for a hint
        HP_SYSCALL2(SYS_munmap, result, size);
        return EEXIST;
    }
    return 0;
}

uint64_t hp_map_ledger(uint64_t address, size_t size, int *error) {
    long file = HP_SYSCALL2(SYS_memfd_create, "hotpatch-ledger", MFD_CLOEXEC);
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
