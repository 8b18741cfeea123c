// What programs do to their threads and stacks, by kind:
//   threads     two threads that create and join threads without pause
//   coroutines  stacks of swapcontext(3), entered and left inside the function that is patched around
//   processes   vfork and exec, fork and exit
// Answers "harmed N of N".
#define _GNU_SOURCE
#include "torture.h"

#include <pthread.h>
#include <stdatomic.h>
#include <sys/wait.h>
#include <ucontext.h>

DEFINE_PRICE

static atomic_long rounds, harmed;

static void *asks(void *argument) {
    (void)argument;
    for (int i = 0; i < 20; i++)
        if (!is_price(price(2))) harmed++;
    return 0;
}

static void *creates(void *argument) {
    (void)argument;
    for (;; rounds++) {
        pthread_t threads[4];
        for (int i = 0; i < 4; i++)
            if (pthread_create(&threads[i], 0, asks, 0) != 0) abort();
        for (int i = 0; i < 4; i++) pthread_join(threads[i], 0);
    }
    return 0;
}

enum { ROUTINES = 8, STACK = 64 << 10 };
static _Thread_local ucontext_t home, routines[ROUTINES];
static _Thread_local int current;

static void routine(void) {
    for (volatile long kept = 0;; kept += price(2)) {
        if (kept < 0) harmed++;
        int self = current;
        swapcontext(&routines[self], &home);
        if (self != current) harmed++;
    }
}

static void *switches(void *argument) {
    (void)argument;
    for (int i = 0; i < ROUTINES; i++) {
        getcontext(&routines[i]);
        routines[i].uc_stack.ss_sp = malloc(STACK);
        routines[i].uc_stack.ss_size = STACK;
        makecontext(&routines[i], routine, 0);
    }
    for (;; rounds++) {
        for (current = 0; current < ROUTINES; current++) swapcontext(&home, &routines[current]);
        if (!is_price(price(2))) harmed++;
    }
    return 0;
}

static void *starts(void *argument) {
    (void)argument;
    for (;; rounds++) {
        pid_t child = rounds % 2 ? fork() : vfork();
        if (child == 0) {
            if (!is_price(price(2))) _exit(1);
            _exit(7);
        }
        int status = 0;
        if (waitpid(child, &status, 0) != child || !WIFEXITED(status) || WEXITSTATUS(status) != 7) harmed++;
        usleep(500);
    }
    return 0;
}

int main(int count, char **arguments) {
    if (count < 2) return 64;
    void *(*body)(void *) = arguments[1][0] == 't' ? creates : arguments[1][0] == 'c' ? switches : starts;
    pthread_t thread;
    for (int i = 0; i < 2; i++) pthread_create(&thread, 0, body, 0);
    CONVERSE(rounds, harmed)
    return 0;
}
