// Stacks that are unwound, by kind:
//   exceptions  thrown through frames, caught, and counted
//   cancelled   threads that are cancelled while they sleep, with a destructor and a cleanup handler on their stacks
// Answers "harmed N of N".
#include "torture.h"

#include <atomic>
#include <pthread.h>
#include <stdexcept>

extern "C" {
DEFINE_PRICE
}

static std::atomic<long> rounds, harmed, made, ended, pushed, cleaned;

struct Guard {
    Guard() { made++; }
    ~Guard() { ended++; }
};

__attribute__((noinline)) static void throws(int depth) {
    Guard guard;
    if (depth == 0) throw std::runtime_error(is_price(price(2)) ? "known" : "unknown");
    throws(depth - 1);
}

static void *catches(void *) {
    for (;; rounds++) {
        try {
            throws(8);
            harmed++;
        } catch (const std::runtime_error &error) {
            if (error.what()[0] != 'k') harmed++;
        }
    }
    return nullptr;
}

static void clean(void *) { cleaned++; }

static void *sleeps(void *) {
    Guard guard;
    pushed++;
    pthread_cleanup_push(clean, nullptr);
    for (;;) usleep(1000);
    pthread_cleanup_pop(0);
    return nullptr;
}

static void *cancels(void *) {
    for (unsigned seed = 1;; rounds++) {
        pthread_t thread;
        if (pthread_create(&thread, nullptr, sleeps, nullptr) != 0) abort();
        double end = now() + (100 + rand_r(&seed) % 3000) / 1e6;
        while (now() < end) {}
        pthread_cancel(thread);
        pthread_join(thread, nullptr);
        // Nobody else makes guards but the other of these threads, which may be between any two of its steps.
        long destructors = made - ended, handlers = pushed - cleaned;
        if (destructors > 2 + harmed || handlers > 2 + harmed) harmed++;
    }
    return nullptr;
}

int main(int count, char **arguments) {
    if (count < 2) return 64;
    pthread_t thread;
    for (int i = 0; i < 2; i++) pthread_create(&thread, nullptr, arguments[1][0] == 'e' ? catches : cancels, nullptr);
    CONVERSE(rounds, harmed)
    return 0;
}
