// A library with one of each that a dynamic linker reads: functions that it calls, words that it relocates, thread-local memory, an indirect
// function, names with versions where the linker is told so.
#include <errno.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

int items = 3;
int *pointer = &items;
static int hidden = 4;
static int *const constant = &hidden;
int (*printer)(const char *) = puts;
FILE **stream = &stdout;
__thread int own = 5;
static __thread char zeros[64];
extern int absent(int) __attribute__((weak));

// DT_INIT and DT_FINI, where the linker is told so: without what compilers add, no code runs that looks for others'.
void first(void) { hidden++; }
void last(void) { hidden--; }
__attribute__((constructor)) static void begin(void) { hidden++; }
__attribute__((constructor)) static void begin_more(void) { hidden++; }
__attribute__((destructor)) static void end(void) { hidden--; }

static int one(int item) { return item + 1; }
static int two(int item) { return item + 2; }
static int (*choose(void))(int) { return sizeof(void *) == 8 ? one : two; }
int chosen(int) __attribute__((ifunc("choose")));

int price(int item) {
    errno = 0;
    if (absent) return absent(item);
    return chosen(item) * *pointer + *constant + own++ + zeros[item & 63] + (int)fabs(floor(item)) + abs(item);
}
int tax(int amount) { return (int)strlen(getenv("HOME") ? "home" : "none") + price(amount) + printer("") + (*stream == NULL); }
