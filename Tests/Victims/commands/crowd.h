// For programs that are to be patched from afar.
#pragma once
#include <stdint.h>
#include <sys/mman.h>
#include <unistd.h>

// Leaves no room for a stub within the reach of arm64's branch, 128 MiB.
static inline void crowd(uintptr_t code) {
    const int fixed = MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE | 0x100000 /* MAP_FIXED_NOREPLACE */;
    const uintptr_t block = 1 << 20, page = (uintptr_t)sysconf(_SC_PAGESIZE), middle = code / block * block;
    for (uintptr_t at = middle - 256 * block; at < middle + 256 * block; at += block) {
        uintptr_t step = mmap((void *)at, block, PROT_NONE, fixed, -1, 0) == (void *)at ? block : page;
        for (uintptr_t small = at; step == page && small < at + block; small += page)
            mmap((void *)small, page, PROT_NONE, fixed, -1, 0);
    }
}
