// victim SHARED THREADS [MAIN]: one thread per letter of THREADS, each counting its rounds in the file SHARED.
// Prints the addresses that the tests write to.
#define _GNU_SOURCE
#include <errno.h>
#include <fcntl.h>
#include <linux/futex.h>
#include <linux/userfaultfd.h>
#include <poll.h>
#include <pthread.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/ioctl.h>
#include <sys/ipc.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/sem.h>
#include <sys/socket.h>
#include <sys/syscall.h>
#include <sys/time.h>
#include <sys/wait.h>
#include <setjmp.h>
#include <time.h>
#include <ucontext.h>
#include <unistd.h>

// Mirrored by Shared in Victim.swift, and in the self-test.
struct shared {
    volatile long errors, interrupted, value, in_handler, loaded, births, stop;
    volatile long rounds[120];
    char message[128];
    volatile long gap;  // the longest that a thread has stood still, in microseconds
} *S;

volatile long *loaded_counter(void) { return &S->loaded; }

#define BAD(...) (snprintf(S->message, sizeof S->message, __VA_ARGS__), __sync_fetch_and_add(&S->errors, 1))
#define CHECK(call) do { if ((call) < 0) { if (errno == EINTR) __sync_fetch_and_add(&S->interrupted, 1); else BAD(#call " %d", errno); } } while (0)

int alpha(void);
int beta(void);
void spin(void);
int at_page_end(void);
// epoll_wait(2) for 100 ms, without call frame information.
int blind_wait(int epoll, struct epoll_event *event);
// The same as `fault`, without call frame information: the unwinding ends in the handler.
void blind_fault(int s);
// Not 0 where every register has kept its value through a long loop.
long check_registers(void);
#if defined(__x86_64__)
#include "entries_x86_64.h"
#else
#include "entries_arm64.h"
#endif

