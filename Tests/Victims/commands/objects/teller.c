/* Edited while it runs: looks at what a library has for each thread. */
extern __thread long base;
long library_total(void);

long total(void) {
    long got = library_total();
    return got + base - base;
}
