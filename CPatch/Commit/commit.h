// Between the files of the local commit: what a commit in progress knows, and who does which part of it.
#pragma once

#include "cpatch.h"
#include "hp_system_calls.h"

#include <sys/mman.h>

// One commit in progress. Lives on the committing thread's stack; the helper sees it because it shares the memory.
typedef struct hp_commit_job {
    const hp_commit_block *block;
    const hp_commit_options *options;
    hp_commit_report *report;
    uint64_t deadline_ns;
    uint64_t hold_ns;           // for which threads are held at most, all attempts together
    uint64_t patience_ns;       // for which threads are held in vain: without another one that lets itself be held
    uint64_t hold_end_ns;       // when this attempt ends at the latest
    int32_t starting;           // a thread that was in vfork at the last look, or 0
    int32_t pid;
    int32_t caller;             // the committing thread, which is never parked
    int memory;                 // /proc/self/mem, or -1
    uint32_t writer;            // HP_WRITER_PROC_MEM or HP_WRITER_MPROTECT
    uint64_t lowest_hazard;
    uint64_t highest_hazard;
    uint64_t pause_began_ns;    // of this attempt; 0 while nobody is disturbed
    uint64_t open_signals;      // that the committing thread does not block, for nobody handles them
} hp_commit_job;

// Whether a thread is to be held.
HP_INLINE bool hp_is_to_be_held(const hp_commit_job *job, int32_t tid) {
    return tid != job->caller && tid != job->options->ignored_thread;
}

HP_INLINE hp_commit_status hp_fail(
    hp_commit_job *job, hp_commit_status status, int32_t thread, uint64_t address, int error) {
    job->report->status = status;
    job->report->thread = thread;
    job->report->address = address;
    job->report->error = error;
    return status;
}

// The protection of a page of this kind whenever threads run.
HP_INLINE long hp_protection(hp_write_kind kind) {
    return kind == HP_WRITE_TEXT ? PROT_READ | PROT_EXEC : kind == HP_WRITE_DATA ? PROT_READ | PROT_WRITE : PROT_READ;
}

// Around what one attempt holds threads for.
HP_INLINE void hp_begin_hold(hp_commit_job *job) {
    uint64_t now = hp_now_ns(), held = job->report->held_ns;
    uint64_t end = now + (held < job->hold_ns ? job->hold_ns - held : 0);
    job->pause_began_ns = now;
    job->hold_end_ns = end < job->deadline_ns ? end : job->deadline_ns;
}
HP_INLINE void hp_end_hold(hp_commit_job *job) {
    if (!job->pause_began_ns) return;
    uint64_t pause = hp_now_ns() - job->pause_began_ns;
    job->pause_began_ns = 0;
    job->report->holds++;
    job->report->held_ns += pause;
    if (pause > job->report->pause_ns) job->report->pause_ns = pause;
}

// Gives the calling thread a real-time priority: with a normal one, threads just released run before the rest are released.
HP_INLINE bool hp_raise_priority(void) {
    int priority = 10;
    return HP_SYSCALL3(SYS_sched_setscheduler, 0, 1 /* SCHED_FIFO */, &priority) == 0;
}

// When to give up unless another thread is held by then.
HP_INLINE uint64_t hp_patience_end(const hp_commit_job *job) {
    uint64_t end = hp_now_ns() + job->patience_ns;
    return end < job->hold_end_ns ? end : job->hold_end_ns;
}

// look.c: what the threads wait in, before any is disturbed.
typedef struct hp_view {
    bool is_better_traced;   // one is in a call that a signal would end early, for good, and a stop would not
    bool is_running;         // one is in no call
    int32_t starting;        // one that is in vfork, and cannot be held before it is through; else 0
} hp_view;
hp_commit_status hp_look(hp_commit_job *job, hp_view *view);

// look.c: the signals that the committing thread blocks meanwhile, and whether a handler for another one has been installed since.
uint64_t hp_block_signals(hp_commit_job *job);
void hp_unblock_signals(uint64_t before);
bool hp_is_open_signal_handled(const hp_commit_job *job, int directory);

// commit.c: in a child that was forked meanwhile, no commit is under way.
void hp_forget_commit(void);

// own_pages.c: what runs while text may be non-executable.
int hp_lay_down(const hp_commit_job *job, const hp_copy_item *item);
bool hp_lay_down_copies(hp_commit_job *job);
bool hp_perform_writes(hp_commit_job *job);
void hp_await_helper(long pid, uint64_t end_ns);
void hp_park_handler(int number, siginfo_t *info, void *context);
#if defined(__x86_64__)
void hp_park_restorer(void);
#endif

// check.c: reads only.
long hp_read_memory(const hp_commit_job *job, uint64_t address, void *buffer, size_t length);
bool hp_is_behind_call(const hp_commit_job *job, uint64_t pc);
void hp_learn_guards(hp_commit_job *job);
hp_commit_status hp_check_expected(hp_commit_job *job);
hp_commit_status hp_check_stack(hp_commit_job *job, int32_t thread, uint64_t sp);

// search.c: for what leads into code, before anybody is held, and in all memory while all are.
hp_commit_status hp_search_first(hp_commit_job *job);
hp_commit_status hp_search_held(hp_commit_job *job);

// fork.c: where the operation under way begins on its thread's stack; 0 where that is not known.
uint64_t hp_operation_stack(void);

// park.c and trace.c: hold every other thread, check, write, release.
hp_commit_status hp_commit_parked(hp_commit_job *job);
hp_commit_status hp_commit_traced(hp_commit_job *job);
