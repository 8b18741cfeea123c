// A patch whose constructor starts a thread, and which then refuses: what has run code must stay loaded.
#include <pthread.h>
#include <unistd.h>

static volatile long turns;
static void *turn(void *argument) {
    (void)argument;
    for (;; usleep(100)) turns++;
    return 0;
}

__attribute__((constructor)) static void begin(void) {
    pthread_t thread;
    pthread_create(&thread, 0, turn, 0);
    pthread_detach(thread);
}

int hotpatch_on_apply(void);
int hotpatch_on_apply(void) { return 1; }

int price(int count);
int price(int count) {
    (void)count;
    return 42;
}
