// Waits in vfork for a child that takes its time: until its input ends.
#include <stdio.h>
#include <unistd.h>

__attribute__((noinline, noclone)) int price(int item) { return item * 10; }

int main(void) {
    alarm(120);
    setvbuf(stdout, NULL, _IOLBF, 0);
    puts("ready");
    pid_t child = vfork();
    if (child == 0) {
        for (char byte; read(0, &byte, 1) == 1 && byte != '\n';) {}
        _exit(0);
    }
    printf("price %d\n", price(7));
    return 0;
}
