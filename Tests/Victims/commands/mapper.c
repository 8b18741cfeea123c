// A program that maps what it is told to, as code: `map PATH` answers `mapped`, or why not. Any other line answers with the price
// of seven. Ends with its input.
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>

__attribute__((noinline, noclone)) int price(int item) {
    __asm__ volatile("" : "+r"(item));
    return item * 10;
}

static const char *map(const char *path) {
    int file = open(path, O_RDONLY | O_CLOEXEC);
    struct stat status;
    if (file < 0 || fstat(file, &status)) return strerror(errno);
    void *start = mmap(NULL, (size_t)status.st_size, PROT_READ | PROT_EXEC, MAP_PRIVATE, file, 0);
    close(file);
    return start == MAP_FAILED ? strerror(errno) : "mapped";
}

int main(void) {
    alarm(120);  // whatever happens to the test
    char line[4200];
    puts("ready");
    fflush(stdout);
    while (fgets(line, sizeof line, stdin)) {
        line[strcspn(line, "\n")] = 0;
        if (strncmp(line, "map ", 4) == 0) {
            puts(map(line + 4));
        } else {
            printf("price %d\n", price(7));
        }
        fflush(stdout);
    }
    return 0;
}
