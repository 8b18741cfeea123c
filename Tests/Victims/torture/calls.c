// Thirty-one calls that wait, each in a thread of its own, for SPAN seconds: some end by their timeout, some because what they wait
// for comes. None may fail, return early or take much longer because the process was patched meanwhile.
// Answers "harmed N: NAME WHAT, …" of one round.
#define _GNU_SOURCE
#include "torture.h"

#include <errno.h>
#include <fcntl.h>
#include <linux/futex.h>
#include <poll.h>
#include <pthread.h>
#include <semaphore.h>
#include <signal.h>
#include <sys/epoll.h>
#include <sys/eventfd.h>
#include <sys/file.h>
#include <sys/ipc.h>
#include <sys/msg.h>
#include <sys/select.h>
#include <sys/sem.h>
#include <sys/socket.h>
#include <sys/syscall.h>
#include <sys/timerfd.h>
#include <sys/uio.h>
#include <sys/un.h>
#include <sys/wait.h>

DEFINE_PRICE

#define SPAN 1.0
enum { SPAN_MS = 1000 };

static const struct timespec span = {1, 0};
static int pipe_ends[2], full_pipe[2], vector_ends[2], from_ends[2], message_ends[2], quiet_ends[2], event, listener, locked[2];
static int semaphores, queue;
static sem_t posted, never;
static pthread_t sleeper;
static pthread_mutex_t held = PTHREAD_MUTEX_INITIALIZER;

static struct timespec in_a_span(clockid_t clock) {
    struct timespec time;
    clock_gettime(clock, &time);
    time.tv_sec += 1;
    return time;
}

// Those that end by their timeout. Each returns 1 where it ended as it should.
static int call_nanosleep(void) { return nanosleep(&span, 0) == 0; }
static int call_clock_nanosleep(void) { return clock_nanosleep(CLOCK_MONOTONIC, 0, &span, 0) == 0; }
static int call_clock_nanosleep_until(void) {
    struct timespec end = in_a_span(CLOCK_MONOTONIC);
    return clock_nanosleep(CLOCK_MONOTONIC, TIMER_ABSTIME, &end, 0) == 0;
}
static int call_usleep(void) { return usleep(SPAN_MS * 1000) == 0; }
static int call_sleep(void) { return sleep(1) == 0; }
static int call_poll(void) { return poll(0, 0, SPAN_MS) == 0; }
static int call_ppoll(void) { return ppoll(0, 0, &span, 0) == 0; }
static int call_select(void) {
    struct timeval time = {1, 0};
    return select(0, 0, 0, 0, &time) == 0;
}
static int call_pselect(void) { return pselect(0, 0, 0, 0, &span, 0) == 0; }
static int waits_for_events(int with_mask) {
    int file = epoll_create1(EPOLL_CLOEXEC);
    struct epoll_event found;
    sigset_t none;
    sigemptyset(&none);
    int count = with_mask ? epoll_pwait(file, &found, 1, SPAN_MS, &none) : epoll_wait(file, &found, 1, SPAN_MS);
    close(file);
    return count == 0;
}
static int call_epoll_wait(void) { return waits_for_events(0); }
static int call_epoll_pwait(void) { return waits_for_events(1); }
static int call_sem_timedwait(void) {
    struct timespec end = in_a_span(CLOCK_REALTIME);
    return sem_timedwait(&never, &end) == -1 && errno == ETIMEDOUT;
}
static int call_pthread_cond_timedwait(void) {
    pthread_mutex_t mutex = PTHREAD_MUTEX_INITIALIZER;
    pthread_cond_t condition = PTHREAD_COND_INITIALIZER;
    struct timespec end = in_a_span(CLOCK_REALTIME);
    pthread_mutex_lock(&mutex);
    return pthread_cond_timedwait(&condition, &mutex, &end) == ETIMEDOUT;
}
static int call_pthread_mutex_timedlock(void) {
    struct timespec end = in_a_span(CLOCK_REALTIME);
    return pthread_mutex_timedlock(&held, &end) == ETIMEDOUT;
}
static int call_sigtimedwait(void) {
    sigset_t set;
    sigemptyset(&set);
    sigaddset(&set, SIGUSR2);
    return sigtimedwait(&set, 0, &span) == -1 && errno == EAGAIN;
}
static int call_semtimedop(void) {
    struct sembuf down = {0, -1, 0};
    return semtimedop(semaphores, &down, 1, &span) == -1 && errno == EAGAIN;
}
static int call_recv(void) {
    char byte;
    return recv(quiet_ends[0], &byte, 1, 0) == -1 && errno == EAGAIN;
}
static int call_futex(void) {
    static int word;
    return syscall(SYS_futex, &word, FUTEX_WAIT_PRIVATE, 0, &span, 0, 0) == -1 && errno == ETIMEDOUT;
}
static int call_read_timer(void) {
    int timer = timerfd_create(CLOCK_MONOTONIC, TFD_CLOEXEC);
    struct itimerspec once = {{0, 0}, span};
    unsigned long expired = 0;
    timerfd_settime(timer, 0, &once, 0);
    int is_right = read(timer, &expired, sizeof expired) == sizeof expired && expired == 1;
    close(timer);
    return is_right;
}

