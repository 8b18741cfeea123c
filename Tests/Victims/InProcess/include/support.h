// What the scenarios need and Swift cannot say.
#pragma once

#include <stdint.h>

#ifdef __cplusplus
extern "C" {
#endif

long victim_load(const long *word);
void victim_store(long *word, long value);
void victim_fetch_add(long *word, long amount);
int victim_gettid(void);
int victim_fork(void);
int victim_trace(int tid);
int victim_system(const char *command);
// Makes the machine run what was written there; nothing to do on x86_64.
void victim_flush_code(const void *code, long length);
// getauxval(3), memfd_create(2).
unsigned long victim_auxiliary(unsigned long type);
int victim_memory_file(void);
// In a vfork child, which holds its parent's thread, for so long.
void victim_vfork_sleep(int seconds);
// The same until the word is not zero, for two minutes at most.
void victim_vfork_until(const intptr_t *word);

// Calls that a signal ends early, by number, from 0.
int victim_calls_that_wait(void);
const char *victim_name_of_wait(int number);
// Whether a stop ends it too, where nothing can be mended (arm64).
int victim_stop_ends(int number);
// Makes the call, for so long, or until victim_end_waits; returns 1 where it ended early, and 0 where it did not or cannot be made
// here.
int victim_wait_in(int number, int milliseconds);
void victim_end_waits(void);
// Stops a thread of this process by another one that traces it; returns that process, 0 where it may not.
int victim_trace_and_stop(int tid);
// Waits for good, on a stack that ends where the pages are missing which another thread brings (userfaultfd(2)). Says 1 once that is so, or
// -1 where it is not permitted.
void victim_wait_below_missing_pages(long *is_there);
// Sends its own thread signals until the word is set; returns how many have not arrived.
long victim_lose_signals(const long *stop);

// Replacements that count and call the original, for functions of up to seven integer arguments.
const void *victim_passthrough(int slot);
const void **victim_original(int slot);
long victim_passed(int slot);

// 1, in pages that hold nothing else.
int victim_guarded(void);
// Has its pages guarded: an indirect branch may land at a `bti` only. Nonzero where the processor can.
int victim_guard(void);
// Whether a child process that branches to the second instruction of victim_guarded is killed for it.
int victim_guard_holds(void);

// a + b, in an entry of short instructions.
int victim_stepped(int a, int b);
// Calls victim_stepped(30, 3) and stops in a signal handler after so many of its instructions, until released.
int victim_step_into(int instructions);
int victim_step_waiting(void);
// Where in victim_stepped it stopped, in bytes from its entry.
int victim_step_offset(void);
void victim_step_release(void);

// Whether the routines for thread-locals of linked objects do what they say: 0, or the line of thread_locals.c that found otherwise.
int victim_check_thread_locals(void);

#ifdef __cplusplus
}
#endif
