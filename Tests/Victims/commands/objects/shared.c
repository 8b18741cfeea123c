/* Edited while it runs, in a library of which the program has its own copy of a variable, and its own version of a function. */
int counter = 5;

int hook(void) { return 1; }
int unused_hook(void) { return 2; }
int work(void) { counter++; return counter * 100 + hook(); }
int *where(void) { return &counter; }
int (*stored_hook(void))(void) { return hook; }
