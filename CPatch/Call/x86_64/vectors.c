// What of vector registers a dispatcher keeps beyond the 16 bytes that all have. Twin of arm64/vectors.c.
#if defined(__x86_64__)
#include <cpuid.h>

#include "../call.h"

// XCR0 (Intel SDM vol. 1, 13.3): the upper halves of ymm registers, and those of zmm registers.
#define UPPER_YMM (1u << HP_CALL_UPPER_YMM_BIT)
#define UPPER_ZMM (1u << HP_CALL_UPPER_ZMM_BIT)

uint32_t hp_call_upper_vectors;
uint32_t hp_call_tells_vectors_in_use;

static uint32_t extended_control(uint32_t number) {
    uint32_t low, high;
    __asm__ volatile("xgetbv" : "=a"(low), "=d"(high) : "c"(number));
    return low;
}

void hp_call_prepare_vectors(void) {
    uint32_t a, b, c, d;
    if (!__get_cpuid(1, &a, &b, &c, &d) || !(c & bit_OSXSAVE)) return;
    // Leaf 0xd, subleaf 1: bit 2 of eax says that xgetbv tells what is in use.
    hp_call_tells_vectors_in_use = __get_cpuid_count(0xd, 1, &a, &b, &c, &d) && (a & 1u << 2);
    hp_call_upper_vectors = extended_control(0) & (UPPER_YMM | UPPER_ZMM);
}

#endif
