// System calls that the Glibc module does not show to Swift: variadic, or declared under _GNU_SOURCE only.
// Header only. Each function is the call of its name; the manual page says the rest.
#pragma once

#include <errno.h>
#include <stdint.h>
#include <sys/syscall.h>
#include <sys/types.h>
#include <sys/uio.h>
#include <unistd.h>

// ---- What patching from code calls. The functions of libc may be patched: a test's open(3) that always fails must not keep
// it from being reverted. Each returns what libc's function of the name returns, with errno.

#include <fcntl.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <time.h>

static inline pid_t linux_getpid(void) { return (pid_t)syscall(SYS_getpid); }
static inline uid_t linux_getuid(void) { return (uid_t)syscall(SYS_getuid); }
static inline int linux_open(const char *path, int flags) { return (int)syscall(SYS_openat, AT_FDCWD, path, flags, 0); }
static inline int linux_close(int fd) { return (int)syscall(SYS_close, fd); }
static inline int linux_rewind(int fd) { return (int)syscall(SYS_lseek, fd, 0L, SEEK_SET); }
static inline ssize_t linux_readlink(const char *path, void *buffer, size_t count) {
    return syscall(SYS_readlinkat, AT_FDCWD, path, buffer, count);
}
static inline ssize_t linux_read(int fd, void *buffer, size_t count) { return syscall(SYS_read, fd, buffer, count); }
static inline ssize_t linux_pread(int fd, void *buffer, size_t count, int64_t offset) {
    return syscall(SYS_pread64, fd, buffer, count, offset);
}
// The kernel's struct stat is libc's on the 64-bit architectures.
static inline int linux_fstat(int fd, struct stat *status) { return (int)syscall(SYS_fstat, fd, status); }
static inline int linux_stat(const char *path, struct stat *status) {
    return (int)syscall(SYS_newfstatat, AT_FDCWD, path, status, 0);
}
enum { linux_o_path = 010000000 };  // O_PATH (open(2)), the same on every architecture here
// `path` itself, whatever it is, unopened (O_PATH).
static inline int linux_locate(const char *path) { return linux_open(path, linux_o_path | O_CLOEXEC); }
static inline int linux_locate_in(int folder, const char *path) {
    return (int)syscall(SYS_openat, folder, path, linux_o_path | O_CLOEXEC, 0);
}
// The same for `path` below an open directory, which stands for `/` on the whole way: for links and for `..` too (openat2(2),
// Linux 5.6).
static inline int linux_locate_below(int root, const char *path) {
    struct { uint64_t flags, mode, resolve; } how = {linux_o_path | O_CLOEXEC, 0, 0x10 /* RESOLVE_IN_ROOT */};
    return (int)syscall(437 /* openat2, on every architecture */, root, path, &how, sizeof how);
}
#include <spawn.h>
// What is spawned runs in that directory (glibc 2.29).
extern int posix_spawn_file_actions_addchdir_np(posix_spawn_file_actions_t *actions, const char *path);
static inline int linux_spawn_in(posix_spawn_file_actions_t *actions, const char *path) {
    return posix_spawn_file_actions_addchdir_np(actions, path);
}
static inline int linux_duplicate(int fd) { return (int)syscall(SYS_fcntl, fd, F_DUPFD_CLOEXEC, 3); }
// Addresses without memory; null on failure.
static inline void *linux_reserve(size_t count) {
    long result = syscall(SYS_mmap, 0L, count, PROT_NONE, MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0L);
    return result == -1 ? 0 : (void *)result;
}
static inline int linux_make_writable(void *start, size_t count) {
    return (int)syscall(SYS_mprotect, start, count, PROT_READ | PROT_WRITE);
}
// The pages become what they were when they were mapped, and take no memory until then.
static inline int linux_give_back(void *start, size_t count) {
    return (int)syscall(SYS_madvise, start, count, 4 /* MADV_DONTNEED, on every architecture */);
}
static inline int linux_munmap(void *start, size_t count) { return (int)syscall(SYS_munmap, start, count); }
// Nanoseconds since 1970, UTC.
static inline uint64_t linux_time(void) {
    struct timespec now = {0, 0};
    syscall(SYS_clock_gettime, CLOCK_REALTIME, &now);
    return (uint64_t)now.tv_sec * 1000000000u + (uint64_t)now.tv_nsec;
}

