// A program with a constructor and a destructor, and the patch library for it. Each line is answered with what it computes.
#include <cstdio>
#include <unistd.h>

static int gone;

struct Cart {
    int items;
    __attribute__((noinline)) Cart(int);
    __attribute__((noinline)) ~Cart();
};

#ifdef PATCH
Cart::Cart(int count) : items(count + 1000) {}
Cart::~Cart() { items = 0; }
#else
Cart::Cart(int count) : items(count * 31 + 2) { __asm__ volatile("" ::: "memory"); }
Cart::~Cart() { gone += items / 200 + 1; }

int main() {
    char line[64];
    alarm(120);
    setvbuf(stdout, nullptr, _IOLBF, 0);
    puts("ready");
    while (fgets(line, sizeof line, stdin) != nullptr) {
        int items;
        {
            Cart cart(7);
            items = cart.items;
        }
        printf("items %d gone %d\n", items, gone);
    }
}
#endif
