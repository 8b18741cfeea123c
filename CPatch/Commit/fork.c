// fork(2) copies one thread, and the locks of all. A thread that patches holds some at most times: of the Swift runtime, which makes
// types as they are needed, of the dynamic linker (dl_iterate_phdr; glibc does not reset that one), of this library. A child that was
// forked then could not patch: it would wait for good for a thread that it does not have. So a fork waits for the operation under
// way; not for ever, lest a lock that the operation waits for be the forking thread's.
//
// A lock of its own, for pthread_mutex_lock may be patched: futex(2), as in "Futexes Are Tricky" (Drepper), mutex 2.

#include <pthread.h>
#include <stdatomic.h>
#include <sys/syscall.h>

#include "commit.h"

enum { LONGEST_WAIT = 2 };  // seconds, of a fork

enum { FREE, HELD, AWAITED };
static _Atomic uint32_t operation;
static atomic_bool is_attending;
static _Thread_local bool is_held;  // by a thread that forks

// Returns whether it was had before `deadline`, which is 0 for none.
static bool hold(uint64_t deadline) {
    uint32_t found = FREE;
    if (atomic_compare_exchange_strong(&operation, &found, HELD)) return true;
    while (atomic_exchange(&operation, AWAITED) != FREE) {
        struct timespec left = {1, 0};
        if (deadline != 0) {
            uint64_t time = hp_now_ns();
            if (time >= deadline) return false;
            left.tv_sec = (time_t)((deadline - time) / 1000000000u);
            left.tv_nsec = (long)((deadline - time) % 1000000000u);
        }
        HP_SYSCALL4(SYS_futex, &operation, FUTEX_WAIT_PRIVATE, AWAITED, &left);
    }
    return true;
}

static void release(void) {
    if (atomic_exchange(&operation, FREE) == AWAITED) HP_SYSCALL3(SYS_futex, &operation, FUTEX_WAKE_PRIVATE, 1);
}

static void before_fork(void) { is_held = hold(hp_now_ns() + LONGEST_WAIT * UINT64_C(1000000000)); }

static void in_parent(void) {
    if (is_held) release();
    is_held = false;
}

static void in_child(void) {
    atomic_store(&operation, FREE);
    is_held = false;
    hp_forget_commit();
}

void hp_begin_operation(void) {
    // Late: the last to be registered runs first, so that a fork waits here before other handlers hold anything.
    if (!atomic_load(&is_attending) && !atomic_exchange(&is_attending, true))
        pthread_atfork(before_fork, in_parent, in_child);
    hold(0);
}

void hp_end_operation(void) { release(); }

// Where on the stack the operation under way began.
static uint64_t operation_stack;

uint64_t hp_operation_stack(void) { return operation_stack; }

__attribute__((noinline)) void hp_operate(void (*body)(void *), void *context) {
    // All registers that a function gives back as it found them are saved in this frame.
    __builtin_unwind_init();
    hp_begin_operation();
    operation_stack = hp_machine_stack();
    body(context);
    operation_stack = 0;
    hp_end_operation();
}
