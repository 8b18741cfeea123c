/* Edited while it runs: what each thread has of its own. */
static __thread int calls;
__thread long base = 100;

int step(void) { return ++calls; }
long total(void) { return base += step(); }
