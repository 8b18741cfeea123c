// What of vector registers a dispatcher keeps beyond the 16 bytes that all have. Twin of x86_64/vectors.c.
//
// Nothing: the base standard passes 16 bytes in q0–q7. Functions of the two variants, which keep more registers or pass scalable
// ones, are marked so in their symbols (AAELF64, STO_AARCH64_VARIANT_PCS), and are given no dispatcher.
#if defined(__aarch64__)
#include "../call.h"

void hp_call_prepare_vectors(void) {}

#endif
