// A process that does nothing until it is asked; two of its threads wait.
#include "torture.h"

#include <pthread.h>

DEFINE_PRICE

static void *waits(void *argument) {
    (void)argument;
    for (;;) pause();
    return 0;
}

int main(void) {
    pthread_t thread;
    for (int i = 0; i < 2; i++) pthread_create(&thread, 0, waits, 0);
    answer("ready");
    while (asked()) {
        char text[64];
        snprintf(text, sizeof text, "harmed %d price %d", !is_price(price(2)), price(2));
        answer(text);
    }
    return 0;
}
