// Two threads that copy, move and compare without pause, through every name that the C library has for it: some of its functions
// jump into the middle of others. Answers "harmed N of N".
#define _GNU_SOURCE
#include "torture.h"

#include <pthread.h>
#include <stdatomic.h>

DEFINE_PRICE

static atomic_long rounds, harmed;
enum { SIZE = 1024 };

static void *copies(void *argument) {
    unsigned seed = (unsigned)(size_t)argument;
    // Through pointers: the compiler knows what these functions do.
    void *(*volatile copy)(void *, const void *, size_t) = memcpy;
    void *(*volatile copy_end)(void *, const void *, size_t) = mempcpy;
    void *(*volatile move)(void *, const void *, size_t) = memmove;
    void *(*volatile set)(void *, int, size_t) = memset;
    char from[SIZE], to[SIZE];
    for (;; rounds++) {
        size_t size = rand_r(&seed) % SIZE;
        char byte = (char)rand_r(&seed);
        set(from, byte, SIZE);
        set(to, ~byte, SIZE);
        if (copy(to, from, size) != to || memcmp(to, from, size)) harmed++;
        if (copy_end(to, from, size) != to + size) harmed++;
        if (size && move(to, to + 1, size - 1) != to) harmed++;
    }
    return 0;
}

int main(void) {
    pthread_t thread;
    for (size_t i = 0; i < 2; i++) pthread_create(&thread, 0, copies, (void *)(i + 1));
    CONVERSE(rounds, harmed)
    return 0;
}
