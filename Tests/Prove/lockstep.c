// One function: moved, and run in lockstep with what it was, from its entry and from every boundary of the PC map, on random
// registers and memory. A thread may stand at any such boundary when the detour is written, and when it is taken back; that
// both sides then go on alike is the same comparison for both ways.
#include "prove.h"

#include <inttypes.h>
#include <stdio.h>
#include <string.h>

enum { START_CAPACITY = HP_PC_MAP_CAPACITY + 1, REPORTED_MISMATCHES = 8, ATTEMPTS = 3 };

// A function on one machine, with its stub in one place.
typedef struct trial {
    prover *prover;
    const function *function;
    const place *place;
    machine *machine;
    hp_relocation_request request;
    uint64_t hop;                             // 0: the detour leads to the stub
    hp_relocation relocation;
    territory original, copy;
    uint64_t starts[START_CAPACITY][2];       // in the original, in the copy
    size_t start_count;
    bool beyond_emulator;
    bool silent, flipped;
    bool executed, mismatched;
} trial;

static run originals[STATE_COUNT][START_CAPACITY];
static run copied;

// ---------------------------------------------------------------------------------------------------------
// Place the stub, move the function.

static void place_stub(trial *trial, uint64_t *random) {
    const space *space = &trial->prover->space;
    uint64_t entry = trial->request.entry, pool = trial->place->pool[0];
    uint64_t reach = traits_of(space->image->arch)->near_reach;
    if (trial->place->pool[1] != 0 && pool + POOL_SIZE - entry > reach) pool = trial->place->pool[1];
    uint64_t choice = next_random(random) % (POOL_STUBS / HP_STUB_CAPACITY);
    if (trial->place->on_page) choice &= ~15ull;
    else if (choice % 16 == 0) choice++;
    trial->request.stub = pool + choice * HP_STUB_CAPACITY;
    trial->request.slot = pool + POOL_STUBS + next_random(random) % ((POOL_SIZE - POOL_STUBS) / 8) * 8;
}

// Padding behind the function, the last bytes of it, to jump on from; 0 where there is not enough.
static uint64_t hop_behind(const hp_relocation_request *request, hp_arch arch) {
    size_t length = request->function_length, needed = hp_hop_length(arch);
    if (needed == 0 || length == 0 || length > request->code_length) return 0;
    size_t padding = hp_free_padding(arch, request->code, request->code_length, length);
    return padding < needed ? 0 : request->entry + length + padding - needed;
}

static bool move(trial *trial, hp_refusal *refusal) {
    hp_arch arch = trial->prover->image.arch;
    const hp_relocation_request *request = &trial->request;
    if (!trial->place->through_hop) return hp_relocate(arch, request, 0, &trial->relocation, refusal);
    trial->hop = hop_behind(request, arch);
    if (trial->hop == 0 || !hp_relocate(arch, request, trial->hop, &trial->relocation, refusal)) return false;
    uint32_t end = trial->relocation.patch_offset + trial->relocation.prologue_length;
    return trial->hop >= request->entry + end;
}

static void draw_territories(trial *trial) {
    const hp_relocation *moved = &trial->relocation;
    const hp_relocation_request *request = &trial->request;
    const traits *traits = traits_of(trial->prover->image.arch);
    territory *original = &trial->original, *copy = &trial->copy;
    memset(original, 0, sizeof *original);
    memset(copy, 0, sizeof *copy);
    uint32_t end = moved->patch_offset + moved->prologue_length;
    *original = (territory){.start = request->entry, .end = request->entry + end};
    *copy = (territory){.start = request->stub, .end = request->stub + moved->stub_length};

    trial->starts[0][0] = request->entry;
    trial->starts[0][1] = request->stub + moved->original_offset;
    trial->start_count = 1;
    for (uint32_t i = 0; i < moved->pc_count; i++) {
        const hp_pc_pair *pair = &moved->pc_map[i];
        copy->number_at[pair->stub_offset] = (uint8_t)(i + 1);
        if (pair->entry_offset < end) {
            const uint8_t *code = request->code + pair->entry_offset;
            unsigned found = traits->of_instruction(code, request->code_length - pair->entry_offset);
            original->number_at[pair->entry_offset] = (uint8_t)(i + 1);
            if ((found & HALTS) != 0) original->halting |= 1ull << (i + 1);
            if ((found & CALLS) != 0) original->call = request->entry + pair->entry_offset;
            if ((found & BEYOND_EMULATOR) != 0) trial->beyond_emulator = true;
        }
        if (pair->entry_offset == 0) continue;         // the entry again
        trial->starts[trial->start_count][0] = request->entry + pair->entry_offset;
        trial->starts[trial->start_count++][1] = request->stub + pair->stub_offset;
    }
    copy->halting = original->halting;
}

