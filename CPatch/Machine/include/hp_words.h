// A conservative search of memory for words that lead into ranges of addresses.
#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

typedef struct hp_word_range {
    uint64_t start, end;
} hp_word_range;

// The first word from `from` on that lies in one of the ranges, which are ascending and disjoint, whatever its upper 16 bits are: they
// may hold a tag, or a signature.
//
//   words      [in]  memory, read
//   count      [in]  of words
//   signature  [in]  bits below those that may hold a signature, too
//   range      [out] which of the ranges it is
//
// Returns its index; `count` where there is none.
size_t hp_find_pointer(
    const uint64_t *words, size_t count, size_t from, uint64_t signature, const hp_word_range *ranges, size_t range_count,
    size_t *range);

// The first entry of /proc/PID/pagemap from `from` on that says, or does not say, of its page that something was written there: it is
// in memory or swapped out (bits 63 and 62), neither a file's nor shared (bit 61), and no guard (bit 58;
// Documentation/admin-guide/mm/pagemap.rst).
//
// Returns its index; `count` where there is none.
size_t hp_find_page(const uint64_t *entries, size_t count, size_t from, bool is_written);
