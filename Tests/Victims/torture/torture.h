// What the programs that are tortured share: a function to be patched, a clock, and the conversation with whoever tortures them.
// Each says "ready", and answers every line with one that begins with "harmed N".
#pragma once

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

enum { OWN = 7, REPLACED = 42 };

// The function to be patched: 2 → 7, or 42 once it is replaced by fix.c.
#ifdef __cplusplus
extern "C"
#endif
int price(int count);
#define DEFINE_PRICE                                             \
    __attribute__((noinline, noclone)) int price(int count) {    \
        __asm__ volatile("" : "+r"(count));                      \
        return count * 3 + 1;                                    \
    }

static inline int is_price(int value) { return value == OWN || value == REPLACED; }

// Seconds on the monotonic clock.
static inline double now(void) {
    struct timespec time;
    clock_gettime(CLOCK_MONOTONIC, &time);
    return (double)time.tv_sec + (double)time.tv_nsec / 1e9;
}

// Reads a line of the conversation; 0 at its end.
static inline int asked(void) {
    char line[64];
    return fgets(line, sizeof line, stdin) != 0;
}

static inline void answer(const char *text) {
    puts(text);
    fflush(stdout);
}

// Answers until nobody asks any more. What has come to a stop is harmed, too.
#define CONVERSE(rounds, harmed)                                                                  \
    answer("ready");                                                                              \
    for (long last = 0, stops = 0; asked();) {                                                    \
        char text[64];                                                                            \
        for (int i = 0; i < 3000 && (rounds) == last; i++) usleep(1000);                          \
        if ((rounds) == last) stops++;                                                            \
        last = (rounds);                                                                          \
        snprintf(text, sizeof text, "harmed %ld of %ld", (long)(harmed) + stops, last);           \
        answer(text);                                                                             \
    }
