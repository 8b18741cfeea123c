// What the scenarios need and Swift cannot say.

#define _GNU_SOURCE
#include "support.h"

#include <errno.h>
#include <fcntl.h>
#include <linux/userfaultfd.h>
#include <poll.h>
#include <pthread.h>
#include <semaphore.h>
#include <signal.h>
#include <stdatomic.h>
#include <stdlib.h>
#include <sys/auxv.h>
#include <sys/epoll.h>
#include <sys/ioctl.h>
#include <sys/ipc.h>
#include <sys/mman.h>
#include <sys/msg.h>
#include <sys/ptrace.h>
#include <sys/select.h>
#include <sys/sem.h>
#include <sys/socket.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <ucontext.h>
#include <unistd.h>

long victim_load(const long *word) { return __atomic_load_n(word, __ATOMIC_ACQUIRE); }
void victim_store(long *word, long value) { __atomic_store_n(word, value, __ATOMIC_RELEASE); }
void victim_fetch_add(long *word, long amount) { __atomic_add_fetch(word, amount, __ATOMIC_ACQ_REL); }
int victim_gettid(void) { return (int)syscall(SYS_gettid); }
int victim_fork(void) { return fork(); }

// A process that traces a thread of this one; 0 where it may not.
static int trace(int tid, int and_stop) {
    int ends[2], answer = -1;
    if (pipe(ends) != 0) return 0;
    int child = fork();
    if (child == 0) {
        int status, failed = ptrace(PTRACE_SEIZE, tid, 0, 0) != 0;
        if (and_stop && !failed) failed = ptrace(PTRACE_INTERRUPT, tid, 0, 0) != 0 || waitpid(tid, &status, __WALL) != tid;
        if (write(ends[1], &failed, sizeof failed) < 0) _exit(1);
        for (;;) pause();
    }
    if (read(ends[0], &answer, sizeof answer) != sizeof answer) answer = -1;
    close(ends[0]);
    close(ends[1]);
    return answer == 0 ? child : 0;
}

int victim_trace(int tid) { return trace(tid, 0); }
int victim_trace_and_stop(int tid) { return trace(tid, 1); }

int victim_system(const char *command) { return system(command); }

void victim_vfork_sleep(int seconds) {
    int child = vfork();
    if (child == 0) {
        struct timespec span = {seconds, 0};
        syscall(SYS_nanosleep, &span, 0);
        _exit(0);
    }
    waitpid(child, 0, 0);
}

void victim_vfork_until(const intptr_t *word) {
    int child = vfork();
    if (child == 0) {
        for (int tries = 0; tries < 12000 && !__atomic_load_n(word, __ATOMIC_ACQUIRE); tries++) {
            struct timespec span = {0, 10000000};
            syscall(SYS_nanosleep, &span, 0);
        }
        _exit(0);
    }
    waitpid(child, 0, 0);
}

// ---- Memory that a thread brings.

enum { MISSING = 65536 };
static int faults;

static void *serve_faults(void *argument) {
    static char zeroes[MISSING] __attribute__((aligned(MISSING)));
    struct uffd_msg fault;
    uint64_t page = (uint64_t)sysconf(_SC_PAGESIZE);
    for (;;) {
        if (read(faults, &fault, sizeof fault) != sizeof fault) continue;
        struct uffdio_copy copy = {.dst = fault.arg.pagefault.address & ~(page - 1), .src = (uint64_t)zeroes, .len = page};
        ioctl(faults, UFFDIO_COPY, &copy);
    }
    return argument;
}

static long *below_is_there;
static void wait_below(void) {
    for (victim_store(below_is_there, 1);;) pause();
}

