// Stacks, as an unwinder sees them that has nothing but call frame information.
#pragma once

#include <stdint.h>

#ifdef __cplusplus
extern "C" {
#endif

// The frames of this thread from the caller on, innermost first: where each goes on. Returns how many.
int victim_frames(uint64_t *pcs, int capacity);

// Whether the code is in the same program or library as this function.
int victim_is_in_program(uint64_t pc);

// From begin to end the thread stops after every instruction, and its stack is unwound there. Each time the frame must be found that
// is so many callers away from the caller of begin, with the registers that it keeps. x86_64 only.
//
// Where `first ..< end` is not empty, code outside is passed over, for what is said of it may lead an unwinder anywhere; and the frame
// may seem to lie elsewhere.
typedef struct victim_step {
    uint64_t pc;
    uint64_t lost;  // 1: the frame was not found; else a bit for each register (by its number in DWARF) that had another value
} victim_step;
void victim_step_begin(int callers, uint64_t first, uint64_t end);
void victim_step_end(void);
// How many, and the steps.
long victim_steps(const victim_step **steps);

// Calls a function and returns what it returns, or -1 where it throws std::runtime_error.
int32_t victim_cxx_call(int32_t (*function)(void *), void *argument);
// Throws it for odd numbers, and returns the half of others.
int32_t victim_cxx_throwing(int32_t number);

#ifdef __cplusplus
}
#endif
