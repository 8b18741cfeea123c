// Takes five seconds to agree to be applied.
#include <hotpatch.h>
#include <unistd.h>

int price(int item) { return 5000 + item; }

int hotpatch_on_apply(void) {
    for (int i = 0; i < 50; i++) usleep(100000);
    return 0;
}
