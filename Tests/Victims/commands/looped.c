// A program that may not be traced, and is edited all the same. See WatchReloaderTests.
#include <stdio.h>
#include <string.h>
#include <sys/prctl.h>
#include <unistd.h>

void start_loop(void);

static int count;
struct price { int amount; };
static struct price price = {7};
static int next(void) { return ++count; }
static const char *hello(void) { return "hello"; }

int main(int argc, char **argv) {
    (void)argv;
    char line[64];
    prctl(PR_SET_DUMPABLE, 0);
    alarm(300);  // whatever happens to the test
    if (argc < 2) start_loop();
    while (fgets(line, sizeof line, stdin)) {
        if (!strcmp(line, "count\n")) printf("= %d\n", next());
        else if (!strcmp(line, "price\n")) printf("= %d\n", price.amount);
        else printf("= %s\n", hello());
        fflush(stdout);
    }
}