void victim_wait_below_missing_pages(long *is_there) {
    static ucontext_t here, there;
    char *stack = mmap(0, 2 * MISSING, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
    struct uffdio_api api = {.api = UFFD_API};
    struct uffdio_register missing = {{(uint64_t)stack + MISSING, MISSING}, UFFDIO_REGISTER_MODE_MISSING, 0};
    pthread_t server;
    faults = (int)syscall(SYS_userfaultfd, O_CLOEXEC);
    if (faults < 0 || ioctl(faults, UFFDIO_API, &api) != 0 || ioctl(faults, UFFDIO_REGISTER, &missing) != 0) {
        victim_store(is_there, -1);
        return;
    }
    pthread_create(&server, 0, serve_faults, 0);
    below_is_there = is_there;
    getcontext(&there);
    there.uc_stack.ss_sp = stack;
    there.uc_stack.ss_size = MISSING;
    makecontext(&there, wait_below, 0);
    swapcontext(&here, &there);
}

// ---- Calls that a signal ends early (signal(7)).

enum wait { NANOSLEEP, SLEEP, POLL, SELECT, SEM_TIMEDWAIT, PAUSE, SIGSUSPEND, MSGRCV, EPOLL_WAIT, SEMOP, SIGTIMEDWAIT, RECV, WAITS };

int victim_calls_that_wait(void) { return WAITS; }

const char *victim_name_of_wait(int number) {
    static const char *const names[WAITS] = {"nanosleep", "sleep", "poll", "select", "sem_timedwait", "pause", "sigsuspend", "msgrcv",
                                             "epoll_wait", "semop", "sigtimedwait", "recv"};
    return names[number];
}

int victim_stop_ends(int number) { return number >= EPOLL_WAIT; }

static void ignore(int number) { (void)number; }

static _Atomic int is_over, queue = -1;
static _Atomic pthread_t waiting_for_signals[WAITS];

static long now_ms(void) {
    struct timespec now;
    clock_gettime(CLOCK_MONOTONIC, &now);
    return now.tv_sec * 1000 + now.tv_nsec / 1000000;
}

int victim_wait_in(int number, int milliseconds) {
    struct timespec span = {milliseconds / 1000, milliseconds % 1000 * 1000000};
    struct timeval slice = {span.tv_sec, span.tv_nsec / 1000};
    errno = 0;
    switch (number) {
    case NANOSLEEP: return nanosleep(&span, 0) != 0;
    case SLEEP: {
        long began = now_ms();
        sleep((unsigned)milliseconds / 1000);
        return now_ms() - began < milliseconds / 1000 * 1000 - 1;
    }
    case POLL: return poll(0, 0, milliseconds) != 0;
    case SELECT: return select(0, 0, 0, 0, &slice) != 0;
    case SEM_TIMEDWAIT: {
        sem_t semaphore;
        struct timespec end;
        sem_init(&semaphore, 0, 0);
        clock_gettime(CLOCK_REALTIME, &end);
        end.tv_sec += span.tv_sec + (end.tv_nsec + span.tv_nsec) / 1000000000;
        end.tv_nsec = (end.tv_nsec + span.tv_nsec) % 1000000000;
        return sem_timedwait(&semaphore, &end) != 0 && errno != ETIMEDOUT;
    }
    case EPOLL_WAIT: {
        struct epoll_event event;
        int file = epoll_create1(0), count = epoll_wait(file, &event, 1, milliseconds);
        close(file);
        return count != 0;
    }
    case SEMOP: {
        int set = semget(IPC_PRIVATE, 1, 0600);
        struct sembuf down = {0, -1, 0};
        if (set < 0) return 0;
        int result = semtimedop(set, &down, 1, &span), error = errno;
        semctl(set, 0, IPC_RMID);
        return result != 0 && error == EINTR;
    }
    case SIGTIMEDWAIT: {
        sigset_t one;
        sigemptyset(&one);
        sigaddset(&one, SIGRTMIN + 3);
        return sigtimedwait(&one, 0, &span) < 0 && errno == EINTR;
    }
    case RECV: {
        int ends[2];
        char byte;
        if (socketpair(AF_UNIX, SOCK_STREAM, 0, ends) != 0) return 0;
        setsockopt(ends[0], SOL_SOCKET, SO_RCVTIMEO, &slice, sizeof slice);
        long count = recv(ends[0], &byte, 1, 0);
        int error = errno;
        close(ends[0]);
        close(ends[1]);
        return count < 0 && error == EINTR;
    }
    case MSGRCV: {
        struct {
            long type;
            char text[8];
        } message;
        queue = msgget(IPC_PRIVATE, 0600);
        return queue >= 0 && msgrcv(queue, &message, sizeof message.text, 0, 0) < 0 && errno == EINTR;
    }
    default: break;
    }
    sigset_t none;
    sigemptyset(&none);
    struct sigaction action = {.sa_handler = ignore};
    sigaction(SIGUSR2, &action, 0);
    waiting_for_signals[number] = pthread_self();
    if (number == PAUSE) pause();
    else sigsuspend(&none);
    waiting_for_signals[number] = 0;
    return !is_over;
}

void victim_end_waits(void) {
    is_over = 1;
    if (queue >= 0) msgctl(queue, IPC_RMID, 0);
    for (int number = PAUSE; number <= SIGSUSPEND; number++) {
        pthread_t thread = waiting_for_signals[number];
        if (thread) pthread_kill(thread, SIGUSR2);
    }
}

// ----

static _Thread_local volatile long received;
static void receive(int number) { received += number == SIGUSR1; }

long victim_lose_signals(const long *stop) {
    long sent = 0;
    signal(SIGUSR1, receive);
    for (received = 0; !victim_load(stop); sent++) syscall(SYS_tgkill, getpid(), syscall(SYS_gettid), SIGUSR1);
    return sent - received;
}

// ---- Guarded pages.

#if defined(__aarch64__)
int victim_guard(void) {
    enum { GUARDED = 0x10 /* PROT_BTI */, HAS_GUARDS = 1 << 17 /* HWCAP2_BTI */ };
    return getauxval(AT_HWCAP2) & HAS_GUARDS && mprotect((void *)victim_guarded, 65536, PROT_READ | PROT_EXEC | GUARDED) == 0;
}
#else
int victim_guard(void) { return 0; }
#endif

int victim_guard_holds(void) {
    int status = 0, child = fork();
    if (child == 0) {
        int (*volatile inside)(void) = (int (*)(void))((char *)victim_guarded + 4);
        _exit(inside());
    }
    waitpid(child, &status, 0);
    return WIFSIGNALED(status) && WTERMSIG(status) == SIGILL;
}

// ---- Replacements that count and pass on, for functions of up to seven integer arguments, as many as syscall(2) has.

enum { SLOTS = 32 };
static long passed[SLOTS];
static const void *volatile originals[SLOTS];

typedef long (*any_function)(long, long, long, long, long, long, long);

#define SLOT(n) \
    static long pass_##n(long a, long b, long c, long d, long e, long f, long g) { \
        __atomic_add_fetch(&passed[n], 1, __ATOMIC_RELAXED); \
        return ((any_function)originals[n])(a, b, c, d, e, f, g); \
    }
