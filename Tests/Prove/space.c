// The memory that machines run in. All of it is shared files, so that a traced child sees what is written here.
#include "prove.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

static const uint64_t ARENA = 0x3000000000, BASE = 0x4000000000, GIB = 1 << 30, MIB = 1 << 20;

uint8_t *space_at(const space *space, uint64_t address, size_t length) {
    for (size_t i = 0; i < space->region_count; i++) {
        const region *region = &space->regions[i];
        uint64_t offset = address - region->address;
        if (offset < region->size && length <= region->size - offset) return region->memory + offset;
    }
    return NULL;
}

static bool add_region(space *space, uint64_t address, size_t size) {
    region *region = &space->regions[space->region_count];
    region->address = address;
    region->size = size;
    region->file = memfd_create("region", MFD_CLOEXEC);
    if (region->file < 0 || ftruncate(region->file, (off_t)size) != 0) return false;
    region->memory = mmap(NULL, size, PROT_READ | PROT_WRITE, MAP_SHARED, region->file, 0);
    if (region->memory == MAP_FAILED) return false;
    space->region_count++;
    return true;
}

static bool add_place(space *space, place place) {
    space->places[space->place_count++] = place;
    for (size_t i = 0; i < 2; i++) {
        if (place.pool[i] == 0 || space_at(space, place.pool[i], 1) != NULL) continue;
        if (!add_region(space, place.pool[i], POOL_SIZE)) return false;
    }
    return true;
}

uint64_t random_word(const space *space, uint64_t *random) {
    uint64_t choice = next_random(random), value = next_random(random);
    switch (choice % 16) {
    case 0: return 0;
    case 1: return value % 8;
    case 2: return value % 0x1000;
    case 3: case 4: return value;
    case 5: return space->arena + ZONE_START + value % ZONE_SIZE;
    default: return space->arena + ZONE_START + (value % ZONE_SIZE & ~15ull);
    }
}

// What is zero in a file would be written by relocations, or by the program: pointers, most likely. Zeros everywhere would
// hide what is read at a wrong address.
static void fill_zeros(const space *space, uint64_t seed) {
    const image *image = space->image;
    uint64_t random = seed;
    for (size_t offset = 0; offset + 8 <= image->size; offset += 8) {
        uint64_t address = image->base + offset, word;
        if (address >= image->text_start && address < image->text_end) continue;
        memcpy(&word, image->memory + offset, sizeof word);
        if (word != 0) continue;
        word = space->arena + ZONE_START + (next_random(&random) % ZONE_SIZE & ~15ull);
        memcpy(image->memory + offset, &word, sizeof word);
    }
}

bool space_make(space *space, const image *image, uint64_t seed) {
    memset(space, 0, sizeof *space);
    space->image = image;
    space->bias = image->is_fixed ? 0 : BASE - image->base;
    space->arena = ARENA;
    space->replacement = 0x5a5a5a5000;
    uint64_t start = image->base + space->bias, end = start + image->size;
    uint64_t text_end = (image->text_end + space->bias + 0xffff) & ~0xffffull;

    region *own = &space->regions[space->region_count++];
    *own = (region){start, image->size, image->memory, image->memory_file};
    if (!add_region(space, ARENA, ARENA_SIZE)) return false;
    bool made = true;
    uint64_t below = image->is_fixed ? 0 : start - MIB;
    if (image->arch == HP_ARCH_ARM64) {
        made = add_place(space, (place){"near", {end + 0x10000, below}, false, 1, false}) &&
               add_place(space, (place){"page", {end + GIB}, true, 1, false}) &&
               add_place(space, (place){"far", {end + GIB}, false, 1, false}) &&
               add_place(space, (place){"anywhere", {end + 64 * GIB}, false, 1, false});
    } else {
        made = add_place(space, (place){"near", {end + 0x10000}, false, 1, false}) &&
               add_place(space, (place){"hop", {end + 0x10000}, false, 4, true});
        // So far away that the image's data are out of reach, though the text is not.
        uint64_t edge = text_end - 2 * GIB + 0x20000;
        if (made && !image->is_fixed) made = add_place(space, (place){"edge", {edge}, false, 8, false});
    }
    space->pristine = malloc(ARENA_SIZE);
    if (!made || space->pristine == NULL) return false;
    uint64_t random = seed;
    for (size_t offset = 0; offset < ARENA_SIZE; offset += 8) {
        uint64_t word = random_word(space, &random);
        memcpy(space->pristine + offset, &word, sizeof word);
    }
    memcpy(space_at(space, ARENA, ARENA_SIZE), space->pristine, ARENA_SIZE);
    fill_zeros(space, seed);
    return true;
}

void space_free(space *space) {
    for (size_t i = 1; i < space->region_count; i++) {
        munmap(space->regions[i].memory, space->regions[i].size);
        close(space->regions[i].file);
    }
    free(space->pristine);
}

// ---------------------------------------------------------------------------------------------------------

void note_write(const space *space, run *run, uint64_t address, size_t length) {
    while (length > 0) {
        size_t part = length < sizeof run->writes[0].before ? length : sizeof run->writes[0].before;
        const uint8_t *bytes = space_at(space, address, part);
        if (bytes == NULL) return;
        if (run->write_count == WRITE_CAPACITY) {
            run->overflowed = true;
            return;
        }
        write_record *record = &run->writes[run->write_count++];
        record->address = address;
        record->length = (uint8_t)part;
        memcpy(record->before, bytes, part);
        address += part;
        length -= part;
    }
}

void undo_writes(const space *space, run *run) {
    for (size_t i = 0; i < run->write_count; i++) {
        write_record *record = &run->writes[i];
        memcpy(record->after, space_at(space, record->address, record->length), record->length);
    }
    for (size_t i = run->write_count; i > 0; i--) {
        write_record *record = &run->writes[i - 1];
        memcpy(space_at(space, record->address, record->length), record->before, record->length);
    }
    // What was written twice: before all of it.
    for (size_t i = 0; i < run->write_count; i++) {
        write_record *record = &run->writes[i];
        memcpy(record->before, space_at(space, record->address, record->length), record->length);
    }
}