#include <sys/vfs.h>
// Whether an open directory is that of a procfs (PROC_SUPER_MAGIC).
static inline int linux_is_proc(int folder) {
    struct statfs status;
    return syscall(SYS_fstatfs, folder, &status) == 0 && status.f_type == 0x9fa0;
}

// Where the kernel has mapped its own functions (vdso(7)); null where it has not.
#include <sys/auxv.h>
static inline const void *linux_vdso(void) { return (const void *)getauxval(AT_SYSINFO_EHDR); }

// Nanoseconds of the monotonic clock.
static inline uint64_t linux_monotonic_time(void) {
    struct timespec now = {0, 0};
    syscall(SYS_clock_gettime, CLOCK_MONOTONIC, &now);
    return (uint64_t)now.tv_sec * 1000000000u + (uint64_t)now.tv_nsec;
}
static inline void linux_sleep(uint64_t nanoseconds) {
    struct timespec span = {(time_t)(nanoseconds / 1000000000u), (long)(nanoseconds % 1000000000u)};
    syscall(SYS_nanosleep, &span, (void *)0);
}

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

#include <elf.h>
#include <stdbool.h>

// Whether this program, the first of the libraries, was linked for a dynamic linker. In one that was not, dlopen(3) would bring in another
// libc, and end it.
static inline bool linux_has_loader(void) {
    struct linux_library_info program = linux_library_counters();
    const Elf64_Phdr *headers = (const Elf64_Phdr *)program.program_headers;
    for (uint16_t index = 0; index < program.program_header_count; index++)
        if (headers[index].p_type == PT_INTERP) return true;
    return false;
}

// ---- The C++ runtime's demangler (Itanium C++ ABI §3.4) -------------------------------------------------

extern char *linux_cxx_demangle(const char *name, char *buffer, size_t *length, int *status) __asm__("__cxa_demangle")
    __attribute__((weak));

// Where the runtime is linked in; else null.
static inline __typeof__(linux_cxx_demangle) *linux_linked_cxx_demangle(void) { return linux_cxx_demangle; }

// ---- pidfd(2), sched(7): what looking after other processes needs ----------------------------------------

#include <sched.h>
#include <sys/ioctl.h>
#include <sys/prctl.h>
#include <sys/wait.h>

static inline int linux_pidfd_open(pid_t pid) { return (int)syscall(SYS_pidfd_open, pid, 0U); }
static inline int linux_pidfd_getfd(int pidfd, int target) { return (int)syscall(SYS_pidfd_getfd, pidfd, target, 0U); }
// How a process has ended that somebody has waited for, as wait(2) tells it. Returns 0, or -1: before Linux 6.15.
static inline int linux_pidfd_wait_status(int pidfd, int *status) {
    enum { INFO_EXIT = 1 << 3 };
    // struct pidfd_info (linux/pidfd.h), its first published form.
    struct {
        uint64_t mask, cgroup;
        uint32_t ids[11];
        int32_t status;
    } info = {INFO_EXIT, 0, {0}, 0};
    if (ioctl(pidfd, _IOWR(0xff, 11, info), &info) != 0 || !(info.mask & INFO_EXIT)) return -1;
    *status = info.status;
    return 0;
}
static inline pid_t linux_gettid(void) { return (pid_t)syscall(SYS_gettid); }
// Without MFD_NOEXEC_SEAL's defaults: a library is mapped from it. Kernels before 6.3 do not know MFD_EXEC (0x10).
static inline int linux_memfd_executable(const char *name) {
    int fd = (int)syscall(SYS_memfd_create, name, 1U | 0x10U);
    return fd >= 0 || errno != EINVAL ? fd : (int)syscall(SYS_memfd_create, name, 1U);
}
static inline long linux_getdents(int fd, void *buffer, size_t count) { return syscall(SYS_getdents64, fd, buffer, count); }

// The scheduling of one thread. `policy` and `priority` as in sched_setscheduler(2).
static inline int linux_scheduling_get(pid_t tid, int *policy, int *priority) {
    struct sched_param p = {0};
    *policy = sched_getscheduler(tid);
    if (*policy < 0 || sched_getparam(tid, &p) < 0) return -1;
    *priority = p.sched_priority;
    return 0;
}
static inline int linux_scheduling_set(pid_t tid, int policy, int priority) {
    struct sched_param p = {0};
    p.sched_priority = priority;
    return sched_setscheduler(tid, policy, &p);
}
// Timer slack of the calling thread, in nanoseconds; 0 restores the default (prctl(2), PR_SET_TIMERSLACK).
static inline void linux_set_timer_slack(unsigned long nanoseconds) { prctl(PR_SET_TIMERSLACK, nanoseconds, 0UL, 0UL, 0UL); }

