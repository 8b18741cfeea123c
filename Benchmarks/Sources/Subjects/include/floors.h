#pragma once

#include <stdint.h>
#include <sys/types.h>

// What it takes at least to hold all threads of a process and to see where they are, in nanoseconds: from before the first is disturbed
// until all are let go. -errno where it cannot be done.

// By ptrace(2) from outside: seize, interrupt, wait, read the registers, detach.
int64_t floor_of_tracing(pid_t process);

// The same for the process that calls, all threads but the calling one: by a child of its own.
int64_t floor_of_own_tracing(void);

// By a signal to each of the other threads of this process, whose handler says that it is there, and waits.
int64_t floor_of_signals(void);

// Starts a thread that is blocked for good: in pause(2), which a signal ends, or in a wait for a futex, which goes on after one.
int start_blocked_thread(int in_futex);
