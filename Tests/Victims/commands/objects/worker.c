// Answers each line with what the file beside it computes.
#include <stdio.h>

int work(int x);
int count(void);
const char *name(int n);

int main(void) {
    char line[64];
    puts("ready");
    fflush(stdout);
    while (fgets(line, sizeof line, stdin)) {
        int result = work(10);
        printf("%d %d %s\n", result, count(), name(count() % 7));
        fflush(stdout);
    }
}
