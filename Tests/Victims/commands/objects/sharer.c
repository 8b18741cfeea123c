/* Says what shared.c does, and whether both mean the same. */
#include <stdio.h>

extern int counter;
int work(void);
int *where(void);
int (*stored_hook(void))(void);

int hook(void) { return 7; }
int unused_hook(void) { return 8; }

int main(void) {
    char line[64];
    puts("ready");
    fflush(stdout);
    while (fgets(line, sizeof line, stdin) != NULL) {
        int answer = work();
        printf("%d %d %d %d\n", answer, counter, where() == &counter, stored_hook() == hook);
        fflush(stdout);
    }
    return 0;
}
