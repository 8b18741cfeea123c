// Answers each line with what the file beside it computes. `worker [crowded]`
#include <stdio.h>

#include "../crowd.h"

int work(int x);
int count(void);
const char *name(int n);

int main(int number, char **words) {
    char line[64];
    (void)words;
    if (number > 1) crowd((uintptr_t)work);
    puts("ready");
    fflush(stdout);
    while (fgets(line, sizeof line, stdin)) {
        int result = work(10);
        printf("%d %d %s\n", result, count(), name(count() % 7));
        fflush(stdout);
    }
}
