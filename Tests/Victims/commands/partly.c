// A program of whose functions some cannot be patched, and a library for all of them. Each line is answered with what they compute.
#ifdef PROGRAM
#include <stdio.h>
#include <unistd.h>

// Long enough for a jump.
__attribute__((noinline)) int price(int item) {
    __asm__ volatile(".rept 8\n\tnop\n\t.endr" ::: "memory");
    return item + 1;
}

// Two names of one code, which a library cannot replace by two functions.
__attribute__((noinline)) int vat_de(int price) {
    __asm__ volatile("" ::: "memory");
    return price + 19;
}
int vat_at(int price) __attribute__((alias("vat_de")));

int main(void) {
    char line[64];
    alarm(600);
    setvbuf(stdout, NULL, _IOLBF, 0);
    puts("ready");
    while (fgets(line, sizeof line, stdin) != NULL) printf("price %d de %d at %d\n", price(1), vat_de(1), vat_at(1));
}
#else
#include <hotpatch.h>

int (*old_de)(int) HOTPATCH_ORIGINAL("vat_de");
int (*old_at)(int) HOTPATCH_ORIGINAL("vat_at");

#ifndef REFUSED
// It calls what is refused.
int (*old_price)(int) HOTPATCH_ORIGINAL("price");
int price(int item) { return old_price(item) + 1000 * old_de(item) + 100000 * old_at(item); }
#endif
int vat_de(int price) { return price + 1; }
int vat_at(int price) { return price + 2; }
#endif
