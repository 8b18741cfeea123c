// Between the files of the local commit: what a commit in progress knows, and who does which part of it.
#pragma once

#include "cpatch.h"
#include "raw.h"

// One commit in progress. Lives on the committing thread's stack; the helper sees it because it shares the memory.
typedef struct hp_commit_job {
    const hp_commit_block *block;
    const hp_commit_options *options;
    hp_commit_report *report;
    uint64_t deadline_ns;
    uint64_t hold_ns;           // for which one attempt may keep threads waiting for the last of them
    int32_t pid;
    int32_t caller;             // the committing thread, which is never parked
    int memory;                 // /proc/self/mem, or -1
    uint32_t writer;            // HP_WRITER_PROC_MEM or HP_WRITER_MPROTECT
    uint64_t lowest_hazard;
    uint64_t highest_hazard;
    uint64_t pause_began_ns;    // 0 until the first thread is disturbed
} hp_commit_job;

// Whether a thread, or what the name of a directory of threads stands for, is one to hold.
HP_INLINE bool hp_is_to_be_held(const hp_commit_job *job, int32_t tid) {
    return tid > 0 && tid != job->caller && tid != job->options->ignored_thread;
}

HP_INLINE hp_commit_status hp_fail(
    hp_commit_job *job, hp_commit_status status, int32_t thread, uint64_t address, int error) {
    job->report->status = status;
    job->report->thread = thread;
    job->report->address = address;
    job->report->error = error;
    return status;
}

// When the attempt that begins now gives up on threads that are not held.
HP_INLINE uint64_t hp_hold_deadline(const hp_commit_job *job) {
    uint64_t limit = hp_now_ns() + job->hold_ns;
    return limit < job->deadline_ns ? limit : job->deadline_ns;
}

// own_pages.c: what runs while text may be non-executable.
bool hp_lay_down_copies(hp_commit_job *job);
bool hp_perform_writes(hp_commit_job *job);
void hp_await_helper(const hp_commit_job *job, long pid);
void hp_park_handler(int number, siginfo_t *info, void *context);
#if defined(__x86_64__)
void hp_park_restorer(void);
#endif

// check.c: reads only.
long hp_read_memory(const hp_commit_job *job, uint64_t address, void *buffer, size_t length);
void hp_learn_guards(hp_commit_job *job);
hp_commit_status hp_check_expected(hp_commit_job *job);
hp_commit_status hp_check_stack(hp_commit_job *job, int32_t thread, uint64_t sp);

// park.c and trace.c: hold every other thread, check, write, release.
hp_commit_status hp_commit_parked(hp_commit_job *job);
hp_commit_status hp_commit_traced(hp_commit_job *job);

// A parked thread's entry in the lot. Its memory is never unmapped: a signal may arrive late, long after its commit gave up.
typedef struct hp_parked {
    int32_t tid;
    uint32_t state;             // generation << 2 | hp_parked_phase
    ucontext_t *context;        // valid once PARKED
    uint64_t pc;                // where it was, if it was moved; else 0
} hp_parked;

typedef enum hp_parked_phase {
    HP_PHASE_SENT = 0,          // the signal is on its way
    HP_PHASE_ARRIVING = 1,      // the handler runs
    HP_PHASE_PARKED = 2,        // the handler waits; `context` may be read and changed
    HP_PHASE_GONE = 3,          // the handler returns; or the thread has ended, or the commit has given up waiting for it
} hp_parked_phase;

typedef struct hp_lot {
    hp_parked *threads;
    uint32_t capacity;
    uint32_t generation;        // of the commit in progress, 30 bits
    uint32_t arrived;           // futex: the committing thread waits for it to rise
    uint32_t released;          // futex: the last generation released
} hp_lot;

extern hp_lot hp_parking_lot __attribute__((visibility("hidden")));