// A compiler leaves out what allocates and is not looked at.
static void *used(void *p) {
    __asm__ volatile("" : "+r"(p) : : "memory");
    return p;
}
static void *t_malloc(void *a) {
    long k = (long)a;
    for (;;) {
        void *p[16];
        for (int i = 0; i < 16; i++) { p[i] = used(malloc(40 + i * 700 + k * 17000 * (i == 7))); memset(p[i], i, 40); }
        for (int i = 0; i < 16; i++) free(p[i]);
        S->rounds[k]++;
    }
}
static void *t_stdio(void *a) {
    long k = (long)a;
    FILE *f = fopen("/dev/null", "w");
    setvbuf(f, 0, _IOFBF, 64);
    for (;;) { fprintf(f, "hello %ld %f\n", S->rounds[k], 1.5); S->rounds[k]++; }
}
static void *t_busy(void *a) { for (;;) S->rounds[(long)a]++; }
static void *t_alpha(void *a) { for (;;) { S->value = alpha(); S->rounds[(long)a]++; } }
static void *t_blocked(void *a) { int p[2]; char c; if (pipe(p)) BAD("pipe"); S->rounds[(long)a] = 1; for (;;) { read(p[0], &c, 1); BAD("read returned"); } }
static void *t_sleep(void *a) { for (;;) { struct timespec t = {0, 5000000}; CHECK(nanosleep(&t, 0)); S->rounds[(long)a]++; } }
static void *t_poll(void *a) { for (;;) { CHECK(poll(0, 0, 5)); S->rounds[(long)a]++; } }
static void *t_epoll(void *a) {
    int e = epoll_create1(0);
    struct epoll_event v;
    for (;;) { CHECK(epoll_wait(e, &v, 1, 20)); S->rounds[(long)a]++; }
}
static void *t_sigwait(void *a) {
    sigset_t s;
    sigemptyset(&s);
    sigaddset(&s, SIGUSR2);
    pthread_sigmask(SIG_BLOCK, &s, 0);
    for (;;) {
        struct timespec t = {0, 20000000};
        if (sigtimedwait(&s, 0, &t) < 0 && errno != EAGAIN) CHECK(-1);
        S->rounds[(long)a]++;
    }
}
static void *t_semop(void *a) {
    int id = semget(IPC_PRIVATE, 1, 0600);
    for (;;) {
        struct sembuf b = {0, -1, 0};
        struct timespec t = {0, 20000000};
        if (S->stop) { semctl(id, 0, IPC_RMID); pause(); }
        if (semtimedop(id, &b, 1, &t) < 0 && errno != EAGAIN) CHECK(-1);
        S->rounds[(long)a]++;
    }
}
static void *t_recv(void *a) {
    int p[2];
    char c;
    socketpair(AF_UNIX, SOCK_STREAM, 0, p);
    struct timeval t = {0, 20000};
    setsockopt(p[0], SOL_SOCKET, SO_RCVTIMEO, &t, sizeof t);
    for (;;) { if (recv(p[0], &c, 1, 0) < 0 && errno != EAGAIN) CHECK(-1); S->rounds[(long)a]++; }
}
static void *nothing(void *a) { __sync_fetch_and_add(&S->births, 1); return a; }
static void *t_churn(void *a) {
    for (;;) { pthread_t t; if (pthread_create(&t, 0, nothing, 0)) BAD("pthread_create"); else pthread_join(t, 0); S->rounds[(long)a]++; }
}
static void handler(int s) { S->in_handler = s; while (!S->stop) usleep(2000); }
static void *t_handler(void *a) { signal(SIGUSR1, handler); S->rounds[(long)a] = 1; spin(); return a; }
// In a handler that interrupted a wait.
static void *t_waits_in_handler(void *a) { signal(SIGUSR1, handler); S->rounds[(long)a] = 1; for (;;) poll(0, 0, 1000); }
// In a handler that interrupted malloc: a page fault inside it, on a top chunk that has become unreadable.
static void fault(int s) {
    for (S->in_handler = s;;) pause();
}
static void *fault_in_malloc(void *a, void (*handler)(int)) {
    signal(SIGSEGV, handler);
    free(used(malloc(100)));
    mprotect((char *)sbrk(0) - 8 * 4096, 8 * 4096, PROT_NONE);
    for (S->rounds[(long)a] = 1;;) memset(used(malloc(1000)), 1, 8);
}
static void *t_fault_in_malloc(void *a) { return fault_in_malloc(a, fault); }
static void *t_blind_fault_in_malloc(void *a) { return fault_in_malloc(a, blind_fault); }
// Dead words that look like addresses inside an entry.
static void *t_littered(void *a) {
    volatile unsigned long words[512];
    for (int i = 0; i < 512; i++) words[i] = (unsigned long)spin + 1 + i % 2;
    for (S->rounds[(long)a] = words[7] != 0;;) pause();
}
static void *t_vfork(void *a) {
    for (;;) {
        pid_t p = vfork();
        if (p == 0) { execl("/bin/sleep", "sleep", "0", (char *)0); _exit(1); }
        if (p > 0) waitpid(p, 0, 0);
        S->rounds[(long)a]++;
    }
}
static void *t_registers(void *a) {
    for (;;) {
        if (!check_registers()) BAD("registers changed");
        S->rounds[(long)a]++;
    }
}
// Waits whose time counts from their start: a stop must not lengthen them.
static long elapsed_ms(const struct timespec *start) {
    struct timespec now;
    clock_gettime(CLOCK_MONOTONIC, &now);
    return (now.tv_sec - start->tv_sec) * 1000 + (now.tv_nsec - start->tv_nsec) / 1000000;
}
static void timed(void *a, const char *what, int (*wait)(const struct timespec *)) {
    const struct timespec second = {1, 0};
    for (;;) {
        struct timespec start;
        clock_gettime(CLOCK_MONOTONIC, &start);
        CHECK(wait(&second));
        long ms = elapsed_ms(&start);
        if (ms < 1000 || ms > 1700) BAD("%s took %ld ms", what, ms);
        S->rounds[(long)a]++;
    }
}
static int word;
static int futex_for(const struct timespec *time) {
    return syscall(SYS_futex, &word, FUTEX_WAIT_PRIVATE, 0, time) < 0 && errno != ETIMEDOUT ? -1 : 0;
}
static int sleep_for(const struct timespec *time) { return nanosleep(time, 0); }
static void *t_long_sleep(void *a) { timed(a, "nanosleep", sleep_for); return a; }
static void *t_timed_futex(void *a) { timed(a, "futex", futex_for); return a; }
static void *t_futex(void *a) {
    S->rounds[(long)a] = 1;
    for (;;) { syscall(SYS_futex, &word, FUTEX_WAIT_PRIVATE, 0, 0); BAD("futex returned %d", errno); }
}

