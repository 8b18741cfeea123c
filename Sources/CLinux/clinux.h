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
