// A program whose functions have several names, or none of their own; and the patch libraries for it. Each line is answered with what
// it computes.
#ifdef FOLDED
int vat_de(int price) { return FOLDED + price; }
#endif
#ifdef BOTH
int vat_at(int price) { return BOTH + price; }
#endif
#ifdef RATE
int rate(int a) { return RATE + a; }
#endif
#ifdef VERSIONED
// Replaces the old version only.
int replacement(int a) { return VERSIONED + a; }
#ifndef VERSION
#define VERSION "V1"
#endif
__asm__(".symver replacement, versioned@" VERSION);
#endif

#ifdef PROGRAM
#include <stdio.h>
#include <unistd.h>

__attribute__((noinline)) int vat_de(int price) {
    __asm__ volatile("" ::: "memory");
    return price * 119 / 100;
}
// As a linker folds functions that are equal.
int vat_at(int price) __attribute__((alias("vat_de")));

// What gcc -O3 leaves of a static function: a copy for the arguments that there are.
static int rate(int a) __asm__("rate.constprop.0");
static __attribute__((noinline, used)) int rate(int a) {
    __asm__ volatile("" ::: "memory");
    return a * 2;
}

int versioned(int), versioned_before(int);
__asm__(".symver versioned_before, versioned@V1");

int main(void) {
    char line[64];
    alarm(120);
    setvbuf(stdout, NULL, _IOLBF, 0);
    puts("ready");
    while (fgets(line, sizeof line, stdin) != NULL)
        printf("de %d at %d rate %d new %d old %d\n", vat_de(100), vat_at(100), rate(3), versioned(5), versioned_before(5));
}
#endif
