#include "hp_words.h"

#include "hp_system_calls.h"

static const uint64_t ADDRESS = ((uint64_t)1 << 48) - 1;

size_t hp_find_pointer(
    const uint64_t *words, size_t count, size_t from, uint64_t signature, const hp_word_range *ranges, size_t range_count,
    size_t *range) {
    if (range_count == 0) return count;
    const uint64_t significant = ADDRESS & ~signature;
    const uint64_t start = ranges[0].start, size = ranges[range_count - 1].end - start;
    for (size_t i = from; (i = hp_machine_find(words, count, i, significant, start, size)) < count; i++) {
        const uint64_t word = words[i] & significant;
        // The last range that begins at it or below.
        size_t low = 0, high = range_count;
        while (high - low > 1) {
            const size_t middle = low + (high - low) / 2;
            if (ranges[middle].start <= word) low = middle; else high = middle;
        }
        if (word >= ranges[low].end) continue;
        *range = low;
        return i;
    }
    return count;
}

size_t hp_find_page(const uint64_t *entries, size_t count, size_t from, bool is_written) {
    const uint64_t exists = (uint64_t)3 << 62, others = (uint64_t)1 << 61 | (uint64_t)1 << 58;
    for (size_t i = from; i < count; i++) {
        if (((entries[i] & exists) != 0 && (entries[i] & others) == 0) == is_written) return i;
    }
    return count;
}
