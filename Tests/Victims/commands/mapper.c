// A program that does with files what it is told to:
//     map PATH      maps it as code
//     load PATH     loads it as a library that defines `rate`
//     ledger COUNT  makes a ledger of one patch that says it replaced one function so many times
//     newer         makes a ledger as a newer swift-hotpatch would, of one patch, the fifth, that has written to data
//     data          tells what that data is
// answers `done`, or why not. Any other line is answered with the prices of seven. Ends with its input.
#include <dlfcn.h>
#include <errno.h>
#include <fcntl.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>

__attribute__((noinline, noclone)) int price(int item) {
    __asm__ volatile("" : "+r"(item));
    return item * 10;
}

static int (*rate)(int);

static const char *map(const char *path) {
    int file = open(path, O_RDONLY | O_CLOEXEC);
    struct stat status;
    if (file < 0 || fstat(file, &status)) return strerror(errno);
    void *start = mmap(NULL, (size_t)status.st_size, PROT_READ | PROT_EXEC, MAP_PRIVATE, file, 0);
    close(file);
    return start == MAP_FAILED ? strerror(errno) : "done";
}

static const char *load(const char *path) {
    void *library = dlopen(path, RTLD_NOW);
    if (library) *(void **)&rate = dlsym(library, "rate");
    return rate ? "done" : dlerror();
}

// Version 2 of the ledger's format: Sources/HotpatchEngine/LedgerVersion2.swift.
static unsigned char *ledger, *at, *start;

static void put(const void *bytes, size_t count) {
    memcpy(at, bytes, count);
    at += count;
}
static void put32(uint32_t value) { put(&value, 4); }
static void put64(uint64_t value) { put(&value, 8); }
static void text(const void *bytes, uint32_t count) {
    put32(count);
    put(bytes, count);
}
static void begin(void) {
    start = at;
    at += 24;
}
static void end(uint32_t kind, uint64_t state) {
    at += -(uintptr_t)(at - start) % 8;
    uint32_t length = (uint32_t)(at - start);
    uint64_t sum = (0xcbf29ce484222325 ^ kind) * 0x100000001b3;
    for (unsigned char *word = start + 24; word < at; word += 8) {
        uint64_t value;
        memcpy(&value, word, 8);
        sum = (sum ^ value) * 0x100000001b3;
    }
    memcpy(start, &length, 4);
    memcpy(start + 4, &kind, 4);
    memcpy(start + 8, &state, 8);
    memcpy(start + 16, &sum, 8);
}

static const char *make_ledger(uint32_t count) {
    const size_t size = 16 << 20;
    int file = memfd_create("hotpatch-ledger", MFD_CLOEXEC);
    if (file < 0 || ftruncate(file, (off_t)size)) return strerror(errno);
    ledger = mmap(NULL, size, PROT_READ | PROT_WRITE, MAP_PRIVATE, file, 0);
    close(file);
    if (ledger == MAP_FAILED) return strerror(errno);
    at = ledger;
    put("HOTPATCH", 8);
    put32(2);
    put32(64);
    put64(0);
    put64(size);
    put64(1);
    at = ledger + 64;
    begin();
    put32(1);
    put32(62);
    for (int i = 0; i < 6; i++) put64((uintptr_t)price);
    text((void *)price, 5);
    text("\xe9\1\2\3\4", 5);
    put32(0);
    text("price", 5);
    text("/x", 2);
    put32(0);
    end(2, 0);
    begin();
    put32(1);
    put32(1);
    put32(1);
    put32(0);
    put64(0);
    put64(0);
    put64(0);
    put32(0);
    put32(0);
    put32(count);
    for (uint32_t i = 0; i < count; i++) {
        put32(1);
        put64(0x400000 + i);
        text("r", 1);
    }
    end(3, 2);
    uint64_t used = (uint64_t)(at - ledger) - 64;
    memcpy(ledger + 40, &used, 8);
    return "done";
}

// Version 3: Sources/HotpatchEngine/LedgerCoding.swift.
static void number(uint64_t value) {
    for (; value > 0x7f; value >>= 7) put(&(unsigned char){(unsigned char)(value | 0x80)}, 1);
    put(&(unsigned char){(unsigned char)value}, 1);
}
static void finish(uint32_t kind, size_t unsummed) {
    at += -(uintptr_t)(at - start) % 8;
    uint32_t length = (uint32_t)(at - start);
    uint64_t sum = (0xcbf29ce484222325 ^ kind) * 0x100000001b3;
    for (unsigned char *word = start + 16 + unsummed; word < at; word += 8) {
        uint64_t value;
        memcpy(&value, word, 8);
        sum = (sum ^ value) * 0x100000001b3;
    }
    memcpy(start, &length, 4);
    memcpy(start + 4, &kind, 4);
    memcpy(start + 8, &sum, 8);
    start = at;
    at += 16;
}

static char data[] = "patched!";

static const char *make_newer_ledger(void) {
    const size_t size = 1 << 20;
    int file = memfd_create("hotpatch-ledger", MFD_CLOEXEC);
    if (file < 0 || ftruncate(file, (off_t)size)) return strerror(errno);
    ledger = mmap(NULL, size, PROT_READ | PROT_WRITE, MAP_PRIVATE, file, 0);
    close(file);
    if (ledger == MAP_FAILED) return strerror(errno);
    at = ledger;
    put("HOTPATCH", 8);
    put32(3 | 99 << 16);
    put32(64);
    put64(0);
    put64(size);
    put64(1);
    start = ledger + 64;
    at = start + 16;
    number(1);
    number(6);
    put("prices", 6);
    finish(1, 0);
    put64(~0ul);
    finish(99, 0);
    number(1);
    number(1);
    number((uintptr_t)data);
    number(8);
    put("original", 8);
    number(1);
    number(0);
    finish(5, 0);
    put64(2);
    number(5);
    number(1);
    number(7);
    number(0);
    put64(0);
    for (int i = 0; i < 6; i++) number(0);
    number(1);
    number(1);
    number(8);
    put("patched!", 8);
    finish(0x80000007, 8);
    uint64_t used = (uint64_t)(start - ledger) - 64;
    memcpy(ledger + 40, &used, 8);
    return "done";
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
        } else if (strncmp(line, "load ", 5) == 0) {
            puts(load(line + 5));
        } else if (strcmp(line, "newer") == 0) {
            puts(make_newer_ledger());
        } else if (strcmp(line, "data") == 0) {
            puts(data);
        } else if (strncmp(line, "ledger ", 7) == 0) {
            puts(make_ledger((uint32_t)atoi(line + 7)));
        } else {
            printf("price %d rate %d\n", price(7), rate ? rate(7) : 0);
        }
        fflush(stdout);
    }
    return 0;
}
