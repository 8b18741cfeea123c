// The questions a commit asks about each stopped thread. They run while threads are held: no allocation, no locks, no calls
// out.
#include "arch.h"

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

bool hp_is_saved_pc(hp_arch arch, const uint64_t neighbours[HP_NEIGHBOURS]) {
    switch (arch) {
    case HP_ARCH_X86_64: return hp_x86_64_is_saved_pc(neighbours);
    case HP_ARCH_ARM64: return hp_arm64_is_saved_pc(neighbours);
    }
    return true;
}
