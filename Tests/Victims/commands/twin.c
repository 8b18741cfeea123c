// A program with a static function that twin_other.c has, too; and the patch library for it. Each line is answered with what it computes.
#ifdef PATCH
#include <hotpatch.h>

#ifdef OLD
int (*old_helper)(int) HOTPATCH_ORIGINAL(OLD);
int new_helper(int a) HOTPATCH_REPLACES(OLD);
int new_helper(int a) { return PATCH + old_helper(a); }
#else
int helper(int a) { return PATCH + a; }
#endif
#else
#include <stdio.h>
#include <unistd.h>

int other(int a);

static __attribute__((noinline)) int helper(int a) {
    static volatile int factor = 2;
    return a * factor;
}

int main(void) {
    char line[64];
    alarm(120);
    setvbuf(stdout, NULL, _IOLBF, 0);
    puts("ready");
    while (fgets(line, sizeof line, stdin) != NULL) printf("helper %d other %d\n", helper(5), other(5));
}
#endif
