#include "hp_search.h"

#include "hp_system_calls.h"

// A line of /proc/PID/maps (proc_pid_maps(5)): what is behind a long path does not matter.
enum { LONGEST_LINE = 256 };

typedef struct region {
    uint64_t start, end;
    bool is_writable, is_executable, is_shared;
    const char *path;
} region;

static bool is_done(const hp_search *search) { return !search->counts && search->found_count == search->code_count; }

static bool begins_with(const char *text, const char *prefix) {
    while (*prefix)
        if (*text++ != *prefix++) return false;
    return true;
}

// "START-END PERMISSIONS OFFSET DEVICE INODE   PATH"
static bool parse(const char *line, region *region) {
    const char *text = line;
    region->start = hp_parse_hexadecimal(&text);
    if (text == line || *text++ != '-') return false;
    region->end = hp_parse_hexadecimal(&text);
    if (*text++ != ' ' || region->end <= region->start) return false;
    for (int i = 0; i < 4; i++)
        if (!text[i]) return false;
    region->is_writable = text[1] == 'w';
    region->is_executable = text[2] == 'x';
    region->is_shared = text[3] == 's';
    for (int fields = 0; fields < 4; fields++) {
        while (*text && *text != ' ') text++;
        while (*text == ' ') text++;
    }
    region->path = text;
    return true;
}

// Pages of the kernel's, which nobody writes to, and the patcher's ledger.
static bool is_left_out(const region *region) {
    static const char *const prefixes[] = {"[vdso]", "[vvar", "[vsyscall]", "[uprobes]", "/memfd:hotpatch-ledger"};
    for (size_t i = 0; i < sizeof prefixes / sizeof *prefixes; i++)
        if (begins_with(region->path, prefixes[i])) return true;
    // What runs and was not written to holds no addresses of code that came later, and neither does what was linked.
    return region->is_executable && !region->is_writable;
}

static long read_at(int file, void *buffer, size_t count, uint64_t offset) {
    for (;;) {
        long result = HP_SYSCALL4(SYS_pread64, file, buffer, count, offset);
        if (result != -EINTR) return result;
    }
}

static uint64_t word_at(const hp_search *search, uint64_t address) {
    uint64_t word = 0;
    return read_at(search->memory, &word, sizeof word, address) == sizeof word ? word : 0;
}

static bool is_object(const hp_search *search, uint64_t address, uint64_t tables) {
    uint64_t known = word_at(search, address + 24);
    return known && (known == tables || word_at(search, known) == tables);
}

// Whether a word is in what the unwinder knows of some tables: a `struct object` of libgcc (unwind-dw2-fde.h), which begins with the first
// address and has the tables behind two other words, themselves or in front of an ordered copy; or, since version 13, an entry of a tree
// (unwind-dw2-btree.h) that has an address, a size, and such an object.
static bool is_unwinders(const hp_search *search, uint64_t place, uint64_t tables) {
    if (!tables) return false;
    if (is_object(search, place, tables)) return true;
    uint64_t object = word_at(search, place + 16);
    return object && is_object(search, object, tables);
}

static bool is_own(const hp_search *search, uint64_t place, uint32_t owner) {
    for (size_t i = 0; i < HP_SEARCH_OWN; i++)
        if (place >= search->own[i].start && place < search->own[i].end) return true;
    for (size_t i = 0; i < search->ignored_count; i++)
        if (search->ignoring[i] == owner && place >= search->ignored[i].start && place < search->ignored[i].end) return true;
    return is_unwinders(search, place, search->code[owner].tables);
}

// Notes which code words lead into. `address`: of the first in memory; 0 where they are registers.
static void look(hp_search *search, const uint64_t *words, size_t count, uint64_t address, int32_t thread, hp_found kind) {
    for (size_t index = 0, which = 0; !is_done(search); index++) {
        index = hp_find_pointer(words, count, index, search->signature, search->ranges, search->range_count, &which);
        if (index >= count) return;
        uint32_t owner = search->owners[which];
        hp_searched_code *code = &search->code[owner];
        if (code->found != HP_FOUND_NOTHING && !search->counts) continue;
        uint64_t place = address + index * sizeof *words;
        if (kind == HP_FOUND_WORD && is_own(search, place, owner)) continue;
        search->word_count++;
        if (code->found != HP_FOUND_NOTHING) continue;
        code->found = kind;
        code->thread = thread;
        code->place = place;
        search->found_count++;
    }
}

void hp_search_registers(hp_search *search, const uint64_t *words, size_t count, int32_t thread, hp_found kind) {
    look(search, words, count, 0, thread, kind);
}