// Those that end because what they wait for comes.
static int call_read(void) {
    char byte;
    return read(pipe_ends[0], &byte, 1) == 1;
}
static int call_readv(void) {
    char byte;
    struct iovec vector = {&byte, 1};
    return readv(vector_ends[0], &vector, 1) == 1;
}
static int call_read_event(void) {
    unsigned long count = 0;
    return read(event, &count, sizeof count) == sizeof count && count == 1;
}
static int call_write(void) {
    char bytes[8192] = {0};
    return write(full_pipe[1], bytes, sizeof bytes) == sizeof bytes;
}
static int call_recvfrom(void) {
    char byte;
    return recvfrom(from_ends[0], &byte, 1, 0, 0, 0) == 1;
}
static int call_recvmsg(void) {
    char byte;
    struct iovec vector = {&byte, 1};
    struct msghdr message = {.msg_iov = &vector, .msg_iovlen = 1};
    return recvmsg(message_ends[0], &message, 0) == 1;
}
static int call_accept(void) {
    int end = accept(listener, 0, 0);
    if (end >= 0) close(end);
    return end >= 0;
}
static int call_msgrcv(void) {
    struct {
        long type;
        char byte;
    } message;
    return msgrcv(queue, &message, 1, 0, 0) == 1;
}
static int call_waitpid(void) {
    pid_t child = fork();
    if (child == 0) {
        nanosleep(&span, 0);
        _exit(7);
    }
    int status = 0;
    return waitpid(child, &status, 0) == child && WEXITSTATUS(status) == 7;
}
static int call_flock(void) { return flock(locked[1], LOCK_EX) == 0 && flock(locked[1], LOCK_UN) == 0; }
static int call_pthread_join(void) { return pthread_join(sleeper, 0) == 0; }
static int call_sem_wait(void) { return sem_wait(&posted) == 0; }

#define CALL(name) {#name, call_##name, 0, 0, 0, 0}
#define WOKEN(name) {#name, call_##name, 1, 0, 0, 0}
static struct call {
    const char *name;
    int (*make)(void);
    int is_woken;    // by `wake`, or by one that sleeps meanwhile
    int is_right;
    double seconds;
    double ended;
} calls[] = {
    CALL(nanosleep), CALL(clock_nanosleep), CALL(clock_nanosleep_until), CALL(usleep), CALL(sleep), CALL(poll), CALL(ppoll),
    CALL(select), CALL(pselect), CALL(epoll_wait), CALL(epoll_pwait), CALL(sem_timedwait), CALL(pthread_cond_timedwait),
    CALL(pthread_mutex_timedlock), CALL(sigtimedwait), CALL(semtimedop), CALL(recv), CALL(futex), CALL(read_timer), WOKEN(read),
    WOKEN(readv), WOKEN(read_event), WOKEN(write), WOKEN(recvfrom), WOKEN(recvmsg), WOKEN(accept), WOKEN(msgrcv), CALL(waitpid),
    WOKEN(flock), WOKEN(pthread_join), WOKEN(sem_wait),
};
enum { CALLS = sizeof calls / sizeof *calls };
_Static_assert(CALLS == 31, "");

static pthread_barrier_t together;

static void *make(void *argument) {
    struct call *call = argument;
    pthread_barrier_wait(&together);
    double began = now();
    call->is_right = call->make();
    call->ended = now();
    call->seconds = call->ended - began;
    return 0;
}

static void *sleeps(void *argument) {
    (void)argument;
    pthread_barrier_wait(&together);
    nanosleep(&span, 0);
    return 0;
}

static struct sockaddr_un address = {.sun_family = AF_UNIX};
static socklen_t address_length;

// Lets come what the others wait for.
static double woken;  // when `wake` did so, at the earliest

