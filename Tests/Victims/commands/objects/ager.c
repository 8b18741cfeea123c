// Calls what aging.c has, keeps where it was called from on the heap, and has a thread sleep in it.
#include <execinfo.h>
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

long price(void);
long nap(void);

static int keeps, naps, woken;
static void **kept;
static pthread_mutex_t lock = PTHREAD_MUTEX_INITIALIZER;
static pthread_cond_t changed = PTHREAD_COND_INITIALIZER;

void note(void) {
    if (keeps) *kept = __builtin_return_address(0);
}

long await(void) {
    pthread_mutex_lock(&lock);
    naps++;
    pthread_cond_broadcast(&changed);
    while (!woken) pthread_cond_wait(&changed, &lock);
    pthread_mutex_unlock(&lock);
    return 7;
}

// What the stack still holds of calls before is written over.
static void clear(void) {
    volatile char room[1 << 15];
    for (size_t i = 0; i < sizeof room; i++) room[i] = 0;
}

static void *sleeper(void *result) {
    *(long *)result = nap();
    return NULL;
}

int main(void) {
    char line[64];
    pthread_t thread;
    long slept = 0;
    kept = calloc(1, sizeof *kept);
    puts("ready");
    fflush(stdout);
    while (fgets(line, sizeof line, stdin) != NULL) {
        clear();
        if (!strncmp(line, "trace", 5)) {
            // The unwinder looks for the tables of all code.
            void *frames[4];
            backtrace(frames, 4);
            puts("traced");
        } else if (!strncmp(line, "sleep", 5)) {
            pthread_mutex_lock(&lock);
            naps = woken = 0;
            pthread_create(&thread, NULL, sleeper, &slept);
            while (!naps) pthread_cond_wait(&changed, &lock);
            pthread_mutex_unlock(&lock);
            puts("sleeps");
        } else if (!strncmp(line, "wake", 4)) {
            pthread_mutex_lock(&lock);
            woken = 1;
            pthread_cond_broadcast(&changed);
            pthread_mutex_unlock(&lock);
            pthread_join(thread, NULL);
            printf("%ld\n", slept);
        } else {
            keeps = !strncmp(line, "keep", 4);
            if (!strncmp(line, "drop", 4)) *kept = NULL;
            printf("%ld\n", price());
        }
        fflush(stdout);
    }
    return 0;
}