// Something cannot be read. Where the process runs, that may be another time.
static hp_search_result fail(hp_search *search, hp_search_result result, uint64_t place) {
    const bool is_again = search->place == place;
    if (!search->place) search->place = place;
    return search->is_held || (is_again && !search->counts) ? result : HP_SEARCH_DONE;
}

static hp_search_result search_run(hp_search *search, uint64_t start, uint64_t end) {
    for (uint64_t address = start; address < end && !is_done(search);) {
        if (search->is_over(search->context)) return HP_SEARCH_OVER;
        size_t size = end - address < HP_SEARCH_CHUNK ? end - address : HP_SEARCH_CHUNK;
        long count = read_at(search->memory, search->buffer, size, address);
        if (count < 0) count = 0;
        if ((size_t)count != size) {
            hp_search_result result = fail(search, HP_SEARCH_NO_MEMORY, address + (uint64_t)count);
            if (result != HP_SEARCH_DONE) return result;
        }
        search->searched_bytes += (uint64_t)count;
        look(search, search->buffer, (size_t)count / 8, address, 0, HP_FOUND_WORD);
        address += size;
    }
    return HP_SEARCH_DONE;
}

static hp_search_result search_region(hp_search *search, const region *region) {
    uint64_t *entries = search->buffer + HP_SEARCH_CHUNK / 8;
    const uint64_t page = search->page_size;
    for (uint64_t start = region->start; start < region->end && !is_done(search);) {
        if (search->is_over(search->context)) return HP_SEARCH_OVER;
        uint64_t end = region->end - start < HP_SEARCH_PAGES * page ? region->end : start + HP_SEARCH_PAGES * page;
        hp_search_result result = HP_SEARCH_DONE;
        if (region->is_shared) {
            // Another process may have written to what they share, in pages that this one has never looked at.
            result = search_run(search, start, end);
        } else {
            size_t total = (end - start) / page;
            if (read_at(search->pagemap, entries, total * 8, start / page * 8) != (long)(total * 8)) {
                result = fail(search, HP_SEARCH_NO_PAGES, start);
                total = 0;
            }
            for (size_t first = hp_find_page(entries, total, 0, true); first < total && result == HP_SEARCH_DONE;) {
                size_t last = hp_find_page(entries, total, first, false);
                result = search_run(search, start + first * page, start + last * page);
                first = hp_find_page(entries, total, last, true);
            }
        }
        if (result != HP_SEARCH_DONE) return result;
        start = end;
    }
    return HP_SEARCH_DONE;
}

void hp_begin_search(hp_search *search) {
    search->found_count = 0;
    search->word_count = 0;
    search->searched_bytes = 0;
    search->place = 0;
    for (size_t i = 0; i < search->code_count; i++) search->code[i].found = HP_FOUND_NOTHING;
}

// How many of the ranges begin in a region, of those that have not been seen before: both ascend.
static size_t count_seen(const hp_search *search, size_t seen, const region *region) {
    size_t count = 0;
    while (seen + count < search->range_count && search->ranges[seen + count].start >= region->start
           && search->ranges[seen + count].start < region->end)
        count++;
    return count;
}

static hp_search_result search_all(hp_search *search) {
    char *text = (char *)(search->buffer + HP_SEARCH_CHUNK / 8 + HP_SEARCH_PAGES);
    char line[LONGEST_LINE];
    size_t length = 0, seen = 0;
    HP_SYSCALL3(SYS_lseek, search->maps, 0, SEEK_SET);
    while (!is_done(search)) {
        long count = HP_SYSCALL3(SYS_read, search->maps, text, HP_SEARCH_TEXT);
        if (count == -EINTR) continue;
        if (count < 0) return HP_SEARCH_NO_MAPPINGS;
        if (count == 0) break;
        for (long i = 0; i < count && !is_done(search); i++) {
            if (text[i] != '\n') {
                if (length < sizeof line - 1) line[length++] = text[i];
                continue;
            }
            line[length] = 0;
            length = 0;
            region region;
            if (!parse(line, &region)) return HP_SEARCH_NO_MAPPINGS;
            seen += count_seen(search, seen, &region);
            if (is_left_out(&region)) continue;
            hp_search_result result = search_region(search, &region);
            if (result != HP_SEARCH_DONE) return result;
        }
    }
    // A leader that has ended alone shows none.
    return is_done(search) || search->counts || seen == search->range_count ? HP_SEARCH_DONE : HP_SEARCH_NO_MAPPINGS;
}

hp_search_result hp_search_memory(hp_search *search) {
    search->place = 0;
    hp_search_result result = search_all(search);
    return result == HP_SEARCH_DONE && search->place && !search->is_held && !is_done(search) && !search->counts
        ? search_all(search) : result;
}
