// For bash, without its headers: its echo.
#include <hotpatch.h>
#include <stdio.h>

int (*old_echo)(void *words) HOTPATCH_ORIGINAL("echo_builtin");

int new_echo(void *words) HOTPATCH_REPLACES("echo_builtin");
int new_echo(void *words) {
    fputs("patched: ", stdout);
    return old_echo(words);
}
