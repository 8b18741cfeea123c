// hotpatch.h in full, as C and as C++. -DANSWER=N: what hotpatch_on_apply returns. -DBACKGROUND: a constructor starts a thread that
// never leaves this library.
#include <hotpatch.h>

#ifdef __cplusplus
extern "C" {
#endif
void note(const char *);
#ifdef __cplusplus
}
#endif

int (*old_price)(int item) HOTPATCH_ORIGINAL("price");
int (*old_countdown)(int n) HOTPATCH_ORIGINAL("countdown");

int new_price(int item) HOTPATCH_REPLACES("price");
int new_price(int item) { return old_price(item) * 2; }

// The original calls itself: each time, the replacement runs.
int new_countdown(int n) HOTPATCH_REPLACES("countdown");
int new_countdown(int n) { return old_countdown(n) + 100; }

// Not exported by the target: found in its symbol table.
int new_rebate(int amount) HOTPATCH_REPLACES("rebate");
int new_rebate(int amount) { return amount; }

#ifdef ANSWER
int hotpatch_on_apply(void) {
    note(old_price ? "too late" : "applied");
    return ANSWER;
}
void hotpatch_on_revert(void) { note("reverted"); }
#endif

#ifdef BACKGROUND
#include <pthread.h>

static volatile unsigned long turns;

static void *turn(void *unused) {
    for (;;) turns++;
    return unused;
}

__attribute__((constructor)) static void start(void) {
    pthread_t thread;
    pthread_create(&thread, 0, turn, 0);
}
#endif
