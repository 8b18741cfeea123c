// Functions that take vectors of every size that the machine passes in registers, and what forgets vectors as any function may.
#include "victims.h"

#define VICTIM __attribute__((noinline, visibility("default")))

// Lane n of the argument of a rank is 100 * rank + n.
#define VECTORS(bytes, isa) \
    typedef long vector_##bytes __attribute__((vector_size(bytes))); \
    typedef int takes_##bytes( \
        vector_##bytes, vector_##bytes, vector_##bytes, vector_##bytes, vector_##bytes, vector_##bytes, vector_##bytes, \
        vector_##bytes); \
    isa static inline vector_##bytes make_##bytes(long rank) { \
        vector_##bytes result; \
        for (int n = 0; n < bytes / 8; n++) result[n] = 100 * rank + n; \
        return result; \
    } \
    isa static inline int differs_##bytes(vector_##bytes found, long rank) { \
        int count = 0; \
        for (int n = 0; n < bytes / 8; n++) count += found[n] != 100 * rank + n; \
        return count; \
    } \
    isa VICTIM int victim_takes_##bytes( \
        vector_##bytes a, vector_##bytes b, vector_##bytes c, vector_##bytes d, vector_##bytes e, vector_##bytes f, \
        vector_##bytes g, vector_##bytes h) { \
        return differs_##bytes(a, 1) + differs_##bytes(b, 2) + differs_##bytes(c, 3) + differs_##bytes(d, 4) \
            + differs_##bytes(e, 5) + differs_##bytes(f, 6) + differs_##bytes(g, 7) + differs_##bytes(h, 8); \
    } \
    isa static int call_##bytes(const void *function) { \
        return ((takes_##bytes *)function)( \
            make_##bytes(1), make_##bytes(2), make_##bytes(3), make_##bytes(4), make_##bytes(5), make_##bytes(6), \
            make_##bytes(7), make_##bytes(8)); \
    }

VECTORS(16, )
#if defined(__x86_64__)
VECTORS(32, __attribute__((target("avx"))))
VECTORS(64, __attribute__((target("avx512f"))))
#endif

const void *victim_takes_vectors(int bytes) {
#if defined(__x86_64__)
    if (bytes == 32 && __builtin_cpu_supports("avx")) return victim_takes_32;
    if (bytes == 64 && __builtin_cpu_supports("avx512f")) return victim_takes_64;
#endif
    return bytes == 16 ? victim_takes_16 : 0;
}

int victim_call_with_vectors(int bytes, const void *function) {
#if defined(__x86_64__)
    if (bytes == 32) return call_32(function);
    if (bytes == 64) return call_64(function);
#endif
    (void)bytes;
    return call_16(function);
}

#if defined(__x86_64__)
__attribute__((target("avx"))) static void forget_all(void) { __asm__ volatile("vzeroall" ::: "memory"); }
#endif

void victim_forget_vectors(void) {
#if defined(__x86_64__)
    if (__builtin_cpu_supports("avx")) {
        forget_all();
        return;
    }
#define ZERO(n) __asm__ volatile("pxor %xmm" #n ", %xmm" #n)
#else
#define ZERO(n) __asm__ volatile("movi v" #n ".2d, #0")
#endif
    ZERO(0);
    ZERO(1);
    ZERO(2);
    ZERO(3);
    ZERO(4);
    ZERO(5);
    ZERO(6);
    ZERO(7);
}
