// Edited while it runs: static variables, a table of static functions, a table of jumps.
static int hits;

static int helper(int x) {
    static int calls;
    calls++;
    return x * 2 + calls * 0;
}
static int add(int a, int b) { return a + b; }
static int sub(int a, int b) { return a - b; }
static int (*table[])(int, int) = {add, sub};

const char *name(int n) {
    switch (n) {
    case 0: return "zero";
    case 1: return "one";
    case 2: return "two";
    case 3: return "three";
    case 4: return "four";
    case 5: return "five";
    default: return "many";
    }
}

int work(int x) {
    hits++;
    return helper(x) + table[hits & 1](1, 1);
}

int count(void) { return hits; }
