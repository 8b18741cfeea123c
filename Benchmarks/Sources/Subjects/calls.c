#include "subjects.h"

#define SUBJECT __attribute__((noinline, noclone, aligned(64)))
#if defined(__clang__)
#undef SUBJECT
#define SUBJECT __attribute__((noinline, aligned(64)))
#endif

// Not folded into one, and not known to be pure: the loops must call.
#define ADD(name) \
    SUBJECT int name(int a, int b) { \
        __asm__ volatile("" : "+r"(a)); \
        return a + b; \
    }
ADD(subject_plain)
ADD(subject_patched)
ADD(subject_stubbed)
ADD(subject_replacement)

// What a jump at the entry costs this machine: one made by the compiler.
SUBJECT int subject_jump(int a, int b) { __attribute__((musttail)) return subject_replacement(a, b); }

#define WORK(name) \
    SUBJECT int name(int a, int b) { \
        for (int i = 0; i < 16; i++) { \
            a = a * 31 + b; \
            __asm__ volatile("" : "+r"(a)); \
        } \
        return a; \
    }
WORK(subject_work_plain)
WORK(subject_work_patched)
WORK(subject_work_stubbed)
WORK(subject_work_replacement)

#define LOOP(name, parameter, function) \
    SUBJECT int name(parameter long count) { \
        int sum = 0; \
        for (long i = 0; i < count; i++) sum = function(sum, (int)i); \
        return sum; \
    }
#define FUNCTION_PARAMETER subject_function function,
LOOP(subject_loop, FUNCTION_PARAMETER, function)
LOOP(subject_loop_plain, , subject_plain)
LOOP(subject_loop_patched, , subject_patched)
LOOP(subject_loop_jump, , subject_jump)