static void wake(void) {
    struct timespec end = in_a_span(CLOCK_MONOTONIC);
    woken = now() + SPAN;
    char drained[1 << 16];
    unsigned long one = 1;
    struct {
        long type;
        char byte;
    } message = {1, 0};
    pthread_barrier_wait(&together);
    while (clock_nanosleep(CLOCK_MONOTONIC, TIMER_ABSTIME, &end, 0) != 0) {}
    (void)!write(pipe_ends[1], "", 1);
    (void)!write(vector_ends[1], "", 1);
    (void)!write(event, &one, sizeof one);
    (void)!read(full_pipe[0], drained, sizeof drained);
    send(from_ends[1], "", 1, 0);
    send(message_ends[1], "", 1, 0);
    int visitor = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);
    connect(visitor, (struct sockaddr *)&address, address_length);
    msgsnd(queue, &message, 1, 0);
    flock(locked[0], LOCK_UN);
    sem_post(&posted);
    close(visitor);
}

static void prepare(void) {
    char path[] = "/tmp/hotpatch-torture-XXXXXX";
    (void)!pipe(pipe_ends);
    (void)!pipe(vector_ends);
    (void)!pipe(full_pipe);
    socketpair(AF_UNIX, SOCK_DGRAM, 0, from_ends);
    socketpair(AF_UNIX, SOCK_DGRAM, 0, message_ends);
    socketpair(AF_UNIX, SOCK_DGRAM, 0, quiet_ends);
    struct timeval limit = {1, 0};
    setsockopt(quiet_ends[0], SOL_SOCKET, SO_RCVTIMEO, &limit, sizeof limit);
    event = eventfd(0, EFD_CLOEXEC);
    listener = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);
    bind(listener, (struct sockaddr *)&address, sizeof(sa_family_t));  // an abstract name of the kernel's choice (unix(7))
    address_length = sizeof address;
    getsockname(listener, (struct sockaddr *)&address, &address_length);
    listen(listener, 8);
    locked[0] = mkstemp(path);
    locked[1] = open(path, O_RDWR | O_CLOEXEC);
    unlink(path);
    semaphores = semget(IPC_PRIVATE, 1, 0600);
    queue = msgget(IPC_PRIVATE, 0600);
    sem_init(&posted, 0, 0);
    sem_init(&never, 0, 0);
    pthread_mutex_lock(&held);
    sigset_t set;
    sigemptyset(&set);
    sigaddset(&set, SIGUSR2);
    pthread_sigmask(SIG_BLOCK, &set, 0);
    pthread_barrier_init(&together, 0, CALLS + 2);
}

static void fill(void) {
    char bytes[4096] = {0};
    fcntl(full_pipe[1], F_SETFL, O_NONBLOCK);
    while (write(full_pipe[1], bytes, sizeof bytes) > 0) {}
    fcntl(full_pipe[1], F_SETFL, 0);
}

static void round_of_calls(char *text, size_t size) {
    pthread_t threads[CALLS];
    fill();
    flock(locked[0], LOCK_EX);
    pthread_create(&sleeper, 0, sleeps, 0);
    for (int i = 0; i < CALLS; i++) pthread_create(&threads[i], 0, make, &calls[i]);
    wake();
    for (int i = 0; i < CALLS; i++) pthread_join(threads[i], 0);
    int harmed = 0;
    char list[2048] = "";
    for (int i = 0; i < CALLS; i++) {
        // Nothing is said of a machine's speed: a call may begin long after it was to, and three times as long is what a timeout
        // that began anew takes.
        int is_early = calls[i].seconds < SPAN - 0.05 && !(calls[i].is_woken && calls[i].ended > woken - 0.05);
        const char *what = !calls[i].is_right ? "failed" : is_early ? "early" : calls[i].seconds > 3 * SPAN ? "late" : 0;
        if (!what) continue;
        harmed++;
        size_t used = strlen(list);
        snprintf(list + used, sizeof list - used, "%s%s %s", used ? ", " : "", calls[i].name, what);
    }
    snprintf(text, size, "harmed %d of %d%s%s", harmed, CALLS, harmed ? ": " : "", list);
}

int main(void) {
    char text[2304];
    prepare();
    answer("ready");
    while (asked()) {
        if (!is_price(price(2))) abort();
        round_of_calls(text, sizeof text);
        answer(text);
    }
    semctl(semaphores, 0, IPC_RMID);
    msgctl(queue, IPC_RMID, 0);
    return 0;
}