// Sends one descriptor, with one byte, over a unix socket (SCM_RIGHTS, unix(7)). Returns 0, or -1 with errno.
#include <string.h>
#include <sys/socket.h>
static inline int linux_send_descriptor(int socket, int descriptor) {
    char byte = 0;
    struct iovec iov = {&byte, 1};
    union {
        struct cmsghdr header;
        char bytes[CMSG_SPACE(sizeof(int))];
    } control;
    struct msghdr message;
    memset(&message, 0, sizeof message);
    memset(&control, 0, sizeof control);
    message.msg_iov = &iov;
    message.msg_iovlen = 1;
    message.msg_control = control.bytes;
    message.msg_controllen = sizeof control.bytes;
    control.header.cmsg_level = SOL_SOCKET;
    control.header.cmsg_type = SCM_RIGHTS;
    control.header.cmsg_len = CMSG_LEN(sizeof(int));
    memcpy(CMSG_DATA(&control.header), &descriptor, sizeof descriptor);
    return sendmsg(socket, &message, MSG_DONTWAIT | MSG_NOSIGNAL) == 1 ? 0 : -1;
}

// ---- Waiting for several things at once: epoll(7), timerfd(2), inotify(7), pidfd_send_signal(2) -------------------------------

#include <sys/epoll.h>
#include <sys/inotify.h>
#include <sys/timerfd.h>

static inline int linux_epoll(void) { return epoll_create1(EPOLL_CLOEXEC); }
// What is readable makes the epoll descriptor readable.
static inline int linux_epoll_add(int epoll, int fd) {
    struct epoll_event event;
    memset(&event, 0, sizeof event);
    event.events = EPOLLIN;
    event.data.fd = fd;
    return epoll_ctl(epoll, EPOLL_CTL_ADD, fd, &event);
}
static inline int linux_epoll_remove(int epoll, int fd) { return epoll_ctl(epoll, EPOLL_CTL_DEL, fd, (struct epoll_event *)0); }

static inline int linux_timer(void) { return timerfd_create(CLOCK_MONOTONIC, TFD_CLOEXEC | TFD_NONBLOCK); }
// Readable from that time of the monotonic clock on, in nanoseconds; 0: never.
static inline int linux_timer_set(int timer, uint64_t time) {
    struct itimerspec spec;
    memset(&spec, 0, sizeof spec);
    spec.it_value.tv_sec = (time_t)(time / 1000000000u);
    spec.it_value.tv_nsec = (long)(time % 1000000000u);
    return timerfd_settime(timer, TFD_TIMER_ABSTIME, &spec, (struct itimerspec *)0);
}

// The descriptor closes at exec, and never makes a read wait.
static inline int linux_inotify(void) { return inotify_init1(IN_CLOEXEC | IN_NONBLOCK); }

static inline int linux_pidfd_send_signal(int pidfd, int signal) {
    return (int)syscall(SYS_pidfd_send_signal, pidfd, signal, (void *)0, 0U);
}
// The type of the file system that a path is on (statfs(2)); -1 where there is nothing.
static inline int64_t linux_file_system(const char *path) {
    struct statfs status;
    return statfs(path, &status) == 0 ? (int64_t)status.f_type : -1;
}

// Descendants of this process whose parents end become its children (PR_SET_CHILD_SUBREAPER).
static inline int linux_adopt_orphans(void) { return prctl(PR_SET_CHILD_SUBREAPER, 1UL, 0UL, 0UL, 0UL); }

// ---- A Unix socket (unix(7)) that a program which patches itself listens on: raw, as above ------------------------------------

#include <poll.h>
#include <sys/un.h>

