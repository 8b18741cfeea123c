// The two questions a commit asks about each stopped thread. They run while threads are held: no allocation, no locks,
// no calls out.
#include "cpatch_core.h"

uint64_t hp_moved_pc(const hp_commit_block *block, uint64_t pc) {
    size_t low = 0, high = block->move_count;
    while (low < high) {
        size_t middle = low + (high - low) / 2;
        if (block->moves[middle].from < pc) low = middle + 1;
        else high = middle;
    }
    bool found = low < block->move_count && block->moves[low].from == pc;
    return found ? block->moves[low].to : pc;
}

bool hp_is_hazard(const hp_commit_block *block, uint64_t word) {
    // The hazards are disjoint and ascending, so only the first one that ends after `word` can hold it.
    size_t low = 0, high = block->hazard_count;
    while (low < high) {
        size_t middle = low + (high - low) / 2;
        if (block->hazards[middle].end <= word) low = middle + 1;
        else high = middle;
    }
    return low < block->hazard_count && block->hazards[low].start <= word;
}
