// Traces the process named by its argument until its input ends.
#include <stdio.h>
#include <stdlib.h>
#include <sys/ptrace.h>
#include <unistd.h>

int main(int count, char **arguments) {
    alarm(120);
    if (count < 2 || ptrace(PTRACE_SEIZE, atoi(arguments[1]), 0, 0) != 0) return 1;
    setvbuf(stdout, NULL, _IOLBF, 0);
    puts("ready");
    for (char byte; read(0, &byte, 1) == 1;) {}
    return 0;
}
