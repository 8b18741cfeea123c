// A machine made of Unicorn.
//
// What it must be kept from: its code cache does not see what is written to memory that it shares, so it is told; a hook on
// each instruction stops it where a territory ends, since `until` is but one address.
#include "prove.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unicorn/unicorn.h>

enum { REGISTER_CAPACITY = 96 };

typedef struct emulator {
    machine machine;
    uc_engine *engine;
    uc_context *prepared[STATE_COUNT];
    const traits *traits;
    int ids[REGISTER_CAPACITY];
    // What belongs to the run under way:
    const territory *territory;
    run *run;
    unsigned steps, arrivals;
    uint64_t previous;
    bool stopped;
} emulator;

static void stop(emulator *emulator, outcome outcome, uint64_t pc) {
    emulator->stopped = true;
    emulator->run->outcome = outcome;
    emulator->run->pc = pc;
    uc_emu_stop(emulator->engine);
}

// A return address is signed: its top bits come to depend on the stack pointer.
static void sign(emulator *emulator, int sign) {
    uint64_t stack = 0, address = 0;
    uc_reg_read(emulator->engine, UC_ARM64_REG_SP, &stack);
    uc_reg_read(emulator->engine, UC_ARM64_REG_X30, &address);
    uint64_t code = ((stack >> 3 & 0x3fff) | 1) << 49;
    address += sign > 0 ? code : -code;
    uc_reg_write(emulator->engine, UC_ARM64_REG_X30, &address);
}

static void on_instruction(uc_engine *engine, uint64_t address, uint32_t size, void *context) {
    (void)engine, (void)size;
    emulator *emulator = context;
    const territory *territory = emulator->territory;
    if (emulator->stopped) return;
    bool called = emulator->steps > 0 && emulator->previous == territory->call;
    if (address < territory->start || address >= territory->end || called) return stop(emulator, LEFT, address);
    uint64_t offset = address - territory->start;
    unsigned number = offset < HP_STUB_CAPACITY ? territory->number_at[offset] : 0;
    if (number != 0) {
        emulator->run->last = (uint8_t)number;
        if ((territory->halting >> number & 1) != 0 || ++emulator->arrivals > ARRIVAL_LIMIT) {
            return stop(emulator, LEFT, address);
        }
    }
    if (++emulator->steps > STEP_LIMIT) return stop(emulator, STUCK, address);
    emulator->previous = address;
    const uint8_t *code = space_at(emulator->machine.space, address, 4);
    int signs = code != NULL ? emulator->traits->signs(code) : 0;
    if (signs != 0) sign(emulator, signs);
}

static void on_write(uc_engine *engine, uc_mem_type type, uint64_t address, int size, int64_t value, void *context) {
    (void)engine, (void)type, (void)value;
    emulator *emulator = context;
    note_write(emulator->machine.space, emulator->run, address, (size_t)size);
}

static void prepare(machine *machine, unsigned number, const state *state) {
    emulator *emulator = (struct emulator *)machine;
    void *values[REGISTER_CAPACITY];
    for (size_t i = 0; i < emulator->traits->register_count; i++) {
        values[i] = (uint8_t *)state + emulator->traits->registers[i].offset;
    }
    uc_reg_write_batch(emulator->engine, emulator->ids, values, (int)emulator->traits->register_count);
    uc_context_save(emulator->engine, emulator->prepared[number]);
}

