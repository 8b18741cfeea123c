// The proof of the relocator: every function of a binary is moved by CPatchCore, and what was made of it is run in lockstep with
// what it was made of, on a machine that both can be run on from any registers and memory.
//
//   image.c     a binary: its memory as it would be loaded, and where its functions start
//   space.c     the memory that machines run in: the image, an arena for all that registers point to, pools for stubs
//   emulate.c   a machine made of Unicorn, with what it must know of an architecture from x86_64/ and arm64/
//   native.c    a machine made of this processor: a traced child, step by step; for x86_64 instructions that Unicorn lacks
//   lockstep.c  one function: moved, run from everywhere as it was and as it is, and compared
//   foreign.c   what leads from elsewhere in the image into bytes that a detour would overwrite
//   main.c      the binaries of a corpus, and the table
#pragma once

#include "cpatch_core.h"

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

// ---------------------------------------------------------------------------------------------------------
// image.c

typedef struct function {
    uint64_t address;            // as the image is linked
    uint32_t length;             // of the symbol or the frame description; 0: unknown
    uint32_t available;          // up to the next start
    uint8_t patch_offset;        // where moved, from the nearest place: of the detour
    uint8_t detour_length;       // 0: not moved
} function;

typedef struct image {
    char path[512];
    char build_id[41];
    hp_arch arch;
    uint64_t base;               // of the memory, as linked: a multiple of the page
    size_t size;
    uint8_t *memory;             // shared with children, and with the emulator
    int memory_file;
    uint64_t text_start, text_end;
    bool is_fixed;               // must run where it was linked
    function *functions;         // ascending
    size_t function_count;
} image;

// False, having said why, where the file is none of those.
bool image_load(image *image, const char *path, const char *name);
void image_free(image *image);

// ---------------------------------------------------------------------------------------------------------
// space.c

enum {
    ARENA_SIZE = 256 << 10,
    ZONE_START = 96 << 10,       // where registers point to: the middle, so that displacements stay in the arena
    ZONE_SIZE = 64 << 10,
    POOL_STUBS = 64 << 10,
    POOL_SIZE = 128 << 10,       // stubs, and behind them the slots
    PLACE_CAPACITY = 4,
    REGION_CAPACITY = 2 + 2 * PLACE_CAPACITY,
};

// Where a stub may lie.
typedef struct place {
    const char *name;
    uint64_t pool[2];            // the first is taken where it reaches; 0: there is none
    bool on_page;                // at the start of a page, which takes a shorter detour
    unsigned one_in;             // of how many functions
    bool through_hop;            // reached through the padding behind the function, where there is enough of it
} place;

typedef struct region {
    uint64_t address;
    size_t size;
    uint8_t *memory;
    int file;
} region;

typedef struct space {
    const image *image;
    uint64_t bias;               // of the image
    uint64_t arena;
    uint64_t replacement;        // where slots lead: nothing is there
    place places[PLACE_CAPACITY];
    size_t place_count;
    region regions[REGION_CAPACITY];
    size_t region_count;
    uint8_t *pristine;           // the arena as it shall be
} space;

bool space_make(space *space, const image *image, uint64_t seed);
void space_free(space *space);

// Where the bytes at an address are; NULL outside of all regions.
uint8_t *space_at(const space *space, uint64_t address, size_t length);

static inline uint64_t next_random(uint64_t *state) {      // splitmix64
    uint64_t z = *state += 0x9e3779b97f4a7c15;
    z = (z ^ z >> 30) * 0xbf58476d1ce4e5b9;
    z = (z ^ z >> 27) * 0x94d049bb133111eb;
    return z ^ z >> 31;
}

// ---------------------------------------------------------------------------------------------------------
// Machines

enum { GENERAL_CAPACITY = 32, CONTROL_CAPACITY = 8, VECTOR_CAPACITY = 32, STACK_CAPACITY = 8, XSTATE_CAPACITY = 2816 };

// All that an instruction can see or change but memory and the program counter.
typedef struct state {
    uint64_t general[GENERAL_CAPACITY];   // x86_64: rax rcx rdx rbx rsp rbp rsi rdi r8…; arm64: x0…x30, sp
    uint64_t flags;
    uint64_t control[CONTROL_CAPACITY];   // thread pointers; modes and flags of floating point
    uint8_t vectors[VECTOR_CAPACITY][16];
    uint8_t stack[STACK_CAPACITY][16];    // x87
    uint8_t xstate[XSTATE_CAPACITY];      // native only, where it holds vectors and stack
} state;

typedef enum outcome {
    LEFT,          // the territory, or came to what cannot be run; or went round often enough
    FAULTED,
    STUCK,         // in no time did any of these
} outcome;

