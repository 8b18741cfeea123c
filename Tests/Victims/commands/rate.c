// Two libraries of a shop define `rate`: -DNAME=first_rate, -DFACTOR=2.
__attribute__((visibility("default"), noinline, noclone)) int rate(int n) {
    static volatile int factor = FACTOR;
    return n * factor;
}
// The library's own, whichever of the two comes first for others.
int NAME(int n) { return rate(n); }
