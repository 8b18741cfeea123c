// What the scenarios need and Swift cannot say.

#define _GNU_SOURCE
#include "support.h"

#include <signal.h>
#include <stdatomic.h>
#include <stdlib.h>
#include <sys/auxv.h>
#include <sys/mman.h>
#include <sys/ptrace.h>
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
int victim_trace(int tid) {
    int ends[2], answer = -1;
    if (pipe(ends) != 0) return 0;
    int child = fork();
    if (child == 0) {
        int failed = ptrace(PTRACE_SEIZE, tid, 0, 0) != 0;
        if (write(ends[1], &failed, sizeof failed) < 0) _exit(1);
        for (;;) pause();
    }
    if (read(ends[0], &answer, sizeof answer) != sizeof answer) answer = -1;
    close(ends[0]);
    close(ends[1]);
    return answer == 0 ? child : 0;
}

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

static void wait_inside(uintptr_t pc) {
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
