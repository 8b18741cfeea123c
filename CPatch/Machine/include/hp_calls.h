// System calls by number: their names, and what is known of them.
#pragma once

#include <stdbool.h>

#ifdef __cplusplus
extern "C" {
#endif

// The name of a system call, or null.
const char *hp_call_name(long number);

// Whether a system call waits for another process, a device or a signal, and for no lock of its own: not futex, and nothing that
// maps memory or opens files.
bool hp_call_only_waits(long number);

// Whether a system call starts a process or a thread: in vfork it cannot be interrupted.
bool hp_call_starts_process(long number);

#ifdef __cplusplus
}
#endif
