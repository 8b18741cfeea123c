// Waits that a stop ends, and how they go on.
#pragma once

#include "hp_registers.h"

#ifdef __cplusplus
extern "C" {
#endif

// How long a call waits that can be mended, and where it says so.
typedef enum hp_timeout_kind {
    HP_TIMEOUT_NONE = 0,          // for ever, or that is not known
    HP_TIMEOUT_MILLISECONDS = 1,
    HP_TIMEOUT_TIMESPEC = 2,      // the value is the address of a struct timespec
    HP_TIMEOUT_SOCKET = 3,        // the value is a descriptor that knows
} hp_timeout_kind;

typedef struct hp_timeout {
    hp_timeout_kind kind;
    uint64_t value;
} hp_timeout;

hp_timeout hp_call_timeout(const hp_registers *registers);

// In milliseconds, rounded up; 0 for none. The socket is one of the calling process.
uint64_t hp_timespec_ms(const int64_t timespec[2]);
uint64_t hp_socket_timeout_ms(uint64_t descriptor);

// Undoes that a stop has made a call fail: it is entered again or, where that was done before and so much time has passed since, it
// returns as after its timeout. False where there is nothing to undo, or where that cannot be done. `timeout_ms`: 0 where it has none,
// or it is not known. `is_inside`: the thread is one of the calling process.
bool hp_mend(hp_registers *registers, uint64_t timeout_ms, bool is_inside);

#ifdef __cplusplus
}
#endif
