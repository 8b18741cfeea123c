static __attribute__((noinline)) int helper(int a) {
    static volatile int factor = 3;
    return a * factor;
}
int other(int a) { return helper(a) + 1; }
