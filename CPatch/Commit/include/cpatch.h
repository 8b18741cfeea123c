// CPatch: the half of the patcher that has effects. In this process: park every thread, check, write, release, as one
// call. The ptrace shims for another process are in the Agent's hp_ptrace.h.
#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "cpatch_core.h"
#include "hp_search.h"

#ifdef __cplusplus
extern "C" {
#endif

// How text is written.
typedef enum hp_writer {
    HP_WRITER_AUTOMATIC = 0,  // /proc/self/mem; mprotect where the kernel forbids that
    HP_WRITER_PROC_MEM = 1,   // pwrite to /proc/self/mem, which writes r-x pages and never makes them non-executable
    HP_WRITER_MPROTECT = 2,   // RX → RW → RX by runs of pages; needs every sharer of the memory parked
} hp_writer;

// Bytes that a report shows of a write that does not find what it expects.
enum { HP_FOUND_CAPACITY = 16 };

// How the other threads are held.
typedef enum hp_parking {
    HP_PARKING_AUTOMATIC = 0,  // signal; ptrace where a thread blocks the signal, or waits in a call that it would end early
    HP_PARKING_SIGNAL = 1,     // a real-time signal whose handler waits
    HP_PARKING_PTRACE = 2,     // a helper that shares the memory and traces every other thread
} hp_parking;

typedef enum hp_commit_status {
    HP_COMMIT_DONE = 0,
    // Nothing was written:
    HP_COMMIT_MISMATCH = 1,       // the write at `address` does not find its expected bytes; `found` are there, `offset` bytes on
    HP_COMMIT_DEADLINE = 2,       // `thread` was not held in time
    HP_COMMIT_BUSY = 3,           // `thread` has `address`, inside an entry to be overwritten, on its stack: in a signal handler, say
    HP_COMMIT_NO_SIGNAL = 4,      // no real-time signal is free, and tracing was not allowed or failed with `error`
    HP_COMMIT_NO_PTRACE = 5,      // the helper could not trace `thread`: `error`
    HP_COMMIT_SYSTEM = 6,         // a system call the commit needs failed with `error`
    HP_COMMIT_REACHED = 9,        // something leads into code that nothing is to lead into: `search` says what
    HP_COMMIT_UNSEARCHED = 10,    // that cannot be told: `error` is a hp_search_result, of the memory at `address`
    // Something was written:
    HP_COMMIT_ROLLED_BACK = 7,    // the write at `address` failed with `error`; all before it were undone
    HP_COMMIT_INCONSISTENT = 8,   // … and undoing the one at `address` failed too
} hp_commit_status;

// Memory of whoever searches this process.
enum {
    HP_OWN_BLOCK = 0,             // what the search is given, as far as it is memory
    HP_OWN_STACK = 1,
    HP_OWN_HELPER = 2,            // the stack of the helper that traces
};

typedef struct hp_commit_options {
    uint64_t timeout_ns;          // for the whole call
    uint64_t hold_ns;             // for which threads are held at most, all attempts together; 0 for one second
    uint32_t writer;              // hp_writer
    uint32_t parking;             // hp_parking
    size_t page_size;
    // Words of this process that hold the committing thread's id for as long as the commit may write, and 0 otherwise; 0 for none.
    uint64_t underway[2];
    hp_search *search;            // for what nothing is to lead into when this is committed; null for nothing. Its signature and
                                  // own[HP_OWN_STACK …] are filled
    uint64_t search_ns;           // for which threads may be held to search
    int32_t ignored_thread;       // one that runs none of the code to be patched, and cannot be held; 0 for none
} hp_commit_options;

typedef struct hp_commit_report {
    uint32_t status;              // hp_commit_status
    int32_t error;                // errno, 0 if none
    int32_t thread;               // the thread to blame, 0 if none
    uint32_t parking;             // hp_parking used
    uint32_t writer;              // hp_writer used
    uint32_t held_threads;        // threads parked or stopped, without the caller
    uint32_t moved_threads;       // threads whose PC was moved
    uint32_t restarted_calls;     // system calls that would have failed with EINTR and were restarted, or whose timeouts had passed
    uint32_t interrupted_calls;   // system calls of held threads that have failed with EINTR: the signal ends those that signal(7)
                                  // names, a stop on arm64 those that it names for one
    uint64_t address;
    uint32_t offset;              // of what differs first, a multiple of HP_FOUND_CAPACITY
    uint8_t found[HP_FOUND_CAPACITY];
    uint32_t holds;               // attempts in which threads were held
    uint64_t pause_ns;            // from the first thread disturbed to the last released, the longest of them
    uint64_t held_ns;             // all of them together
} hp_commit_report;

// Commits the block in this process: holds every other thread, checks and moves their PCs, compares the expected bytes,
// copies, writes in order, synchronises the cores, releases. Finishes whole or leaves everything as it was.
// Uses raw system calls and its own copy loop: any function of libc may be among the patched.
// One commit at a time: the caller serialises.
void hp_commit(const hp_commit_block *block, const hp_commit_options *options, hp_commit_report *report);

// Searches the memory of this process while it runs, inside an operation (hp_operate). The search is given what it needs; its signature
// and own[HP_OWN_STACK] are filled. Ends at a time of the monotonic clock, in nanoseconds.
hp_search_result hp_search_own_memory(hp_search *search, uint64_t end_ns);

// Maps `size` bytes exactly at `address` (MAP_FIXED_NOREPLACE), private and anonymous. Returns 0 or an errno
// (EEXIST: something is there already). The protection is that of the kind of page, from the first moment.
int hp_map_at(uint64_t address, size_t size, hp_write_kind kind);

// Writes into memory that no thread uses yet, and whose protection stays what it is. Returns 0 or an errno.
int hp_fill(uint64_t address, const uint8_t *bytes, size_t length, hp_write_kind kind, size_t page_size);

// Maps a private, read-write memfd called `hotpatch-ledger`, exactly at `address` (MAP_FIXED_NOREPLACE), or anywhere where
// that is 0. Returns its address, or 0 and an errno in *error (EEXIST: something is there already).
uint64_t hp_map_ledger(uint64_t address, size_t size, int *error);

// Whether `address` lies in the code that runs while text is being written.
bool hp_is_own_code(uint64_t address);

// Runs an operation of this process: one at a time, and fork(2) waits for it, two seconds at most. What lies on the stack below this
// call is the patcher's; what the program has had in registers lies above.
void hp_operate(void (*body)(void *), void *context);

// The same around one that does not search memory.
void hp_begin_operation(void);
void hp_end_operation(void);

#ifdef __cplusplus
}
#endif
