// Functions to be patched in this very process.
#pragma once

#include <stdint.h>

#ifdef __cplusplus
extern "C" {
#endif

int victim_add(int a, int b);
int victim_subtract(int a, int b);
long victim_failure(void);
// Calls itself n times: 1 for each.
int victim_depth(int n);
// Inlined into victim_calls_inlined.
int victim_calls_inlined(int x);
// Reads a static counter relative to the PC in its first instruction.
int victim_counter(void);
void victim_set_count(int count);
int victim_get_count(void);
// Blocks in read(2) until a byte comes.
int victim_wait(int descriptor);
// 2000 functions victim_many_0 … of a few instructions each; returns the sum of calling them all.
long victim_call_many(void);

// Written in assembly, for the shape of their entries.
int victim_endbr(int x);          // endbr64, then x + 1
int victim_call_first(int x);     // its first instruction is a call
int victim_branch_first(int x);   // cmp, jne: 0 → 100, else x
int victim_loop_to_entry(int x);  // jumps back to its first instruction
void victim_one_byte(void);       // ret, and the next function begins at once
int victim_after_one_byte(void);
int victim_tiny(void);            // 3 bytes, padded with nops
int victim_jumped_into(int x);    // its body jumps into its first five bytes

// A function that takes eight vectors of 16, 32 or 64 bytes; NULL where this machine passes none of that size in registers.
const void *victim_takes_vectors(int bytes);
// Calls what may be such a function: how many elements did not arrive.
int victim_call_with_vectors(int bytes, const void *function);
// Leaves nothing in the vector registers of arguments.
void victim_forget_vectors(void);

// C++: throws std::runtime_error("odd") for odd x, through a frame of victim_cxx_middle; returns x / 2.
int victim_cxx_half(int x);
// Calls victim_cxx_half and catches: -1 where it threw.
int victim_cxx_catch(int x);

#ifdef __cplusplus
}
#endif