// A beat every millisecond, and the longest time between two. The test sets it to 0.
static long now_us(void) {
    struct timespec now;
    clock_gettime(CLOCK_MONOTONIC, &now);
    return now.tv_sec * 1000000 + now.tv_nsec / 1000;
}
static void beat(void *a, long *last) {
    long now = now_us();
    if (now - *last > S->gap) S->gap = now - *last;
    *last = now;
    S->rounds[(long)a]++;
}
static void *t_heart(void *a) {
    for (long last = now_us();; beat(a, &last)) nanosleep(&(struct timespec){0, 1000000}, 0);
}
// A tick of 100 ms that a stop makes begin anew, or end.
static void *t_blind_tick(void *a) {
    int e = epoll_create1(0);
    struct epoll_event event;
    for (long last = now_us();; beat(a, &last)) {
        int result = blind_wait(e, &event);
        if (result == -EINTR) __sync_fetch_and_add(&S->interrupted, 1);
        else if (result) BAD("epoll_wait returned %d", result);
    }
}
// The parent in vfork, for a second each time.
static void *t_long_vfork(void *a) {
    for (;;) {
        pid_t p = vfork();
        if (p == 0) { syscall(SYS_nanosleep, &(struct timespec){1, 0}, 0); _exit(0); }
        if (p > 0) waitpid(p, 0, 0);
        S->rounds[(long)a]++;
        usleep(20000);
    }
}
// Sends the process a signal that everybody ignores, all the time.
static void *t_ignored_signals(void *a) {
    sigset_t all;
    sigfillset(&all);
    pthread_sigmask(SIG_BLOCK, &all, 0);
    for (;;) { kill(getpid(), SIGURG); usleep(20); S->rounds[(long)a]++; }
}

