// Between park.c, which fills the table and waits for it, and the handler in own_pages.c, which answers in it. Nobody else needs it.
#pragma once

#include <stdint.h>
#include <ucontext.h>

// A parked thread's entry in the table. Its memory is never unmapped: a signal may arrive late, long after its commit gave up.
typedef struct hp_parked {
    int32_t tid;
    uint32_t state;             // epoch << 2 | hp_parked_phase
    ucontext_t *context;        // valid once PARKED
    uint64_t pc;                // where it was, if it was moved; else 0
} hp_parked;

typedef enum hp_parked_phase {
    HP_PHASE_SENT = 0,          // the signal is on its way
    HP_PHASE_ARRIVING = 1,      // the handler runs
    HP_PHASE_PARKED = 2,        // the handler waits; `context` may be read and changed
    HP_PHASE_GONE = 3,          // the handler returns; or the thread has ended, or the commit has given up waiting for it
} hp_parked_phase;

typedef struct hp_parked_table {
    hp_parked *threads;
    uint32_t capacity;
    uint32_t epoch;             // of the commit in progress, 30 bits
    uint32_t arrived;           // futex: the committing thread waits for it to rise
    uint32_t released;          // futex: the last epoch released
} hp_parked_table;

extern hp_parked_table hp_parking_table __attribute__((visibility("hidden")));
