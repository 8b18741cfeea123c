// A conservative search of the memory of a process, this one or another, for words that lead into code.
//
// Each word counts that lies at a multiple of its size, wherever it was written to: in variables, on stacks, also those of tasks that are
// suspended, in what was freed and not used again. Left out is what nobody has written to: pages that do not exist, and those that are
// still what a file says. Raw system calls, and no memory but what it is given: it may run while all other threads of its process are held.
#pragma once

#include "hp_words.h"

#ifdef __cplusplus
extern "C" {
#endif

typedef enum hp_search_result {
    HP_SEARCH_DONE = 0,         // all of it was searched, or as much as it took to find something that leads into each code
    HP_SEARCH_OVER = 1,         // it was told to end
    HP_SEARCH_NO_MAPPINGS = 2,  // the mappings cannot be read, or what is searched for is in none
    HP_SEARCH_NO_PAGES = 3,     // it cannot be told which of the pages at `place` were written to
    HP_SEARCH_NO_MEMORY = 4,    // the memory at `place` cannot be read
} hp_search_result;

typedef enum hp_found {
    HP_FOUND_NOTHING = 0,
    HP_FOUND_WORD = 1,          // in memory, at `place`
    HP_FOUND_REGISTER = 2,      // of `thread`
    HP_FOUND_PC = 3,            // of `thread`
} hp_found;

// Code that is searched for: several ranges may be of one.
typedef struct hp_searched_code {
    uint64_t tables;            // [in]  that the unwinder has of it, and that its own words about it are known by; 0 for none
    uint32_t found;             // [out] hp_found: what leads into it first
    int32_t thread;             // [out]
    uint64_t place;             // [out]
} hp_searched_code;

enum {
    HP_SEARCH_CHUNK = 1 << 18,  // bytes that are read at once
    HP_SEARCH_PAGES = 1 << 15,  // pages that are asked for at once
    HP_SEARCH_TEXT = 1 << 14,   // bytes of the list of mappings that are read at once
    // A multiple of the size of words.
    HP_SEARCH_BUFFER = HP_SEARCH_CHUNK + HP_SEARCH_PAGES * 8 + HP_SEARCH_TEXT,
    HP_SEARCH_OWN = 4,
};

typedef struct hp_search {
    int maps, pagemap, memory;              // open: of /proc/PID, or of a thread of it
    uint64_t page_size;                     // in bytes
    const hp_word_range *ranges;            // what no word is to lead into: ascending and disjoint
    const uint32_t *owners;                 // of each, which code it is of
    size_t range_count;
    const hp_word_range *ignored;           // memory whose words do not count for
    const uint32_t *ignoring;               // this code: it is the code's own
    size_t ignored_count;
    hp_searched_code *code;
    size_t code_count;
    size_t found_count;                     // code that something leads into
    bool is_held;                           // no thread runs: what is mapped stays so, and what cannot be read is an obstacle
    bool counts;                            // goes on, and counts all words:
    size_t word_count;
    uint64_t signature;                     // as hp_find_pointer takes it
    hp_word_range own[HP_SEARCH_OWN];       // memory of whoever searches, where that is in the process itself
    bool (*is_over)(void *context);         // asked again and again
    void *context;
    uint64_t *buffer;                       // HP_SEARCH_BUFFER bytes
    uint64_t searched_bytes;
    uint64_t place;                         // where it has failed
} hp_search;

// Before it is done once more.
void hp_begin_search(hp_search *search);

// Searches all memory that is mapped. While the process runs, what cannot be read may have been unmapped meanwhile: it is an obstacle
// where that is so twice.
hp_search_result hp_search_memory(hp_search *search);

// Looks at words that are registers of a thread.
void hp_search_registers(hp_search *search, const uint64_t *words, size_t count, int32_t thread, hp_found kind);

#ifdef __cplusplus
}
#endif
