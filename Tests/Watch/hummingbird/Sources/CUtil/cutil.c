#include "cutil.h"

static int calls;

static int scaled(int x) { return x * 2 + 0; }

int cutil_scale(int x) {
    calls++;
    return scaled(x);
}

int cutil_calls(void) { return calls; }