static void write_code(const trial *trial, uint64_t address, const uint8_t *bytes, size_t length) {
    memcpy(space_at(&trial->prover->space, address, length), bytes, length);
    trial->machine->flush(trial->machine, address, length);
}

// ---------------------------------------------------------------------------------------------------------
// Compare.

// Makes, or takes back, the changes that a run has made. Its records may be wider than what was written, and the detour may
// stand there meanwhile: what a run has not changed is left alone.
static void apply(const space *space, const run *run, bool after) {
    for (size_t i = 0; i < run->write_count; i++) {
        const write_record *record = &run->writes[i];
        uint8_t *bytes = space_at(space, record->address, record->length);
        for (size_t at = 0; at < record->length; at++) {
            if (record->before[at] != record->after[at]) bytes[at] = after ? record->after[at] : record->before[at];
        }
    }
}

static bool holds(const space *space, const run *run) {
    for (size_t i = 0; i < run->write_count; i++) {
        const write_record *record = &run->writes[i];
        const uint8_t *bytes = space_at(space, record->address, record->length);
        for (size_t at = 0; at < record->length; at++) {
            if (record->before[at] != record->after[at] && bytes[at] != record->after[at]) return false;
        }
    }
    return true;
}

// Whether both have left the same memory. A moved call pushes in two writes what a call pushes in one.
static bool same_memory(const space *space, const run *left, const run *right) {
    apply(space, left, true);
    bool same = holds(space, right);
    apply(space, left, false);
    if (!same) return false;
    apply(space, right, true);
    same = holds(space, left);
    apply(space, right, false);
    return same;
}

static uint64_t pc_in_original(const trial *trial, uint64_t pc) {
    uint64_t offset = pc - trial->copy.start;
    if (offset >= trial->copy.end - trial->copy.start) return pc;
    unsigned number = trial->copy.number_at[offset];
    return number == 0 ? 0 : trial->request.entry + trial->relocation.pc_map[number - 1].entry_offset;
}

// What differs; NULL if nothing does.
static const char *difference(const trial *trial, const state *began, const run *left, run *right) {
    if (left->overflowed || right->overflowed) return left->overflowed && right->overflowed ? NULL : "more is written";
    if (left->outcome != right->outcome) return "one faults";
    if (left->outcome == FAULTED) return left->last != right->last ? "another instruction faults" : NULL;
    if (left->pc != pc_in_original(trial, right->pc)) return "it leads elsewhere";
    traits_of(trial->prover->image.arch)->forget(began, &left->state, &right->state);
    if (memcmp(&left->state, &right->state, offsetof(state, xstate)) != 0) return "registers differ";
    bool native = trial->machine == trial->prover->processor;
    if (native && memcmp(left->state.xstate, right->state.xstate, XSTATE_CAPACITY) != 0) return "vectors differ";
    return same_memory(&trial->prover->space, left, right) ? NULL : "memory differs";
}

static void print_bytes(const char *name, const uint8_t *bytes, size_t length) {
    fprintf(stderr, "    %s", name);
    for (size_t i = 0; i < length; i++) fprintf(stderr, " %02x", bytes[i]);
    fprintf(stderr, "\n");
}

