// A program with an allocator of its own, as a static tcmalloc, jemalloc or mimalloc gives it: malloc is exported, and so is a way in
// of a name that nobody knows. Its lock spins: whoever waits for a thread that was borrowed inside it waits for good.
// Answers "harmed N of N".
#define _GNU_SOURCE
#include "torture.h"

#include <pthread.h>
#include <stdatomic.h>
#include <stddef.h>
#include <sys/mman.h>

DEFINE_PRICE

static atomic_flag lock = ATOMIC_FLAG_INIT;
static char *heap;
static size_t used;
enum { HEAP = 1 << 30, HEADER = 16 };

static __attribute__((noinline)) void *take(size_t size) {
    while (atomic_flag_test_and_set(&lock)) {}
    for (volatile int i = 0; i < 1000; i++) {}
    if (!heap) heap = mmap(0, HEAP, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);
    size = (size + HEADER + 15) & ~(size_t)15;
    if (used + size > HEAP) abort();
    char *block = heap + used;
    used += size;
    *(size_t *)block = size;
    atomic_flag_clear(&lock);
    return block + HEADER;
}

void *malloc(size_t size) { return take(size); }
void free(void *block) { (void)block; }
void *calloc(size_t count, size_t size) { return take(count * size); }  // fresh memory is zero
void *realloc(void *block, size_t size) {
    void *larger = take(size);
    if (block) {
        size_t had = *(size_t *)((char *)block - HEADER) - HEADER;
        memcpy(larger, block, had < size ? had : size);
    }
    return larger;
}
// As jemalloc's mallocx and C++'s operator new are: ways into the allocator.
__attribute__((noinline)) void *obtain(void) {
    while (atomic_flag_test_and_set(&lock)) {}
    for (volatile int i = 0; i < 1000; i++) {}
    atomic_flag_clear(&lock);
    return heap;
}

static atomic_long rounds;
static void *obtains(void *argument) {
    (void)argument;
    for (;; rounds++) {
        obtain();
        if (!is_price(price(2))) abort();
    }
    return 0;
}

int main(void) {
    static char buffer[4096];
    setvbuf(stdin, buffer, _IOFBF, sizeof buffer);
    pthread_t thread;
    pthread_create(&thread, 0, obtains, 0);
    CONVERSE(rounds, 0)
    return 0;
}
