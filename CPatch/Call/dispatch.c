// Where a call of a function with a dispatcher goes on.

#include "call.h"

// Whether this thread looks a call up. What a look-up needs (memcpy, pthread_getspecific) may have a dispatcher too. Initial-exec:
// finding the variable calls nothing.
static __thread int is_looking_up __attribute__((tls_model("initial-exec")));

hp_call_destination hp_call_dispatch(const hp_call_dispatcher *dispatcher) {
    if (!is_looking_up) {
        is_looking_up = 1;
        hp_call_destination found = dispatcher->look_up(dispatcher);
        is_looking_up = 0;
        if (found.code) return found;
    }
    return (hp_call_destination){dispatcher->original, NULL};
}
