// A process whose heart beats every millisecond, on two threads of real-time priority where that is permitted, and that does
// besides, by kind: nothing; "busy" computes on THREADS threads; "vfork" is in vfork for half a second again and again.
// Answers "harmed 0 longest MICROSECONDS" of the gaps since it was asked last.
#define _GNU_SOURCE
#include "torture.h"

#include <pthread.h>
#include <sched.h>
#include <stdatomic.h>
#include <sys/wait.h>

DEFINE_PRICE

static atomic_long longest;  // microseconds

static void *beats(void *argument) {
    (void)argument;
    struct sched_param priority = {50};
    pthread_setschedparam(pthread_self(), SCHED_FIFO, &priority);
    for (double last = now();;) {
        usleep(1000);
        double time = now();
        long gap = (long)((time - last) * 1e6), known = longest;
        last = time;
        while (gap > known && !atomic_compare_exchange_weak(&longest, &known, gap)) {}
    }
    return 0;
}

static void *computes(void *argument) {
    (void)argument;
    for (;;)
        if (!is_price(price(2))) abort();
    return 0;
}

static void *vforks(void *argument) {
    (void)argument;
    for (;; usleep(200000)) {
        pid_t child = vfork();
        if (child == 0) {
            struct timespec time = {0, 500000000};
            nanosleep(&time, 0);
            _exit(0);
        }
        waitpid(child, 0, 0);
    }
    return 0;
}

int main(int count, char **arguments) {
    pthread_t thread;
    for (int i = 0; i < 2; i++) pthread_create(&thread, 0, beats, 0);
    if (count > 1 && arguments[1][0] == 'v') pthread_create(&thread, 0, vforks, 0);
    for (int i = 0; count > 2 && arguments[1][0] == 'b' && i < atoi(arguments[2]); i++)
        pthread_create(&thread, 0, computes, 0);
    answer("ready");
    while (asked()) {
        char text[64];
        snprintf(text, sizeof text, "harmed 0 longest %ld", atomic_exchange(&longest, 0));
        answer(text);
    }
    return 0;
}
