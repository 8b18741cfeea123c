#define _GNU_SOURCE
#include "support.h"

#include <sys/auxv.h>
#include <sys/mman.h>

#if defined(__aarch64__)
#include "../../../CPatch/Machine/arm64/machine.h"
#endif

void victim_flush_code(const void *code, long length) {
#if defined(__aarch64__)
    hp_flush_code((uint64_t)code, (uint64_t)length);
#else
    (void)code, (void)length;
#endif
}

unsigned long victim_auxiliary(unsigned long type) { return getauxval(type); }

int victim_memory_file(void) { return memfd_create("victim", MFD_CLOEXEC); }
