// Signals that come all the time, by kind:
//   ignored   SIGURG and SIGCHLD, which nobody handles, at a thread in epoll_wait: an EINTR is harm
//   jumping   a timer's handler leaves pause() by siglongjmp
//   handled   four real-time signals at threads that compute: a lost one, or a wrong sum, is harm
//   users     seteuid(2) without pause, which glibc has every thread carry out
// Answers "harmed N of N".
#define _GNU_SOURCE
#include "torture.h"

#include <errno.h>
#include <pthread.h>
#include <setjmp.h>
#include <signal.h>
#include <stdatomic.h>
#include <stdbool.h>
#include <sys/epoll.h>
#include <sys/time.h>
#include <sys/wait.h>

DEFINE_PRICE

static atomic_long rounds, harmed, sent, taken;
static atomic_bool has_begun;

static void *waits(void *argument) {
    (void)argument;
    int file = epoll_create1(EPOLL_CLOEXEC);
    struct epoll_event found;
    for (;;) {
        if (epoll_wait(file, &found, 1, 100) < 0) harmed++;
        rounds++;
    }
    return 0;
}

static void *sends_ignored(void *argument) {
    (void)argument;
    sigset_t all;
    sigfillset(&all);
    pthread_sigmask(SIG_BLOCK, &all, 0);
    // Not while the main thread is in pthread_create(3), which blocks all signals: what is blocked is not ignored.
    while (!has_begun) usleep(1000);
    for (;; usleep(50)) {
        kill(getpid(), SIGURG);
        kill(getpid(), SIGCHLD);
        kill(getpid(), SIGWINCH);
    }
    return 0;
}

static sigjmp_buf before;
static void jump(int number) {
    (void)number;
    siglongjmp(before, 1);
}

// In the main thread, which therefore asks nothing.
static void jump_for_ever(void) {
    signal(SIGALRM, jump);
    for (;;) {
        if (sigsetjmp(before, 1)) rounds++;
        struct itimerval soon = {{0, 0}, {0, 3000}};
        if (!is_price(price(2))) harmed++;
        setitimer(ITIMER_REAL, &soon, 0);
        for (;;) pause();
    }
}

static void take(int number) {
    (void)number;
    taken++;
}

static void *computes(void *argument) {
    (void)argument;
    for (;;) {
        long sum = 0;
        for (int i = 0; i < 100; i++) sum += price(2);
        // All of one kind, or a mixture: between 100 of the own and 100 of the replacement's.
        if (sum < 100 * OWN || sum > 100 * REPLACED || (sum - 100 * OWN) % (REPLACED - OWN) != 0) harmed++;
        rounds++;
    }
    return 0;
}

static void *sends_handled(void *argument) {
    pthread_t *threads = argument;
    sigset_t all;
    sigfillset(&all);
    pthread_sigmask(SIG_BLOCK, &all, 0);
    for (unsigned i = 0;; i++) {
        if (pthread_sigqueue(threads[i & 1], SIGRTMIN + (int)(i >> 1 & 3), (union sigval){0}) == 0) sent++;
        usleep(100);
    }
    return 0;
}

static void *changes_user(void *argument) {
    (void)argument;
    for (;;) {
        if (seteuid(geteuid()) != 0) harmed++;
        rounds++;
    }
    return 0;
}

static void *blocked(void *argument) {
    (void)argument;
    for (;;) pause();
    return 0;
}

static void *converses(void *kind) {
    sigset_t alarms;
    sigemptyset(&alarms);
    sigaddset(&alarms, SIGALRM);
    pthread_sigmask(SIG_BLOCK, &alarms, 0);
    has_begun = true;
    answer("ready");
    for (long last = 0; asked();) {
        char text[64];
        // What has come to a stop is harmed.
        for (int i = 0; i < 3000 && rounds == last; i++) usleep(1000);
        if (rounds == last) harmed++;
        last = rounds;
        if (*(char *)kind == 'h') {
            long all_sent = sent;
            for (int i = 0; i < 3000 && taken < all_sent; i++) usleep(1000);
            if (taken < all_sent) harmed++;
        }
        snprintf(text, sizeof text, "harmed %ld of %ld", (long)harmed, last);
        answer(text);
    }
    exit(0);
}

int main(int count, char **arguments) {
    if (count < 2) return 64;
    static pthread_t threads[2];
    pthread_t other;
    switch (arguments[1][0]) {
    case 'i':
        pthread_create(&other, 0, waits, 0);
        pthread_create(&other, 0, sends_ignored, 0);
        break;
    case 'h':
        for (int i = 0; i < 4; i++) {
            struct sigaction action = {.sa_handler = take, .sa_flags = SA_RESTART};
            sigaction(SIGRTMIN + i, &action, 0);
        }
        for (int i = 0; i < 2; i++) pthread_create(&threads[i], 0, computes, 0);
        pthread_create(&other, 0, sends_handled, threads);
        break;
    case 'u':
        for (int i = 0; i < 3; i++) pthread_create(&other, 0, blocked, 0);
        pthread_create(&other, 0, changes_user, 0);
        break;
    case 'j':
        pthread_create(&other, 0, converses, arguments[1]);
        jump_for_ever();
    }
    converses(arguments[1]);
}
