// Calls what aging.c has, keeps where it was called from on the heap or in a register, and has a thread sleep in it. Linked with
// SelfLinked/ager.swift, it edits itself.
#include <execinfo.h>
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>

long price(void);
long nap(void);

static int keeps, naps, woken;
static void **kept;
static pthread_mutex_t lock = PTHREAD_MUTEX_INITIALIZER;
static pthread_cond_t changed = PTHREAD_COND_INITIALIZER;

void note(void) {
    if (keeps) *kept = __builtin_return_address(0);
}

long await(void) {
    pthread_mutex_lock(&lock);
    naps++;
    pthread_cond_broadcast(&changed);
    while (!woken) pthread_cond_wait(&changed, &lock);
    pthread_mutex_unlock(&lock);
    return 7;
}

// What the stack still holds of calls before is written over.
static void clear(void) {
    volatile char room[1 << 15];
    for (size_t i = 0; i < sizeof room; i++) room[i] = 0;
}

// What leads there is in a register of this thread alone, until it is told to give it back.
static volatile int holds;
static void *holder(void *unused) {
    holds = 1;
#if defined(__x86_64__)
    __asm__ volatile("mov (%0), %%r12\n\tmovq $0, (%0)\n1:\tpause\n\tcmpl $0, (%1)\n\tjne 1b\n\tmov %%r12, (%0)\n\txor %%r12d, %%r12d"
                     : : "r"(kept), "r"(&holds) : "r12", "memory");
#else
    __asm__ volatile("ldr x19, [%0]\n\tstr xzr, [%0]\n1:\tldr w20, [%1]\n\tcbnz w20, 1b\n\tstr x19, [%0]\n\tmov x19, xzr"
                     : : "r"(kept), "r"(&holds) : "x19", "x20", "memory");
#endif
    // The kernel has laid down its registers there when it was parked.
    clear();
    return unused;
}

// Threads that begin and end, and map, fill and unmap memory all the time.
static volatile int storms;
static void *shortly(void *unused) { return unused; }
static void *storm(void *unused) {
    while (storms) {
        pthread_t thread;
        char *room = mmap(NULL, 1 << 20, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
        if (room != MAP_FAILED) {
            for (size_t i = 0; i < 1 << 20; i += 4096) room[i] = 1;
            mprotect(room, 1 << 16, PROT_NONE);
            munmap(room, 1 << 20);
        }
        free(memset(malloc(300000), 1, 300000));
        if (!pthread_create(&thread, NULL, shortly, NULL)) pthread_join(thread, NULL);
    }
    return unused;
}

__attribute__((weak)) char *edit(const char *line);

static void *sleeper(void *result) {
    *(long *)result = nap();
    return NULL;
}

int main(void) {
    static char line[4096];
    pthread_t thread;
    long slept = 0;
    kept = calloc(1, sizeof *kept);
    puts("ready");
    fflush(stdout);
    while (fgets(line, sizeof line, stdin) != NULL) {
        clear();
        char *answer = edit ? edit(line) : NULL;
        if (answer) {
            puts(answer);
            free(answer);
        } else if (!strncmp(line, "hold", 4)) {
            keeps = 1;
            price();
            keeps = 0;
            clear();
            pthread_create(&thread, NULL, holder, NULL);
            while (!holds || *kept) continue;
            puts("holds");
        } else if (!strncmp(line, "let go", 6)) {
            holds = 0;
            pthread_join(thread, NULL);
            *kept = NULL;
            puts("let go");
        } else if (!strncmp(line, "storm", 5)) {
            pthread_t threads[4];
            storms = 1;
            for (int i = 0; i < 4; i++) {
                pthread_create(&threads[i], NULL, storm, NULL);
                pthread_detach(threads[i]);
            }
            puts("storms");
        } else if (!strncmp(line, "trace", 5)) {
            // The unwinder looks for the tables of all code.
            void *frames[4];
            backtrace(frames, 4);
            puts("traced");
        } else if (!strncmp(line, "sleep", 5)) {
            pthread_mutex_lock(&lock);
            naps = woken = 0;
            pthread_create(&thread, NULL, sleeper, &slept);
            while (!naps) pthread_cond_wait(&changed, &lock);
            pthread_mutex_unlock(&lock);
            puts("sleeps");
        } else if (!strncmp(line, "wake", 4)) {
            pthread_mutex_lock(&lock);
            woken = 1;
            pthread_cond_broadcast(&changed);
            pthread_mutex_unlock(&lock);
            pthread_join(thread, NULL);
            printf("%ld\n", slept);
        } else {
            keeps = !strncmp(line, "keep", 4);
            if (!strncmp(line, "drop", 4)) *kept = NULL;
            printf("%ld\n", price());
        }
        fflush(stdout);
    }
    return 0;
}
