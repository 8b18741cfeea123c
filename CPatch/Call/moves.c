// The moves of a program, run one after the other.

#include <string.h>

#include "call.h"

_Static_assert(sizeof(hp_call_step) == 32, "SwiftCall lays steps out");
_Static_assert(offsetof(hp_call_box, program) == HP_CALL_BOX_PROGRAM, "for the entries");
_Static_assert(offsetof(hp_call_box, target) == HP_CALL_BOX_TARGET, "for the entries");
_Static_assert(offsetof(hp_call_program, room) == HP_CALL_PROGRAM_ROOM, "for the entries");
_Static_assert(offsetof(hp_call_program, flags) == HP_CALL_PROGRAM_FLAGS, "for the entries");
_Static_assert(HP_CALL_FRAME_SIZE % 16 == 0, "the stack pointer stays aligned");

// The value witness table lies before the metadata (swift/docs/ABI/TypeMetadata.rst).
typedef struct value_witnesses {
    void *(*initialize_buffer_with_copy_of_buffer)(void *, void *, const void *);
    void (*destroy)(void *value, const void *type);
    void *(*initialize_with_copy)(void *to, void *from, const void *type);
} value_witnesses;

static const value_witnesses *witnesses(const void *type) { return ((const value_witnesses *const *)type)[-1]; }

static uint8_t *pointer(const uint8_t *frame, int32_t at) {
    uint8_t *value;
    memcpy(&value, frame + at, sizeof value);
    return value;
}

static void set_pointer(uint8_t *frame, int32_t at, const void *value) { memcpy(frame + at, &value, sizeof value); }

// A nil of type Optional has no code, and a context that nobody may look at.
static void convert_closure(uint8_t *value, const hp_call_program *program, hp_call_ownership ownership) {
    void *words[2];
    memcpy(words, value, sizeof words);
    if (words[0]) {
        words[1] = hp_call_make_closure_box(program, words[0], words[1], ownership);
        words[0] = (void *)(uintptr_t)hp_call_box_function(program);
    } else {
        words[1] = NULL;
    }
    memcpy(value, words, sizeof words);
}

// Copies a register's worth, and clears what is left of the register.
#define LOAD(type)                                                        \
    do {                                                                  \
        type part;                                                        \
        memcpy(&part, pointer(frame, step->from) + step->offset, sizeof part); \
        uint64_t whole = part;                                            \
        memcpy(frame + step->to, &whole, sizeof whole);                   \
    } while (0)

static inline __attribute__((always_inline)) void run(const hp_call_step *step, size_t count, uint8_t *frame) {
    for (const hp_call_step *end = step + count; step != end; step++) {
        switch ((hp_call_op)step->op) {
        case HP_CALL_COPY_1: memcpy(frame + step->to, frame + step->from, 1); break;
        case HP_CALL_COPY_2: memcpy(frame + step->to, frame + step->from, 2); break;
        case HP_CALL_COPY_4: memcpy(frame + step->to, frame + step->from, 4); break;
        case HP_CALL_COPY_8: memcpy(frame + step->to, frame + step->from, 8); break;
        case HP_CALL_COPY_16: memcpy(frame + step->to, frame + step->from, 16); break;
        case HP_CALL_COPY: memcpy(frame + step->to, frame + step->from, step->count); break;
        case HP_CALL_COPY_BIT: frame[step->to] = frame[step->from] & 1; break;
        case HP_CALL_LOAD_1: LOAD(uint8_t); break;
        case HP_CALL_LOAD_2: LOAD(uint16_t); break;
        case HP_CALL_LOAD_4: LOAD(uint32_t); break;
        case HP_CALL_LOAD_8: memcpy(frame + step->to, pointer(frame, step->from) + step->offset, 8); break;
        case HP_CALL_LOAD_16: memcpy(frame + step->to, pointer(frame, step->from) + step->offset, 16); break;
        case HP_CALL_LOAD_PART:
            memset(frame + step->to, 0, 8);
            memcpy(frame + step->to, pointer(frame, step->from) + step->offset, step->count);
            break;
        case HP_CALL_LOAD: memcpy(frame + step->to, pointer(frame, step->from) + step->offset, step->count); break;
        case HP_CALL_STORE_1: memcpy(pointer(frame, step->to) + step->offset, frame + step->from, 1); break;
        case HP_CALL_STORE_2: memcpy(pointer(frame, step->to) + step->offset, frame + step->from, 2); break;
        case HP_CALL_STORE_4: memcpy(pointer(frame, step->to) + step->offset, frame + step->from, 4); break;
        case HP_CALL_STORE_8: memcpy(pointer(frame, step->to) + step->offset, frame + step->from, 8); break;
        case HP_CALL_STORE_16: memcpy(pointer(frame, step->to) + step->offset, frame + step->from, 16); break;
        case HP_CALL_STORE: memcpy(pointer(frame, step->to) + step->offset, frame + step->from, step->count); break;
        case HP_CALL_STORE_BIT: pointer(frame, step->to)[step->offset] = frame[step->from] & 1; break;
        case HP_CALL_ADDRESS: set_pointer(frame, step->to, frame + step->from); break;
        case HP_CALL_ADVANCE: set_pointer(frame, step->to, pointer(frame, step->from) + step->offset); break;
        case HP_CALL_WORD: set_pointer(frame, step->to, step->datum); break;
        case HP_CALL_COPY_VALUE:
            witnesses(step->datum)->initialize_with_copy(frame + step->to, pointer(frame, step->from), step->datum);
            break;
        case HP_CALL_DESTROY: witnesses(step->datum)->destroy(pointer(frame, step->from), step->datum); break;
        case HP_CALL_CLOSURE: convert_closure(frame + step->to, step->datum, (hp_call_ownership)step->count); break;
        case HP_CALL_RELEASE: swift_release(pointer(frame, step->from)); break;
        }
    }
}

void hp_call_prepare(hp_call_box *box, uint8_t *frame) {
    const hp_call_program *program = box->program;
    set_pointer(frame, HP_CALL_OUT + HP_CALL_CONTEXT, box->context);
    run(program->steps, program->prepare_count, frame);
}

void hp_call_finish(uint8_t *frame, const void *error) {
    const hp_call_program *program = ((hp_call_box *)pointer(frame, HP_CALL_FRAME_BOX))->program;
    const hp_call_step *steps = program->steps + program->prepare_count;
    // In a function that does not throw, the register of the error is like any other.
    int failed = error && program->flags & HP_CALL_THROWS;
    run(steps, program->cleanup_count + (failed ? 0 : program->result_count), frame);
}
