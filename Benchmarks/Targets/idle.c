// An idle process.
#include <unistd.h>

__attribute__((noinline)) int quote(int price) {
    __asm__ volatile("" : "+r"(price));
    return price * 3 + 1;
}

int main(void) {
    int price = 1;
    for (;;) {
        pause();
        price = quote(price);
    }
}
