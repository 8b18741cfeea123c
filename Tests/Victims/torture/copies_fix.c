// A patch of memmove and memset that calls the originals.
#include <stddef.h>

#include "hotpatch.h"

void *(*old_move)(void *, const void *, size_t) HOTPATCH_ORIGINAL("memmove");
void *new_move(void *to, const void *from, size_t size) HOTPATCH_REPLACES("memmove");
void *new_move(void *to, const void *from, size_t size) { return old_move(to, from, size); }

void *(*old_set)(void *, int, size_t) HOTPATCH_ORIGINAL("memset");
void *new_set(void *to, int byte, size_t size) HOTPATCH_REPLACES("memset");
void *new_set(void *to, int byte, size_t size) { return old_set(to, byte, size); }
