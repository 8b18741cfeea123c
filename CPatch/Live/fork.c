// fork(2) copies one thread, and the locks of all. A thread that patches holds some at most times: of the Swift runtime, which makes
// types as they are needed, of the dynamic linker (dl_iterate_phdr; glibc does not reset that one), of this library. A child that was
// forked then could not patch: it would wait for good for a thread that it does not have. So a fork waits for the operation under
// way; not for ever, lest a lock that the operation waits for be the forking thread's.

#include <pthread.h>
#include <sys/syscall.h>
#include <time.h>
#include <unistd.h>

#include "cpatch.h"

enum { LONGEST_WAIT = 2 };  // seconds

static pthread_mutex_t operation = PTHREAD_RECURSIVE_MUTEX_INITIALIZER_NP;
static pthread_once_t once = PTHREAD_ONCE_INIT;
static _Thread_local bool is_held;  // by a thread that forks

static void before_fork(void) {
    struct timespec deadline = {0, 0};
    syscall(SYS_clock_gettime, CLOCK_REALTIME, &deadline);
    deadline.tv_sec += LONGEST_WAIT;
    is_held = pthread_mutex_timedlock(&operation, &deadline) == 0;
}

static void in_parent(void) {
    if (is_held) pthread_mutex_unlock(&operation);
    is_held = false;
}

static void in_child(void) {
    operation = (pthread_mutex_t)PTHREAD_RECURSIVE_MUTEX_INITIALIZER_NP;
    is_held = false;
}

static void attend_forks(void) { pthread_atfork(before_fork, in_parent, in_child); }

void hp_begin_operation(void) {
    pthread_once(&once, attend_forks);
    pthread_mutex_lock(&operation);
}

void hp_end_operation(void) { pthread_mutex_unlock(&operation); }
