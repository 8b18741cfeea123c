// A process whose threads are all blocked. Usage: blocked THREADS
#include <pthread.h>
#include <stdlib.h>
#include <unistd.h>

__attribute__((noinline)) int quote(int price) {
    __asm__ volatile("" : "+r"(price));
    return price * 3 + 1;
}

static void *blocked(void *price) {
    for (;;) pause();
    return price;
}

int main(int count, char **words) {
    pthread_attr_t attributes;
    pthread_attr_init(&attributes);
    pthread_attr_setstacksize(&attributes, 64 * 1024);
    for (int i = 1; count > 1 && i < atoi(words[1]); i++) {
        pthread_t thread;
        if (pthread_create(&thread, &attributes, blocked, 0)) return 1;
    }
    int price = 1;
    for (;;) {
        pause();
        price = quote(price);
    }
}
