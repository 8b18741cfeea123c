// Needs what the test takes away again.
extern int only_here(int);
extern int nowhere(int);
extern int nowhere_weak(int) __attribute__((weak));
extern int puts(const char *);

int needy(int x) { return only_here(x) + nowhere(x) + (nowhere_weak ? nowhere_weak(x) : puts("")); }