static void report(const trial *trial, const char *what, uint64_t from, const run *left, const run *right) {
    if (trial->silent || trial->prover->tally->mismatches >= REPORTED_MISMATCHES) return;
    const image *image = &trial->prover->image;
    const traits *traits = traits_of(image->arch);
    fprintf(stderr, "%s+0x%" PRIx64 ", %s, from +%" PRIu64 ": %s\n", image->path, trial->function->address,
            trial->place->name, from - trial->request.entry, what);
    print_bytes("was", trial->request.code, trial->relocation.patch_offset + trial->relocation.prologue_length);
    print_bytes("is", trial->relocation.stub, trial->relocation.stub_length);
    fprintf(stderr, "    outcome %d at 0x%" PRIx64 ", %d at 0x%" PRIx64 " (entry 0x%" PRIx64 ", stub 0x%" PRIx64 ")\n",
            left->outcome, left->pc, right->outcome, right->pc, trial->request.entry, trial->request.stub);
    for (size_t i = 0; i < traits->register_count; i++) {
        const emulated_register *one = &traits->registers[i];
        const uint8_t *a = (const uint8_t *)&left->state + one->offset, *b = (const uint8_t *)&right->state + one->offset;
        if (memcmp(a, b, one->size) == 0) continue;
        uint64_t values[2] = {0, 0};
        memcpy(&values[0], a, one->size < 8 ? one->size : 8);
        memcpy(&values[1], b, one->size < 8 ? one->size : 8);
        fprintf(stderr, "    %s 0x%" PRIx64 " 0x%" PRIx64 "\n", one->name, values[0], values[1]);
    }
}

// ---------------------------------------------------------------------------------------------------------
// Run.

static void restore_arena(const space *space) {
    memcpy(space_at(space, space->arena, ARENA_SIZE), space->pristine, ARENA_SIZE);
}

static void run_on(const trial *trial, unsigned number, uint64_t pc, const territory *territory, run *out) {
    trial->machine->run(trial->machine, number, pc, territory, out);
    if (out->overflowed) restore_arena(&trial->prover->space);
}

// Runs the copy from everywhere; false at the first difference.
static bool compare_all(trial *trial, const state *states) {
    for (unsigned number = 0; number < STATE_COUNT; number++) {
        for (size_t i = 0; i < trial->start_count; i++) {
            const run *original = &originals[number][i];
            run_on(trial, number, trial->starts[i][1], &trial->copy, &copied);
            trial->prover->tally->pairs++;
            const char *what = difference(trial, &states[number], original, &copied);
            if (what != NULL) {
                report(trial, what, trial->starts[i][0], original, &copied);
                return false;
            }
            if (i == 0 && original->outcome == LEFT) trial->executed = true;
            if (i == 0 || number != 0 || trial->flipped) continue;
            trial->prover->tally->boundaries++;
            trial->prover->tally->boundaries_faulted += original->outcome != LEFT;
        }
    }
    return true;
}

// Whoever enters by the front door comes to the replacement, with all registers as they were.
static bool detour_leads_to_replacement(trial *trial, const state *began) {
    const space *space = &trial->prover->space;
    static run expected;
    const territory all = {.start = 0x1000, .end = space->replacement};
    run_on(trial, 0, space->replacement, &all, &expected);
    run_on(trial, 0, trial->request.entry, &all, &copied);
    const char *what = difference(trial, began, &expected, &copied);
    if (what != NULL) report(trial, what, trial->request.entry, &expected, &copied);
    return what == NULL && copied.pc == space->replacement;
}

// Whether a flipped bit of the moved prologue shows.
static bool notices_flip(trial *trial, const state *states, uint64_t *random) {
    const hp_relocation *moved = &trial->relocation;
    uint64_t bit = next_random(random) % ((moved->stub_length - moved->original_offset) * 8);
    uint64_t address = trial->request.stub + moved->original_offset + bit / 8;
    uint8_t right = moved->stub[moved->original_offset + bit / 8], wrong = right ^ (uint8_t)(1u << bit % 8);
    trial->silent = trial->flipped = true;
    write_code(trial, address, &wrong, 1);
    bool noticed = !compare_all(trial, states);
    write_code(trial, address, &right, 1);
    trial->silent = trial->flipped = false;
    // Another instruction may have written where the right one does not.
    restore_arena(&trial->prover->space);
    return noticed;
}

