// Replaces functions that throw: the replacement throws too, and exceptions pass through it from the original.
#include <hotpatch.h>
#include <stdexcept>

int (*old_risky)(int) HOTPATCH_ORIGINAL("_Z5riskyi");
int (*old_outer)(int) HOTPATCH_ORIGINAL("_Z5outeri");

int new_risky(int n) HOTPATCH_REPLACES("_Z5riskyi");
int new_risky(int n) {
    if (n == 99) throw std::runtime_error("replacement");
    return old_risky(n) + 1000;
}

int new_outer(int n) HOTPATCH_REPLACES("_Z5outeri");
int new_outer(int n) { return old_outer(n) + 5000; }
