// Opens libraries, each in a process of its own: `opener [--with LIBRARY]… LIBRARY…`. Of each it says a line: `opened`, `refused REASON`,
// or who died of it: `loader`, `library`, or `hangs`. --with: libraries that all of those processes have already.
#define _GNU_SOURCE
#include <dlfcn.h>
#include <fcntl.h>
#include <link.h>
#include <signal.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <sys/wait.h>
#include <ucontext.h>
#include <unistd.h>

enum { refused = 101, by_loader, by_library };

static const char *opened;

static int sum;
static int look(struct dl_phdr_info *info, size_t size, void *unused) {
    (void)size, (void)unused;
    for (int index = 0; index < info->dlpi_phnum; index++) sum += info->dlpi_phdr[index].p_type;
    return 0;
}

// Whose memory an address is: 1 the loader's, 2 the library's that is opened, 3 another library's that it may have called, 0 anyone's.
static int owner(uintptr_t address) {
    static char line[8192];
    FILE *maps = fopen("/proc/self/maps", "re");
    if (!maps) return 0;
    int result = 0;
    while (fgets(line, sizeof line, maps)) {
        unsigned long start, end;
        char flags[8];
        int place = 0;
        if (sscanf(line, "%lx-%lx %7s %*s %*s %*s %n", &start, &end, flags, &place) < 3) continue;
        if (address < start || address >= end) continue;
        line[strcspn(line, "\n")] = 0;
        if (strstr(line + place, "/ld-linux")) result = 1;
        else if (!strcmp(line + place, opened)) result = 2;
        else if (strstr(line + place, "/lib") && !strstr(line + place, "/libc.")) result = 3;
        break;
    }
    fclose(maps);
    return result;
}

// What the library's own code does is not the loader's fault. Where the process died in neither, the stack tells whose call it was.
static void died(int signal, siginfo_t *info, void *context) {
    (void)info;
    const mcontext_t *machine = &((ucontext_t *)context)->uc_mcontext;
#ifdef __x86_64__
    uintptr_t place = machine->gregs[REG_RIP], stack = machine->gregs[REG_RSP];
#else
    uintptr_t place = machine->pc, stack = machine->sp;
#endif
    int whose = owner(place);
    const uintptr_t *word = (const uintptr_t *)(stack & ~(uintptr_t)7);
    for (int index = 0; !whose && signal != SIGABRT && index < 64; index++) whose = owner(word[index]);
    _exit(whose >= 2 ? by_library : by_loader);
}

static void open_library(const char *path) {
    static char stack[1 << 16];
    stack_t other = {.ss_sp = stack, .ss_size = sizeof stack};
    sigaltstack(&other, NULL);
    struct sigaction action = {.sa_sigaction = died, .sa_flags = SA_SIGINFO | SA_ONSTACK | SA_RESETHAND};
    int signals[] = {SIGSEGV, SIGBUS, SIGILL, SIGFPE, SIGABRT, SIGTRAP};
    for (unsigned index = 0; index < sizeof signals / sizeof *signals; index++) sigaction(signals[index], &action, NULL);
    opened = path;
    alarm(20);
    void *handle = dlopen(path, RTLD_NOW | RTLD_LOCAL);
    if (!handle) {
        puts(dlerror());
        fflush(stdout);
        _exit(refused);
    }
    // Looks through its tables once more.
    dlsym(handle, "price");
    dlsym(handle, "no such function");
    Dl_info info;
    dladdr(((struct link_map *)handle)->l_ld, &info);
    dl_iterate_phdr(look, NULL);
    exit(0);
}

int main(int count, char **arguments) {
    struct rlimit none = {0, 0};
    setrlimit(RLIMIT_CORE, &none);
    for (int index = 1; index < count; index++) {
        if (!strcmp(arguments[index], "--with")) {
            if (!dlopen(arguments[++index], RTLD_NOW | RTLD_LOCAL)) {
                puts(dlerror());
                return 1;
            }
            continue;
        }
        int ends[2];
        if (pipe(ends)) return 1;
        fflush(stdout);
        pid_t child = fork();
        if (child == 0) {
            dup2(ends[1], 1);
            close(ends[0]);
            close(ends[1]);
            open_library(arguments[index]);
        }
        close(ends[1]);
        static char text[512];
        ssize_t length = 0, more;
        while (length < (ssize_t)sizeof text - 1 && (more = read(ends[0], text + length, sizeof text - 1 - length)) > 0)
            length += more;
        close(ends[0]);
        text[length] = 0;
        text[strcspn(text, "\n")] = 0;
        int status = 0;
        waitpid(child, &status, 0);
        if (WIFSIGNALED(status)) {
            puts(WTERMSIG(status) == SIGALRM ? "hangs" : "loader");
        } else if (WEXITSTATUS(status) == refused) {
            printf("refused %s\n", text);
        } else {
            puts(WEXITSTATUS(status) == 0 ? "opened" : WEXITSTATUS(status) == by_library ? "library" : "loader");
        }
    }
    return 0;
}