// The code that is run, and where it counts as left.
typedef struct territory {
    uint64_t start, end;
    uint64_t call;               // the address of an instruction whose jump always leaves, even to the inside; 0: none
    uint8_t number_at[HP_STUB_CAPACITY];  // by offset: of the boundary of the PC map, from 1; 0: none
    uint64_t halting;            // bit per boundary: not to be run, such as a system call
} territory;

// Bytes outside of the arena's pristine copy that a run may have changed.
enum { WRITE_CAPACITY = 512 };
typedef struct write {
    uint64_t address;
    uint8_t length;
    uint8_t before[64];
    uint8_t after[64];
} write_record;

typedef struct run {
    outcome outcome;
    uint64_t pc;                 // where it was left, or the instruction that faulted
    uint8_t last;                // boundary passed last, 0: none
    state state;
    write_record writes[WRITE_CAPACITY];
    size_t write_count;
    bool overflowed;             // more writes than fit
} run;

typedef struct machine machine;
struct machine {
    const space *space;
    // Keeps a state to start from, under a number.
    void (*prepare)(machine *machine, unsigned number, const state *state);
    // Runs the code of a territory from `pc`, and puts memory back as it was.
    void (*run)(machine *machine, unsigned number, uint64_t pc, const territory *territory, run *out);
    // Code has changed.
    void (*flush)(machine *machine, uint64_t address, size_t length);
    void (*free)(machine *machine);
};

enum { STATE_COUNT = 2, ARRIVAL_LIMIT = 48, STEP_LIMIT = 600 };

machine *emulator_make(const space *space);
machine *native_make(const space *space);            // NULL where this is no x86_64

// Notes what stands at an address before it is overwritten.
void note_write(const space *space, run *run, uint64_t address, size_t length);
// Takes note of what the writes have left, and undoes them.
void undo_writes(const space *space, run *run);

// ---------------------------------------------------------------------------------------------------------
// What must be known of an architecture: x86_64/traits.c, arm64/traits.c

typedef enum trait {
    CALLS = 1,             // a call
    HALTS = 2,             // a system call, a trap, what differs from run to run: neither side runs it
    BEYOND_EMULATOR = 4,   // to be run on a processor
} trait;

typedef struct emulated_register {
    int id;                // UC_…
    uint16_t offset, size; // in `state`
    const char *name;
} emulated_register;

typedef struct traits {
    int unicorn_arch, unicorn_mode, unicorn_model, unicorn_pc;
    const emulated_register *registers;
    size_t register_count;
    unsigned (*of_instruction)(const uint8_t *code, size_t length);  // trait bits
    void (*randomize)(const space *space, uint64_t *random, state *out);
    // Sets what `right` need not share with `left`, both having started from `began`: veneers' registers.
    void (*forget)(const state *began, const state *left, state *right);
    // Calls back with each direct branch of a function: where it stands and leads.
    void (*branches)(const uint8_t *code, size_t length, uint64_t address, void (*with)(void *, uint64_t, uint64_t), void *);
    // What signing the return address (1) and authenticating it (-1) do, in a machine where neither does anything; else 0.
    int (*signs)(const uint8_t *code);
    uint64_t near_reach;
} traits;

extern const traits x86_64_traits, arm64_traits;

static inline const traits *traits_of(hp_arch arch) { return arch == HP_ARCH_ARM64 ? &arm64_traits : &x86_64_traits; }

// A pointer into the arena, a small number, or any number.
uint64_t random_word(const space *space, uint64_t *random);

// ---------------------------------------------------------------------------------------------------------
// lockstep.c

enum { REASON_COUNT = HP_NO_SIZE + 1 };

typedef struct tally {
    uint64_t starts, moved, executed, faulted, mismatches;
    uint64_t emulated, natively;           // of those executed: by which machine
    uint64_t boundaries, boundaries_faulted;  // starts in the middle of a prologue, and those that fault on both sides
    uint64_t misjudged;                    // differences that the emulator sees and the processor does not
    uint64_t broken;                       // functions that have ended the emulator twice
    uint64_t far_moved, far_executed, far_faulted, pairs;
    uint64_t refused[REASON_COUNT];
    uint64_t flipped, noticed;
    uint64_t foreign, reached, missed;     // functions that the plan refuses; that the oracle finds; of those, not refused
} tally;

typedef struct prover {
    image image;
    space space;
    machine *emulator;
    machine *processor;
    uint64_t seed;
    unsigned flip_one_in;
    unsigned native_one_in;                // functions that run on the processor as well, though the emulator knows them
    bool skips_emulator;                   // it was ended by this function
    tally *tally;
} prover;

void prove_function(prover *prover, const function *function);

// ---------------------------------------------------------------------------------------------------------
// foreign.c

// Counts moved functions into whose overwritten bytes other code leads, by the core's search and by an oracle.
void count_foreign(prover *prover);
