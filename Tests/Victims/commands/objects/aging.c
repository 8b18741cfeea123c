// Edited while it runs: what tells where it was called from, and what waits in the middle.
void note(void);
long await(void);

long price(void) {
    note();
    return 1;
}

long nap(void) {
    long woken = await();
    return woken + 100;
}
