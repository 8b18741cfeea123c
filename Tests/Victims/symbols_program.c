// A program that waits: each line it reads is a library to dlopen, answered by "loaded" or "failed".
#include <dlfcn.h>
#include <stdio.h>
#include <string.h>

int counter_value = 42;

__attribute__((noinline)) int twice(int x) { return x * 2 + counter_value; }
__attribute__((noinline)) static int file_scoped(int x) { return x - counter_value; }
__attribute__((noinline, weak)) int weak_one(void) { return 1; }

int main(void) {
    char line[4096];
    puts("ready");
    fflush(stdout);
    while (fgets(line, sizeof line, stdin)) {
        line[strcspn(line, "\n")] = 0;
        puts(dlopen(line, RTLD_NOW) ? "loaded" : "failed");
        fflush(stdout);
    }
    return twice(1) + file_scoped(2) + weak_one() > 1000;
}
