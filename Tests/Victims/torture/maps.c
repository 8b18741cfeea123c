// Maps a file as a library is mapped, whatever it is: maps FILE.
#include "torture.h"

#include <fcntl.h>
#include <sys/mman.h>
#include <sys/stat.h>

DEFINE_PRICE

int main(int count, char **arguments) {
    struct stat status;
    int file = open(arguments[count - 1], O_RDONLY | O_CLOEXEC);
    if (file < 0 || fstat(file, &status) != 0) return 1;
    size_t size = (size_t)status.st_size ? (size_t)status.st_size : 1;
    if (mmap(0, size, PROT_READ, MAP_PRIVATE, file, 0) == MAP_FAILED) return 1;
    if (mmap(0, size, PROT_READ | PROT_EXEC, MAP_PRIVATE, file, 0) == MAP_FAILED) return 1;
    close(file);
    answer("ready");
    while (asked()) answer(is_price(price(2)) ? "harmed 0" : "harmed 1");
    return 0;
}