// A directory itself, for names in it; a link to one is refused.
static inline int linux_open_folder(const char *path) {
    return linux_open(path, O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC);
}
static inline int linux_make_folder(const char *path, mode_t mode) {
    return (int)syscall(SYS_mkdirat, AT_FDCWD, path, mode);
}
static inline int linux_remove(const char *path) { return (int)syscall(SYS_unlinkat, AT_FDCWD, path, 0); }
static inline int linux_remove_in(int folder, const char *name) { return (int)syscall(SYS_unlinkat, folder, name, 0); }
// The status of what a name in an open directory stands for; of a link itself.
static inline int linux_stat_in(int folder, const char *name, struct stat *status) {
    return (int)syscall(SYS_newfstatat, folder, name, status, AT_SYMLINK_NOFOLLOW);
}
static inline uid_t linux_geteuid(void) { return (uid_t)syscall(SYS_geteuid); }

// `waits` is false where a call that would have to wait fails with EAGAIN instead.
static inline int linux_stream_socket(bool waits) {
    return (int)syscall(SYS_socket, AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC | (waits ? 0 : SOCK_NONBLOCK), 0);
}
static inline bool linux_socket_address(const char *path, struct sockaddr_un *address) {
    memset(address, 0, sizeof *address);
    address->sun_family = AF_UNIX;
    size_t length = strlen(path);
    if (length >= sizeof address->sun_path) {
        errno = ENAMETOOLONG;
        return false;
    }
    memcpy(address->sun_path, path, length);
    return true;
}
// The file that stands for the socket gets the mode of the socket, less what the umask takes.
static inline int linux_bind(int socket, const char *path, mode_t mode) {
    struct sockaddr_un address;
    if (!linux_socket_address(path, &address) || syscall(SYS_fchmod, socket, mode) != 0) return -1;
    return (int)syscall(SYS_bind, socket, &address, sizeof address);
}
static inline int linux_connect(int socket, const char *path) {
    struct sockaddr_un address;
    if (!linux_socket_address(path, &address)) return -1;
    return (int)syscall(SYS_connect, socket, &address, sizeof address);
}
static inline int linux_listen(int socket, int backlog) { return (int)syscall(SYS_listen, socket, backlog); }
// Waits for somebody to connect. The connection's own calls never wait.
static inline int linux_accept(int socket) {
    return (int)syscall(SYS_accept4, socket, (void *)0, (void *)0, SOCK_CLOEXEC | SOCK_NONBLOCK);
}
// Whoever waits for a connection, or at one, is let go.
static inline int linux_shut_down(int socket, int how) { return (int)syscall(SYS_shutdown, socket, how); }
// Who is at the other end: who connected, or who listens (SO_PEERCRED).
static inline int linux_peer(int socket, pid_t *pid, uid_t *uid) {
    struct { pid_t pid; uid_t uid; gid_t gid; } peer = {0, (uid_t)-1, (gid_t)-1};
    socklen_t length = sizeof peer;
    if (syscall(SYS_getsockopt, socket, SOL_SOCKET, SO_PEERCRED, &peer, &length) != 0) return -1;
    *pid = peer.pid;
    *uid = peer.uid;
    return 0;
}
// Descriptors that are sent along are never received.
static inline ssize_t linux_receive(int socket, void *buffer, size_t count) {
    return syscall(SYS_recvfrom, socket, buffer, count, MSG_DONTWAIT, (void *)0, (void *)0);
}
// Whether nobody is at the other end any more. Nothing is taken of what was sent.
static inline bool linux_has_hung_up(int socket) {
    char byte;
    return syscall(SYS_recvfrom, socket, &byte, (size_t)1, MSG_DONTWAIT | MSG_PEEK, (void *)0, (void *)0) == 0;
}
static inline ssize_t linux_send(int socket, const void *buffer, size_t count) {
    return syscall(SYS_sendto, socket, buffer, count, MSG_DONTWAIT | MSG_NOSIGNAL, (void *)0, 0);
}
// Waits for one of `events` (poll(2)), at most so many nanoseconds. Returns whether one has come, or -1.
static inline int linux_wait_for(int fd, short events, uint64_t nanoseconds) {
    struct pollfd polled = {fd, events, 0};
    struct timespec span = {(time_t)(nanoseconds / 1000000000u), (long)(nanoseconds % 1000000000u)};
    return (int)syscall(SYS_ppoll, &polled, 1UL, &span, (void *)0, 8UL);
}
// The name of the calling thread: at most 15 bytes.
static inline void linux_name_thread(const char *name) { syscall(SYS_prctl, PR_SET_NAME, name, 0UL, 0UL, 0UL); }
