#include "stacks.h"
#include "victims.h"

#include <stdexcept>

namespace shop {
struct Till {
    __attribute__((noinline)) int price(int item) const { return item * 3; }
    __attribute__((noinline)) int price(int item, int count) const { return item * count; }
};
}

extern "C" __attribute__((noinline)) int victim_cxx_half(int x) {
    if (x % 2) throw std::runtime_error("odd");
    return x / 2;
}

__attribute__((noinline)) int victim_cxx_middle(int x) {
    return victim_cxx_half(x) + 0;
}

extern "C" __attribute__((noinline)) int victim_cxx_catch(int x) {
    try {
        return victim_cxx_middle(x);
    } catch (const std::runtime_error &) {
        return -1;
    }
}

// Keeps the members alive.
extern "C" int victim_cxx_till(int item) {
    shop::Till till;
    return till.price(item) + till.price(item, 2);
}

// ---- stacks.h

extern "C" __attribute__((noinline)) int32_t victim_cxx_call(int32_t (*function)(void *), void *argument) {
    try {
        return function(argument);
    } catch (const std::runtime_error &) {
        return -1;
    }
}

extern "C" __attribute__((noinline)) int32_t victim_cxx_throwing(int32_t number) {
    if (number % 2) throw std::runtime_error("odd");
    return number / 2;
}
