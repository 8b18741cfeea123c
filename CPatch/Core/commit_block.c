#include "cpatch_core.h"

uint64_t hp_moved_pc(const hp_commit_block *block, uint64_t pc) {
    for (size_t i = 0; i < block->move_count; i++)
        if (block->moves[i].from == pc) return block->moves[i].to;
    return pc;
}

bool hp_is_hazard(const hp_commit_block *block, uint64_t word) {
    for (size_t i = 0; i < block->hazard_count; i++)
        if (word >= block->hazards[i].start && word < block->hazards[i].end) return true;
    return false;
}
