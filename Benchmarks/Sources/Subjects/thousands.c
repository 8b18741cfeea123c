// Functions to be installed by the thousand. No two have the same code, so that no linker folds them.
#include "subjects.h"

#define ONE(n) \
    int subject_##n(int a, int b); \
    __attribute__((noinline)) int subject_##n(int a, int b) { \
        if (a > b) return a * 3 + (1##n - 100000); \
        return (a ^ b) + (1##n - 100000); \
    }
#define TEN(n) ONE(n##0) ONE(n##1) ONE(n##2) ONE(n##3) ONE(n##4) ONE(n##5) ONE(n##6) ONE(n##7) ONE(n##8) ONE(n##9)
#define HUNDRED(n) TEN(n##0) TEN(n##1) TEN(n##2) TEN(n##3) TEN(n##4) TEN(n##5) TEN(n##6) TEN(n##7) TEN(n##8) TEN(n##9)
#define THOUSAND(n) \
    HUNDRED(n##0) HUNDRED(n##1) HUNDRED(n##2) HUNDRED(n##3) HUNDRED(n##4) \
    HUNDRED(n##5) HUNDRED(n##6) HUNDRED(n##7) HUNDRED(n##8) HUNDRED(n##9)
THOUSAND(00) THOUSAND(01) THOUSAND(02) THOUSAND(03)

// The linker drops what nothing refers to.
#undef ONE
#define ONE(n) subject_##n,
static const subject_function subjects[] = {THOUSAND(00) THOUSAND(01) THOUSAND(02) THOUSAND(03)};

subject_function subject_at(size_t number) {
    return number < sizeof subjects / sizeof *subjects ? subjects[number] : 0;
}
