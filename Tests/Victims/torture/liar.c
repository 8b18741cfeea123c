// A process that lies about itself. Each line asks for one lie, told from a seed: "KIND SEED", by kind:
//   bytes   flips bytes of the patch ledger in its memory
//   record  changes a field of one of its records, and mends the checksum
//   header  overwrites its own ELF and program headers
//   list    bends the dynamic linker's list of libraries
//   truth   takes all back
// Answers "harmed N". A lie may cost the liar its life, never the one it is told to.
#define _GNU_SOURCE
#include "torture.h"

#include <link.h>
#include <stdint.h>
#include <sys/auxv.h>
#include <sys/mman.h>

DEFINE_PRICE

static uint64_t state;
static uint64_t dice(void) {
    state = state * 6364136223846793005u + 1442695040888963407u;
    return state >> 33;
}

static const uint64_t extremes[] = {
    0, 1, 2, 8, 0x18, 0xff, 0x1000, 0xffff, 0x7fffffff, 0x80000000, 0xffffffff, 0x100000000, 0x7fffffffffffffff,
    0x8000000000000000, 0xffffffffffffffff, 0xfffffffffffff000, 0x7ffffffff000,
};
static uint64_t extreme(void) { return extremes[dice() % (sizeof extremes / sizeof *extremes)]; }

static uint8_t *ledger;
static size_t ledger_size;
static uint8_t *saved;

static void find_ledger(void) {
    char line[4352];
    FILE *maps = fopen("/proc/self/maps", "r");
    while (!ledger && fgets(line, sizeof line, maps)) {
        unsigned long start, end;
        if (!strstr(line, "hotpatch-ledger") || sscanf(line, "%lx-%lx", &start, &end) != 2) continue;
        ledger = (uint8_t *)start;
        ledger_size = end - start;
        saved = malloc(ledger_size);
        memcpy(saved, ledger, ledger_size);
    }
    fclose(maps);
}

// As Ledger.swift and LedgerCoding.swift lay it out.
enum { LEDGER_HEADER = 64, USED = 40, RECORD_HEADER = 16, KIND = 4, CHECKSUM = 8 };
static const uint32_t changes = 1u << 31;  // of a kind: its first word is no part of the checksum

static uint64_t checksum(uint32_t kind, const uint8_t *payload, size_t size) {
    uint64_t hash = (0xcbf29ce484222325 ^ kind) * 0x100000001b3;
    for (size_t i = 0; i + 8 <= size; i += 8) {
        uint64_t word;
        memcpy(&word, payload + i, 8);
        hash = (hash ^ word) * 0x100000001b3;
    }
    return hash;
}

static void flip_bytes(void) {
    uint64_t used;
    memcpy(&used, ledger + USED, 8);
    size_t size = LEDGER_HEADER + (used < ledger_size - LEDGER_HEADER ? used : 0);
    for (uint64_t times = 1 + dice() % 16; times > 0; times--) {
        size_t at = dice() % size;
        uint64_t word = extreme();
        if (dice() & 1) ledger[at] ^= (uint8_t)(1 << dice() % 8);
        else memcpy(ledger + at / 8 * 8, &word, 8);
    }
}

static void change_record(void) {
    size_t records[256], count = 0;
    uint64_t used;
    memcpy(&used, ledger + USED, 8);
    for (size_t at = LEDGER_HEADER; at + RECORD_HEADER <= LEDGER_HEADER + used && count < 256;) {
        uint32_t length;
        memcpy(&length, ledger + at, 4);
        if (length < RECORD_HEADER || length > LEDGER_HEADER + used - at) break;
        records[count++] = at;
        at += length;
    }
    if (count == 0) return;
    uint8_t *record = ledger + records[dice() % count];
    uint32_t length, kind;
    memcpy(&length, record, 4);
    memcpy(&kind, record + KIND, 4);
    size_t payload = length - RECORD_HEADER;
    if (payload < 8) return;
    uint64_t word = dice() % 4 ? extreme() : dice();
    // Numbers of one byte and of several, and what begins at a word.
    if (dice() & 1) record[RECORD_HEADER + dice() % payload] = (uint8_t)word;
    else memcpy(record + RECORD_HEADER + dice() % (payload / 4) * 4, &word, 4);
    size_t unsummed = kind & changes ? 8 : 0;
    uint64_t sum = checksum(kind, record + RECORD_HEADER + unsummed, (payload & ~(size_t)7) - unsummed);
    memcpy(record + CHECKSUM, &sum, 8);
}

static uint8_t headers[1024];
static uint8_t *own_header(void) {
    uint8_t *start = (uint8_t *)(getauxval(AT_PHDR) & ~(unsigned long)(sysconf(_SC_PAGESIZE) - 1));
    mprotect(start, (size_t)sysconf(_SC_PAGESIZE), PROT_READ | PROT_WRITE);
    return start;
}

static void bend_header(void) {
    uint8_t *start = own_header();
    for (uint64_t times = 1 + dice() % 6; times > 0; times--) {
        uint64_t word = extreme();
        if (dice() & 1) memcpy(start + dice() % (sizeof headers / 8) * 8, &word, 8);
        else start[dice() % sizeof headers] ^= (uint8_t)(1 << dice() % 8);
    }
}

static ElfW(Dyn) *debug_entry;
static ElfW(Addr) debug_value;
static struct r_debug bent;
static struct link_map chain[64];

static void bend_list(void) {
    if (!debug_entry) return;
    bent = *(struct r_debug *)debug_value;
    struct link_map *real = bent.r_map;
    for (int i = 0; i < 64; i++) {
        chain[i] = *real;
        chain[i].l_next = &chain[(i + 1) % 64];
    }
    bent.r_map = chain;
    switch (dice() % 6) {
    case 0: bent.r_map = (void *)extreme(); break;
    case 1: chain[0].l_next = chain; break;
    case 2: chain[0].l_name = (void *)extreme(); break;
    case 3: chain[dice() % 64].l_addr = extreme(); break;
    case 4: chain[dice() % 64].l_next = (void *)extreme(); break;
    default: break;  // a ring of sixty-four
    }
    debug_entry->d_un.d_ptr = (ElfW(Addr))&bent;
}

static void tell_the_truth(void) {
    if (saved) memcpy(ledger, saved, ledger_size);
    memcpy(own_header(), headers, sizeof headers);
    if (debug_entry) debug_entry->d_un.d_ptr = debug_value;
}

int main(void) {
    memcpy(headers, own_header(), sizeof headers);
    for (ElfW(Dyn) *entry = _DYNAMIC; entry->d_tag != DT_NULL; entry++) {
        if (entry->d_tag != DT_DEBUG) continue;
        uintptr_t page = (uintptr_t)entry & ~(uintptr_t)(sysconf(_SC_PAGESIZE) - 1);
        mprotect((void *)page, 2 * (size_t)sysconf(_SC_PAGESIZE), PROT_READ | PROT_WRITE);
        debug_entry = entry;
        debug_value = entry->d_un.d_ptr;
    }
    answer("ready");
    char line[64], kind[16];
    while (fgets(line, sizeof line, stdin)) {
        if (sscanf(line, "%15s %lu", kind, &state) < 1) kind[0] = 0;
        find_ledger();
        switch (kind[0]) {
        case 'b': if (ledger) flip_bytes(); break;
        case 'r': if (ledger) change_record(); break;
        case 'h': bend_header(); break;
        case 'l': bend_list(); break;
        case 't': tell_the_truth(); break;
        }
        char text[64];
        snprintf(text, sizeof text, "harmed %d", !is_price(price(2)));
        answer(text);
    }
    return 0;
}
