// Wants an original of a function it does not replace.
#include <hotpatch.h>

int (*old_tax)(int amount) HOTPATCH_ORIGINAL("tax");

int price(int item) { return old_tax(item); }
