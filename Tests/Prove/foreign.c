// Branches from one function into the bytes that another's detour would overwrite. The mover is given one function's bytes
// and cannot see them; this looks at all functions of the image, each decoded from its start.
#include "prove.h"

#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

typedef struct search {
    const image *image;
    const function *from;
    uint8_t *reached;          // by function
} search;

static void note_branch(void *context, uint64_t at, uint64_t target) {
    search *search = context;
    const image *image = search->image;
    size_t low = 0, high = image->function_count;
    while (low < high) {
        size_t middle = (low + high) / 2;
        if (image->functions[middle].address <= target) low = middle + 1;
        else high = middle;
    }
    if (low == 0) return;
    const function *function = &image->functions[low - 1];
    uint64_t patch = function->address + function->patch_offset;
    bool inside = target > patch && target < patch + function->detour_length;
    if (!inside || function == search->from) return;
    search->reached[low - 1] = 1;
    fprintf(stderr, "%s: 0x%" PRIx64 " leads to 0x%" PRIx64 "+%" PRIu64 "\n", image->path, at, function->address,
            target - function->address);
}

void count_foreign(prover *prover) {
    image *image = &prover->image;
    search search = {.image = image, .reached = calloc(image->function_count + 1, 1)};
    if (search.reached == NULL) abort();
    for (size_t i = 0; i < image->function_count; i++) {
        function *function = &image->functions[i];
        hp_relocation moved;
        hp_refusal refusal;
        uint64_t pool = prover->space.places[0].pool[0];
        hp_relocation_request request = {
            .code = image->memory + (function->address - image->base), .code_length = function->available,
            .function_length = function->length, .entry = function->address + prover->space.bias,
            .stub = pool, .slot = pool + POOL_STUBS,
        };
        if (!hp_relocate(image->arch, &request, &moved, &refusal)) continue;
        function->patch_offset = (uint8_t)moved.patch_offset;
        function->detour_length = (uint8_t)moved.detour_length;
    }
    for (size_t i = 0; i < image->function_count; i++) {
        const function *function = search.from = &image->functions[i];
        size_t length = function->length < function->available ? function->length : function->available;
        const uint8_t *code = image->memory + (function->address - image->base);
        traits_of(image->arch)->branches(code, length, function->address, note_branch, &search);
    }
    for (size_t i = 0; i < image->function_count; i++) prover->tally->foreign += search.reached[i];
    free(search.reached);
}