// Its stack ends where the pages are missing that another thread has to bring (userfaultfd(2)).
enum { FIBER = 65536 };
static int faults;
static void *serve_faults(void *a) {
    static char zeroes[65536] __attribute__((aligned(65536)));
    struct uffd_msg fault;
    long page = sysconf(_SC_PAGESIZE);
    while (read(faults, &fault, sizeof fault) == sizeof fault)
        ioctl(faults, UFFDIO_COPY,
              &(struct uffdio_copy){.dst = fault.arg.pagefault.address & -page, .src = (unsigned long)zeroes, .len = page});
    return a;
}
static void sleep_in_fiber(void) { for (;;) pause(); }
static void *t_missing_pages(void *a) {
    char *stack = mmap(0, 2 * FIBER, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
    memset(stack, 0, FIBER);
    faults = syscall(SYS_userfaultfd, O_CLOEXEC);
    struct uffdio_register missing = {{(unsigned long)stack + FIBER, FIBER}, UFFDIO_REGISTER_MODE_MISSING, 0};
    if (faults < 0 || ioctl(faults, UFFDIO_API, &(struct uffdio_api){.api = UFFD_API}) || ioctl(faults, UFFDIO_REGISTER, &missing)) {
        BAD("userfaultfd %d", errno);
        pause();
    }
    pthread_t t;
    pthread_create(&t, 0, serve_faults, 0);
    static ucontext_t here, fiber;
    getcontext(&fiber);
    fiber.uc_stack.ss_sp = stack;
    fiber.uc_stack.ss_size = FIBER;
    makecontext(&fiber, sleep_in_fiber, 0);
    S->rounds[(long)a] = 1;
    swapcontext(&here, &fiber);
    return a;
}

// Sends itself a signal, which it has then received.
static volatile long received;
static void receive(int s) { received += s == SIGUSR1; }
static void *t_signals(void *a) {
    signal(SIGUSR1, receive);
    for (long sent = 1;; sent++) {
        syscall(SYS_tgkill, getpid(), syscall(SYS_gettid), SIGUSR1);
        if (received != sent) { BAD("%ld signals of %ld were received", received, sent); sent = received; }
        S->rounds[(long)a]++;
    }
}

// In calls that a handler interrupts, or does not. It notes where, and which signals were blocked there.
static sigjmp_buf back;
static void note(int s, siginfo_t *info, void *context) {
    const ucontext_t *c = context;
    (void)info;
#if defined(__aarch64__)
    S->value = (long)c->uc_mcontext.pc;
#else
    S->value = c->uc_mcontext.gregs[REG_RIP];
#endif
    for (int other = 1; other < 32; other++)
        if (sigismember(&c->uc_sigmask, other) != (other == SIGUSR2)) BAD("signal %d: blocked, or not", other);
    S->in_handler += s == SIGUSR1;
}
static void leap(int s, siginfo_t *info, void *context) {
    note(s, info, context);
    siglongjmp(back, 1);
}
static void on_signal(void (*handler)(int, siginfo_t *, void *), int flags) {
    struct sigaction action = {.sa_sigaction = handler, .sa_flags = SA_SIGINFO | flags};
    sigaction(SIGUSR1, &action, 0);
    sigset_t set;
    sigemptyset(&set);
    sigaddset(&set, SIGUSR2);
    pthread_sigmask(SIG_SETMASK, &set, 0);
}
static void *reads(void *a, int flags) {
    int p[2];
    char c;
    if (pipe(p)) BAD("pipe");
    on_signal(note, flags);
    for (;;) { if (read(p[0], &c, 1) >= 0 || errno != EINTR) BAD("read: %d", errno); S->rounds[(long)a]++; }
}
static void *t_read_restarts(void *a) { return reads(a, SA_RESTART); }
static void *t_read_ends(void *a) { return reads(a, 0); }
static void *t_pause(void *a) { for (on_signal(note, SA_RESTART);; S->rounds[(long)a]++) pause(); }
static void *t_sleep_ends(void *a) {
    const struct timespec minute = {60, 0};
    on_signal(note, SA_RESTART);
    for (;;) { if (nanosleep(&minute, 0) == 0 || errno != EINTR) BAD("nanosleep: %d", errno); S->rounds[(long)a]++; }
}
static void *t_leap(void *a) {
    on_signal(leap, 0);
    if (sigsetjmp(back, 1)) S->rounds[(long)a]++;
    for (;;) pause();
}
// setuid and its like wait until every thread has taken a signal of glibc's, and hold a lock that pthread_create takes.
static void *t_setxid(void *a) { for (;;) { if (seteuid(geteuid())) BAD("seteuid"); S->rounds[(long)a]++; } }

static void *(*function(char c))(void *) {
    switch (c) {
    case 'm': return t_malloc;
    case 's': return t_stdio;
    case 'b': return t_busy;
    case 'a': return t_alpha;
    case 'k': return t_blocked;
    case 'n': return t_sleep;
    case 'p': return t_poll;
    case 'e': return t_epoll;
    case 'w': return t_sigwait;
    case 'o': return t_semop;
    case 'u': return t_recv;
    case 'c': return t_churn;
    case 'h': return t_handler;
    case 'l': return t_littered;
    case 'd': return t_waits_in_handler;
    case 'q': return t_fault_in_malloc;
    case 'x': return t_blind_fault_in_malloc;
    case 'v': return t_vfork;
    case 'r': return t_registers;
    case 'y': return t_long_sleep;
    case 'g': return t_timed_futex;
    case 'f': return t_futex;
    case 't': return t_signals;
    case 'H': return t_heart;
    case 'E': return t_blind_tick;
    case 'V': return t_long_vfork;
    case 'I': return t_ignored_signals;
    case 'M': return t_missing_pages;
    case 'R': return t_read_restarts;
    case 'F': return t_read_ends;
    case 'P': return t_pause;
    case 'N': return t_sleep_ends;
    case 'L': return t_leap;
    case 'U': return t_setxid;
#if defined(__aarch64__)
    case 'i': return t_indirect;
    case 'j': return t_scalable;
    case 'J': return t_matrix;
#endif
    }
    exit(9);
}

int main(int argc, char **argv) {
    int f = open(argv[1], O_RDWR | O_CREAT, 0600);
    if (argc < 3 || f < 0 || ftruncate(f, 4096)) return 2;
    S = mmap(0, 4096, PROT_READ | PROT_WRITE, MAP_SHARED, f, 0);
    prctl(PR_SET_PDEATHSIG, SIGKILL);
    signal(SIGPIPE, SIG_IGN);
    pthread_t t;
    for (long k = 0; argv[2][k]; k++) pthread_create(&t, 0, function(argv[2][k]), (void *)(k + 1));
    // Readable, and written by nobody, not even through /proc/PID/mem: shared, of a file that is open for reading only.
    void *sealed = mmap(0, 4096, PROT_READ, MAP_SHARED, open("/proc/self/exe", O_RDONLY), 0);
    printf("%p %p %p %p %p", (void *)alpha, (void *)beta, (void *)spin, (void *)at_page_end, sealed);
#if defined(__aarch64__)
    printf(" %p %p", (void *)pad, (void *)pad_copy);
#endif
    putchar('\n');
    fflush(stdout);
    char mode = argc > 3 ? argv[3][0] : 'k';
    if (mode == 'z') pthread_exit(0);  // a zombie leader
    function(mode)((void *)0);
}
