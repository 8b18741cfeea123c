// System calls that the Glibc module does not show to Swift: variadic, or declared under _GNU_SOURCE only.
// Header only. Each function is the call of its name; the manual page says the rest.
#pragma once

#include <stdint.h>
#include <sys/syscall.h>
#include <sys/types.h>
#include <sys/uio.h>
#include <unistd.h>

// process_vm_readv(2), one range. Returns bytes read, or -1 with errno.
static inline ssize_t linux_process_vm_read(pid_t pid, uint64_t address, void *buffer, size_t count) {
    struct iovec local = {buffer, count};
    struct iovec remote = {(void *)(uintptr_t)address, count};
    return syscall(SYS_process_vm_readv, pid, &local, 1UL, &remote, 1UL, 0UL);
}

// ---- The dynamic linker's counters (dl_iterate_phdr(3)), which <link.h> shows under _GNU_SOURCE only.

struct linux_library_info {
    uintptr_t address;
    const char *name;
    const void *program_headers;
    uint16_t program_header_count;
    unsigned long long loaded;    // libraries loaded so far
    unsigned long long unloaded;  // libraries unloaded so far
};

int linux_iterate_libraries(
    int (*visit)(struct linux_library_info *, size_t, void *), void *argument) __asm__("dl_iterate_phdr");

static inline int linux_first_library(struct linux_library_info *info, size_t size, void *result) {
    if (size >= sizeof *info) *(struct linux_library_info *)result = *info;
    return 1;
}

static inline struct linux_library_info linux_library_counters(void) {
    struct linux_library_info info = {0, 0, 0, 0, 0, 0};
    linux_iterate_libraries(linux_first_library, &info);
    return info;
}
