// A program that exports nothing, and the patch library for it, which uses what is static in it. Each line is answered with what it
// computes.
#ifdef PATCH
int helper(int a);
extern volatile int counter;
int (*const table[])(int) = {helper};

int price(int a) {
    counter += 10;
    return PATCH + table[0](a) + helper(a);
}
#elif defined(THREAD_LOCAL)
extern __thread int of_thread;
int price(int a) { return of_thread + a; }
#else
#include <stdio.h>
#include <unistd.h>

__thread volatile int of_thread = 3;
static volatile int counter = 100;

static __attribute__((noinline)) int helper(int a) {
    static volatile int factor = 2;
    return a * factor;
}

__attribute__((noinline)) int price(int a) {
    counter++;
    return helper(a) + 1;
}

int main(void) {
    char line[64];
    alarm(120);
    setvbuf(stdout, NULL, _IOLBF, 0);
    puts("ready");
    while (fgets(line, sizeof line, stdin) != NULL) {
        int paid = price(10);
        printf("price %d counter %d own %d\n", paid, counter, of_thread);
    }
}
#endif
