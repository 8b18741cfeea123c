// A C++ program: a class, a template, an inline function, and functions that throw. A line is a number to try.
#include <cstdio>
#include <cstdlib>
#include <stdexcept>
#include <unistd.h>

#ifdef __clang__
#define FUNCTION __attribute__((noinline))
#else
#define FUNCTION __attribute__((noinline, noclone))
#endif

static volatile int base = 10;

namespace Shop {
struct Cart {
    int count;
    FUNCTION int total(int each) const;
};
int Cart::total(int each) const { return count * each + base; }
FUNCTION int price(int item) { return item * base; }
}  // namespace Shop

FUNCTION int price(int item) { return item + base; }
template <typename T> FUNCTION T twice(T value) { return value * 2 + base; }
inline FUNCTION int fee(int value) { return value + base; }

FUNCTION int risky(int n) {
    if (n < 0) throw std::runtime_error("negative");
    return n + base;
}
// Its first bytes hold the call: what moves to the stub is on the stack when the exception passes.
FUNCTION int outer(int n) { return risky(n) + 1; }

static int attempt(int n) {
    try {
        printf("outer %d", outer(n));
    } catch (const std::exception &error) {
        printf("caught %s", error.what());
    }
    return 0;
}

int main() {
    alarm(120);
    setvbuf(stdout, nullptr, _IOLBF, 0);
    puts("ready");
    for (char line[64]; fgets(line, sizeof line, stdin);) {
        attempt(atoi(line));
        Shop::Cart cart{3};
        printf(
            " total %d shop %d price %d twice %d fee %d\n", cart.total(5), Shop::price(7), price(7), twice(7), fee(7));
    }
}