// The whole of it on one machine.
static void run_trial(trial *trial, machine *machine, uint64_t *random, bool flips) {
    const space *space = &trial->prover->space;
    const hp_relocation *moved = &trial->relocation;
    tally *tally = trial->prover->tally;
    state states[STATE_COUNT];
    trial->machine = machine;
    trial->executed = trial->mismatched = false;
    write_code(trial, trial->request.stub, moved->stub, moved->stub_length);
    memcpy(space_at(space, trial->request.slot, 8), &space->replacement, 8);
    for (unsigned number = 0; number < STATE_COUNT; number++) {
        traits_of(space->image->arch)->randomize(space, random, &states[number]);
        machine->prepare(machine, number, &states[number]);
        for (size_t i = 0; i < trial->start_count; i++) {
            run_on(trial, number, trial->starts[i][0], &trial->original, &originals[number][i]);
        }
    }
    uint64_t patch = trial->request.entry + moved->patch_offset;
    uint8_t padding[HP_DETOUR_CAPACITY], jump[HP_DETOUR_CAPACITY];
    size_t jump_length = 0;
    if (trial->hop != 0) {
        jump_length = hp_encode_jump(space->image->arch, trial->hop, trial->request.stub, jump);
        memcpy(padding, space_at(space, trial->hop, jump_length), jump_length);
        write_code(trial, trial->hop, jump, jump_length);
    }
    write_code(trial, patch, moved->detour, moved->detour_length);
    trial->mismatched = !compare_all(trial, states) || !detour_leads_to_replacement(trial, states);
    if (flips && trial->executed && !trial->mismatched) {
        tally->flipped++;
        tally->noticed += notices_flip(trial, states, random);
    }
    write_code(trial, patch, moved->expected, moved->detour_length);
    if (trial->hop != 0) write_code(trial, trial->hop, padding, jump_length);
}

// Until it was run from the entry to where the prologue is left, for registers may be drawn that fault.
static bool executes_alike(trial *trial, machine *machine, uint64_t *random, bool flips) {
    for (int attempt = 0; attempt < ATTEMPTS; attempt++) {
        run_trial(trial, machine, random, flips);
        if (trial->mismatched || trial->executed) break;
    }
    return !trial->mismatched;
}

// On the emulator, where it knows the instructions. On the processor, where there is one, go those that the emulator does not
// know or finds a difference in, and one in a few of the others; it has the last word. Bits are flipped there: a strange
// instruction can end the emulator.
static bool try_machines(trial *trial, uint64_t *random, bool flips) {
    prover *prover = trial->prover;
    bool also_natively = flips || next_random(random) % prover->native_one_in == 0;
    tally *tally = prover->tally;
    bool executed = false, alike = true;
    if (!prover->skips_emulator && !(trial->beyond_emulator && prover->processor != NULL)) {
        trial->silent = prover->processor != NULL;   // what the processor says is reported
        alike = executes_alike(trial, prover->emulator, random, flips && prover->processor == NULL);
        trial->silent = false;
        executed = alike && trial->executed;
        tally->emulated += executed && trial->place == prover->space.places;
    }
    if (prover->processor != NULL && (also_natively || !executed)) {
        tally->misjudged += !alike;
        alike = executes_alike(trial, prover->processor, random, flips);
        tally->natively += trial->executed && trial->place == prover->space.places;
    }
    trial->executed |= executed;
    return alike;
}

static void prove_at(prover *prover, const function *function, const place *place, uint64_t *random) {
    const image *image = &prover->image;
    trial trial = {.prover = prover, .function = function, .place = place};
    bool near = place == prover->space.places;
    trial.request = (hp_relocation_request){
        .code = image->memory + (function->address - image->base), .code_length = function->available,
        .function_length = function->length, .entry = function->address + prover->space.bias,
    };
    place_stub(&trial, random);
    hp_refusal refusal = {0};
    if (!move(&trial, &refusal)) {
        prover->tally->refused[refusal.reason] += near;
        return;
    }
    if (near) prover->tally->moved++;
    else prover->tally->far_moved++;
    draw_territories(&trial);
    bool flips = near && prover->flip_one_in != 0 && next_random(random) % prover->flip_one_in == 0;
    bool same = try_machines(&trial, random, flips);
    if (near) prover->tally->executed += trial.executed, prover->tally->faulted += !trial.executed;
    else prover->tally->far_executed += trial.executed, prover->tally->far_faulted += !trial.executed;
    prover->tally->mismatches += !same;
}

void prove_function(prover *prover, const function *function) {
    uint64_t random = prover->seed ^ function->address * 0x9e3779b97f4a7c15;
    prover->tally->starts++;
    for (size_t i = 0; i < prover->space.place_count; i++) {
        const place *place = &prover->space.places[i];
        if (next_random(&random) % place->one_in == 0) prove_at(prover, function, place, &random);
    }
}
