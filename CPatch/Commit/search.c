// The search for what leads into code that a commit is to take out of use. It is made twice: while the process runs, which finds most of
// what does, so that nobody is held in vain; and while all other threads are held. What is found once to be led to by nothing stays so.
//
// The registers of threads that are parked lie in the frames of the signal, on their stacks, where they are found like all else. The
// patcher's own words lead there too. Not counted are those in the memory that the search is given, and on the part of its stack that no
// program has: from where the operation began (hp_operate) down to what the search itself has written over.

#include "commit.h"

enum {
    // Bytes of the stack below a commit. Whoever has planned one has used more of it.
    COVERED = 32 * 1024,
    FIRST_NS = 500000000,
};

typedef struct limit {
    uint64_t end_ns;
} limit;

static bool is_over(void *context) { return hp_now_ns() >= ((const limit *)context)->end_ns; }

// Writes over what former calls have left there.
__attribute__((noinline)) static void cover(void) {
    volatile uint64_t words[COVERED / sizeof(uint64_t)];
    for (size_t i = 0; i < COVERED / sizeof *words; i++) words[i] = 0;
}

static hp_search_result search_until(hp_search *search, uint64_t end_ns) {
    limit limit;
    limit.end_ns = end_ns;
    search->is_over = is_over;
    search->context = &limit;
    return hp_search_memory(search);
}

hp_search_result hp_search_own_memory(hp_search *search, uint64_t end_ns) {
    if (search->memory < 0) return HP_SEARCH_NO_MEMORY;
    uint64_t top = (uint64_t)(uintptr_t)__builtin_frame_address(0), began = hp_operation_stack();
    search->signature = hp_own_signature_bits();
    search->own[HP_OWN_STACK].start = top - COVERED;
    search->own[HP_OWN_STACK].end = began > top ? began : top;
    cover();
    hp_begin_search(search);
    search->is_held = false;
    return search_until(search, end_ns);
}

static hp_commit_status answer(hp_commit_job *job, hp_search_result result) {
    const hp_search *search = job->options->search;
    if (result != HP_SEARCH_DONE) return hp_fail(job, HP_COMMIT_UNSEARCHED, 0, search->place, (int)result);
    return search->found_count ? hp_fail(job, HP_COMMIT_REACHED, 0, 0, 0) : HP_COMMIT_DONE;
}

hp_commit_status hp_search_first(hp_commit_job *job) {
    hp_search *wanted = job->options->search;
    if (!wanted) return HP_COMMIT_DONE;
    uint64_t now = hp_now_ns(), end = now + FIRST_NS;
    hp_commit_status status = answer(job, hp_search_own_memory(wanted, end < job->deadline_ns ? end : job->deadline_ns));
    // Threads are not held for what is known to take too long.
    if (status == HP_COMMIT_DONE && hp_now_ns() - now >= job->options->search_ns)
        return hp_fail(job, HP_COMMIT_UNSEARCHED, 0, 0, HP_SEARCH_OVER);
    return status;
}

hp_commit_status hp_search_held(hp_commit_job *job) {
    if (!job->options->search) return HP_COMMIT_DONE;
    job->options->search->is_held = true;
    uint64_t end = job->pause_began_ns + job->options->search_ns;
    return answer(job, search_until(job->options->search, end < job->hold_end_ns ? end : job->hold_end_ns));
}
