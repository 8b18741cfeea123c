// Answers each line on its input. The kernel kills it for what it has forbidden itself: `filtered mmap|clone3|memfd_create|strict`; for
// `socketpair`, the calling thread alone.
#include <linux/filter.h>
#include <linux/seccomp.h>
#include <stdio.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/syscall.h>
#include <unistd.h>

__attribute__((noinline, noclone)) int price(int item) { return item * 10; }

static void forbid(unsigned number, unsigned action) {
    struct sock_filter filter[] = {
        BPF_STMT(BPF_LD | BPF_W | BPF_ABS, 0),
        BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, number, 0, 1),
        BPF_STMT(BPF_RET | BPF_K, action),
        BPF_STMT(BPF_RET | BPF_K, SECCOMP_RET_ALLOW),
    };
    struct sock_fprog program = {sizeof filter / sizeof *filter, filter};
    prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0);
    prctl(PR_SET_SECCOMP, SECCOMP_MODE_FILTER, &program);
}

int main(int count, char **arguments) {
    const char *what = count > 1 ? arguments[1] : "";
    alarm(120);
    if (!strcmp(what, "mmap")) forbid(SYS_mmap, SECCOMP_RET_KILL_PROCESS);
    if (!strcmp(what, "clone3")) forbid(SYS_clone3, SECCOMP_RET_KILL_PROCESS);
    if (!strcmp(what, "memfd_create")) forbid(SYS_memfd_create, SECCOMP_RET_KILL_PROCESS);
    if (!strcmp(what, "socketpair")) forbid(SYS_socketpair, SECCOMP_RET_KILL_THREAD);
    if (!strcmp(what, "strict")) prctl(PR_SET_SECCOMP, SECCOMP_MODE_STRICT);
    write(1, "ready\n", 6);
    for (char byte; read(0, &byte, 1) == 1;)
        if (byte == '\n') write(1, price(7) == 70 ? "price 70\n" : "patched\n", price(7) == 70 ? 9 : 8);
    return 0;
}
