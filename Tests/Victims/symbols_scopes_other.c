__attribute__((noinline)) static int two_statics(int x) { return x * 3; }
__attribute__((noinline)) int static_and_global(int x) { return x * 5; }

int use_other(int x) { return two_statics(x) + static_and_global(x); }
