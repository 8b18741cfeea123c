#include "victims.h"

#include <unistd.h>

#define VICTIM __attribute__((noinline, visibility("default")))

VICTIM int victim_add(int a, int b) { return a + b; }
VICTIM int victim_subtract(int a, int b) { return a - b; }
// What a failing function of libc returns.
VICTIM long victim_failure(void) { return -1; }
// optnone: a compiler that may would make a loop of it.
VICTIM __attribute__((optnone)) int victim_depth(int n) { return n <= 0 ? 0 : 1 + victim_depth(n - 1); }

// Called by name, and inlined.
__attribute__((visibility("default"), always_inline)) inline int victim_inlined(int x) { return x * x + 1; }
extern inline int victim_inlined(int x);
VICTIM int victim_calls_inlined(int x) { return victim_inlined(x) + 7; }

int victim_count = 7;
void victim_set_count(int count) { victim_count = count; }
int victim_get_count(void) { return victim_count; }

VICTIM int victim_wait(int descriptor) {
    char byte = 0;
    return read(descriptor, &byte, 1) == 1 ? byte : -1;
}

// victim_many_0000 … victim_many_1999
// The empty assembly keeps callers from knowing the result.
#define ONE(n) \
    VICTIM long victim_many_##n(void) { \
        long result = 1##n; \
        __asm__("" : "+r"(result)); \
        return result; \
    }
#define TEN(n) ONE(n##0) ONE(n##1) ONE(n##2) ONE(n##3) ONE(n##4) ONE(n##5) ONE(n##6) ONE(n##7) ONE(n##8) ONE(n##9)
#define HUNDRED(n) TEN(n##0) TEN(n##1) TEN(n##2) TEN(n##3) TEN(n##4) TEN(n##5) TEN(n##6) TEN(n##7) TEN(n##8) TEN(n##9)
#define THOUSAND(n) \
    HUNDRED(n##0) HUNDRED(n##1) HUNDRED(n##2) HUNDRED(n##3) HUNDRED(n##4) \
    HUNDRED(n##5) HUNDRED(n##6) HUNDRED(n##7) HUNDRED(n##8) HUNDRED(n##9)
THOUSAND(0)
THOUSAND(1)
#undef ONE
#define ONE(n) sum += victim_many_##n();

VICTIM long victim_call_many(void) {
    long sum = 0;
    THOUSAND(0)
    THOUSAND(1)
    return sum;
}
