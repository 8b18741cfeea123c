// Eight threads that call a function all the time and check each answer: n * 3, or what load_patch.c makes of it, n * 3 + 1.
#include <pthread.h>
#include <stdatomic.h>
#include <stdio.h>
#include <unistd.h>

#define FUNCTION __attribute__((noinline, noclone))

static volatile int factor = 3;
static atomic_long calls, patched, wrong;

FUNCTION int answer(int n) { return n * factor; }
FUNCTION int through(int n) {
    int before = answer(n);
    return before + 0 * factor;
}

static void *work(void *unused) {
    (void)unused;
    for (unsigned n = 0;; n = (n + 1) % 100000) {
        int got = through((int)n);
        if (got == (int)n * 3 + 1 || got == (int)n * 3 + 2) patched++;
        else if (got != (int)n * 3) wrong++;
        calls++;
    }
    return NULL;
}

int main(void) {
    alarm(120);
    // As busy as it gets, and not in the way of the command on a small machine.
    if (nice(15) == -1) return 1;
    for (int i = 0; i < 8; i++) {
        pthread_t thread;
        pthread_create(&thread, NULL, work, NULL);
    }
    setvbuf(stdout, NULL, _IOLBF, 0);
    puts("ready");
    for (char line[64]; fgets(line, sizeof line, stdin);) {
        long before = calls;
        while (calls == before) usleep(100);
        printf("wrong %ld patched %d alive 1\n", (long)wrong, patched > 0);
    }
    return 0;
}
