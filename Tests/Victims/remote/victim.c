// victim SHARED THREADS [MAIN]: one thread per letter of THREADS, each counting its rounds in the file SHARED.
// Prints the addresses that the tests write to.
#define _GNU_SOURCE
#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <pthread.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/ipc.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/sem.h>
#include <sys/socket.h>
#include <sys/time.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

// Mirrored by Shared in Victim.swift.
struct shared {
    volatile long errors, interrupted, value, in_handler, loaded, births, stop;
    volatile long rounds[120];
    char message[128];
} *S;

volatile long *loaded_counter(void) { return &S->loaded; }

#define BAD(...) (snprintf(S->message, sizeof S->message, __VA_ARGS__), __sync_fetch_and_add(&S->errors, 1))
#define CHECK(call) do { if ((call) < 0) { if (errno == EINTR) __sync_fetch_and_add(&S->interrupted, 1); else BAD(#call " %d", errno); } } while (0)

int alpha(void);
int beta(void);
void spin(void);
int at_page_end(void);
__asm__(".text\n.balign 16\nalpha: .byte 0x0f,0x1f,0x44,0,0; mov $1,%eax; ret\n"
        ".balign 16\nbeta: mov $2,%eax; ret\n"
        ".balign 16\nspin: nop; 1: jmp 1b\n"
        ".balign 4096\n.skip 4093, 0x90\nat_page_end: .byte 0x0f,0x1f,0x44,0,0; ret\n.balign 16\n");

static void *t_malloc(void *a) {
    long k = (long)a;
    for (;;) {
        void *p[16];
        for (int i = 0; i < 16; i++) { p[i] = malloc(40 + i * 700 + k * 17000 * (i == 7)); memset(p[i], i, 40); }
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
static void *t_handler(void *a) { S->rounds[(long)a] = 1; signal(SIGUSR1, handler); spin(); return a; }
// In a handler that interrupted a wait.
static void *t_waits_in_handler(void *a) { S->rounds[(long)a] = 1; signal(SIGUSR1, handler); for (;;) poll(0, 0, 1000); }
// In a handler that interrupted malloc: a page fault inside it, on a top chunk that has become unreadable.
static void fault(int s) {
    for (S->in_handler = s;;) pause();
}
// The same, without call frame information: the unwinding ends in the handler.
void blind_fault(int s);
__asm__(".text\n.balign 16\nblind_fault: movq S@GOTPCREL(%rip),%rax; mov (%rax),%rax; movslq %edi,%rdi; mov %rdi,24(%rax)\n"
        "1: call pause@PLT; jmp 1b\n");
static void *fault_in_malloc(void *a, void (*handler)(int)) {
    signal(SIGSEGV, handler);
    free(malloc(100));
    mprotect((char *)sbrk(0) - 8 * 4096, 8 * 4096, PROT_NONE);
    for (S->rounds[(long)a] = 1;;) memset(malloc(1000), 1, 8);
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
        long ok;
        __asm__ volatile(
            "mov $0x1111,%%rbx; mov $0x2222,%%rcx; mov $0x3333,%%rdx; mov $0x4444,%%rsi; mov $0x5555,%%rdi;"
            "mov $0x8888,%%r8; mov $0x9999,%%r9; mov $0xaaaa,%%r10; mov $0xbbbb,%%r11; mov $0xcccc,%%r12;"
            "mov $0xdddd,%%r13; mov $0xeeee,%%r14; mov $0xffff,%%r15;"
            "vpcmpeqd %%ymm0,%%ymm0,%%ymm0; vpsrld $3,%%ymm0,%%ymm7; vmovdqa %%ymm7,%%ymm15;"
            "movq $0x77,-8(%%rsp); movq $0x78,-120(%%rsp); mov $200000,%%eax; stc;"
            "1: dec %%eax; jnz 1b;"
            "setc %%al; cmp $1,%%al; jne 9f; cmp $0x1111,%%rbx; jne 9f; cmp $0x2222,%%rcx; jne 9f; cmp $0x3333,%%rdx; jne 9f;"
            "cmp $0x4444,%%rsi; jne 9f; cmp $0x5555,%%rdi; jne 9f; cmp $0x8888,%%r8; jne 9f; cmp $0x9999,%%r9; jne 9f;"
            "cmp $0xaaaa,%%r10; jne 9f; cmp $0xbbbb,%%r11; jne 9f; cmp $0xcccc,%%r12; jne 9f; cmp $0xdddd,%%r13; jne 9f;"
            "cmp $0xeeee,%%r14; jne 9f; cmp $0xffff,%%r15; jne 9f; cmpq $0x77,-8(%%rsp); jne 9f; cmpq $0x78,-120(%%rsp); jne 9f;"
            "vpcmpeqd %%ymm0,%%ymm0,%%ymm0; vpsrld $3,%%ymm0,%%ymm1; vpcmpeqd %%ymm1,%%ymm15,%%ymm2; vpmovmskb %%ymm2,%%eax;"
            "cmp $-1,%%eax; jne 9f; vpcmpeqd %%ymm1,%%ymm7,%%ymm2; vpmovmskb %%ymm2,%%eax; cmp $-1,%%eax; jne 9f;"
            "mov $1,%%rax; jmp 8f; 9: xor %%eax,%%eax; 8: vzeroupper;"
            : "=a"(ok)::"rbx", "rcx", "rdx", "rsi", "rdi", "r8", "r9", "r10", "r11", "r12", "r13", "r14", "r15", "memory", "cc", "xmm0",
              "xmm1", "xmm2", "xmm7", "xmm15");
        if (!ok) BAD("registers changed");
        S->rounds[(long)a]++;
    }
}

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
    printf("%p %p %p %p %p\n", (void *)alpha, (void *)beta, (void *)spin, (void *)at_page_end, sealed);
    fflush(stdout);
    char mode = argc > 3 ? argv[3][0] : 'k';
    if (mode == 'z') pthread_exit(0);  // a zombie leader
    function(mode)((void *)0);
}
