// A shop. Answers each line on its input with a line; ends with its input. `shop [THREADS] [seccomp|crowded]`: threads keep pricing.
//
// Compiled with -DHELPER it is built from two shared libraries too, which define `rate` each: see rate.c.
#include <linux/filter.h>
#include <linux/seccomp.h>
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <unistd.h>

#include "crowd.h"

#define FUNCTION __attribute__((noinline, noclone))

static volatile int base = 10;
static int orders;
static char noted[256] = "nothing";

FUNCTION int price(int item) { return base * item; }
FUNCTION int tax(int amount) { return amount / base; }
FUNCTION __attribute__((weak)) int discount(int amount) { return amount > base * 5 ? 5 : 0; }
FUNCTION __attribute__((visibility("hidden"))) int margin(int amount) { return amount + base; }
FUNCTION static int rebate(int amount) { return amount - base; }
FUNCTION int countdown(int n) { return n <= 0 ? base : countdown(n - 1) + 1; }
// For patch libraries to call.
FUNCTION void note(const char *text) { snprintf(noted, sizeof noted, "%s", text); }

#ifdef HELPER
int first_rate(int);
int second_rate(int);
#endif

static void *work(void *unused) {
    (void)unused;
    for (volatile int sum = 0;; sum += price(1)) usleep(200);
    return NULL;
}

static void allow_all(void) {
    struct sock_filter code[] = {BPF_STMT(BPF_RET | BPF_K, SECCOMP_RET_ALLOW)};
    struct sock_fprog program = {1, code};
    if (prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0) || prctl(PR_SET_SECCOMP, SECCOMP_MODE_FILTER, &program)) _exit(70);
}

int main(int count, char **arguments) {
    alarm(120);  // whatever happens to the test
    if (count > 2 && !strcmp(arguments[2], "seccomp")) allow_all();
    if (count > 2 && !strcmp(arguments[2], "crowded")) crowd((uintptr_t)price);
    for (int i = count > 1 ? atoi(arguments[1]) : 0; i > 0; i--) {
        pthread_t thread;
        pthread_create(&thread, NULL, work, NULL);
    }
    setvbuf(stdout, NULL, _IOLBF, 0);
    puts("ready");
    for (char line[64]; fgets(line, sizeof line, stdin);) {
        orders++;
#ifdef HELPER
        printf("first %d second %d\n", first_rate(7), second_rate(7));
#else
        printf(
            "price %d tax %d discount %d margin %d rebate %d countdown %d noted %s orders %d\n", price(7), tax(70), discount(70),
            margin(7), rebate(70), countdown(3), noted, orders);
#endif
    }
    return 0;
}
