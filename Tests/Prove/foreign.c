// What leads from one function into the bytes that another's detour would overwrite. The relocator is given one function's bytes
// and cannot see it. The core's search, by which the plan refuses, asks every byte of the image; the oracle here knows less
// and is sure: it decodes each function from its start. What the oracle finds and the search does not is a mismatch.
#include "prove.h"

#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum { FOUND_CAPACITY = 1024, SEARCHED_BEHIND = 16 };

typedef struct search {
    const image *image;
    const function *from;
    uint8_t *reached, *refused;          // by function
    uint64_t *origin;                    // where the branch stands that reaches it
} search;

// The last function that starts at or below an address; NULL if none does.
static const function *function_at(const image *image, uint64_t address) {
    size_t low = 0, high = image->function_count;
    while (low < high) {
        size_t middle = (low + high) / 2;
        if (image->functions[middle].address <= address) low = middle + 1;
        else high = middle;
    }
    return low == 0 ? NULL : &image->functions[low - 1];
}

static const function *overwritten(const image *image, uint64_t target) {
    const function *function = function_at(image, target);
    if (function == NULL || function->detour_length == 0) return NULL;
    uint64_t patch = function->address + function->patch_offset;
    return target > patch && target < patch + function->detour_length ? function : NULL;
}

static uint32_t length_of(const function *function) {
    bool known = function->length != 0 && function->length < function->available;
    return known ? function->length : function->available;
}

static const uint8_t *code_at(const image *image, uint64_t address) { return image->memory + (address - image->base); }

static void note_branch(void *context, uint64_t at, uint64_t target) {
    search *search = context;
    const function *function = overwritten(search->image, target);
    if (function == NULL || function == search->from) return;
    search->reached[function - search->image->functions] = 1;
    search->origin[function - search->image->functions] = at;
}

static void move_all(prover *prover) {
    image *image = &prover->image;
    for (size_t i = 0; i < image->function_count; i++) {
        function *function = &image->functions[i];
        hp_relocation moved;
        hp_refusal refusal;
        uint64_t pool = prover->space.places[0].pool[0];
        hp_relocation_request request = {
            .code = code_at(image, function->address), .code_length = function->available,
            .function_length = function->length, .entry = function->address + prover->space.bias,
            .stub = pool, .slot = pool + POOL_STUBS,
        };
        if (!hp_relocate(image->arch, &request, 0, &moved, &refusal)) continue;
        function->patch_offset = (uint8_t)moved.patch_offset;
        function->detour_length = (uint8_t)moved.detour_length;
    }
}

// ---------------------------------------------------------------------------------------------------------
// The core's search, as the plan makes it.

static void judge(const search *search, const hp_reference *found) {
    const image *image = search->image;
    const function *function = overwritten(image, found->target), *piece = function_at(image, found->address);
    if (function == NULL || piece == NULL) return;
    bool own = found->address - function->address < length_of(function);
    if (own && found->kind != HP_REFERENCE_ADDRESS) return;        // the relocator has seen it
    size_t length = found->address - piece->address + SEARCHED_BEHIND, instruction, size;
    if (length > image->text_end - piece->address) length = image->text_end - piece->address;
    hp_verdict verdict = hp_check_reference(
        image->arch, code_at(image, piece->address), length, piece->address, found, &instruction, &size);
    if (verdict != HP_VERDICT_NONE) search->refused[function - image->functions] = 1;
}

static void search_text(const search *search, const uint8_t *insides, hp_reach reach) {
    const image *image = search->image;
    size_t length = image->text_end - image->text_start, from = 0;
    hp_reference_targets wanted = {.start = image->text_start, .length = length, .insides = insides};
    hp_reference found[FOUND_CAPACITY];
    while (from < length) {
        size_t count = hp_find_references(
            image->arch, code_at(image, image->text_start), length, image->text_start, &wanted, reach, &from, found,
            FOUND_CAPACITY);
        for (size_t i = 0; i < count; i++) judge(search, &found[i]);
    }
}

static void search_image(const search *search) {
    const image *image = search->image;
    uint8_t *insides = calloc((image->text_end - image->text_start) / 8 + 1, 1);
    if (insides == NULL) abort();
    for (size_t i = 0; i < image->function_count; i++) {
        const function *function = &image->functions[i];
        uint64_t patch = function->address + function->patch_offset - image->text_start;
        for (uint64_t bit = patch + 1; bit < patch + function->detour_length; bit++) insides[bit / 8] |= 1 << bit % 8;
    }
    search_text(search, insides, HP_REACH_NEAR);
    search_text(search, insides, HP_REACH_SHORT);
    free(insides);
}

void count_foreign(prover *prover) {
    const image *image = &prover->image;
    size_t count = image->function_count;
    search search = {image, NULL, calloc(count + 1, 1), calloc(count + 1, 1), calloc(count + 1, sizeof(uint64_t))};
    if (search.reached == NULL || search.refused == NULL || search.origin == NULL) abort();
    move_all(prover);
    for (size_t i = 0; i < count; i++) {
        const function *function = search.from = &image->functions[i];
        traits_of(image->arch)->branches(
            code_at(image, function->address), length_of(function), function->address, note_branch, &search);
    }
    search_image(&search);
    for (size_t i = 0; i < count; i++) {
        prover->tally->foreign += search.refused[i];
        prover->tally->reached += search.reached[i];
        if (!search.reached[i] || search.refused[i]) continue;
        prover->tally->missed++;
        fprintf(stderr, "%s: 0x%" PRIx64 " leads into the prologue of 0x%" PRIx64 ", and the search does not see it\n",
                image->path, search.origin[i], image->functions[i].address);
    }
    free(search.reached);
    free(search.refused);
    free(search.origin);
}
