// A program with an allocator of its own: besides malloc and its like, it allocates under a name that no list has. It does so all the
// time, and waits for nothing.
#include <fcntl.h>
#include <pthread.h>
#include <stdatomic.h>
#include <stdio.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

enum { HEAP = 1 << 28 };

static char *heap;
static size_t used;
static atomic_flag lock = ATOMIC_FLAG_INIT;

// Never freed: what was given out is given out again when all has been.
static __attribute__((noinline)) void *take(size_t count) {
    while (atomic_flag_test_and_set(&lock)) continue;
    for (volatile int i = 0; i < 2000; i++) continue;
    if (!heap) heap = mmap(NULL, HEAP, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);
    count = (count + 31) & ~(size_t)15;
    if (used + count > HEAP) used = 1 << 20;
    char *block = heap + used;
    used += count;
    *(size_t *)block = count - 16;
    atomic_flag_clear(&lock);
    return block + 16;
}

void *malloc(size_t count) { return take(count); }
void free(void *block) { (void)block; }
void *calloc(size_t count, size_t size) { return memset(take(count * size), 0, count * size); }
void *realloc(void *block, size_t count) {
    void *larger = take(count);
    size_t before = block ? ((size_t *)block)[-2] : 0;
    return block ? memcpy(larger, block, before < count ? before : count) : larger;
}
void *allocate_block(size_t count) { return take(count); }

__attribute__((noinline, noclone)) int price(int item) {
    __asm__ volatile("");
    return item * 10;
}

static void *wait_for_nothing(void *unused) {
    int ends[2];
    char byte;
    if (pipe(ends)) return unused;
    for (;;)
        if (read(ends[0], &byte, 1) == 0) return unused;
}

// `allocator waits`: another thread does wait.
int main(int count, char **arguments) {
    static char line[64];
    alarm(120);
    fcntl(0, F_SETFL, O_NONBLOCK);
    if (count > 1 && !strcmp(arguments[1], "waits")) {
        pthread_t thread;
        pthread_create(&thread, NULL, wait_for_nothing, NULL);
    }
    if (write(1, "ready\n", 6) != 6) return 1;
    for (ssize_t got; (got = read(0, line, sizeof line)) != 0;) {
        for (int i = 0; i < 200; i++) allocate_block(64);
        if (got < 0) continue;
        int length = snprintf(line, sizeof line, "price %d\n", price(7));
        if (write(1, line, (size_t)length) != length) return 1;
    }
    return 0;
}
