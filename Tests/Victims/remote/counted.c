// A patch library: its constructor allocates, and counts itself in the victim.
#include <stdlib.h>
extern volatile long *loaded_counter(void) __attribute__((weak));
__attribute__((constructor)) static void begin(void) {
    volatile char *p = malloc(100000);
    p[0] = 1;
    free((void *)p);
    if (loaded_counter) __sync_fetch_and_add(loaded_counter(), 1);
}
int replacement(void) { return 42; }
