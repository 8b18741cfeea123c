#define _GNU_SOURCE
#include "floors.h"

#include <dirent.h>
#include <elf.h>
#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <linux/futex.h>
#include <pthread.h>
#include <sched.h>
#include <signal.h>
#include <stdatomic.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/prctl.h>
#include <sys/ptrace.h>
#include <sys/syscall.h>
#include <sys/uio.h>
#include <sys/user.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

enum { MOST_THREADS = 4096 };

static int64_t now_ns(void) {
    struct timespec now;
    clock_gettime(CLOCK_MONOTONIC, &now);
    return (int64_t)now.tv_sec * 1000000000 + now.tv_nsec;
}

// The threads of a process but one, at most MOST_THREADS; their number, or -errno.
static int threads_of(pid_t process, pid_t but, pid_t *threads) {
    char path[64];
    snprintf(path, sizeof path, "/proc/%d/task", process);
    DIR *directory = opendir(path);
    if (!directory) return -errno;
    int count = 0;
    for (struct dirent *entry; (entry = readdir(directory)) && count < MOST_THREADS;) {
        pid_t thread = atoi(entry->d_name);
        if (thread > 0 && thread != but) threads[count++] = thread;
    }
    closedir(directory);
    return count;
}

static int64_t trace(pid_t process, pid_t but) {
    static pid_t threads[MOST_THREADS];
    int count = threads_of(process, but, threads), error = 0, seized = 0;
    if (count < 0) return count;
    int64_t began = now_ns();
    for (; seized < count && !error; seized++)
        if (ptrace(PTRACE_SEIZE, threads[seized], 0, 0) < 0) error = errno;
    for (int i = 0; i < count && !error; i++)
        if (ptrace(PTRACE_INTERRUPT, threads[i], 0, 0) < 0) error = errno;
    for (int i = 0; i < count && !error; i++) {
        int status;
        struct user_regs_struct registers;
        struct iovec vector = {&registers, sizeof registers};
        if (waitpid(threads[i], &status, __WALL) < 0 || !WIFSTOPPED(status)) error = errno ? errno : ECHILD;
        else if (ptrace(PTRACE_GETREGSET, threads[i], (void *)NT_PRSTATUS, &vector) < 0) error = errno;
    }
    for (int i = 0; i < seized; i++) ptrace(PTRACE_DETACH, threads[i], 0, 0);
    int64_t took = now_ns() - began;
    return error ? -error : took;
}

int64_t floor_of_tracing(pid_t process) { return trace(process, 0); }

int64_t floor_of_own_tracing(void) {
    int ends[2];
    if (pipe2(ends, O_CLOEXEC) < 0) return -errno;
    pid_t process = getpid(), caller = gettid(), child = fork();
    if (child < 0) return -errno;
    if (child == 0) {
        char go;
        if (read(ends[0], &go, 1) != 1) _exit(1);
        int64_t took = trace(process, caller);
        _exit(write(ends[1], &took, sizeof took) == sizeof took ? 0 : 1);
    }
    // Where Yama is, a child may trace its parent only if that says so.
    prctl(PR_SET_PTRACER, child, 0, 0, 0);
    int64_t took = -EIO;
    int status;
    bool ended = write(ends[1], "", 1) == 1 && waitpid(child, &status, 0) == child;
    if (ended && WIFEXITED(status) && WEXITSTATUS(status) == 0 && read(ends[0], &took, sizeof took) != sizeof took) took = -EIO;
    close(ends[0]);
    close(ends[1]);
    return took;
}

static _Atomic uint32_t there, left, released;

static void wait_there(int signal) {
    (void)signal;
    int error = errno;
    atomic_fetch_add(&there, 1);
    while (!atomic_load(&released)) syscall(SYS_futex, &released, FUTEX_WAIT_PRIVATE, 0, NULL, NULL, 0);
    atomic_fetch_add(&left, 1);
    errno = error;
}

int64_t floor_of_signals(void) {
    static pid_t threads[MOST_THREADS];
    int signal = SIGRTMIN + 9;
    struct sigaction action = {.sa_handler = wait_there, .sa_flags = SA_RESTART};
    if (sigaction(signal, &action, NULL) < 0) return -errno;
    pid_t process = getpid();
    int count = threads_of(process, gettid(), threads);
    if (count < 0) return count;
    atomic_store(&there, 0);
    atomic_store(&left, 0);
    atomic_store(&released, 0);
    int64_t began = now_ns();
    for (int i = 0; i < count; i++) syscall(SYS_tgkill, process, threads[i], signal);
    while (atomic_load(&there) < (uint32_t)count) sched_yield();
    atomic_store(&released, 1);
    syscall(SYS_futex, &released, FUTEX_WAKE_PRIVATE, INT_MAX, NULL, NULL, 0);
    int64_t took = now_ns() - began;
    // The next one begins when nobody is in the handler any more.
    while (atomic_load(&left) < (uint32_t)count) sched_yield();
    return took;
}

static uint32_t never;

static void *in_pause(void *unused) {
    (void)unused;
    for (;;) pause();
}

static void *in_futex(void *unused) {
    (void)unused;
    for (;;) syscall(SYS_futex, &never, FUTEX_WAIT_PRIVATE, 0, NULL, NULL, 0);
}

int start_blocked_thread(int futex) {
    pthread_attr_t attributes;
    pthread_t thread;
    pthread_attr_init(&attributes);
    pthread_attr_setstacksize(&attributes, 64 * 1024);
    int error = pthread_create(&thread, &attributes, futex ? in_futex : in_pause, NULL);
    pthread_attr_destroy(&attributes);
    return error;
}
