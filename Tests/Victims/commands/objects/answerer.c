// Answers each line with what the file beside it says.
#include <stdio.h>
#include <string.h>

#ifdef __cplusplus
extern "C"
#endif
const char *answer(const char *question);

int main(void) {
    char line[64];
    puts("ready");
    fflush(stdout);
    while (fgets(line, sizeof line, stdin)) {
        line[strcspn(line, "\n")] = 0;
        puts(answer(line));
        fflush(stdout);
    }
}