#define ALL(X) \
    X(0) X(1) X(2) X(3) X(4) X(5) X(6) X(7) X(8) X(9) X(10) X(11) X(12) X(13) X(14) X(15) \
    X(16) X(17) X(18) X(19) X(20) X(21) X(22) X(23) X(24) X(25) X(26) X(27) X(28) X(29) X(30) X(31)
ALL(SLOT)
#define NAME(n) (void *)pass_##n,
static void *const passes[SLOTS] = {ALL(NAME)};

const void *victim_passthrough(int slot) { return passes[slot]; }
const void **victim_original(int slot) { return (const void **)&originals[slot]; }
long victim_passed(int slot) { return __atomic_load_n(&passed[slot], __ATOMIC_ACQUIRE); }

// ---- A thread that stops inside the entry of victim_stepped, in a signal handler.

static _Atomic int step_wanted, step_waiting, step_released, step_offset;

// With the frame of the interrupted function far up its stack.
static void wait_inside(uintptr_t pc) {
    volatile char pushed[160 << 10];
    pushed[0] = 0;
    step_offset = (int)(pc - (uintptr_t)&victim_stepped);
    step_released = 0;
    step_waiting = 1;
    while (!step_released) {
        struct timespec span = {0, 1000000};
        syscall(SYS_nanosleep, &span, 0);
    }
    step_waiting = 0;
}

#if defined(__x86_64__)
static void on_step(int number, siginfo_t *info, void *context) {
    (void)number;
    (void)info;
    ucontext_t *frame = context;
    uintptr_t pc = (uintptr_t)frame->uc_mcontext.gregs[REG_RIP];
    uintptr_t start = (uintptr_t)&victim_stepped;
    if (pc < start || pc >= start + 16) return;
    if (step_wanted-- > 0) return;
    wait_inside(pc);
    frame->uc_mcontext.gregs[REG_EFL] &= ~0x100;  // no more single steps
}

static int call_stepped(void) {
    int result;
    __asm__ volatile(
        "subq $128, %%rsp\n\t"
        "movl $30, %%edi\n\t"
        "movl $3, %%esi\n\t"
        "pushfq\n\t"
        "orq $0x100, (%%rsp)\n\t"  // the trap flag: SIGTRAP after every instruction
        "popfq\n\t"
        "call victim_stepped\n\t"
        "pushfq\n\t"
        "andq $~0x100, (%%rsp)\n\t"
        "popfq\n\t"
        "addq $128, %%rsp\n\t"
        : "=a"(result)
        :
        : "rcx", "rdx", "rsi", "rdi", "r8", "r9", "r10", "r11", "memory", "cc");
    return result;
}
#elif defined(__aarch64__)
// No flag that a program could set steps through its instructions. Instead a breakpoint's handler sends itself the signal once
// more, which stays pending, and sets the PC as if the first instructions had run, which do nothing: the kernel delivers the
// second signal there.
static void on_step(int number, siginfo_t *info, void *context) {
    ucontext_t *frame = context;
    if (info->si_code != SI_TKILL) {
        frame->uc_mcontext.pc = (uintptr_t)&victim_stepped + 4 * (uintptr_t)step_wanted;
        syscall(SYS_tgkill, getpid(), syscall(SYS_gettid), number);
    } else {
        wait_inside(frame->uc_mcontext.pc);
    }
}

int call_stepped(void);
__asm__(".text\n.balign 4\n"
        "call_stepped: stp x29, x30, [sp, #-16]!\n"
        "mov x29, sp\n"
        "mov w0, #30\n"
        "mov w1, #3\n"
        "adr x30, 1f\n"
        "brk #1\n"
        "1: ldp x29, x30, [sp], #16\n"
        "ret\n");
#endif

int victim_step_into(int instructions) {
    struct sigaction action = {.sa_sigaction = on_step, .sa_flags = SA_SIGINFO};
    sigaction(SIGTRAP, &action, 0);
    step_wanted = instructions;
    return call_stepped();
}

int victim_step_waiting(void) { return step_waiting; }
int victim_step_offset(void) { return step_offset; }
void victim_step_release(void) {
    step_released = 1;
    while (step_waiting) {
        struct timespec span = {0, 1000000};
        syscall(SYS_nanosleep, &span, 0);
    }
}
