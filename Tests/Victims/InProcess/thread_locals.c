// What finds thread-locals that are linked into a process (cpatch_fixup.h), called as code calls it.
#define _GNU_SOURCE
#include <pthread.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>

#include "cpatch_fixup.h"
#include "support.h"

#if defined __aarch64__
static const hp_arch arch = HP_ARCH_ARM64;

// Calls what a descriptor leads to, with a number in each register that code may expect to find again, and stores these: x1 to x17, then
// v0, v1, v7, v8, v15, v16, v31. x0 alone comes back changed.
uint64_t victim_ask(const void *function, const void *descriptor, uint64_t *found, uint64_t *vectors);
__asm__(
    ".text\n.type victim_ask, %function\nvictim_ask:\n"
    "    stp x29, x30, [sp, #-48]!\n    mov x29, sp\n    stp x19, x20, [sp, #16]\n    str x21, [sp, #32]\n"
    "    mov x19, x2\n    mov x20, x3\n    mov x21, x0\n    mov x0, x1\n"
    "    mov x1, #101\n    mov x2, #102\n    mov x3, #103\n    mov x4, #104\n    mov x5, #105\n    mov x6, #106\n"
    "    mov x7, #107\n    mov x8, #108\n    mov x9, #109\n    mov x10, #110\n    mov x11, #111\n    mov x12, #112\n"
    "    mov x13, #113\n    mov x14, #114\n    mov x15, #115\n    mov x16, #116\n    mov x17, #117\n"
    "    dup v0.2d, x1\n    dup v1.2d, x2\n    dup v7.2d, x7\n    dup v8.2d, x8\n    dup v15.2d, x15\n"
    "    dup v16.2d, x16\n    dup v31.2d, x17\n    blr x21\n"
    "    stp x1, x2, [x19]\n    stp x3, x4, [x19, #16]\n    stp x5, x6, [x19, #32]\n    stp x7, x8, [x19, #48]\n"
    "    stp x9, x10, [x19, #64]\n    stp x11, x12, [x19, #80]\n    stp x13, x14, [x19, #96]\n"
    "    stp x15, x16, [x19, #112]\n    str x17, [x19, #128]\n"
    "    stp q0, q1, [x20]\n    stp q7, q8, [x20, #32]\n    stp q15, q16, [x20, #64]\n    str q31, [x20, #96]\n"
    "    ldr x21, [sp, #32]\n    ldp x19, x20, [sp, #16]\n    ldp x29, x30, [sp], #48\n    ret\n"
    ".size victim_ask, . - victim_ask\n");
#else
static const hp_arch arch = HP_ARCH_X86_64;
#endif

typedef uint64_t routine(const void *words);

// The contents that a thread begins with, and what finds them.
static const uint64_t initial[4] = {1, 2, 3, 4};
static pthread_key_t key;
static uint64_t block[HP_THREAD_LOCAL_BLOCK_WORDS], pair[HP_THREAD_LOCAL_PAIR_WORDS];
static uint64_t descriptor[HP_THREAD_LOCAL_DESCRIPTOR_WORDS];
static routine *address, *fixed, *described;

#define MUST(condition) do { if (!(condition)) return __LINE__; } while (0)

static void *placed(hp_thread_local_routine routine) {
    const void *code;
    size_t length = hp_thread_local_code(arch, routine, &code);
    if (length == 0) return NULL;
    char *memory = mmap(NULL, length, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
    if (memory == MAP_FAILED) return NULL;
    memcpy(memory, code, length);
    __builtin___clear_cache(memory, memory + length);
    return mprotect(memory, length, PROT_READ | PROT_EXEC) == 0 ? memory : NULL;
}

static int check_thread(const uint64_t *others) {
#if defined __aarch64__
    uint64_t found[17], vectors[14];
    uint64_t offset = victim_ask((const void *)described, descriptor, found, vectors);
    const uint64_t expected[7] = {101, 102, 107, 108, 115, 116, 117};
    for (unsigned i = 0; i < 17; i++) MUST(found[i] == 101 + i);
    for (unsigned i = 0; i < 14; i++) MUST(vectors[i] == expected[i / 2]);
    uint64_t thread;
    __asm__("mrs %0, tpidr_el0" : "=r"(thread));
    MUST(offset + thread == address(pair));
#endif
    uint64_t *own = (uint64_t *)address(pair);
    MUST(own != others);
    MUST(own[-1] == 2 && own[0] == 3 && own[1] == 4);
    MUST((uintptr_t)(own - 2) % 64 == 0);
    own[0] = 77;
    MUST((uint64_t *)address(pair) == own && own[0] == 77);
    return 0;
}

static void *thread(void *others) { return (void *)(intptr_t)check_thread(others); }

static uint64_t loader(const void *words) { return (uint64_t)(uintptr_t)words + 1; }

int victim_check_thread_locals(void) {
    address = (routine *)placed(HP_THREAD_LOCAL_ADDRESS);
    fixed = (routine *)placed(HP_THREAD_LOCAL_FIXED);
    described = (routine *)placed(HP_THREAD_LOCAL_DESCRIPTOR);
    routine *forget = (routine *)placed(HP_THREAD_LOCAL_FORGET);
    MUST(address != NULL && fixed != NULL && forget != NULL);
    MUST((described != NULL) == (arch == HP_ARCH_ARM64));
    MUST(pthread_key_create(&key, free) == 0);
    const uint64_t words[HP_THREAD_LOCAL_BLOCK_WORDS] = {
        (uintptr_t)&key, (uintptr_t)initial, sizeof initial, 64, (uintptr_t)pthread_getspecific,
        (uintptr_t)pthread_setspecific, (uintptr_t)aligned_alloc, (uintptr_t)pthread_key_delete,
    };
    memcpy(block, words, sizeof block);
    pair[0] = (uintptr_t)block;
    pair[1] = 16;
    descriptor[1] = (uintptr_t)pair;
    descriptor[2] = (uintptr_t)address;
    // What the loader knows is asked of the loader.
    const uint64_t known[HP_THREAD_LOCAL_PAIR_WORDS] = {1, 2, (uintptr_t)loader};
    MUST(address(known) == (uintptr_t)known + 1);
#if defined __aarch64__
    const uint64_t distance[2] = {0, 1234};
    MUST(fixed(distance) == 1234);
#endif
    int failure = check_thread(NULL);
    if (failure != 0) return failure;
    for (int i = 0; i < 3; i++) {
        pthread_t other;
        void *result;
        MUST(pthread_create(&other, NULL, thread, (void *)(uintptr_t)address(pair)) == 0);
        MUST(pthread_join(other, &result) == 0);
        if (result != NULL) return (int)(intptr_t)result;
    }
    MUST(*(uint64_t *)address(pair) == 77);
    free((uint64_t *)address(pair) - 2);
    forget(block);
    MUST(pthread_getspecific(key) == NULL);
    return 0;
}
