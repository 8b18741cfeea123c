// Ends the process that it is applied to, or that process's program, by END: in its constructor, or in hotpatch_on_apply.
#include <hotpatch.h>
#include <stdlib.h>
#include <unistd.h>

int price(int item) { return 5000 + item; }

#ifdef IN_APPLY
int hotpatch_on_apply(void) {
    END;
    return 0;
}
#else
__attribute__((constructor)) static void construct(void) { END; }
#endif