static void run_code(machine *machine, unsigned number, uint64_t pc, const territory *territory, run *out) {
    emulator *emulator = (struct emulator *)machine;
    uc_context_restore(emulator->engine, emulator->prepared[number]);
    emulator->territory = territory;
    emulator->run = out;
    emulator->steps = emulator->arrivals = 0;
    emulator->previous = pc;
    emulator->stopped = false;
    out->write_count = 0;
    out->overflowed = false;
    out->last = 0;
    uc_err error = uc_emu_start(emulator->engine, pc, UINT64_MAX, 0, 0);
    if (!emulator->stopped) {
        // A jump to nowhere has left, and so has one that the hook was not asked about because nothing can be read there.
        uint64_t left = 0;
        uc_reg_read(emulator->engine, emulator->traits->unicorn_pc, &left);
        bool outside = left < territory->start || left >= territory->end;
        bool fetch = error == UC_ERR_FETCH_UNMAPPED || error == UC_ERR_FETCH_PROT;
        out->outcome = outside && fetch ? LEFT : FAULTED;
        out->pc = outside && fetch ? left : emulator->previous;
    }
    void *values[REGISTER_CAPACITY];
    memset(&out->state, 0, offsetof(state, xstate));
    for (size_t i = 0; i < emulator->traits->register_count; i++) {
        values[i] = (uint8_t *)&out->state + emulator->traits->registers[i].offset;
    }
    uc_reg_read_batch(emulator->engine, emulator->ids, values, (int)emulator->traits->register_count);
    undo_writes(machine->space, out);
}

static void flush(machine *machine, uint64_t address, size_t length) {
    uc_ctl_remove_cache(((emulator *)machine)->engine, address, address + length);
}

static void free_emulator(machine *machine) {
    emulator *emulator = (struct emulator *)machine;
    for (size_t i = 0; i < STATE_COUNT; i++) {
        if (emulator->prepared[i] != NULL) uc_context_free(emulator->prepared[i]);
    }
    if (emulator->engine != NULL) uc_close(emulator->engine);
    free(emulator);
}

// Maps a part of a region. What is no code must not be translated, even if a jump leads there: that can end the emulator.
static uc_err map(uc_engine *engine, const region *region, uint64_t from, uint64_t to, uint32_t protection) {
    if (from >= to) return UC_ERR_OK;
    return uc_mem_map_ptr(engine, from, to - from, protection, region->memory + (from - region->address));
}

machine *emulator_make(const space *space) {
    emulator *emulator = calloc(1, sizeof *emulator);
    if (emulator == NULL) return NULL;
    emulator->machine = (machine){space, prepare, run_code, flush, free_emulator};
    const traits *traits = emulator->traits = traits_of(space->image->arch);
    for (size_t i = 0; i < traits->register_count; i++) emulator->ids[i] = traits->registers[i].id;
    uc_err error = uc_open(traits->unicorn_arch, traits->unicorn_mode, &emulator->engine);
    if (error == UC_ERR_OK && traits->unicorn_model >= 0) {
        error = uc_ctl_set_cpu_model(emulator->engine, traits->unicorn_model);
    }
    for (size_t i = 0; i < space->region_count && error == UC_ERR_OK; i++) {
        const region *region = &space->regions[i];
        uint64_t from = region->address, to = from + region->size;
        if (i == 0) {
            from = (space->image->text_start + space->bias) & ~(uint64_t)0xfff;
            to = (space->image->text_end + space->bias + 0xfff) & ~(uint64_t)0xfff;
        } else if (from == space->arena) {
            from = to;
        }
        error = map(emulator->engine, region, region->address, from, UC_PROT_READ | UC_PROT_WRITE);
        if (error == UC_ERR_OK) error = map(emulator->engine, region, from, to, UC_PROT_ALL);
        if (error == UC_ERR_OK) {
            error = map(emulator->engine, region, to, region->address + region->size, UC_PROT_READ | UC_PROT_WRITE);
        }
    }
    uc_hook hook;
    if (error == UC_ERR_OK) error = uc_hook_add(emulator->engine, &hook, UC_HOOK_CODE, on_instruction, emulator, 1, 0);
    if (error == UC_ERR_OK) error = uc_hook_add(emulator->engine, &hook, UC_HOOK_MEM_WRITE, on_write, emulator, 1, 0);
    for (size_t i = 0; i < STATE_COUNT && error == UC_ERR_OK; i++) {
        error = uc_context_alloc(emulator->engine, &emulator->prepared[i]);
    }
    if (error != UC_ERR_OK) {
        fprintf(stderr, "error: Unicorn cannot be started (%s).\n", uc_strerror(error));
        free_emulator(&emulator->machine);
        return NULL;
    }
    return &emulator->machine;
}
